//! The inner form of credentials that are more than random digits.

use data_encoding::{BASE32_NOPAD, BASE64, BASE64_NOPAD, BASE64URL_NOPAD};
use serde_json::{Map, Value};

use super::{Outcome, random};

/// Two objects and a signature. What names no algorithm or shows a template is none; claims that
/// are no object make it doubtful.
pub(super) fn jwt(value: &[u8]) -> Outcome {
    if random::is_template(value) {
        return Outcome::Reject;
    }
    let mut parts = value.split(|b| *b == b'.').map(|part| {
        let json = BASE64URL_NOPAD.decode(part).ok()?;
        serde_json::from_slice::<Map<String, Value>>(&json).ok()
    });
    let header = parts.next().flatten();
    if !header.is_some_and(|header| header.get("alg").is_some_and(Value::is_string)) {
        return Outcome::Reject;
    }
    match parts.next().flatten() {
        Some(_) => Outcome::Pass,
        None => Outcome::Doubt,
    }
}

/// Digits of base64 that are looked at: 24 bytes of the body.
const PEM_DIGITS: usize = 32;

/// From the `BEGIN` line on. An encrypted body of the old form shows nothing, and PuTTY's form has
/// no such line.
pub(super) fn is_pem(value: &[u8]) -> bool {
    let contains = |part: &[u8]| memchr::memmem::find(value, part).is_some();
    let Some(label_end) = memchr::memmem::rfind(value, b"-----") else {
        return true;
    };
    if contains(b"Proc-Type") {
        return true;
    }
    let Some(body) = body_of(&value[label_end + 5..]) else {
        return false;
    };
    if contains(b"PGP") {
        // The first packet's header has its highest bit set.
        return body[0] & 0x80 != 0;
    }
    body.starts_with(b"openssh-key-v1\0") || is_der_sequence(&body)
}

/// The first bytes of a body after its header lines, with line breaks and escapes of them dropped.
fn body_of(text: &[u8]) -> Option<Vec<u8>> {
    let last_header = memchr::memmem::rfind(text, b": ");
    let start = last_header.map_or(0, |at| {
        at + memchr::memchr(b'\n', &text[at..]).unwrap_or(text.len() - at)
    });
    let escaped = text[start..].split(|b| *b == b'\\').enumerate();
    let lines = escaped.map(|(index, part)| match part {
        [b'n' | b'r', rest @ ..] if index > 0 => rest,
        other => other,
    });
    let digits = lines.flatten().filter(|b| !b.is_ascii_whitespace());
    let digits: Vec<u8> = digits.take(PEM_DIGITS).copied().collect();
    let decoded = BASE64_NOPAD.decode(&digits).ok()?;
    (digits.len() == PEM_DIGITS).then_some(decoded)
}

/// A sequence with the length of a key, and in it a number or another sequence (ITU-T X.690).
fn is_der_sequence(der: &[u8]) -> bool {
    let inner = match der {
        [0x30, 0x82, high, ..] if (1..=0x40).contains(high) => der.get(4),
        [0x30, 0x81, 0x80..=0xff, ..] => der.get(3),
        [0x30, 0x10..=0x7f, ..] => der.get(2),
        _ => None,
    };
    matches!(inner, Some(0x02 | 0x30))
}

/// A printable name, a colon and a password that is no template.
pub(super) fn is_basic(value: &[u8]) -> bool {
    let decoded = BASE64.decode(value).or_else(|_| BASE64_NOPAD.decode(value));
    let Ok(decoded) = decoded else {
        return false;
    };
    let printable =
        std::str::from_utf8(&decoded).is_ok_and(|text| !text.contains(char::is_control));
    let colon = memchr::memchr(b':', &decoded);
    let password = colon.map_or(&[][..], |at| &decoded[at + 1..]);
    printable && password.len() >= 5 && !random::is_template(password)
}

/// A location, an identifier, caveats, and a signature of 32 bytes.
pub(super) fn is_macaroon(value: &[u8]) -> bool {
    const VERSION: u8 = 2;
    const END: u8 = 0;
    const SIGNATURE: u8 = 6;
    const SIGNATURE_BYTES: usize = 32;
    let text = value.splitn(2, |b| *b == b'-').last().unwrap_or_default();
    let Ok(bytes) = BASE64URL_NOPAD.decode(text) else {
        return false;
    };
    let [VERSION, fields @ ..] = &bytes[..] else {
        return false;
    };
    let mut rest = fields;
    while let [kind, after @ ..] = rest {
        if *kind == END {
            rest = after;
            continue;
        }
        let Some((field, next)) = varint(after).and_then(|(len, text)| text.split_at_checked(len))
        else {
            return false;
        };
        if *kind == SIGNATURE {
            return field.len() == SIGNATURE_BYTES;
        }
        rest = next;
    }
    false
}

/// A length of at most two bytes, and what follows it.
fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match bytes {
        [low @ 0..=0x7f, rest @ ..] => Some((usize::from(*low), rest)),
        [low, high @ 0..=0x7f, rest @ ..] => {
            Some((usize::from(low & 0x7f) | usize::from(*high) << 7, rest))
        }
        _ => None,
    }
}

/// Sixteen base32 digits after four letters. Where the first bit is set, the next forty are the
/// account's number.
pub(super) fn is_aws_key_id(value: &[u8]) -> bool {
    const ACCOUNT_MAX: u64 = 999_999_999_999;
    let digits = value.get(4..).unwrap_or_default().to_ascii_uppercase();
    let Ok(bytes) = BASE32_NOPAD.decode(&digits) else {
        return false;
    };
    let first: [u8; 8] = match bytes.get(..6) {
        Some(head) => [0, 0, head[0], head[1], head[2], head[3], head[4], head[5]],
        None => return false,
    };
    let first = u64::from_be_bytes(first);
    let is_new = first >> 47 == 1;
    let account = first >> 7 & ((1 << 40) - 1);
    !is_new || account <= ACCOUNT_MAX
}

/// 32 bytes: the lowest three bits and the highest are clear, the second highest is set.
pub(super) fn is_clamped(value: &[u8]) -> bool {
    let Ok(key) = BASE64.decode(value) else {
        return false;
    };
    matches!(key[..], [first, .., last] if key.len() == 32 && first & 7 == 0 && last >> 6 == 1)
}
