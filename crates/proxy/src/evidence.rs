//! Where receipts go.

use carboy_engine::{CrossingKind, Target, Time, Verdict};

use crate::gate::CrossingId;

/// Where a gate's receipts go.
#[derive(Debug)]
pub struct Evidence {
    sink: Sink,
}

#[derive(Debug)]
enum Sink {
    /// The policy wants none.
    None,
}

/// How safely a receipt is stored before its crossing is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// In the gate's memory; written within 100 ms.
    Buffered,
    /// With the kernel: it survives the gate's death.
    Written,
    /// On the disk: it survives the machine's.
    Synced,
}

/// Why a receipt could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// A file operation failed.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}

/// What one receipt tells.
pub(crate) struct Record<'a> {
    pub(crate) id: CrossingId,
    pub(crate) agent: &'a str,
    pub(crate) kind: CrossingKind,
    pub(crate) target: &'a Target,
    pub(crate) method: Option<&'a str>,
    pub(crate) opened: Time,
    pub(crate) closed: Time,
    pub(crate) bytes: u64,
    pub(crate) verdict: &'a Verdict,
}

impl Evidence {
    /// Keeps no receipts: for a policy that asks for none.
    pub fn none() -> Self {
        Self { sink: Sink::None }
    }

    /// Appends one receipt. When it returns, the receipt is as safe as the durability says.
    pub(crate) fn append(&self, _record: &Record<'_>) -> Result<(), EvidenceError> {
        match &self.sink {
            Sink::None => Ok(()),
        }
    }
}
