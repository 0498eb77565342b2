//! What all workers share: the scanner, and what they have found.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carboy_engine::FileScanner;

use super::content::Sight;
use super::exclusion::Exclusion;

/// Findings kept with their places. Further ones are counted, and count: nobody reads so many, and
/// memory is bounded.
const FOUND_MAX: usize = 50_000;

/// Unread contents kept with their names. Further ones are counted.
const UNREAD_MAX: usize = 10_000;

/// One search through files, history or a patch.
pub(crate) struct Search {
    pub(crate) scanner: FileScanner,
    pub(crate) exclusion: Arc<Exclusion>,
    pub(crate) counts: Counts,
    shelf: Mutex<Shelf>,
}

/// How much was looked at.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Files, members of archives, changed files of commits.
    pub(crate) contents: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) findings: AtomicU64,
    /// Symbolic links, which are not followed.
    pub(crate) links: AtomicU64,
    /// Devices, sockets and pipes, which are not read.
    pub(crate) specials: AtomicU64,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64, number: u64) {
        counter.fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn of(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// Where content comes from.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The file; for a member of an archive `a.zip!dir/member`.
    pub(crate) path: String,
    /// The commit that added it.
    pub(crate) commit: Option<Arc<Commit>>,
    /// Its place among the contents of a history or patch.
    pub(crate) order: u64,
}

impl Source {
    /// A file of the working tree.
    pub(crate) fn file(path: String) -> Self {
        Self {
            path,
            commit: None,
            order: 0,
        }
    }

    /// The same source under another name.
    pub(crate) fn named(&self, path: String) -> Self {
        Self {
            path,
            ..self.clone()
        }
    }
}

/// A commit of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: String,
    /// When its author made it (RFC 3339).
    pub(crate) date: String,
    pub(crate) author: String,
}

/// A finding and where it was.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) source: Source,
    pub(crate) sight: Sight,
}

/// A content that was not scanned, or not whole.
#[derive(Debug)]
pub(crate) struct Unread {
    pub(crate) path: String,
    pub(crate) why: Why,
}

/// Why a content was not scanned as it should have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The system does not let it be read.
    Unreadable(io::ErrorKind),
    /// It would cost more work than its size allows.
    Work,
    /// Archives within archives, too many.
    Depth,
    /// It unpacks to too much.
    Size,
    /// It unpacks to too much for its size.
    Ratio,
    /// Unpacking it takes too much memory.
    Memory,
    /// Its archive is broken off, or is none.
    Corrupt,
    /// It is encrypted.
    Encrypted,
    /// Its archive's format or method is not known.
    Format,
    /// The patch says that it changed, and not how.
    Binary,
}

impl Why {
    /// Whether a scan that met it can call nothing clean. What nobody can read without a key, or
    /// what is none of the formats that are opened, is only told.
    pub(crate) fn is_fault(self) -> bool {
        match self {
            Self::Unreadable(_)
            | Self::Work
            | Self::Depth
            | Self::Size
            | Self::Ratio
            | Self::Memory => true,
            Self::Corrupt | Self::Encrypted | Self::Format | Self::Binary => false,
        }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) found: Vec<Found>,
    pub(crate) unread: Vec<Unread>,
    /// Findings beyond the limit.
    pub(crate) found_more: u64,
    /// Unread contents beyond the limit, and whether one of them was a fault.
    pub(crate) unread_more: u64,
    pub(crate) faults_more: u64,
}

impl Search {
    pub(crate) fn new(scanner: FileScanner, exclusion: Exclusion) -> Self {
        Self {
            scanner,
            exclusion: Arc::new(exclusion),
            counts: Counts::default(),
            shelf: Mutex::default(),
        }
    }

    /// Keeps what a content has shown.
    pub(crate) fn found(&self, source: &Source, sights: Vec<Sight>) {
        if sights.is_empty() {
            return;
        }
        Counts::add(&self.counts.findings, sights.len() as u64);
        let mut shelf = self.shelf();
        let room = FOUND_MAX.saturating_sub(shelf.found.len());
        shelf.found_more += sights.len().saturating_sub(room) as u64;
        let found = sights.into_iter().take(room).map(|sight| Found {
            source: source.clone(),
            sight,
        });
        shelf.found.extend(found);
    }

    /// Notes a content that was not scanned whole.
    pub(crate) fn unread(&self, path: &str, why: Why) {
        let mut shelf = self.shelf();
        if shelf.unread.len() < UNREAD_MAX {
            let path = path.to_owned();
            shelf.unread.push(Unread { path, why });
        } else {
            shelf.unread_more += 1;
            shelf.faults_more += u64::from(why.is_fault());
        }
    }

    /// Takes all that was found.
    pub(crate) fn take(&self) -> Shelf {
        std::mem::take(&mut *self.shelf())
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // Whoever panicked held it between two whole changes.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
