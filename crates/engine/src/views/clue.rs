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
    /// A credential that goes on after a gap.
    Joined,
    /// The first lines of a dump in hexadecimal.
    Dump,
    /// A word that markup cuts.
    Marked,
    /// Words without spaces between them.
    RunTogether,
}

/// Whether markup after so many bytes stands within a word: letters follow its last tag.
fn is_within_word(text: &[u8], head: usize) -> bool {
    let mut rest = text.get(head.saturating_sub(1)..).unwrap_or_default();
    while let Some(tag) = rest.strip_prefix(b"<") {
        let len = tag
            .iter()
            .take(TAG_BYTES_MAX)
            .position(|byte| *byte == b'>');
        let Some(len) = len else {
            return false;
        };
        rest = &tag[len + 1..];
    }
    rest.first().is_some_and(u8::is_ascii_alphabetic)
}

/// A tag within a word is short.
const TAG_BYTES_MAX: usize = 128;

impl ClueKind {
    /// Whether a view is another spelling of all of another, of which one at a time is made.
    pub(super) fn is_spelling(self) -> bool {
        match self {
            Self::Rot13 | Self::Rot47 | Self::Reversed | Self::Swapped | Self::Respelt => true,
            Self::Quoted
            | Self::Uuencode
            | Self::Punycode
            | Self::Utf7
            | Self::Packed
            | Self::Joined
            | Self::Dump
            | Self::Marked
            | Self::RunTogether => false,
        }
    }

    /// Whether one of the literals that the gate met in any case stands there as it should.
    pub(crate) fn is_met(self, literals: &[&str], view: &[u8], at: usize) -> bool {
        let met = |literal: &&str| view[at..].starts_with(literal.as_bytes());
        let is_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let before = at.checked_sub(1).and_then(|at| view.get(at));
        match self {
            Self::Rot13 => !is_word(before) && literals.iter().any(met),
            Self::Reversed => literals
                .iter()
                .filter(|literal| met(literal))
                .any(|literal| !is_word(view.get(at + literal.len()))),
            Self::Rot47 | Self::Utf7 | Self::Packed | Self::Dump => literals.iter().any(met),
            Self::Swapped
            | Self::Respelt
            | Self::Quoted
            | Self::Uuencode
            | Self::Punycode
            | Self::Joined
            | Self::RunTogether => true,
            Self::Marked => literals
                .iter()
                .any(|literal| is_within_word(&view[at..], literal.len())),
        }
    }
}
