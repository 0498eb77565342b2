//! Forms that look encoded and leave nothing to choose, or are so common that they say nothing:
//! identifiers and hashes, and what text becomes when it is encoded on purpose.

use std::borrow::Cow;

use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, HEXLOWER_PERMISSIVE};

use crate::content_id::is_content_id;

/// Digits of the hashes in use, in hexadecimal: MD5, SHA-1, SHA-224, SHA-256, SHA-384 and SHA-512; and
/// what is left of some where a store keeps the first digits as a folder.
const HASH_DIGITS: [usize; 9] = [32, 38, 40, 56, 60, 62, 64, 96, 128];
/// Symbols of 20 and 32 bytes in the base 32 of Nix's store, which has no `e`, `o`, `t` and `u`.
const STORE_HASH_SYMBOLS: [usize; 2] = [32, 52];
/// Symbols of the integrity values of the web (SRI, W3C): the hash's name, a dash, base64.
const INTEGRITY: [(&[u8], usize); 3] = [(b"sha256-", 44), (b"sha384-", 64), (b"sha512-", 88)];

/// Whether letters and digits in a row have the form of a hash.
pub(crate) fn is_hash(run: &[u8]) -> bool {
    let is_store = |b: &u8| {
        b.is_ascii_digit() || b.is_ascii_lowercase() && !matches!(b, b'e' | b'o' | b't' | b'u')
    };
    let is_hex = HASH_DIGITS.contains(&run.len()) && run.iter().all(u8::is_ascii_hexdigit);
    is_hex
        || is_content_id(run)
        || (STORE_HASH_SYMBOLS.contains(&run.len()) && run.iter().all(is_store))
}

/// Whether a value is a picture in base64, as it stands or in a `data:` URL: PNG, JPEG, GIF, RIFF
/// or SVG.
pub(crate) fn is_picture(value: &[u8]) -> bool {
    const STARTS: [&[u8]; 5] = [b"iVBORw0KGgo", b"/9j/", b"R0lGOD", b"UklGR", b"PHN2Zy"];
    let base64 = match value.starts_with(b"data:image/") {
        true => value.splitn(2, |b| *b == b',').nth(1).unwrap_or_default(),
        false => value,
    };
    STARTS.iter().any(|start| base64.starts_with(start))
}

/// Whether a whole value is of a form that leaves nothing to choose: a UUID, a hash with its name.
pub(crate) fn is_known(value: &[u8]) -> bool {
    is_uuid(value)
        || INTEGRITY
            .iter()
            .any(|(start, symbols)| value.strip_prefix(*start).map(<[u8]>::len) == Some(*symbols))
}

pub(crate) fn is_uuid(text: &[u8]) -> bool {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    text.len() == 36
        && text
            .iter()
            .enumerate()
            .all(|(at, byte)| match DASHES.contains(&at) {
                true => *byte == b'-',
                false => byte.is_ascii_hexdigit(),
            })
}

/// Text that was encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoded {
    /// Bytes of prose, of lines, or of a program: what no client puts into a name.
    Lines(usize),
    /// Bytes of JSON, which clients do encode.
    Json(usize),
    /// Bytes of text without spaces: an identifier, a form, a word.
    Compact(usize),
}

/// The text that a piece of an alphabet encodes, in hexadecimal, base 32 or base 64; whole groups of
/// it. Of random bytes as many, not one in a million pieces reads as text.
pub(crate) fn encoded_text(piece: &[u8]) -> Option<Encoded> {
    const HEX_DIGITS_MIN: usize = 24;
    const BASE32_SYMBOLS_MIN: usize = 20;
    const BASE64_SYMBOLS_MIN: usize = 22;
    let dashless = without(piece, b"-");
    let hex = dashless.iter().all(u8::is_ascii_hexdigit) && dashless.len() >= HEX_DIGITS_MIN;
    if let Some(text) = hex.then(|| read(&dashless, 2, hexadecimal)).flatten() {
        return Some(text);
    }
    let is_base32 = |b: &u8| b.is_ascii_alphabetic() || matches!(b, b'2'..=b'7');
    let base32 = dashless.iter().all(is_base32) && dashless.len() >= BASE32_SYMBOLS_MIN;
    let one_case = !dashless.iter().any(u8::is_ascii_uppercase)
        || !dashless.iter().any(u8::is_ascii_lowercase);
    if let Some(text) = (base32 && one_case)
        .then(|| read(&dashless, 8, base32_whole))
        .flatten()
    {
        return Some(text);
    }
    let trimmed = without(piece, b"=");
    let base64 = trimmed.len() >= BASE64_SYMBOLS_MIN;
    base64.then(|| read(&trimmed, 4, base64_whole)).flatten()
}

fn without<'a>(piece: &'a [u8], marks: &[u8]) -> Cow<'a, [u8]> {
    match piece.iter().any(|b| marks.contains(b)) {
        true => piece
            .iter()
            .copied()
            .filter(|b| !marks.contains(b))
            .collect(),
        false => Cow::Borrowed(piece),
    }
}

fn read(symbols: &[u8], group: usize, decode: fn(&[u8]) -> Option<Vec<u8>>) -> Option<Encoded> {
    let whole = symbols.len() - symbols.len() % group;
    kind_of(&decode(&symbols[..whole])?)
}

fn hexadecimal(symbols: &[u8]) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(symbols).ok()
}

fn base32_whole(symbols: &[u8]) -> Option<Vec<u8>> {
    BASE32_NOPAD.decode(&symbols.to_ascii_uppercase()).ok()
}

fn base64_whole(symbols: &[u8]) -> Option<Vec<u8>> {
    let standard: Vec<u8> = symbols
        .iter()
        .map(|b| match b {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    BASE64_NOPAD.decode(&standard).ok()
}

/// What decoded bytes are, if they are text. A letter of several bytes may be cut at the end.
fn kind_of(bytes: &[u8]) -> Option<Encoded> {
    const BYTES_A_SPACE: usize = 12;
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    let wide = text.chars().filter(|c| !c.is_ascii()).count();
    // Two random bytes in a hundred read as a letter of another alphabet: some are honest, many are not text.
    if text.is_empty() || text.contains(is_control) || wide > 0 && !is_of_one_script(text) {
        return None;
    }
    let spaces = text.bytes().filter(|b| *b == b' ').count();
    let is_json = text.starts_with("{\"") || text.starts_with("[{") || text.starts_with("[\"");
    let has_lines = text.contains('\n') || spaces * BYTES_A_SPACE >= text.len();
    Some(match (is_json, has_lines) {
        (true, _) => Encoded::Json(text.len()),
        (false, true) => Encoded::Lines(text.len()),
        (false, false) => Encoded::Compact(text.len()),
    })
}

/// Whether letters beyond ASCII are near each other in the code space, as those of one script are.
fn is_of_one_script(text: &str) -> bool {
    const SCRIPT: u32 = 0x600;
    const IDEOGRAPHS: std::ops::RangeInclusive<u32> = 0x2e80..=0xd7a3;
    let wide = || {
        text.chars()
            .map(u32::from)
            .filter(|c| *c > 0x7f && !IDEOGRAPHS.contains(c))
    };
    let (low, high) = (wide().min().unwrap_or(0), wide().max().unwrap_or(0));
    high - low <= SCRIPT
}

#[cfg(test)]
mod tests {
    use super::{Encoded, encoded_text, is_hash, is_known};

    #[test]
    fn hashes_and_identifiers() {
        for hash in [
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "d41d8cd98f00b204e9800998ecf8427e",
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
            "0ldfwk9zrqzdnpmd4q1ghlhgx5nlg6y8",
        ] {
            assert!(is_hash(hash.as_bytes()), "{hash}");
        }
        for other in [
            "da39a3ee5e6b4b0d3255bfef95601890afd8070",
            "q7x2Kd9vZ1p4W8j3Nf6bT5y0H2c9Xq4r",
        ] {
            assert!(!is_hash(other.as_bytes()), "{other}");
        }
        assert!(is_known(b"550e8400-e29b-41d4-a716-446655440000"));
        assert!(is_known(
            b"sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        ));
        assert!(!is_known(b"sha256-47DEQpj8HBSa"));
    }

    #[test]
    fn text_is_seen_through_its_encoding() {
        use Encoded::{Compact, Json, Lines};
        let cases: &[(&str, Option<Encoded>)] = &[
            (
                "cm9vdDp4OjA6MDpyb290Oi9yb290Oi9iaW4vYmFzaApkYWVtb24",
                Some(Lines(36)),
            ),
            ("nbswy3dpeb3w64tmmqqhi2djomqgs4za", Some(Lines(20))),
            ("68656c6c6f20776f726c642074686973", Some(Lines(16))),
            ("68656c6c-6f20-776f-726c-642074686973", Some(Lines(16))),
            ("c2VjcmV0X2RhdGFfd2l0aG91dF9zcGFjZXM", Some(Compact(24))),
            ("eyJ1c2VyIjo0MiwibmFtZSI6IkphbmUifQ", Some(Json(24))),
            ("da39a3ee5e6b4b0d3255bfef95601890afd80709", None),
            ("q7x2Kd9vZ1p4W8j3Nf6bT5y0H2c9Xq4rM7gkZ6v1", None),
            ("internationalisationlocalisation", None),
        ];
        for (piece, expect) in cases {
            let found = encoded_text(piece.as_bytes());
            match expect {
                Some(_) => assert_eq!(found, *expect, "{piece}"),
                None => assert!(!matches!(found, Some(Lines(16..))), "{piece}: {found:?}"),
            }
        }
    }
}
