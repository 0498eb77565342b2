//! Whole numbers written in base 36, 58 or 62. Nothing marks them, so that only what reads as text
//! from end to end, or has base58's checksum, is taken.

use sha2::{Digest, Sha256};

use super::branch::{Decoded, Places};
use super::runs::row;

/// Fewer symbols could read as text by chance: fifteen bytes do once in a million.
pub(super) const SYMBOLS_MIN: usize = 22;

/// The time grows with the square of the length; a longer token is no credential.
const SYMBOLS_MAX: usize = 256;

const OUTSIDE: u8 = 0xff;

struct Alphabet {
    name: &'static str,
    base: u32,
    values: [u8; 256],
}

const fn alphabet(name: &'static str, symbols: &[u8]) -> Alphabet {
    let mut values = [OUTSIDE; 256];
    let mut value = 0;
    while value < symbols.len() {
        values[symbols[value] as usize] = value as u8;
        if symbols.len() == 36 {
            values[symbols[value].to_ascii_uppercase() as usize] = value as u8;
        }
        value += 1;
    }
    Alphabet {
        name,
        base: symbols.len() as u32,
        values,
    }
}

static ALPHABETS: [Alphabet; 4] = [
    alphabet("base36", b"0123456789abcdefghijklmnopqrstuvwxyz"),
    alphabet(
        "base58",
        b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz",
    ),
    alphabet(
        "base62",
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
    ),
    alphabet(
        "base62",
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    ),
];

/// What a token of letters and digits reads as.
pub(super) fn decode(bytes: &[u8], word: std::ops::Range<usize>) -> impl Iterator<Item = Decoded> {
    let token = &bytes[word.clone()];
    let mut digits = token.iter().filter(|b| b.is_ascii_digit());
    let has_digits = digits.nth(1).is_some();
    let is_hex = token.iter().all(u8::is_ascii_hexdigit);
    let fits = (SYMBOLS_MIN..=SYMBOLS_MAX).contains(&token.len());
    let alphabets = if fits && has_digits && !is_hex {
        &ALPHABETS[..]
    } else {
        &[]
    };
    let may_be = |alphabet: &&Alphabet| may_be_text(alphabet, token);
    alphabets.iter().filter(may_be).filter_map(move |alphabet| {
        let bytes = payload(alphabet, number(alphabet, token))?;
        Some(Decoded {
            name: alphabet.name,
            bytes,
            places: Places::Whole(word.clone()),
            clipped: false,
        })
    })
}

/// Whether all are symbols, and the number's last eight bytes are text, or the four before a
/// checksum: of random symbols, one token in fifty is.
fn may_be_text(alphabet: &Alphabet, token: &[u8]) -> bool {
    if row(token, &alphabet.values) < token.len() {
        return false;
    }
    let last = token.iter().fold(0u64, |number, symbol| {
        number
            .wrapping_mul(u64::from(alphabet.base))
            .wrapping_add(u64::from(alphabet.values[usize::from(*symbol)]))
    });
    let [content @ .., _, _, _, _] = last.to_be_bytes();
    content.iter().all(is_text) && (alphabet.base == 58 || last.to_be_bytes().iter().all(is_text))
}

fn is_text(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')
}

/// The bytes of the number that the symbols write, the highest first.
fn number(alphabet: &Alphabet, token: &[u8]) -> Vec<u8> {
    let mut limbs: Vec<u32> = Vec::with_capacity(token.len() / 5 + 1);
    for symbol in token {
        let mut carry = u64::from(alphabet.values[usize::from(*symbol)]);
        for limb in &mut limbs {
            carry += u64::from(*limb) * u64::from(alphabet.base);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            limbs.push(carry as u32);
        }
    }
    let bytes = limbs.iter().rev().flat_map(|limb| limb.to_be_bytes());
    bytes.skip_while(|byte| *byte == 0).collect()
}

/// The bytes if they are text, or what is before a checksum that is right.
fn payload(alphabet: &Alphabet, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    if bytes.iter().all(is_text) {
        return Some(bytes);
    }
    let (content, sum) = bytes.split_last_chunk::<4>()?;
    // A version byte of a payload may not be text.
    if alphabet.base != 58 || !content.get(1..)?.iter().all(is_text) {
        return None;
    }
    let hash = Sha256::digest(Sha256::digest(content));
    let len = (hash[..4] == *sum).then_some(content.len())?;
    bytes.truncate(len);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn text_is_read_and_nothing_else() {
        let text = b"Gh7kQ2mZ9xT4vB6nL1pW8sD3fR5jY0aC";
        assert!(decode(text, 0..text.len()).next().is_none());
        let text = b"3yZeVh8Kq6Hc5bB2mRXQd7vBfP9tjw4L";
        assert!(decode(text, 0..text.len()).next().is_none());
    }
}
