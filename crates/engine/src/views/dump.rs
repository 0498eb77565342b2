//! Dumps of bytes: lines of an offset, groups of hexadecimal digits, and often the same as text.

use super::branch::{Decoded, Output};

/// A longer dump goes on in the next one: what one shows fits a window.
const DUMP_BYTES_MAX: usize = 64 * 1024;

/// What dumps show on a line, at most.
const LINE_BYTES_MAX: usize = 32;

/// Digits of an offset: `od` writes seven, `xxd` and `hexdump` eight, others up to sixteen.
const OFFSET_MIN: usize = 6;
const OFFSET_MAX: usize = 16;

/// The digits of a group that is one number, whose bytes may be in either order.
const NUMBER_DIGITS: usize = 4;

/// Reads a dump on whose first line a place is: as it stands, and with the bytes of each number in the other order.
pub(super) fn decode(bytes: &[u8], at: usize, clipped: bool) -> Vec<Decoded> {
    let start = bytes[..at]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |end| end + 1);
    // Before the first offset may be a prompt or a quote.
    let start = start.max(
        at - bytes[start..at]
            .iter()
            .rev()
            .take_while(|b| b.is_ascii_hexdigit())
            .count(),
    );
    let (mut plain, mut swapped, mut line, mut is_numbers) =
        (Output::default(), Output::default(), start, false);
    while plain.bytes().len() < DUMP_BYTES_MAX
        && let Some(groups) = groups(bytes, line)
    {
        for group in groups {
            let pairs = bytes[group.clone()].chunks_exact(2).zip(group.step_by(2));
            let pairs: Vec<(u8, usize)> = pairs.map(|(pair, place)| (byte(pair), place)).collect();
            is_numbers |= pairs.len() * 2 == NUMBER_DIGITS;
            pairs
                .iter()
                .for_each(|(value, place)| plain.push(*value, *place));
            pairs
                .iter()
                .rev()
                .for_each(|(value, place)| swapped.push(*value, *place));
        }
        let Some(end) = memchr::memchr(b'\n', &bytes[line..]) else {
            line = bytes.len();
            break;
        };
        line += end + 1;
    }
    let swapped = Some(swapped).filter(|_| is_numbers);
    let shown = std::iter::once(plain)
        .chain(swapped)
        .filter(|output| !output.bytes().is_empty());
    shown
        .map(|output| output.decoded("dump", line, clipped))
        .collect()
}

/// The groups of digits on a line that begins with an offset.
fn groups(bytes: &[u8], line: usize) -> Option<Vec<std::ops::Range<usize>>> {
    let digits = |from: usize| {
        bytes[from.min(bytes.len())..]
            .iter()
            .take_while(|b| b.is_ascii_hexdigit())
            .count()
    };
    let blanks = |from: usize| {
        bytes[from.min(bytes.len())..]
            .iter()
            .take_while(|b| **b == b' ')
            .count()
    };
    let offset = digits(line);
    if !(OFFSET_MIN..=OFFSET_MAX).contains(&offset) {
        return None;
    }
    let has_colon = bytes.get(line + offset) == Some(&b':');
    let mut at = line + offset + usize::from(has_colon);
    let (mut groups, mut shown) = (Vec::new(), 0);
    loop {
        let apart = blanks(at);
        // After two blanks `xxd` shows the text, `hexdump -C` the second half.
        let is_text = has_colon && apart > 1 && !groups.is_empty();
        let len = digits(at + apart);
        let is_group = matches!(len, 2 | 4 | 8 | 16) && shown + len / 2 <= LINE_BYTES_MAX;
        if apart == 0 || is_text || !is_group {
            break;
        }
        at += apart;
        groups.push(at..at + len);
        (at, shown) = (at + len, shown + len / 2);
    }
    (!groups.is_empty()).then_some(groups)
}

fn byte(pair: &[u8]) -> u8 {
    let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    value(pair[0]) << 4 | value(pair[1])
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn dumps_are_read() {
        for dump in [
            "00000000: 706c 6169 6e20 776f 7264 7320 3031 3233  plain words 0123\n00000010: 3435 3637 38                             45678\n",
            "00000000  70 6c 61 69 6e 20 77 6f  72 64 73 20 30 31 32 33  |plain words 0123|\n00000010  34 35 36 37 38  |45678|\n00000015\n",
            "0000000 6c70 6961 206e 6f77 6472 2073 3130 3332\n0000020 3534 3736 0038\n0000025\n",
            "0000000 70 6c 61 69 6e 20 77 6f 72 64 73 20 30 31 32 33\n0000020 34 35 36 37 38\n0000025\n",
            "$ xxd -g1 key\n00000000: 70 6c 61 69 6e 20 77 6f 72 64 73 20 30 31 32 33  plain words 0123\n00000010: 34 35 36 37 38                                   45678",
        ] {
            let at = dump.find("0000000").expect("an offset");
            let found = decode(dump.as_bytes(), at, false);
            let is_read = found
                .iter()
                .any(|own| own.bytes.starts_with(b"plain words 012345678"));
            assert!(is_read, "{dump}");
        }
    }

    #[test]
    fn what_is_no_dump_is_left() {
        for text in [
            "00000000",
            "0000000 of 0000010",
            "id 00000000: none",
            "00000000-0000-0000",
        ] {
            assert!(
                decode(text.as_bytes(), text.find("000").unwrap_or(0), false).is_empty(),
                "{text}"
            );
        }
    }
}
