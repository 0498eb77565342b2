//! What wakes a view: a literal that the gate met.

use std::ops::Range;

/// A part of a view that another way of reading may tell more of.
pub(crate) struct Clue {
    pub(crate) kind: ClueKind,
    /// From the literal on, as far as a match may reach.
    pub(crate) range: Range<usize>,
}

/// What a literal is a clue of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClueKind {
    Rot13,
    Rot47,
    Reversed,
    Swapped,
    Respelt,
    Quoted,
    Uuencode,
    Punycode,
    Utf7,
    /// Compressed data whose mark is text.
    Packed,
}
