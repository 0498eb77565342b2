//! The reader's side: is this log what was written?

use crate::hex::{Digest, PublicKey};
use crate::line::{LINE_BYTES_MAX, Line};
use crate::time::Time;

mod fault;
mod walk;

pub use fault::{Fault, What};
pub use walk::UNSIGNED_LINES_MAX;

/// How to verify.
#[derive(Debug, Clone, Copy, Default)]
pub struct Verify {
    /// The key that must have signed. Without it the log's own key is believed, which shows
    /// that the log is of one piece but not who wrote it.
    pub key: Option<PublicKey>,
    /// Accept a log that is not closed: one still being written, or whose writer was killed.
    /// Nothing then shows whether lines after the last signature are missing.
    pub allow_open: bool,
}

/// Where the key that verified came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The caller named it.
    Pinned,
    /// It stands in the log itself.
    OnFile,
}

/// What a verified log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Lines of all kinds.
    pub lines: u64,
    /// Crossings recorded.
    pub crossings: u64,
    /// Crossings that were refused.
    pub refusals: u64,
    /// When the log was opened.
    pub first: Time,
    /// The time of the last line that has one.
    pub last: Time,
    /// The key that signed.
    pub key: PublicKey,
    /// Why that key is believed.
    pub trust: Trust,
    /// Whether the log ends with a signed close.
    pub closed: bool,
    /// How many lines, from the first, a signature covers.
    pub signed_lines: u64,
    /// The hash of the first line.
    pub opened: Digest,
    /// The ledger's line, or the head of a log, that this one says it continues.
    pub previous: Option<Digest>,
    /// The hash of the last line.
    pub head: Digest,
}

/// Verifies a log in one pass, in whatever pieces it comes. Memory is bounded by
/// [`LINE_BYTES_MAX`] and [`UNSIGNED_LINES_MAX`].
#[derive(Debug)]
pub struct Verifier {
    walk: walk::Walk,
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
}

impl Verifier {
    /// A verifier for one log.
    pub fn new(options: Verify) -> Self {
        Self {
            walk: walk::Walk::new(options),
            partial: Vec::new(),
        }
    }

    /// Takes the next bytes of the log.
    ///
    /// # Errors
    /// The first bad line. Nothing more can be said of the log: push no more.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.partial.is_empty() {
                self.line(line)?;
            } else {
                self.hold(line)?;
                let line = std::mem::take(&mut self.partial);
                self.line(&line)?;
            }
            bytes = rest;
        }
        self.hold(bytes)
    }

    /// Ends the log.
    ///
    /// # Errors
    /// The first bad line, or that the log is cut off, empty or not closed.
    pub fn finish(self) -> Result<Report, Fault> {
        self.walk.finish(!self.partial.is_empty())
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.partial.len() + bytes.len() > LINE_BYTES_MAX {
            return Err(self.walk.fault(What::TooLong));
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let line = Line::decode(bytes).map_err(|what| self.walk.fault(what))?;
        self.walk.step(line, Digest::of(bytes))
    }
}
