//! What crossings are called.

use std::fmt;

/// A crossing's id: unique, short enough to read aloud, and in one run ordered by its opening.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrossingId {
    run: Run,
    sequence: u64,
}

/// The name of one gate's run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Run([u8; RUN_CHARS]);

impl Run {
    /// A name by lot.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(super) fn draw() -> Result<Self, getrandom::Error> {
        let mut random = [0; RUN_CHARS];
        getrandom::fill(&mut random)?;
        let letter = |byte| RUN_ALPHABET[usize::from(byte) % RUN_ALPHABET.len()];
        Ok(Self(random.map(letter)))
    }

    /// The id of the crossing that was opened as the `sequence`th.
    pub(super) fn crossing(self, sequence: u64) -> CrossingId {
        CrossingId {
            run: self,
            sequence,
        }
    }
}

impl CrossingId {
    /// As it is written. Every receipt has one or two, so it is done without a formatter.
    pub(super) fn text(self) -> String {
        let mut digits = [b'0'; SEQUENCE_DIGITS_MAX];
        let mut start = digits.len();
        let mut left = self.sequence;
        while left > 0 {
            start -= 1;
            digits[start] += (left % 10) as u8;
            left /= 10;
        }
        let start = start.min(SEQUENCE_DIGITS_MAX - SEQUENCE_DIGITS_MIN);
        let mut text = String::with_capacity(2 + RUN_CHARS + SEQUENCE_DIGITS_MAX);
        text.push('c');
        text.push_str(std::str::from_utf8(&self.run.0).unwrap_or_default());
        text.push('-');
        text.push_str(std::str::from_utf8(&digits[start..]).unwrap_or_default());
        text
    }
}

impl fmt::Display for CrossingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl fmt::Debug for CrossingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The digits of the largest sequence number.
const SEQUENCE_DIGITS_MAX: usize = 20;

/// Fewer are filled up with zeros, so that ids of one run line up.
const SEQUENCE_DIGITS_MIN: usize = 6;

/// The characters that name a run: 32^6 runs is a billion.
const RUN_CHARS: usize = 6;

/// Crockford's base32: no letters that are mistaken for digits.
const RUN_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
