//! Bytes hidden in characters that are not shown: variation selectors; and names in Punycode.

use std::ops::Range;

use idna::punycode;

use super::branch::{Decoded, Output, is_mostly_text};

/// Decodes each row of variation selectors, which can stand for a byte each: 16 in the plane of
/// common characters (VS1 to VS16), 240 in the supplement.
pub(super) fn selectors(bytes: &[u8]) -> impl Iterator<Item = Decoded> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + memchr::memchr(0xf3, &bytes[from..])?;
            let mut start = at;
            while let Some(before) = start
                .checked_sub(3)
                .filter(|at| selector(&bytes[*at..]).is_some_and(|(_, len)| len == 3))
            {
                start = before;
            }
            let (mut output, mut end) = (Output::default(), start);
            while let Some((value, len)) = selector(&bytes[end..]) {
                output.push(value, end);
                end += len;
            }
            from = end.max(at + 1);
            if is_mostly_text(output.bytes()) {
                return Some(output.decoded("variation-selectors", end, false));
            }
        }
    })
}

/// The byte that a variation selector stands for, and its length in UTF-8.
fn selector(bytes: &[u8]) -> Option<(u8, usize)> {
    match bytes {
        [0xef, 0xb8, last @ 0x80..=0x8f, ..] => Some((last & 0x0f, 3)),
        // U+E0100 to U+E01EF.
        [0xf3, 0xa0, third @ 0x84..=0x87, last @ 0x80..=0xbf, ..] => {
            let index = (third & 3) << 6 | last & 0x3f;
            Some((index.checked_add(16)?, 4))
        }
        _ => None,
    }
}

/// Labels of names have at most 63 bytes (RFC 1035, section 2.3.4), but nothing else looks here.
const LABEL_MAX: usize = 255;

/// Replaces each `xn--` label by what it stands for (RFC 3492).
pub(super) fn punycode(bytes: &[u8], range: Range<usize>, clipped: bool) -> Option<Decoded> {
    let mut output = Output::default();
    let (mut at, mut undone) = (range.start, 0);
    while at < range.end {
        let rest = &bytes[at..range.end];
        let label = rest
            .get(..4)
            .filter(|mark| mark.eq_ignore_ascii_case(b"xn--"))
            .map(|_| {
                let label = rest[4..].iter().take(LABEL_MAX - 4);
                label
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(**b, b'-' | b'_'))
                    .count()
            });
        let text = label.and_then(|len| std::str::from_utf8(&rest[4..4 + len]).ok());
        match text.and_then(punycode::decode_to_string) {
            Some(decoded) => {
                output.extend(decoded.as_bytes(), at);
                at += 4 + text.map_or(0, str::len);
                undone += 1;
            }
            None => {
                output.push(rest[0], at);
                at += 1;
            }
        }
    }
    (undone > 0).then(|| output.decoded("punycode", range.end, clipped))
}

#[cfg(test)]
mod tests {
    use super::{punycode, selectors};

    #[test]
    fn selectors_are_read() {
        let hide = |byte: u8| match byte {
            0..16 => char::from_u32(0xfe00 + u32::from(byte)),
            _ => char::from_u32(0xe0100 + u32::from(byte) - 16),
        };
        let text: String = b"\x09\x0athe plain words\x0a"
            .iter()
            .filter_map(|byte| hide(*byte))
            .collect();
        let content = format!("a smile 😀{text} and so on");
        let found: Vec<_> = selectors(content.as_bytes()).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].bytes, b"\x09\x0athe plain words\x0a");
        assert_eq!(selectors("❤️ and ☎️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿".as_bytes()).count(), 0);
    }

    #[test]
    fn labels_are_read() {
        let name = "https://xn--bcher-kva.example/xn--/";
        let decoded = punycode(name.as_bytes(), 0..name.len(), false).expect("a label");
        assert!(String::from_utf8_lossy(&decoded.bytes).starts_with("https://bücher.example/"));
    }
}
