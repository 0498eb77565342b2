//! What can be wrong with a log.

use crate::hex::PublicKey;
use crate::hex::{KeyId, key_id};
use crate::line::LINE_BYTES_MAX;

/// The first bad line of a log, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} {what}")]
pub struct Fault {
    /// The line's number in the file; the first is 1.
    pub line: u64,
    /// What is wrong.
    pub what: What,
}

/// What is wrong with a line. The words never quote it: it may hold anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// There is no line at all.
    #[error("is missing: the log is empty")]
    Empty,
    /// The log ends inside the line.
    #[error("is cut off: it has no line end")]
    Cut,
    /// It is longer than any receipt.
    #[error("is longer than {LINE_BYTES_MAX} bytes")]
    TooLong,
    /// It is no JSON object of the format.
    #[error("is not a receipt: unreadable at column {0}")]
    Unreadable(usize),
    /// It says the right thing in other bytes than are written for it.
    #[error("is not in canonical form: it was not written so")]
    NotCanonical,
    /// It is of a version that this program does not know.
    #[error("is of format version {0}, which this version of carboy cannot read")]
    Version(u64),
    /// It is of a kind that the version does not have.
    #[error("is of no kind that format version 1 has")]
    Kind,
    /// The first line is not an open line.
    #[error("does not open a log: the log's start is missing")]
    NotOpen,
    /// A later line is an open line.
    #[error("opens a log inside another")]
    Reopened,
    /// The log was closed before it.
    #[error("stands after the log was closed")]
    AfterClose,
    /// Lines are missing, doubled or out of order.
    #[error("has sequence number {found} where {due} is due: {}", sequence(*due, *found))]
    Sequence {
        /// The number that the line should have.
        due: u64,
        /// The number that it has.
        found: u64,
    },
    /// It is not what the next line was chained to.
    #[error("was changed: the next line was chained to other content")]
    Changed,
    /// It names another line before it.
    #[error("does not follow the line before it: one of the two was changed")]
    Link,
    /// Another key signed than the one expected.
    #[error("is signed with key {found}, not with {expected}")]
    Key {
        /// The key that was pinned, or that opened the log.
        expected: KeyId,
        /// The key that the line names.
        found: KeyId,
    },
    /// The signature is not its key's signature of what it covers.
    #[error("has a bad signature: it was changed, or signed with another key")]
    Signature,
    /// A signed head that is no line of this log.
    #[error("signs a line that is not in this log: a line was changed and chained again")]
    Head,
    /// The totals of a close line are not those of the log.
    #[error("has totals that are not those of the log")]
    Totals,
    /// A ledger opens a log twice, or closes one that it did not open.
    #[error("opens a log that was opened, or closes one that was not open")]
    Listed,
    /// No signature for too many lines.
    #[error("ends the longest stretch that may go unsigned")]
    Unsigned,
    /// The log does not end with a close line.
    #[error(
        "is the last, but it does not close the log: lines after it may have been cut away \
         (signatures cover the first {signed_lines}), or the log is still being written"
    )]
    NotClosed {
        /// How many lines, from the first, a signature covers.
        signed_lines: u64,
    },
}

impl What {
    pub(crate) fn key(expected: &PublicKey, found: KeyId) -> Self {
        let expected = key_id(expected);
        Self::Key { expected, found }
    }
}

fn sequence(due: u64, found: u64) -> String {
    match found.checked_sub(due) {
        Some(1) => "a line is missing before it, or moved".into(),
        Some(missing) => format!("{missing} lines are missing before it, or moved"),
        None => "the line is doubled or out of order".into(),
    }
}
