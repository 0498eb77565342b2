//! `carboy scan` over a tree of source, beside reading the same files and doing nothing with them.
//!
//! `cargo bench -p carboy --bench scan [-- DIR]` scans DIR, or a tree that it makes. The binary runs
//! with one thread; each figure is the median of its runs, baseline and scan in turns.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench talks to its user"
)]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ignore::WalkBuilder;
use serde_json::Value;

/// Runs of each; an odd number has a median.
const RUNS: usize = 5;

/// The made tree: so many files of so many bytes on average, as in a checkout of source.
const FILES: usize = 10_000;
const FILE_BYTES: usize = 12 * 1024;

fn main() -> Result<()> {
    let named = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with("--"));
    let made = tempfile::tempdir()?;
    let tree = match named {
        Some(dir) => PathBuf::from(dir),
        None => {
            make(made.path())?;
            made.path().to_owned()
        }
    };
    let (mut read, mut scanned) = (Vec::new(), Vec::new());
    let mut peak = 0;
    for _ in 0..RUNS {
        read.push(read_only(&tree)?);
        let scan = scan(&tree)?;
        peak = peak.max(scan.peak_bytes);
        scanned.push((scan.bytes, scan.elapsed));
    }
    println!("| what | goal | carboy | baseline: reading only |\n|---|---:|---:|---:|");
    println!(
        "| tree scan, one core | 250 MB/s | {:.0} MB/s | {:.0} MB/s |",
        median(&scanned),
        median(&read)
    );
    println!(
        "| memory at its peak | under 100 MB | {:.0} MB | |",
        peak as f64 / 1e6
    );
    println!("\n{} bytes in {}", scanned[0].0, tree.display());
    Ok(())
}

struct Scan {
    bytes: u64,
    elapsed: Duration,
    peak_bytes: u64,
}

/// Runs the binary. Its last breath tells its peak memory.
fn scan(tree: &Path) -> Result<Scan> {
    let begun = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_carboy"))
        .args([
            "scan",
            "--format",
            "json",
            "--fail-on",
            "never",
            "--threads",
            "1",
        ])
        .arg(tree)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut stdout = child.stdout.take().context("it has an output")?;
    let mut text = Vec::new();
    // Its report is the last thing it does: until then it is alive, and the kernel keeps its peak.
    let mut first = [0; 1];
    stdout.read_exact(&mut first)?;
    let elapsed = begun.elapsed();
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    text.extend_from_slice(&first);
    stdout.read_to_end(&mut text)?;
    ensure!(child.wait()?.code() != Some(101), "the scan panicked");
    let report: Value = serde_json::from_slice(&text)?;
    let bytes = report["summary"]["bytes"]
        .as_u64()
        .context("it counts bytes")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    Ok(Scan {
        bytes,
        elapsed,
        peak_bytes: peak.unwrap_or(0) * 1024,
    })
}

/// Walks the same tree in the same way and reads each file.
fn read_only(tree: &Path) -> Result<(u64, Duration)> {
    let begun = Instant::now();
    let (mut bytes, mut buffer) = (0, Vec::new());
    for entry in WalkBuilder::new(tree).hidden(false).build() {
        let entry = entry?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            buffer.clear();
            bytes += fs::File::open(entry.path())?.read_to_end(&mut buffer)? as u64;
        }
    }
    Ok((bytes, begun.elapsed()))
}

fn median(runs: &[(u64, Duration)]) -> f64 {
    let mut rates: Vec<f64> = runs
        .iter()
        .map(|(bytes, elapsed)| *bytes as f64 / 1e6 / elapsed.as_secs_f64())
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Makes files that look like source: words, names and signs drawn by a small generator (Knuth's MMIX
/// constants), so that no branch predictor learns them.
fn make(root: &Path) -> Result<()> {
    const PARTS: [&str; 32] = [
        "let ",
        "fn ",
        "self",
        ".",
        "(",
        ")",
        ";\n    ",
        "return ",
        "items",
        "count",
        " = ",
        " + ",
        "\"text\"",
        "index",
        "[",
        "]",
        "if ",
        " {\n        ",
        "}\n",
        "// the next one\n",
        "value",
        "Result",
        "<",
        ">",
        "&",
        "config",
        "path",
        "buffer",
        ": ",
        ", ",
        "None",
        "\n",
    ];
    let mut state = 1u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        state
    };
    for number in 0..FILES {
        let dir = root.join(format!("d{}", number / 100));
        if number % 100 == 0 {
            fs::create_dir(&dir)?;
        }
        let length = FILE_BYTES / 2 + (next() >> 32) as usize % FILE_BYTES;
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            text.push_str(PARTS[(next() >> 59) as usize]);
        }
        fs::write(dir.join(format!("f{number}.rs")), text)?;
    }
    Ok(())
}
