//! Bytes that are written as lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// `N` bytes, written as `2 * N` lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hex<const N: usize>([u8; N]);

/// A SHA-256.
pub type Digest = Hex<32>;

/// An Ed25519 public key, RFC 8032 section 5.1.5.
pub type PublicKey = Hex<32>;

/// The first eight bytes of the SHA-256 of a public key.
pub type KeyId = Hex<8>;

/// A finding's keyed hash of the bytes that it matched.
pub type Fingerprint = Hex<8>;

/// An Ed25519 signature, RFC 8032 section 5.1.6.
pub(crate) type Signature = Hex<64>;

/// The longest value written in hexadecimal: a signature's digits.
pub(crate) const DIGITS_MAX: usize = 128;

impl<const N: usize> Hex<N> {
    /// Wraps bytes.
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    pub(crate) fn digits<'b>(&self, buffer: &'b mut [u8; DIGITS_MAX]) -> &'b str {
        let digits = &mut buffer[..2 * N];
        HEXLOWER.encode_mut(&self.0, digits);
        std::str::from_utf8(digits).expect("hexadecimal digits are ASCII")
    }
}

impl Digest {
    /// What the first log of a chain names as its predecessor.
    pub const ZERO: Self = Self([0; 32]);

    /// The SHA-256 of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// The id of a public key, for showing beside a signature.
pub(crate) fn key_id(key: &PublicKey) -> KeyId {
    let digest = Sha256::digest(key.as_bytes());
    let mut id = [0; 8];
    id.copy_from_slice(&digest[..8]);
    Hex(id)
}

impl<const N: usize> FromStr for Hex<N> {
    type Err = ParseHex;

    fn from_str(text: &str) -> Result<Self, ParseHex> {
        let bytes = HEXLOWER
            .decode(text.as_bytes())
            .map_err(|_| ParseHex(2 * N))?;
        let bytes = bytes.try_into().map_err(|_| ParseHex(2 * N))?;
        Ok(Self(bytes))
    }
}

/// The text is not as many lower-case hexadecimal digits as are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0} lower-case hexadecimal digits")]
pub struct ParseHex(usize);

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.digits(&mut [0; DIGITS_MAX]))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.digits(&mut [0; DIGITS_MAX]))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_go_both_ways() {
        let digest = Digest::of(b"abc");
        let text = digest.to_string();
        assert_eq!(
            text,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(text.parse(), Ok(digest));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in [
            "",
            "0",
            "00",
            &"0".repeat(63),
            &"A".repeat(64),
            &"0".repeat(66),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(ParseHex(64)), "{text}");
        }
    }
}
