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
    /// The same for what compressed data within the content holds. Where it ends the rest of that is not
    /// looked at, which the content's own reader is told.
    packed: u64,
    is_packed: bool,
    has_burst: bool,
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
            packed: FLOOR_BYTES,
            is_packed: false,
            has_burst: false,
            words: 0,
        }
    }
}

impl Budget {
    /// Grants work for content that arrived.
    pub(crate) fn earn(&mut self, content_bytes: usize) {
        let granted = content_bytes as u64 * FACTOR;
        self.left = self.left.saturating_add(granted);
        self.packed = self.packed.saturating_add(granted);
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
        let left = match self.is_packed {
            true => &mut self.packed,
            false => &mut self.left,
        };
        *left = left.checked_sub(work_bytes as u64).ok_or(BudgetSpent)?;
        Ok(())
    }

    /// Says that the work from here on is on what compressed data holds, and returns what to
    /// [leave](Self::leave_packed) it with.
    pub(crate) fn enter_packed(&mut self) -> bool {
        std::mem::replace(&mut self.is_packed, true)
    }

    /// Says that the work on compressed data has ended, and how. Where it cost too much the rest of that
    /// data is left out, and noted.
    pub(crate) fn leave_packed(
        &mut self,
        was_packed: bool,
        ended: Result<(), BudgetSpent>,
    ) -> Result<(), BudgetSpent> {
        self.is_packed = was_packed;
        if was_packed {
            return ended;
        }
        self.has_burst |= ended.is_err();
        Ok(())
    }

    /// Whether compressed data was left out since it was last asked.
    pub(crate) fn take_burst(&mut self) -> bool {
        std::mem::take(&mut self.has_burst)
    }
}
