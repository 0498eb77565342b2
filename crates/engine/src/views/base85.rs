//! The three encodings of four bytes in five symbols: Ascii85, Z85 (ZeroMQ's RFC 32) and that of
//! RFC 1924's alphabet, which Git and Python use.

use super::branch::{Decoded, Output, is_text};

/// Five symbols, so many groups in a row: twenty bytes, as short as credentials are.
const GROUPS_MIN: usize = 5;

const GROUP: usize = 5;

const OUTSIDE: u8 = 0xff;

/// Symbols looked at around a place; more is another sample's.
const REACH: usize = 64 * 1024;

struct Alphabet {
    name: &'static str,
    values: [u8; 256],
}

const fn alphabet(name: &'static str, symbols: &[u8; 85]) -> Alphabet {
    let mut values = [OUTSIDE; 256];
    let mut value = 0;
    while value < 85 {
        values[symbols[value] as usize] = value as u8;
        value += 1;
    }
    Alphabet { name, values }
}

static ALPHABETS: [Alphabet; 3] = [
    alphabet("ascii85", &{
        let mut symbols = [0; 85];
        let mut value = 0;
        while value < 85 {
            symbols[value] = b'!' + value as u8;
            value += 1;
        }
        symbols
    }),
    alphabet(
        "z85",
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#",
    ),
    alphabet(
        "base85",
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
    ),
];

/// For each byte the alphabets that it is of, a bit each.
static OF: [u8; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < ALPHABETS.len() {
        let mut byte = 0;
        while byte < 256 {
            if ALPHABETS[index].values[byte] != OUTSIDE {
                table[byte] |= 1 << index;
            }
            byte += 1;
        }
        index += 1;
    }
    table
};

/// Whether four bytes of ASCII may begin with this digit: those of 0x20202020 to 0x7e7e7e7e do, and
/// those that begin with white space.
const fn may_begin_text(digit: u8) -> bool {
    matches!(digit, 2..=4 | 10..=40)
}

/// How far each alphabet's symbols were looked at.
#[derive(Default)]
pub(super) struct Seen([usize; 3]);

/// So many groups from a place on must begin as text does before more is looked at: that is soon
/// told of code, which has no spaces either.
const AHEAD_GROUPS: usize = 4;

/// Of shorter content fewer groups are asked for: a credential alone is five.
const SHORT: usize = 512;

/// The alphabets, a bit each, in which text may go on from a place.
fn ahead(bytes: &[u8], at: usize) -> u8 {
    let groups = if bytes.len() < SHORT { 2 } else { AHEAD_GROUPS };
    let Some(ahead) = bytes.get(at..at + groups * GROUP) else {
        return 0;
    };
    let mut all = u8::MAX;
    for byte in ahead {
        all &= OF[usize::from(*byte)];
        if all == 0 {
            return 0;
        }
    }
    let phase = |phase: usize| {
        let firsts = ahead[phase..].iter().step_by(GROUP);
        firsts.fold(all, |all, byte| all & FIRST[usize::from(*byte)])
    };
    (0..GROUP).fold(0, |found, from| {
        let of_text = |index: &usize| {
            let mut groups = ahead[from..].chunks_exact(GROUP);
            groups.all(|group| is_text_group(group, &ALPHABETS[*index]))
        };
        let may_be = phase(from) & !found;
        let indices = (0..ALPHABETS.len()).filter(|index| may_be & 1 << index != 0);
        found
            | indices
                .filter(of_text)
                .fold(0, |all, index| all | 1 << index)
    })
}

/// Whether a group stands for four bytes of plain text.
fn is_text_group(group: &[u8], alphabet: &Alphabet) -> bool {
    let value = |byte: &u8| u64::from(alphabet.values[usize::from(*byte)]);
    let sum = group.iter().fold(0, |sum, byte| sum * 85 + value(byte));
    let word = u32::try_from(sum).map(u32::to_be_bytes);
    word.is_ok_and(|word| {
        let mut bytes = word.iter();
        bytes.all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r'))
    })
}

/// For each byte the alphabets in which it may begin a group of text, a bit each.
static FIRST: [u8; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < ALPHABETS.len() {
        let mut byte = 0;
        while byte < 256 {
            if may_begin_text(ALPHABETS[index].values[byte]) {
                table[byte] |= 1 << index;
            }
            byte += 1;
        }
        index += 1;
    }
    table
};

/// A line of at least so many symbols may go on in the next one.
const WRAP_MIN: usize = 40;

/// Decodes what stands around a place, where it was not yet seen.
pub(super) fn decode(bytes: &[u8], at: usize, clipped: bool, seen: &mut Seen) -> Vec<Decoded> {
    let mut found = Vec::new();
    let ahead = ahead(bytes, at);
    if ahead == 0 {
        return found;
    }
    for (index, (alphabet, seen)) in ALPHABETS.iter().zip(&mut seen.0).enumerate() {
        let is_symbol = |byte: u8| OF[usize::from(byte)] & 1 << index != 0;
        if at < *seen || ahead & 1 << index == 0 {
            continue;
        }
        let places = symbols(bytes, at, is_symbol);
        *seen = places.last().map_or(at, |last| last + 1);
        if places.len() >= GROUPS_MIN * GROUP {
            let phases = (0..GROUP).map(|phase| &places[phase..]);
            let mut stretches: Vec<_> = phases
                .map(|places| stretch(bytes, places, alphabet))
                .collect();
            // Only the longest, so that what repeats itself does not read in every phase.
            stretches.sort_by_key(|places| std::cmp::Reverse(places.len()));
            let most = places.len() * 3 / 4;
            let mut texts = stretches
                .iter()
                .take_while(|stretch| stretch.len() >= most)
                .filter_map(|places| text(bytes, places, alphabet, clipped));
            found.extend(texts.next());
        }
    }
    found
}

/// Where the symbols around a place are, line breaks left out.
fn symbols(bytes: &[u8], at: usize, is_symbol: impl Fn(u8) -> bool) -> Vec<usize> {
    let row = |bytes: &mut dyn Iterator<Item = &u8>| bytes.take_while(|b| is_symbol(**b)).count();
    let least = at.saturating_sub(REACH);
    let mut start = at - row(&mut bytes[least..at].iter().rev());
    while let Some(line) = start.checked_sub(1).filter(|line| bytes[*line] == b'\n') {
        let line = line - usize::from(line > least && bytes[line - 1] == b'\r');
        let len = row(&mut bytes[least.min(line)..line].iter().rev());
        if len < WRAP_MIN {
            break;
        }
        start = line - len;
    }
    let most = bytes.len().min(at + REACH);
    let mut places: Vec<usize> = (start..at).filter(|at| is_symbol(bytes[*at])).collect();
    let mut from = at;
    loop {
        let len = row(&mut bytes[from..most].iter());
        places.extend(from..from + len);
        from += len;
        let breaks = bytes[from..most].iter().take(2);
        let breaks = breaks.take_while(|b| matches!(b, b'\r' | b'\n')).count();
        if len < WRAP_MIN && from - start < WRAP_MIN || breaks == 0 {
            return places;
        }
        from += breaks;
    }
}

/// The longest stretch of groups, from the first symbol on, that may be text.
fn stretch<'p>(bytes: &[u8], places: &'p [usize], alphabet: &Alphabet) -> &'p [usize] {
    let value = |index: usize| alphabet.values[usize::from(bytes[places[index]])];
    let (mut best, mut first) = (0..0, 0);
    for index in (0..places.len()).step_by(GROUP) {
        if !may_begin_text(value(index)) {
            first = index + GROUP;
        } else if index + 1 - first > best.len() {
            best = first..index + 1;
        }
    }
    let end = places.len().min(best.end + GROUP - 1);
    &places[best.start..end.max(best.start)]
}

/// What the symbols decode to, if they are enough and it is text.
fn text(bytes: &[u8], places: &[usize], alphabet: &Alphabet, clipped: bool) -> Option<Decoded> {
    let value = |index: usize| alphabet.values[usize::from(bytes[places[index]])];
    let end = places.len();
    if end < GROUPS_MIN * GROUP - 1 {
        return None;
    }
    let mut output = Output::default();
    for from in (0..end).step_by(GROUP) {
        let to = end.min(from + GROUP);
        // A short group is filled up with the last symbol, and yields fewer bytes.
        let digits = (from..from + GROUP).map(|index| if index < to { value(index) } else { 84 });
        let sum = digits.fold(0, |sum, digit| sum * 85 + u64::from(digit));
        let word = u32::try_from(sum).ok()?.to_be_bytes();
        for (index, byte) in word[..(to - from).saturating_sub(1)].iter().enumerate() {
            output.push(*byte, places[from + index]);
        }
    }
    is_text(output.bytes()).then(|| output.decoded(alphabet.name, places[end - 1] + 1, clipped))
}

#[cfg(test)]
mod tests {
    use super::{ALPHABETS, Seen, decode};

    #[test]
    fn every_alphabet_has_each_value_once() {
        for alphabet in &ALPHABETS {
            let mut values: Vec<u8> = alphabet.values.into_iter().filter(|v| *v < 85).collect();
            values.sort_unstable();
            assert!(values.into_iter().eq(0..85), "{}", alphabet.name);
        }
    }

    #[test]
    fn text_is_read() {
        for (name, text) in [
            ("base85", "bZBKDaBN{|ZXkDWa%6KLZ)PB2AaiAIbY*U1Wguu}a%B"),
            ("base85", "v=bZBKDaBN{|ZXkDWa%6KLZ)PB2AaiAIbY*U1Wguu}a%B"),
            (
                "ascii85",
                "<~FD,5.E,8rsDBO.AEb'56De:,#+EM+3FCf?\"AKYYtEb,~>",
            ),
            (
                "ascii85",
                "FD,5.E,8rsDBO.AEb'56De:,#+EM+3FCf?\"AKYYtE\r\nb,",
            ),
        ] {
            let found = decode(text.as_bytes(), 16, false, &mut Seen::default());
            let is_it = |bytes: &[u8]| {
                bytes
                    .windows(20)
                    .any(|part| part == b"words of a sentence ")
            };
            assert!(
                found.iter().any(|d| d.name == name && is_it(&d.bytes)),
                "{text}"
            );
        }
    }
}
