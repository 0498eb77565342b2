//! Checksums that a credential's own format carries.

use sha2::{Digest, Sha256};

/// The payload, with its version byte.
pub(crate) fn base58check(value: &[u8]) -> Option<Vec<u8>> {
    let decoded = bs58::decode(value).into_vec().ok()?;
    let (payload, checksum) = decoded.split_at_checked(decoded.len().checked_sub(4)?)?;
    let hash = Sha256::digest(Sha256::digest(payload));
    (hash[..4] == *checksum).then(|| payload.to_vec())
}

/// Six base62 digits after the prefix and thirty random ones. A host name has lost its capitals,
/// and with them what the checksum says.
pub(super) fn is_github_crc(value: &[u8]) -> bool {
    const DIGITS: usize = 6;
    if !value.iter().any(u8::is_ascii_uppercase) {
        return true;
    }
    let Some(start) = value.iter().position(|b| *b == b'_').map(|at| at + 1) else {
        return false;
    };
    let Some((body, stated)) = value[start..].split_last_chunk::<DIGITS>() else {
        return false;
    };
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'Z' => Some(byte - b'A' + 10),
        b'a'..=b'z' => Some(byte - b'a' + 36),
        _ => None,
    };
    number(stated, 62, digit) == Some(u64::from(crc32(body)))
}

/// `PREFIX-PAYLOAD.VERSION.LENGTH` and seven base36 digits over all of it, where the token names
/// its cell; the version is missing in the first form. A token without a dot has no checksum.
pub(super) fn is_gitlab_crc(value: &[u8]) -> bool {
    const DIGITS: usize = 7;
    if !value.contains(&b'.') {
        return true;
    }
    let Some((body, stated)) = value.split_last_chunk::<DIGITS>() else {
        return false;
    };
    number(stated, 36, base36) == Some(u64::from(crc32(body)))
}

/// `glsa_SECRET_` and eight hexadecimal digits, least byte first. Without capitals it says nothing.
pub(super) fn is_grafana_crc(value: &[u8]) -> bool {
    if !value.iter().any(u8::is_ascii_uppercase) {
        return true;
    }
    let Some((body, stated)) = value.split_last_chunk::<9>() else {
        return false;
    };
    let stated = data_encoding::HEXLOWER_PERMISSIVE.decode(&stated[1..]);
    stated.is_ok_and(|stated| stated == crc32(body).to_le_bytes())
}

/// The human-readable part, `1`, and data whose last six digits are the checksum.
pub(super) fn is_bech32(value: &[u8]) -> bool {
    const DIGITS: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const CHECKSUM_DIGITS: usize = 6;
    let value = value.to_ascii_lowercase();
    let Some(split) = value.iter().rposition(|b| *b == b'1') else {
        return false;
    };
    let (prefix, data) = (&value[..split], &value[split + 1..]);
    let digits = data
        .iter()
        .map(|b| DIGITS.iter().position(|digit| digit == b));
    let Some(digits) = digits.collect::<Option<Vec<_>>>() else {
        return false;
    };
    let high = prefix.iter().map(|b| u32::from(b >> 5));
    let low = prefix.iter().map(|b| u32::from(b & 31));
    let digits = digits.into_iter().map(|digit| digit as u32);
    let residue = high.chain([0]).chain(low).chain(digits).fold(1, polymod);
    data.len() >= CHECKSUM_DIGITS && residue == 1
}

/// One step of the code over GF(32) that BIP-173 gives.
fn polymod(residue: u32, digit: u32) -> u32 {
    const GENERATOR: [u32; 5] = [
        0x3b6a_57b2,
        0x2650_8e6d,
        0x1ea1_19fa,
        0x3d42_33dd,
        0x2a14_62b3,
    ];
    let top = residue >> 25;
    let shifted = (residue & 0x01ff_ffff) << 5 ^ digit;
    let taps = GENERATOR.iter().enumerate();
    taps.filter(|(bit, _)| top >> bit & 1 == 1)
        .fold(shifted, |sum, (_, tap)| sum ^ tap)
}

/// A version byte, a payload and its CRC-16 (XMODEM), least byte first.
pub(super) fn is_strkey(value: &[u8]) -> bool {
    let Ok(decoded) = data_encoding::BASE32_NOPAD.decode(value) else {
        return false;
    };
    let Some((payload, stated)) = decoded.split_last_chunk::<2>() else {
        return false;
    };
    let crc = payload.iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            let carry = if crc >> 15 == 1 { 0x1021 } else { 0 };
            crc << 1 ^ carry
        })
    });
    crc == u16::from_le_bytes(*stated)
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn base36(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'z' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn number(digits: &[u8], base: u64, digit: impl Fn(u8) -> Option<u8>) -> Option<u64> {
    digits.iter().try_fold(0u64, |sum, byte| {
        Some(sum * base + u64::from(digit(*byte)?))
    })
}
