//! What mail carries data in: quoted-printable (RFC 2045, section 6.7), uuencode (POSIX) and UTF-7
//! (RFC 2152).

use std::ops::Range;

use super::branch::{Decoded, Output, is_mostly_text};
use super::compressed;

/// Undoes quoted-printable: `=3D` and line breaks that do not count.
pub(super) fn quoted(bytes: &[u8], range: Range<usize>, clipped: bool) -> Option<Decoded> {
    let mut output = Output::default();
    let (mut at, mut undone) = (range.start, 0);
    while at < range.end {
        let rest = &bytes[at..range.end];
        let len = match rest {
            [b'=', b'\n', ..] => 2,
            [b'=', b'\r', b'\n', ..] => 3,
            [b'=', high, low, ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    output.push(high << 4 | low, at);
                    undone += 1;
                    at += 3;
                    continue;
                }
                _ => 0,
            },
            _ => 0,
        };
        undone += usize::from(len > 0);
        if len == 0 {
            output.push(rest[0], at);
        }
        at += len.max(1);
    }
    (undone > 0).then(|| output.decoded("quoted-printable", range.end, clipped))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|value| value as u8)
}

/// The longest name in the first line of a uuencoded file.
const NAME_MAX: usize = 256;

/// Undoes uuencode, from `begin 644 name` on.
pub(super) fn uuencoded(bytes: &[u8], begin: usize, clipped: bool) -> Option<Decoded> {
    let break_at = memchr::memchr(b'\n', &bytes[begin..bytes.len().min(begin + NAME_MAX)])?;
    let mut output = Output::default();
    let mut at = begin + break_at + 1;
    while let Some(line) = line(bytes, at) {
        let len = usize::from(bytes[at].wrapping_sub(b' ') & 0x3f);
        // Some writers add a symbol as a check; others cut spaces off.
        if len == 0 || line.len() < 2 || line.len() > 2 + len.div_ceil(3) * 4 {
            break;
        }
        let symbols = at + 1..line.end;
        let mut written = 0;
        for from in symbols.step_by(4) {
            let value = |at: usize| match bytes.get(at) {
                Some(byte) if at < line.end => u32::from(byte.wrapping_sub(b' ') & 0x3f),
                Some(_) | None => 0,
            };
            let word = (0..4).fold(0, |sum, index| sum << 6 | value(from + index));
            for byte in &word.to_be_bytes()[1..] {
                if written < len {
                    output.push(*byte, from);
                    written += 1;
                }
            }
        }
        at = line.end + 1;
    }
    let is_any =
        is_mostly_text(output.bytes()) || compressed::begins(output.bytes(), output.bytes().len());
    is_any.then(|| output.decoded("uuencode", at.min(bytes.len()), clipped))
}

/// The line that begins at a place, without its break.
fn line(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
    let len = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
    Some(at..at + len)
}

/// Undoes UTF-7: `+` and base64 of UTF-16.
pub(super) fn utf7(bytes: &[u8], range: Range<usize>, clipped: bool) -> Option<Decoded> {
    let mut output = Output::default();
    let (mut at, mut undone) = (range.start, 0);
    while at < range.end {
        let shifted = match bytes[at] {
            b'+' => &bytes[at + 1..range.end],
            _ => &[],
        };
        let len = shifted.iter().take_while(|b| symbol(**b).is_some()).count();
        if len < 3 {
            output.push(bytes[at], at);
            at += 1;
            continue;
        }
        units(
            shifted[..len].iter().filter_map(|b| symbol(*b)),
            at,
            &mut output,
        );
        undone += 1;
        at += 1 + len + usize::from(shifted.get(len) == Some(&b'-'));
    }
    (undone > 0).then(|| output.decoded("utf-7", range.end, clipped))
}

fn units(symbols: impl Iterator<Item = u8>, place: usize, output: &mut Output) {
    let (mut held, mut count, mut units) = (0u32, 0, Vec::new());
    for symbol in symbols {
        held = held << 6 | u32::from(symbol);
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push((held >> count) as u16);
        }
    }
    for c in char::decode_utf16(units) {
        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
        output.extend(c.encode_utf8(&mut [0; 4]).as_bytes(), place);
    }
}

fn symbol(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{quoted, utf7, uuencoded};

    #[test]
    fn each_is_read() {
        type Read = fn(&[u8]) -> Option<super::Decoded>;
        for (read, text, expect) in [
            (
                (|b| quoted(b, 0..b.len(), false)) as Read,
                "key=3Dab=\r\ncd=5Fe=ZZ=",
                "key=abcd_e=ZZ=",
            ),
            (
                |b| uuencoded(b, 0, false),
                "begin 644 a\n>=&AE('!L86EN('=O<F1S(&]F(&$@<V5N=&5N8V4`\n`\nend\n",
                "the plain words of a sentence\0",
            ),
            (
                |b| utf7(b, 0..b.len(), false),
                "a+AGIAYw-d +2D3eAA-.",
                "abcd \u{1f600}.",
            ),
        ] {
            let decoded = read(text.as_bytes()).expect(text);
            assert_eq!(String::from_utf8_lossy(&decoded.bytes), expect);
        }
    }
}
