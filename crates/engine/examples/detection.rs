//! Measures how many attacks and how much honest text the injection rules refuse or record.
//!
//! `--corpus DIR` reads every `attack-*.jsonl` and `benign-*.jsonl` of a directory: a line is an object with a
//! `text` and perhaps a `kind`. `--honest DIR` reads every file below a directory as honest text. `--half tune`
//! or `--half held` takes the texts whose hash is even or odd; `--misses` prints what was judged wrongly.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use carboy_engine::{Direction, Probe};
use sha2::{Digest, Sha256};

const USAGE: &str =
    "usage: detection [--corpus DIR]... [--honest DIR]... [--half tune|held] [--misses]";

/// A file longer than this is no text that an agent reads.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// As much of a text as is printed.
const SHOWN_CHARS: usize = 160;

#[derive(Default)]
struct Options {
    corpora: Vec<PathBuf>,
    honest: Vec<PathBuf>,
    half: Option<u8>,
    misses: bool,
}

fn main() -> ExitCode {
    let Some(options) = options(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--corpus" => options.corpora.push(arguments.next()?.into()),
            "--honest" => options.honest.push(arguments.next()?.into()),
            "--half" => {
                options.half = match arguments.next()?.as_str() {
                    "tune" => Some(0),
                    "held" => Some(1),
                    _ => return None,
                }
            }
            "--misses" => options.misses = true,
            _ => return None,
        }
    }
    (!options.corpora.is_empty() || !options.honest.is_empty()).then_some(options)
}

fn run(options: &Options) -> io::Result<()> {
    let meter = Meter {
        probe: Probe::default(),
        misses: options.misses,
    };
    println!("| set | texts | refused | recorded or refused |\n|---|---|---|---|");
    for dir in &options.corpora {
        for (name, texts) in sets(dir, options.half)? {
            meter.corpus(&name, &texts);
        }
    }
    for dir in &options.honest {
        let mut paths = Vec::new();
        walk(dir, &mut paths)?;
        meter.honest(dir, &paths)?;
    }
    Ok(())
}

/// The texts of each set of a corpus, by the file's name and the texts' kind.
fn sets(dir: &Path, half: Option<u8>) -> io::Result<BTreeMap<String, Vec<String>>> {
    let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let is_corpus = name.starts_with("attack-") || name.starts_with("benign-");
        if !is_corpus
            || path
                .extension()
                .is_none_or(|extension| extension != "jsonl")
        {
            continue;
        }
        for line in fs::read_to_string(&path)?.lines() {
            let value: serde_json::Value = serde_json::from_str(line)?;
            let missing = || io::Error::other(format!("{}: a line without `text`", path.display()));
            let text = value["text"].as_str().ok_or_else(missing)?;
            if half.is_some_and(|half| Sha256::digest(text)[0] & 1 != half) {
                continue;
            }
            let kind = value["kind"].as_str().map(|kind| format!(", {kind}"));
            let name = format!("{name}{}", kind.unwrap_or_default());
            sets.entry(name).or_default().push(text.to_owned());
        }
    }
    Ok(sets)
}

fn walk(dir: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            walk(&entry.path(), paths)?;
        } else if kind.is_file() && entry.metadata()?.len() <= FILE_BYTES_MAX {
            paths.push(entry.path());
        }
    }
    Ok(())
}

struct Meter {
    probe: Probe,
    misses: bool,
}

/// What became of a text: the rules that would refuse it, and whether anything was recorded.
struct Judged {
    refusing: Vec<&'static str>,
    is_recorded: bool,
}

impl Meter {
    fn judge(&self, text: &[u8]) -> Judged {
        let seen = self.probe.scan(Direction::Inbound, text);
        let seen = seen.expect("the work budget covers honest and attacking texts alike");
        let of_class: Vec<_> = seen
            .iter()
            .filter(|(rule, ..)| Probe::is_injection(rule))
            .collect();
        let refuses = |severity: &str| matches!(severity, "high" | "critical");
        let refusing = of_class
            .iter()
            .filter(|(_, severity, ..)| refuses(severity));
        Judged {
            refusing: refusing.map(|(rule, ..)| *rule).collect(),
            is_recorded: !of_class.is_empty(),
        }
    }

    fn corpus(&self, name: &str, texts: &[String]) {
        let (mut refused, mut recorded) = (0, 0);
        for text in texts {
            let judged = self.judge(text.as_bytes());
            refused += usize::from(!judged.refusing.is_empty());
            recorded += usize::from(judged.is_recorded);
            if self.misses && judged.refusing.is_empty() == name.starts_with("attack-") {
                self.show(text, &judged);
            }
        }
        row(name, texts.len(), refused, recorded);
    }

    fn honest(&self, dir: &Path, paths: &[PathBuf]) -> io::Result<()> {
        let (mut refused, mut recorded) = (0, 0);
        for path in paths {
            let bytes = fs::read(path)?;
            let judged = self.judge(&bytes);
            refused += usize::from(!judged.refusing.is_empty());
            recorded += usize::from(judged.is_recorded);
            if self.misses && !judged.refusing.is_empty() {
                println!("{}", path.display());
                self.show(&String::from_utf8_lossy(&bytes), &judged);
            }
        }
        row(&dir.display().to_string(), paths.len(), refused, recorded);
        Ok(())
    }

    fn show(&self, text: &str, judged: &Judged) {
        let best = Probe::weigh(text.as_bytes())
            .into_iter()
            .max_by_key(|(_, score, _)| *score);
        let (start, score, signals) = best.unwrap_or_default();
        let rest = String::from_utf8_lossy(&text.as_bytes()[start..]);
        let shown: String = rest.chars().take(SHOWN_CHARS).collect();
        println!("  {:?} {score} {signals:?} {shown:?}", judged.refusing);
    }
}

fn row(name: &str, texts: usize, refused: usize, recorded: usize) {
    let share = |count: usize| 100.0 * count as f64 / texts.max(1) as f64;
    println!(
        "| {name} | {texts} | {:.1} % | {:.1} % |",
        share(refused),
        share(recorded)
    );
}
