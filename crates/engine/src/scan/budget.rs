//! The work that scanning one crossing may cost.

/// Work granted to every crossing, in bytes of views scanned: small content may be deeply encoded.
const FLOOR_BYTES: u64 = 1 << 20;

/// Work granted for each byte of content: the costliest honest content, base64 inside escaped JSON
/// inside percent-encoding, takes about a quarter of it.
const FACTOR: u64 = 64;

/// The work left. Spending it is an error that becomes a block, never a pass.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
    /// Words that were compared with pieces of known values.
    words: u64,
}

/// The work budget ended before the content was judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("judging it would cost more work than its size allows")]
pub struct BudgetSpent;

impl Default for Budget {
    fn default() -> Self {
        Self {
            left: FLOOR_BYTES,
            words: 0,
        }
    }
}

impl Budget {
    /// Grants work for content that arrived.
    pub(crate) fn earn(&mut self, content_bytes: usize) {
        self.left = self.left.saturating_add(content_bytes as u64 * FACTOR);
    }

    /// Counts words that were compared with pieces of known values.
    pub(crate) fn pass_words(&mut self, words: usize) {
        self.words += words as u64;
    }

    /// The words counted since it was last asked.
    pub(crate) fn take_words(&mut self) -> u64 {
        std::mem::take(&mut self.words)
    }

    /// Takes work away.
    pub(crate) fn spend(&mut self, work_bytes: usize) -> Result<(), BudgetSpent> {
        self.left = self
            .left
            .checked_sub(work_bytes as u64)
            .ok_or(BudgetSpent)?;
        Ok(())
    }
}
