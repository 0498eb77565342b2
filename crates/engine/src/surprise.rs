//! How surprising letters and digits are as a part of a name.
//!
//! The table says for each letter how many bits it is worth after the two before it, as counted in
//! the names and words of a Debian system's packages and documents (`cargo xtask letters`). A name is
//! worth three to four bits a letter, encoded data six to eight. Digits are one symbol of the table,
//! with the bits that tell them apart added.

/// A row for each pair of symbols (letters, any digit, the start of a run); in it a digit of base 36
/// for each symbol that may follow: how many half bits it is worth.
static TABLE: &[u8] = include_bytes!("surprise.txt");

const DIGIT: usize = 26;
const START: usize = 27;
const SYMBOLS: usize = 28;
/// A row and its line break.
const ROW_BYTES: usize = SYMBOLS + 1;

/// The shortest run of which anything can be said.
pub(crate) const RUN_BYTES_MIN: usize = 8;
/// From these lengths on, runs of as many tenths of half bits a byte are encoded: of the names held
/// back when the table was counted, less than one of a hundred is.
const LIMITS: [(usize, usize); 3] = [(20, 96), (12, 102), (RUN_BYTES_MIN, 124)];
/// Hexadecimal digits have little surprise; they are told by their kind, from this length on: longer
/// than the last group of a UUID and a commit's short name.
const HEX_BYTES_MIN: usize = 16;
/// Longer runs of decimal digits are no number that anyone counts or dials, and no time in nanoseconds.
const DIGITS_MAX: usize = 23;
/// A run of fewer different bytes is a pattern.
const DISTINCT_MIN: u32 = 6;

/// Whether letters and digits in a row look like encoded data rather than like a name.
pub(crate) fn is_encoded_run(run: &[u8]) -> bool {
    if run.len() < RUN_BYTES_MIN || distinct(run) < DISTINCT_MIN {
        return false;
    }
    let digits = run.iter().filter(|b| b.is_ascii_digit()).count();
    if digits == run.len() {
        return run.len() > DIGITS_MAX;
    }
    is_hex(run, digits) || is_surprising(run.iter().copied(), run.len(), 0)
}

/// The same of a label whose runs are short and many, as if nothing stood between them.
pub(crate) fn is_encoded_label(label: &[u8]) -> bool {
    const JOINED_BYTES_MIN: usize = 20;
    const STRICTER_BY: usize = 22;
    let bytes = || label.iter().copied().filter(u8::is_ascii_alphanumeric);
    let len = bytes().count();
    len >= JOINED_BYTES_MIN && is_surprising(bytes(), len, STRICTER_BY)
}

fn is_surprising(run: impl Iterator<Item = u8>, len: usize, stricter_by: usize) -> bool {
    let (mut before, mut last, mut half_bits) = (START, START, 0);
    for byte in run {
        let next = symbol(byte);
        half_bits += worth(before, last, next);
        (before, last) = (last, next);
    }
    let limit = LIMITS.iter().find(|(bytes, _)| len >= *bytes);
    limit.is_some_and(|(_, limit)| half_bits * 10 >= (limit + stricter_by) * len)
}

fn is_hex(run: &[u8], digits: usize) -> bool {
    const LETTERS_MIN: usize = 2;
    const DIGITS_MIN: usize = 3;
    run.len() >= HEX_BYTES_MIN
        && digits >= DIGITS_MIN
        && run.len() - digits >= LETTERS_MIN
        && run.iter().all(u8::is_ascii_hexdigit)
}

fn symbol(byte: u8) -> usize {
    match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => usize::from(letter - b'a'),
        b'0'..=b'9' => DIGIT,
        _ => START,
    }
}

fn worth(before: usize, last: usize, next: usize) -> usize {
    let digit = TABLE[(before * SYMBOLS + last) * ROW_BYTES + next];
    usize::from(match digit {
        b'0'..=b'9' => digit - b'0',
        letter => letter - b'a' + 10,
    })
}

pub(crate) fn distinct(run: &[u8]) -> u32 {
    let seen = run
        .iter()
        .fold(0_u128, |seen, byte| seen | 1 << (byte & 0x7f));
    seen.count_ones()
}

#[cfg(test)]
mod tests {
    use super::{ROW_BYTES, SYMBOLS, TABLE, is_encoded_run};

    #[test]
    fn the_table_is_whole() {
        assert_eq!(TABLE.len(), SYMBOLS * SYMBOLS * ROW_BYTES);
        for row in TABLE.chunks(ROW_BYTES) {
            assert_eq!(row[SYMBOLS], b'\n');
            assert!(
                row[..SYMBOLS]
                    .iter()
                    .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z'))
            );
        }
    }

    #[test]
    fn names_and_data() {
        for name in [
            "internationalisation",
            "manylinux2014",
            "requirements",
            "getElementById",
            "IOException",
            "cloudfunctions",
            "googleusercontent",
            "Donaudampfschifffahrt",
            "1767225600000000000",
            "20231006140011",
            "7918f672742d",
            "aaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(!is_encoded_run(name.as_bytes()), "{name}");
        }
        for data in [
            "q7x2Kd9vZ1p4",
            "mzxw6ytboi2dcmjs",
            "nbswy3dpeb3w64tm",
            "4d5a900003000000",
            "SGVsbG8gd29ybGQhIFRo",
            "k3v9x0q2w8z7",
        ] {
            assert!(is_encoded_run(data.as_bytes()), "{data}");
        }
    }
}
