//! A token whose pieces stand apart: wrapped over lines, in cells of a table, or as strings that a program joins.

use std::ops::Range;

use super::branch::{Decoded, Output};

/// A key of sixty symbols in pieces of two.
const PIECES_MAX: usize = 32;

/// All pieces together: the longest keys of one line, with room.
const JOINED_BYTES_MAX: usize = 1024;

/// What stands between two pieces, with the indent of the next line.
const GAP_BYTES_MAX: usize = 48;

/// Of a piece that ends at the end of a line or cell, so many bytes at least: of words one may be `sk-`.
const LINE_PIECE_MIN: usize = 8;

/// Strings in a list are pieces where they are joined within so many bytes.
const JOIN_BYTES: usize = 512;

/// Whether a token begins at a place and may go on after a gap.
pub(crate) fn is_parted(bytes: &[u8], at: usize) -> bool {
    let piece = piece(bytes, at);
    gap(bytes, &piece).is_some_and(|next| is_symbol(bytes.get(next)))
}

/// The token that begins at a place, put together.
pub(super) fn decode(bytes: &[u8], at: usize) -> Option<Decoded> {
    let (mut output, mut piece, mut count) = (Output::default(), piece(bytes, at), 1);
    output.copy(bytes, piece.clone());
    while count < PIECES_MAX
        && output.bytes().len() < JOINED_BYTES_MAX
        && let Some(next) = gap(bytes, &piece)
    {
        let (before, is_line) = (piece.len(), is_line_gap(bytes, piece.end));
        piece = self::piece(bytes, next);
        if piece.is_empty() {
            break;
        }
        output.copy(bytes, piece.clone());
        count += 1;
        // The last line of what is wrapped is a short one, and no line is longer than the one before.
        if is_line && piece.len() != before {
            break;
        }
    }
    (count > 1).then(|| output.decoded("joined", piece.end, false))
}

fn piece(bytes: &[u8], at: usize) -> Range<usize> {
    let rest = bytes[at..].iter().take(JOINED_BYTES_MAX);
    at..at + rest.take_while(|byte| is_symbol(Some(byte))).count()
}

fn is_symbol(byte: Option<&u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-.+/=".contains(byte))
}

/// Where the next piece begins.
fn gap(bytes: &[u8], piece: &Range<usize>) -> Option<usize> {
    let rest = &bytes[piece.end..bytes.len().min(piece.end + GAP_BYTES_MAX)];
    let len = match rest {
        [b'$', b'{', quote, ..] if is_quote(*quote) => Some(3),
        [quote, ..] if is_quote(*quote) => between_strings(bytes, piece.end, rest),
        _ if piece.len() >= LINE_PIECE_MIN => between_lines(rest),
        _ => None,
    };
    len.map(|len| piece.end + len)
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

/// A quote that closes, what joins two strings in some language, and a quote that opens.
fn between_strings(bytes: &[u8], at: usize, rest: &[u8]) -> Option<usize> {
    const OPERATORS: [&[u8]; 8] = [b"..", b"++", b"||", b"<>", b"+", b".", b"&", b"\\"];
    let mut inner = Inner { rest, at: 1 };
    if rest.get(1) == Some(&b'}') {
        return Some(
            if rest.get(2..4) == Some(b"${") && rest.get(4).is_some_and(|b| is_quote(*b)) {
                5
            } else {
                2
            },
        );
    }
    inner.blank();
    if inner.take(b",") {
        if !is_joined_near(bytes, at) {
            return None;
        }
    } else {
        OPERATORS.iter().any(|operator| inner.take(operator));
    }
    inner.blank();
    // A string's kind, as in `f"..."`.
    let is_kind =
        inner.byte(0).is_some_and(|b| b"bfru".contains(&b)) && inner.byte(1).is_some_and(is_quote);
    inner.at += usize::from(is_kind);
    inner.byte(0).is_some_and(is_quote).then_some(inner.at + 1)
}

/// A part of the bytes after a piece.
struct Inner<'a> {
    rest: &'a [u8],
    at: usize,
}

impl Inner<'_> {
    fn byte(&self, ahead: usize) -> Option<u8> {
        self.rest.get(self.at + ahead).copied()
    }

    fn blank(&mut self) {
        let blank = self.rest[self.at.min(self.rest.len())..].iter();
        self.at += blank.take_while(|b| b.is_ascii_whitespace()).count();
    }

    fn take(&mut self, text: &[u8]) -> bool {
        let is_next = self
            .rest
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(text));
        self.at += if is_next { text.len() } else { 0 };
        is_next
    }
}

/// Whether a list is made one string near a place: `[...].join("")`, `"".join([...])`, `implode(...)`.
fn is_joined_near(bytes: &[u8], at: usize) -> bool {
    const JOINS: [&[u8]; 3] = [b"join(", b"implode(", b"concat("];
    let near = &bytes[at.saturating_sub(JOIN_BYTES)..bytes.len().min(at + JOIN_BYTES)];
    JOINS
        .iter()
        .any(|join| memchr::memmem::find(near, join).is_some())
}

fn is_line_gap(bytes: &[u8], at: usize) -> bool {
    bytes
        .get(at)
        .is_some_and(|byte| !is_quote(*byte) && *byte != b'$')
}

/// The end of a line and what the next begins with, or the edge between two cells of a table.
fn between_lines(rest: &[u8]) -> Option<usize> {
    let is_part = |b: &&u8| b" \t\r\n|\\>#*".contains(*b);
    let len = rest.iter().take_while(is_part).count();
    let count = |byte: u8| rest[..len].iter().filter(|b| **b == byte).count();
    match (count(b'\n'), count(b'|')) {
        (1, 0..=2) | (0, 1) => Some(len),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, is_parted};

    #[test]
    fn pieces_are_joined() {
        for text in [
            "\"key_0123\" + \"456789abcd\"",
            "'key_0123'+'45678' + '9abcd'",
            "\"key_0123\" +\n    \"456789\" +\n    \"abcd\"",
            "'key_0123' . '456789abcd'",
            "\"key_0123\" \"456789abcd\"",
            "'key_0123''456789abcd'",
            "['key_0123', '456789', 'abcd'].join('')",
            "\"\".join([\"key_0123\", \"456789abcd\"])",
            "`key_0123${'456789'}abcd`",
            "`key_0123${\"4567\"}${\"89abcd\"}`",
            "(b\"key_0123\" b\"456789abcd\")",
            "key_01234\n56789abcd\n",
            "key_0123456\n789abcd\nnothing more",
            "> key_012345\r\n> 6789abcd\n",
            "| key_01234 |\n| 56789abcd |\n",
            "| key_01234 | 56789abcd |",
        ] {
            let at = text.find("key_").expect("it is there");
            assert!(is_parted(text.as_bytes(), at), "{text}");
            let joined = decode(text.as_bytes(), at).expect(text);
            assert_eq!(joined.bytes, b"key_0123456789abcd", "{text}");
        }
    }

    #[test]
    fn what_is_not_joined_is_left() {
        for text in [
            "[\"key_0123\", \"456789abcd\"]",
            "key_0123 456789abcd",
            "key_\n0123456789abcd",
            "key_01234\n\n56789abcd",
            "\"key_0123\": \"456789abcd\"",
            "\"key_0123\" + suffix",
        ] {
            let at = text.find("key_").expect("it is there");
            assert!(decode(text.as_bytes(), at).is_none(), "{text}");
        }
    }
}
