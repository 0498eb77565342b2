//! What the user leaves out.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// The patterns of `--exclude`, in the form of `.gitignore`, and how much they have left out.
pub(crate) struct Exclusion {
    patterns: Gitignore,
    excluded: AtomicU64,
}

impl Exclusion {
    /// # Errors
    /// When a pattern is malformed.
    pub(crate) fn new(globs: &[String]) -> Result<Self> {
        let mut builder = GitignoreBuilder::new(".");
        for glob in globs {
            let added = builder.add_line(None, glob);
            added.with_context(|| format!("--exclude {glob} is not a pattern"))?;
        }
        Ok(Self {
            patterns: builder.build().context("the patterns of --exclude")?,
            excluded: AtomicU64::new(0),
        })
    }

    /// Whether an entry of a walk is left out. What is below an excluded directory is not asked for.
    pub(crate) fn covers(&self, path: &Path, is_dir: bool) -> bool {
        let covers = self.patterns.matched(path, is_dir).is_ignore();
        self.count(covers)
    }

    /// Whether a path that was not walked to is left out, or a directory that it is in.
    pub(crate) fn covers_named(&self, path: &Path, is_dir: bool) -> bool {
        // The patterns know no absolute path.
        let path = path.strip_prefix("/").unwrap_or(path);
        if path.as_os_str().is_empty() {
            return false;
        }
        let matched = self.patterns.matched_path_or_any_parents(path, is_dir);
        self.count(matched.is_ignore())
    }

    /// How many files and directories were left out.
    pub(crate) fn excluded(&self) -> u64 {
        self.excluded.load(Ordering::Relaxed)
    }

    fn count(&self, covers: bool) -> bool {
        self.excluded
            .fetch_add(u64::from(covers), Ordering::Relaxed);
        covers
    }
}
