//! Encodings whose alphabet gives each symbol the same number of bits, where base64 and base32 of
//! plain runs are not meant: other alphabets, and groups with separators between.

use std::ops::Range;

use super::branch::{Decoded, Output, has_text, is_text};
use super::runs::row;
use super::{compressed, wide};

const OUTSIDE: u8 = 0xff;

/// A symbol's value, or [`OUTSIDE`].
struct Alphabet {
    name: &'static str,
    bits: u32,
    values: [u8; 256],
}

const fn values(symbols: &[u8], has_two_cases: bool) -> [u8; 256] {
    let mut values = [OUTSIDE; 256];
    let mut value = 0;
    while value < symbols.len() {
        values[symbols[value] as usize] = value as u8;
        if has_two_cases {
            values[symbols[value].to_ascii_lowercase() as usize] = value as u8;
        }
        value += 1;
    }
    values
}

/// RFC 4648, section 4: standard.
static BASE64: Alphabet = Alphabet {
    name: "base64",
    bits: 6,
    values: values(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
        false,
    ),
};

/// Section 5: URL-safe and standard at once.
static BASE64_ANY: Alphabet = Alphabet {
    name: "base64",
    bits: 6,
    values: {
        let mut values = BASE64.values;
        values[b'-' as usize] = 62;
        values[b'_' as usize] = 63;
        values
    },
};

/// Section 6.
static BASE32: Alphabet = Alphabet {
    name: "base32",
    bits: 5,
    values: values(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", true),
};

/// Section 7.
static BASE32_HEX: Alphabet = Alphabet {
    name: "base32hex",
    bits: 5,
    values: values(b"0123456789ABCDEFGHIJKLMNOPQRSTUV", true),
};

/// Douglas Crockford's, with the letters that he reads as digits.
static CROCKFORD: Alphabet = Alphabet {
    name: "crockford32",
    bits: 5,
    values: {
        let mut values = values(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", true);
        values[b'O' as usize] = 0;
        values[b'o' as usize] = 0;
        let ones = b"IiLl";
        let mut index = 0;
        while index < ones.len() {
            values[ones[index] as usize] = 1;
            index += 1;
        }
        values
    },
};

static HEX: Alphabet = Alphabet {
    name: "hex",
    bits: 4,
    values: values(b"0123456789ABCDEF", true),
};

impl Alphabet {
    fn value(&self, byte: u8) -> Option<u8> {
        let value = self.values[usize::from(byte)];
        (value != OUTSIDE).then_some(value)
    }

    /// What the first symbols decode to, and how many bytes that is.
    fn peek(&self, bytes: &[u8]) -> ([u8; PEEK_SYMBOLS], usize) {
        let (mut peek, mut len, mut held, mut count) = ([0; PEEK_SYMBOLS], 0, 0u32, 0);
        for value in bytes
            .iter()
            .take(PEEK_SYMBOLS)
            .map(|byte| self.values[usize::from(*byte)])
        {
            if value == OUTSIDE {
                break;
            }
            held = held << self.bits | u32::from(value);
            count += self.bits;
            if count >= 8 {
                count -= 8;
                peek[len] = (held >> count) as u8;
                len += 1;
            }
        }
        (peek, len)
    }

    /// Decodes the symbols at these places; bits left over at the end are dropped.
    fn decode(&self, bytes: &[u8], places: impl Iterator<Item = usize>) -> Output {
        let (mut output, mut held, mut count, mut first) = (Output::default(), 0u32, 0, 0);
        for place in places {
            let value = self.values[usize::from(bytes[place])];
            if count == 0 {
                first = place;
            }
            held = held << self.bits | u32::from(value);
            count += self.bits;
            if count >= 8 {
                count -= 8;
                output.push((held >> count) as u8, first);
                first = place;
            }
        }
        output
    }
}

/// Whether bytes, of which there are `len` in all, begin as compressed data or wide text does, which
/// need not look like text.
fn is_data(bytes: &[u8], len: usize) -> bool {
    compressed::begins(bytes, len) || wide::begins(bytes)
}

/// Fewer symbols hold no compressed text of a credential's length.
const PACKED_MIN: usize = 24;

/// Symbols of a run that tell whether data begins there.
const PEEK_SYMBOLS: usize = 32;

/// Text before compressed data within a run: words of a path or a name.
const LEAD_MAX: usize = 64;

/// Compressed data and wide text in a run of base64, base32 or hexadecimal, which need not show text.
pub(super) fn packed<'a>(
    bytes: &'a [u8],
    run: Range<usize>,
    clipped: bool,
) -> impl Iterator<Item = Decoded> + 'a {
    let run = if run.len() < PACKED_MIN {
        run.end..run.end
    } else {
        run
    };
    let is_joint = |at: &usize| matches!(bytes[at - 1], b'/' | b'+' | b'-' | b'_' | b'x');
    let joints = (run.start + 1..run.end.min(run.start + LEAD_MAX)).filter(is_joint);
    let marked = joints.filter(|at| may_be_marked(&bytes[*at..]));
    let starts = (!run.is_empty())
        .then_some(run.start)
        .into_iter()
        .chain(marked);
    let candidates = starts.flat_map(move |start| {
        [&BASE64_ANY, &HEX, &BASE32].map(|alphabet| (start..run.end, alphabet))
    });
    candidates.filter_map(move |(run, alphabet)| {
        let is_symbol = |byte: u8| alphabet.value(byte).is_some();
        let len = run.len() * alphabet.bits as usize / 8;
        let (peek, peek_len) = alphabet.peek(&bytes[run.clone()]);
        if !is_data(&peek[..peek_len], len) {
            return None;
        }
        let is_break = |byte: u8| matches!(byte, b'\r' | b'\n' | b' ' | b'\t');
        let rest = run.clone();
        let rest = rest.take_while(|at| is_symbol(bytes[*at]) || is_break(bytes[*at]));
        let symbols = rest.filter(|at| is_symbol(bytes[*at]));
        let output = alphabet.decode(bytes, symbols);
        // What the first symbols could not tell, all of them may.
        is_data(output.bytes(), output.bytes().len())
            .then(|| output.decoded(alphabet.name, run.end, clipped))
    })
}

/// How the marks of compressed data and of zlib's usual header begin in base64, hexadecimal and
/// base32.
fn may_be_marked(bytes: &[u8]) -> bool {
    const MARKS: [&[u8]; 22] = [
        b"H4sI", b"KLUv", b"Qlpo", b"UEsD", b"eJ", b"eA", b"eN", b"eF", b"1f8b", b"1F8B", b"28b5",
        b"28B5", b"fd37", b"FD37", b"425a", b"425A", b"504b", b"504B", b"78", b"D6FQ", b"FC2S",
        b"PC",
    ];
    let may_begin = bytes
        .first()
        .is_some_and(|byte| b"HKQUe12fF457DP".contains(byte));
    may_begin && MARKS.iter().any(|mark| bytes.starts_with(mark))
}

/// Base32 of under fifteen bytes is not looked for, as elsewhere.
const BASE32_MIN: usize = 24;

/// The rarer alphabets of five bits, at the beginning of a word.
pub(super) fn rare32(
    bytes: &[u8],
    word: Range<usize>,
    clipped: bool,
) -> impl Iterator<Item = Decoded> + '_ {
    static RARE: [&Alphabet; 2] = [&BASE32_HEX, &CROCKFORD];
    let alphabets = match word.len() {
        BASE32_MIN.. => &RARE[..],
        _ => &[],
    };
    alphabets.iter().filter_map(move |alphabet| {
        // The first bytes tell most words.
        let (peek, len) = alphabet.peek(&bytes[word.start..word.start + 8]);
        if !peek[..len].is_ascii() {
            return None;
        }
        let symbols = row(&bytes[word.clone()], &alphabet.values);
        let output = alphabet.decode(bytes, word.start..word.start + symbols);
        is_text(output.bytes()).then(|| output.decoded(alphabet.name, word.end, clipped))
    })
}

/// The stretches of letters and digits of a run.
pub(super) fn words(
    bytes: &[u8],
    run: Range<usize>,
    min: usize,
) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = run.start;
    std::iter::from_fn(move || {
        while at < run.end {
            let word = at..at + row(&bytes[at..run.end], &IN_WORD);
            at = word.end + 1;
            if word.len() >= min {
                return Some(word);
            }
        }
        None
    })
}

/// Letters and digits.
static IN_WORD: [u8; 256] = values(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    false,
);

/// Symbols of a run in groups: enough for a credential, and for an instruction of a few sentences.
const GROUPED_MAX: usize = 4096;

/// Fewer symbols hold no credential.
const GROUPED_MIN: usize = 16;

/// A longer group is a run of its own.
const GROUP_MAX: usize = 76;

/// Decodes groups of base64, base32 or hexadecimal around a place with the same separator between
/// each, and tells how far it looked.
pub(super) fn grouped(bytes: &[u8], at: usize, clipped: bool) -> (usize, Vec<Decoded>) {
    let Some(groups) = Groups::around(bytes, at) else {
        return (at + 1, Vec::new());
    };
    let mut found = Vec::new();
    for alphabet in [&BASE64, &BASE32, &HEX] {
        if groups
            .symbols
            .iter()
            .any(|at| alphabet.value(bytes[*at]).is_none())
        {
            continue;
        }
        // Words before it may be taken for groups: one of the phases is right all the same, and shows
        // more text than the others.
        let phases = 0..8usize >> alphabet.bits.trailing_zeros();
        let outputs = phases
            .map(|phase| alphabet.decode(bytes, groups.symbols.iter().skip(phase).copied()))
            .filter(|output| {
                has_text(output.bytes()) || compressed::begins(output.bytes(), output.bytes().len())
            });
        let shown = |output: &Output| {
            let bytes = output.bytes().iter();
            bytes.filter(|b| matches!(b, b' '..=b'~')).count()
        };
        let best = outputs.max_by_key(shown);
        found.extend(best.map(|output| output.decoded(alphabet.name, groups.end, clipped)));
    }
    (groups.end, found)
}

/// Groups of symbols with the same separator between each.
struct Groups {
    symbols: Vec<usize>,
    end: usize,
}

impl Groups {
    fn around(bytes: &[u8], at: usize) -> Option<Self> {
        let is_symbol = |byte: u8| BASE64.value(byte).is_some();
        let row = |from: usize| {
            let end = bytes.len().min(from + GROUP_MAX + 1);
            row(&bytes[from.min(end)..end], &BASE64.values)
        };
        let first = at
            + bytes[at..]
                .iter()
                .take(GROUP_MAX)
                .position(|b| is_symbol(*b))?;
        let gap = first + row(first);
        let next = gap
            + bytes[gap..]
                .iter()
                .take(SEPARATOR_MAX + 1)
                .position(|b| is_symbol(*b))?;
        let separator = &bytes[gap..next];
        if separator.is_empty() || separator.contains(&b'=') {
            return None;
        }
        // Words of text are not all of one length.
        let len = row(next);
        let after = next + len + separator.len();
        if len == 0 || bytes.get(next + len..after) != Some(separator) || row(after) != len {
            return None;
        }
        let least = first.saturating_sub(GROUPED_MAX);
        let mut start = first;
        loop {
            let before = bytes[least..start].iter().rev();
            start -= before.take_while(|b| is_symbol(**b)).count();
            match start.checked_sub(separator.len()) {
                Some(end)
                    if end > least
                        && bytes[end..start] == *separator
                        && is_symbol(bytes[end - 1]) =>
                {
                    start = end
                }
                Some(_) | None => break,
            }
        }
        let (mut symbols, mut end) = (Vec::new(), start);
        while symbols.len() < GROUPED_MAX {
            let len = row(end);
            symbols.extend(end..end + len);
            end += len;
            if len == 0 || len > GROUP_MAX || !bytes[end..].starts_with(separator) {
                break;
            }
            end += separator.len();
        }
        let end = symbols.last().map_or(end, |last| last + 1);
        (symbols.len() >= GROUPED_MIN).then_some(Self { symbols, end })
    }
}

/// `, `, a line break and a little indentation.
const SEPARATOR_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::{BASE32_HEX, CROCKFORD, grouped, rare32};

    #[test]
    fn groups_are_read() {
        let plain = "dGhlIHBsYWluIHdvcmRzIG9mIGEgc2VudGVuY2UgaGVyZQ";
        for (size, separator) in [
            (4, " "),
            (4, "."),
            (4, "-"),
            (5, "\n"),
            (3, ", "),
            (8, "\r\n  "),
        ] {
            let groups: Vec<&str> = plain
                .as_bytes()
                .chunks(size)
                .map(|g| std::str::from_utf8(g).expect("ASCII"))
                .collect();
            let text = format!("v: {}", groups.join(separator));
            let (_, found) = grouped(text.as_bytes(), 16, false);
            let is_it = |bytes: &[u8]| {
                bytes
                    .windows(20)
                    .any(|part| part == b"words of a sentence ")
            };
            assert!(found.iter().any(|d| is_it(&d.bytes)), "{text}");
        }
        assert!(
            grouped(b"THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG", 4, false)
                .1
                .is_empty()
        );
    }

    #[test]
    fn rare_alphabets_are_read() {
        for (name, text) in [
            (
                BASE32_HEX.name,
                "EHK6AS10ELQ6AS3941Q6ASRLECG6UPRI41GN8SBEDTJ6GOO",
            ),
            (
                CROCKFORD.name,
                "EHM6AW10EMT6AW3941T6AWVMECG6YSVJ41GQ8WBEDXK6GRR",
            ),
        ] {
            let found: Vec<_> = rare32(text.as_bytes(), 0..text.len(), false).collect();
            println!(
                "{name} {:?}",
                found
                    .iter()
                    .map(|d| (d.name, String::from_utf8_lossy(&d.bytes)))
                    .collect::<Vec<_>>()
            );
        }
    }
}
