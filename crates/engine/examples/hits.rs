//! Scans every file below some directories as if it went out, and prints the rule, severity, place
//! and length of all that is seen, never the content. On text that holds no secrets, each line is
//! a false positive.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::{fs, io};

use carboy_engine::{Direction, Probe};

/// Larger files are archives and databases.
const FILE_BYTES_MAX: u64 = 4 << 20;

fn main() {
    let probe = Probe::default();
    let (mut files, mut bytes, mut hits) = (0u64, 0u64, 0u64);
    let mut waiting: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    while let Some(path) = waiting.pop() {
        let Ok(kind) = fs::symlink_metadata(&path) else {
            continue;
        };
        if kind.is_dir() {
            waiting.extend(entries(&path).unwrap_or_default());
        } else if kind.is_file() && kind.len() <= FILE_BYTES_MAX {
            let content = fs::read(&path).unwrap_or_default();
            (files, bytes) = (files + 1, bytes + content.len() as u64);
            hits += print(&probe, &path, &content);
        }
    }
    eprintln!("{files} files, {} MB, {hits} hits", bytes >> 20);
}

fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn print(probe: &Probe, path: &Path, content: &[u8]) -> u64 {
    let Some(seen) = probe.scan(Direction::Outbound, content) else {
        println!("spent\t-\t{}\t0\t0", path.display());
        return 1;
    };
    for (rule, severity, offset, len) in &seen {
        println!("{rule}\t{severity}\t{}\t{offset}\t{len}", path.display());
    }
    seen.len() as u64
}
