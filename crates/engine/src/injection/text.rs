//! Text as the model reads it: in lower case, each byte where it was.

use std::ops::Range;

use super::letter;

/// Writes the lower case of `bytes` over `lower`. A letter whose lower case has another length keeps
/// its case, so that places stay the same.
pub(super) fn lower(bytes: &[u8], lower: &mut Vec<u8>) {
    lower.clear();
    lower.extend_from_slice(bytes);
    lower.make_ascii_lowercase();
    // This has vector instructions, the search for the first that is not has none.
    if bytes.is_ascii() {
        return;
    }
    let mut at = 0;
    while let Some(plain) = bytes[at..].iter().position(|byte| !byte.is_ascii()) {
        at += plain;
        let (c, len) = decode(bytes, at);
        let mut lowered = c.to_lowercase();
        if let (Some(small), None) = (lowered.next(), lowered.next())
            && small != c
            && small.len_utf8() == len
        {
            small.encode_utf8(&mut lower[at..at + len]);
        }
        at += len;
    }
}

/// The character at a place, and its length; of bytes that are none, the replacement for one.
pub(super) fn decode(text: &[u8], at: usize) -> (char, usize) {
    let lead = text[at];
    let (len, bits) = match lead {
        0x00..=0x7f => return (char::from(lead), 1),
        0xc2..=0xdf => (2, lead & 0x1f),
        0xe0..=0xef => (3, lead & 0x0f),
        0xf0..=0xf4 => (4, lead & 0x07),
        0x80..=0xc1 | 0xf5..=0xff => return (char::REPLACEMENT_CHARACTER, 1),
    };
    let mut code = u32::from(bits);
    for next in 1..len {
        match text.get(at + next) {
            Some(byte @ 0x80..=0xbf) => code = code << 6 | u32::from(byte & 0x3f),
            Some(_) | None => return (char::REPLACEMENT_CHARACTER, 1),
        }
    }
    char::from_u32(code).map_or((char::REPLACEMENT_CHARACTER, 1), |c| (c, len))
}

/// What a byte is to the model.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A letter or digit in ASCII.
    Letter,
    Space,
    Mark,
    Control,
    /// A part of a character beyond ASCII.
    Wide,
}

/// The kind of each byte.
pub(super) static KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Wide; 256];
    let mut index = 0;
    while index < 128 {
        let byte = index as u8;
        kinds[index] = match byte {
            b' ' | b'\t'..=b'\r' => Kind::Space,
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'_' => Kind::Letter,
            b'!'..=b'~' => Kind::Mark,
            _ => Kind::Control,
        };
        index += 1;
    }
    kinds
};

/// What stands at a place of a text.
pub(super) enum Item {
    /// A word up to there, of so many letters.
    Word { end: usize, letters: u32 },
    /// White space up to there, with an empty line in it or not.
    Space { end: usize, is_break: bool },
    /// A mark, or a letter of a script that does not part words.
    Mark { c: char, end: usize },
}

#[inline(always)]
pub(super) fn item(text: &[u8], at: usize) -> Item {
    match KINDS[usize::from(text[at])] {
        Kind::Letter => word(text, at),
        Kind::Space => space(text, at),
        Kind::Mark | Kind::Control => Item::Mark {
            c: char::from(text[at]),
            end: at + 1,
        },
        Kind::Wide => match decode(text, at) {
            (c, _) if c.is_whitespace() => space(text, at),
            (c, _) if letter::is_letter(c) => word(text, at),
            (c, len) => Item::Mark { c, end: at + len },
        },
    }
}

#[inline]
fn word(text: &[u8], start: usize) -> Item {
    let (mut end, mut hidden) = (start, 0);
    loop {
        let letters = text[end..]
            .iter()
            .take_while(|byte| is_plain_letter(**byte));
        end += letters.count();
        match wide(text, end) {
            Some((c, len)) if letter::is_letter(c) => {
                end += len;
                hidden += len - 1;
            }
            Some(_) | None => break,
        }
    }
    Item::Word {
        end,
        letters: (end - start - hidden) as u32,
    }
}

fn is_plain_letter(byte: u8) -> bool {
    KINDS[usize::from(byte)] == Kind::Letter
}

/// The character beyond ASCII at a place, if one is there.
fn wide(text: &[u8], at: usize) -> Option<(char, usize)> {
    let is_wide = text.get(at).is_some_and(|byte| !byte.is_ascii());
    is_wide.then(|| decode(text, at))
}

/// The white space that begins at a place.
#[inline]
pub(super) fn space(text: &[u8], start: usize) -> Item {
    let is_followed = text
        .get(start + 1)
        .is_some_and(|byte| is_plain_letter(*byte));
    if is_followed && text[start].is_ascii() {
        return Item::Space {
            end: start + 1,
            is_break: false,
        };
    }
    spaces(text, start)
}

#[inline(never)]
fn spaces(text: &[u8], mut end: usize) -> Item {
    let mut breaks = 0;
    while let Some(byte) = text.get(end) {
        end += match KINDS[usize::from(*byte)] {
            Kind::Space => 1,
            Kind::Wide => match decode(text, end) {
                (c, len) if c.is_whitespace() => len,
                _ => break,
            },
            Kind::Letter | Kind::Mark | Kind::Control => break,
        };
        breaks += u32::from(*byte == b'\n');
    }
    Item::Space {
        end,
        is_break: breaks > 1,
    }
}

/// Whether a word goes on at a place.
pub(super) fn is_joined(text: &[u8], at: usize) -> bool {
    match wide(text, at) {
        Some((c, _)) => letter::is_letter(c),
        None => text.get(at).is_some_and(|byte| is_plain_letter(*byte)),
    }
}

/// A full stop ends a sentence before a space or a closing quote, not within a number or a name. The
/// marks of code and control characters end one too.
pub(super) fn is_end(text: &[u8], c: char, end: usize) -> bool {
    match c {
        '。' | '！' | '？' | '।' | '{' | '}' | '=' => true,
        '/' => text.get(end) == Some(&b'/'),
        '.' | '!' | '?' => {
            let rest = &text[end..];
            let is_closing = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r' | b'"' | b'\'');
            rest.first().is_none_or(is_closing)
                || rest.starts_with("”".as_bytes())
                || rest.starts_with("’".as_bytes())
        }
        other => other.is_ascii_control(),
    }
}

/// Where the word is that ends just before a place, past white space; none where an empty line, a mark
/// or a script without spaces stands there.
pub(super) fn word_before(text: &[u8], at: usize) -> Option<Range<usize>> {
    let before = text[..at].trim_ascii_end();
    let breaks = text[before.len()..at].iter().filter(|byte| **byte == b'\n');
    if breaks.count() > 1 {
        return None;
    }
    let is_part = |byte: &u8| is_plain_letter(*byte) || *byte == b'\'';
    let count = before.iter().rev().take_while(|byte| is_part(byte)).count();
    (count > 0).then(|| before.len() - count..before.len())
}
