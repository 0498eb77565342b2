//! Counts which letters follow each other in names, for the engine's table of surprise.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::run::root;

/// Letters, one symbol for all digits, and one for the start of a run.
const SYMBOLS: usize = 28;
const DIGIT: usize = 26;
const START: usize = 27;

/// How strongly the counts of less context smooth those of more.
const SMOOTHING: f64 = 3.0;

/// The bits that tell which of ten digits it is.
const DIGIT_BITS: f64 = 3.32;

/// Longer files are data.
const FILE_BYTES_MAX: u64 = 2 << 20;

/// The documents whose words are counted; of other files only the names are.
const DOCUMENTS: [&str; 7] = ["md", "txt", "rst", "html", "tsv", "po", "toml"];

/// Writes `crates/engine/src/surprise.txt` from the names and documents below some directories.
pub(crate) fn run(directories: &[String]) -> Result<()> {
    ensure!(!directories.is_empty(), "name directories to count in");
    let mut words = BTreeSet::new();
    let mut waiting: Vec<PathBuf> = directories.iter().map(PathBuf::from).collect();
    while let Some(path) = waiting.pop() {
        gather(&path, &mut waiting, &mut words);
    }
    words.retain(|word| is_name(word.as_bytes()));
    println!("{} runs", words.len());
    let table = Counts::of(&words).table();
    fs::write(root().join("crates/engine/src/surprise.txt"), table)?;
    Ok(())
}

fn gather(path: &Path, waiting: &mut Vec<PathBuf>, words: &mut BTreeSet<String>) {
    let Ok(kind) = fs::symlink_metadata(path) else {
        return;
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    add_runs(&name, words);
    if kind.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        waiting.extend(entries.map(|entry| entry.path()));
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    if kind.is_file() && kind.len() <= FILE_BYTES_MAX && DOCUMENTS.contains(&&*extension) {
        let content = fs::read(path).unwrap_or_default();
        add_runs(&String::from_utf8_lossy(&content), words);
    }
}

fn add_runs(text: &str, words: &mut BTreeSet<String>) {
    let runs = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.extend(runs.filter(|run| run.len() >= 3).map(str::to_owned));
}

/// Whether a run is a name and not itself encoded: digits and letters, and cases, seldom change.
fn is_name(run: &[u8]) -> bool {
    const RUN_BYTES_MAX: usize = 40;
    let pairs = run.windows(2);
    let changes = pairs.filter(|pair| {
        let (a, b) = (pair[0], pair[1]);
        a.is_ascii_digit() != b.is_ascii_digit() || a.is_ascii_lowercase() && b.is_ascii_uppercase()
    });
    let is_hex = run.len() >= 7
        && run.iter().all(u8::is_ascii_hexdigit)
        && run.iter().filter(|b| b.is_ascii_digit()).count() >= 2;
    run.len() <= RUN_BYTES_MAX && changes.count() * 4 <= run.len() + 3 && !is_hex
}

/// How often symbols follow each other, with two, one and no symbols of context.
struct Counts {
    three: Vec<f64>,
    two: Vec<f64>,
    one: Vec<f64>,
}

impl Counts {
    fn of(words: &BTreeSet<String>) -> Self {
        let mut counts = Self {
            three: vec![0.0; SYMBOLS * SYMBOLS * SYMBOLS],
            two: vec![0.0; SYMBOLS * SYMBOLS],
            one: vec![0.0; SYMBOLS],
        };
        for word in words {
            let (mut before, mut last) = (START, START);
            for next in word.bytes().map(symbol) {
                counts.three[(before * SYMBOLS + last) * SYMBOLS + next] += 1.0;
                counts.two[last * SYMBOLS + next] += 1.0;
                counts.one[next] += 1.0;
                (before, last) = (last, next);
            }
        }
        counts
    }

    /// A row for each pair of symbols, a digit of base 36 for each that may follow: half bits.
    fn table(&self) -> String {
        let mut text = String::new();
        for before in 0..SYMBOLS {
            for last in 0..SYMBOLS {
                for next in 0..SYMBOLS {
                    let half_bits = (self.bits(before, last, next) * 2.0).round().min(35.0);
                    text.extend(char::from_digit(half_bits as u32, 36));
                }
                text.push('\n');
            }
        }
        text
    }

    fn bits(&self, before: usize, last: usize, next: usize) -> f64 {
        let total: f64 = self.one.iter().sum();
        let alone = (self.one[next] + 1.0) / (total + SYMBOLS as f64);
        let pair = smooth(&self.two[last * SYMBOLS..][..SYMBOLS], next, alone);
        let row = (before * SYMBOLS + last) * SYMBOLS;
        let chance = smooth(&self.three[row..][..SYMBOLS], next, pair);
        let which = if next == DIGIT { DIGIT_BITS } else { 0.0 };
        which - chance.log2()
    }
}

fn smooth(counts: &[f64], next: usize, otherwise: f64) -> f64 {
    let total: f64 = counts.iter().sum();
    (counts[next] + SMOOTHING * otherwise) / (total + SMOOTHING)
}

fn symbol(byte: u8) -> usize {
    match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => usize::from(letter - b'a'),
        _ => DIGIT,
    }
}
