//! Bytes written as numbers: decimal or octal lists, and binary digits.

use std::ops::Range;

use super::branch::{Decoded, Output, is_mostly_text};

/// A longer run of numbers goes on in the next run: what one decodes to fits a window.
const RUN_MAX: usize = 64 * 1024;

/// The base of the numbers.
#[derive(Clone, Copy)]
enum Base {
    Decimal,
    Octal,
    Binary,
}

impl Base {
    const ALL: [Self; 3] = [Self::Binary, Self::Octal, Self::Decimal];

    fn name(self) -> &'static str {
        match self {
            Self::Decimal => "decimal",
            Self::Octal => "octal",
            Self::Binary => "binary",
        }
    }

    /// The value of a group of digits, if it is that of a byte.
    fn byte(self, digits: &[u8]) -> Option<u8> {
        let (radix, lengths) = match self {
            Self::Decimal => (10, 1..=3),
            Self::Octal => (8, 2..=4),
            Self::Binary => (2, 6..=8),
        };
        let text = std::str::from_utf8(digits).ok()?;
        lengths
            .contains(&digits.len())
            .then(|| u8::from_str_radix(text, radix).ok())?
    }
}

/// Decodes the run of numbers around a place, and tells where it ends.
pub(super) fn decode(bytes: &[u8], at: usize, clipped: bool) -> (usize, Vec<Decoded>) {
    let before = bytes[..at].iter().rev().take(RUN_MAX);
    let start = at - before.take_while(|b| is_part(**b)).count();
    let after = bytes[at..].iter().take(RUN_MAX);
    let end = at + after.take_while(|b| is_part(**b)).count();
    let found = Base::ALL.into_iter().filter_map(|base| {
        let output = read(bytes, start..end, base);
        is_mostly_text(output.bytes()).then(|| output.decoded(base.name(), end, clipped))
    });
    (end, found.collect())
}

/// Digits, and what stands between numbers; `b` and `o` for `0b` and `0o`.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_digit()
        || matches!(
            byte,
            b' ' | b','
                | b';'
                | b'\t'
                | b'\r'
                | b'\n'
                | b'-'
                | b'.'
                | b':'
                | b'/'
                | b'+'
                | b'b'
                | b'o'
        )
}

/// All of a run that reads as bytes in a base; what does not is left out.
fn read(bytes: &[u8], run: Range<usize>, base: Base) -> Output {
    let mut output = Output::default();
    let mut at = run.start;
    while at < run.end {
        let digits = bytes[at..run.end].iter().take_while(|b| b.is_ascii_digit());
        let len = digits.count();
        if let (Base::Binary, 9..) = (base, len) {
            for byte in 0..len / 8 {
                let from = at + byte * 8;
                if let Some(value) = base.byte(&bytes[from..from + 8]) {
                    output.push(value, from);
                }
            }
        } else if let Some(value) = base.byte(&bytes[at..at + len]) {
            output.push(value, at);
        }
        at += len.max(1);
    }
    output
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn numbers_are_read() {
        for (text, expect) in [
            (
                "[112, 108, 97, 105, 110, 32, 119, 111, 114, 100, 115]",
                "plain words",
            ),
            ("160 154 141 151 156 040 167 157 162 144 163", "plain words"),
            ("112-108-97-105-110-32-119-111-114-100-115", "plain words"),
            (
                &b"plain words".map(|b| format!("{b:08b}")).join(" "),
                "plain words",
            ),
            (
                &b"plain words".map(|b| format!("{b:08b}")).concat(),
                "plain words",
            ),
            (
                &b"plain words".map(|b| format!("0b{b:07b}")).join(","),
                "plain words",
            ),
        ] {
            let (_, found) = decode(text.as_bytes(), text.len() / 2, false);
            let mut found = found.into_iter().map(|decoded| decoded.bytes);
            assert!(found.any(|bytes| bytes == expect.as_bytes()), "{text}");
        }
        for text in [
            "2026-11-25 10:00:00 1234 5678 12.50",
            "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12",
        ] {
            assert!(decode(text.as_bytes(), 4, false).1.is_empty(), "{text}");
        }
    }
}
