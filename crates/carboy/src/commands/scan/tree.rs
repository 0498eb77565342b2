//! Files below directories, on all cores.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use ignore::{DirEntry, WalkBuilder, WalkState};

use super::archive;
use super::search::{Counts, Search, Source, Why};

/// Where git keeps what was committed; `--git` looks through it.
const GIT_DIR: &str = ".git";

/// Scans files, and directories with all below them. `-` is standard input.
///
/// # Errors
/// When a path is not there.
pub(crate) fn scan(
    search: &Arc<Search>,
    threads: usize,
    paths: &[PathBuf],
    no_ignore: bool,
) -> Result<()> {
    let (input, paths): (Vec<_>, Vec<_>) = paths.iter().partition(|path| path.as_os_str() == "-");
    let mut walk = WalkBuilder::empty();
    for path in paths {
        let named = fs::symlink_metadata(path);
        let named = named.with_context(|| format!("cannot read {}", path.display()))?;
        if !search.exclusion.covers_named(plain(path), named.is_dir()) {
            walk.add(path);
        }
    }
    if !input.is_empty() {
        let source = Source::file("-".into());
        archive::scan_stream(search, &source, &mut io::stdin().lock());
    }
    let exclusion = Arc::clone(&search.exclusion);
    walk.threads(threads)
        // Hidden files are where credentials are: .env, .npmrc, .github.
        .hidden(false)
        .ignore(!no_ignore)
        .git_ignore(!no_ignore)
        .git_global(!no_ignore)
        .git_exclude(!no_ignore)
        .parents(!no_ignore)
        .filter_entry(move |entry| {
            let path = plain(entry.path());
            let is_dir = entry.file_type().is_some_and(|kind| kind.is_dir());
            entry.file_name() != GIT_DIR && !exclusion.covers(path, is_dir)
        });
    walk.build_parallel().run(|| {
        Box::new(|entry| {
            match entry {
                Ok(entry) => visit(search, &entry),
                Err(error) => note(search, &error),
            }
            WalkState::Continue
        })
    });
    Ok(())
}

fn visit(search: &Search, entry: &DirEntry) {
    let path = entry.path();
    let source = Source::file(plain(path).to_string_lossy().into_owned());
    // A link that was named is followed; one that was met is not.
    let kind = match entry.depth() {
        0 => fs::metadata(path).map(|metadata| Some(metadata.file_type())),
        _ => Ok(entry.file_type()),
    };
    match kind {
        Err(error) => search.unread(&source.path, Why::Unreadable(error.kind())),
        Ok(Some(kind)) if kind.is_file() => match File::open(path) {
            Ok(file) => archive::scan_file(search, &source, file),
            Err(error) => search.unread(&source.path, Why::Unreadable(error.kind())),
        },
        Ok(Some(kind)) if kind.is_dir() => {}
        Ok(Some(kind)) if kind.is_symlink() => Counts::add(&search.counts.links, 1),
        Ok(Some(_) | None) => Counts::add(&search.counts.specials, 1),
    }
}

/// Notes a directory that cannot be read, or a pattern of an ignore file that cannot be understood.
fn note(search: &Search, error: &ignore::Error) {
    match error.io_error() {
        Some(cause) => {
            let path = path_of(error).unwrap_or(Path::new("?"));
            let path = plain(path).to_string_lossy();
            search.unread(&path, Why::Unreadable(cause.kind()));
        }
        None => crate::output::note(format_args!("warning: {error}")),
    }
}

fn path_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        _ => None,
    }
}

/// Without the `./` that says nothing.
fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}
