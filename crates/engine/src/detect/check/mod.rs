//! Validators over matched bytes.

mod checksum;
mod money;
mod published;
mod random;
mod structure;

pub(crate) use checksum::base58check;
pub(crate) use money::{digits, iban_len, is_card, is_iban};
pub(crate) use published::is_published;
pub(crate) use random::is_passing_name;

/// What a validator looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Check {
    /// Bits of Shannon entropy a byte, at least.
    Entropy(f32),
    /// At least one letter and one digit.
    Mixed,
    /// Not a word of a template: `your-key-here`, `<token>`, `${TOKEN}`, `process.env.TOKEN`.
    Filled,
    /// A URL's password: how bad it is, its name and host tell (RFC 3986, section 3.2.1).
    Userinfo,
    /// Not a template, and as hard to guess as a generated secret: not a word, an identifier, a
    /// path, a UUID or a number.
    Setting,
    /// A JSON Web Token: a header that is an object with `alg`, claims that are an object, and a
    /// signature in base64url (RFC 7519, section 7.2; RFC 7515, section 5.2).
    Jwt,
    /// The body of a PEM file begins as what its label says: DER, OpenSSH's own form, OpenPGP
    /// packets (RFC 7468; RFC 9580, section 6).
    Pem,
    /// Credentials of HTTP's `Basic`: base64 of a name, a colon and a password (RFC 7617, section 2).
    Basic,
    /// A macaroon in its binary form, version 2, as PyPI's tokens are.
    Macaroon,
    /// An AWS key id: base32, with an account of at most twelve digits in the newer form.
    AwsKeyId,
    /// Base58 with four bytes of double SHA-256.
    Base58check,
    /// Base32 with a checksum (BIP-173, "Bech32").
    Bech32,
    /// Base32 of a version byte, a key and its CRC-16 (Stellar's SEP-23).
    Strkey,
    /// GitHub's and npm's tokens end in the CRC-32 of the rest, in base62.
    GithubCrc,
    /// GitLab's routable tokens end in the CRC-32 of the rest, in base36. Others have none.
    GitlabCrc,
    /// Grafana's service account tokens end in the CRC-32 of the rest, in hexadecimal.
    GrafanaCrc,
    /// A private key of X25519, clamped (RFC 7748, section 5), in base64.
    Clamped,
    /// A 9-digit routing number (ABA).
    Aba,
    /// A payment card number: an issuer's prefix and length, and Luhn's digit (ISO/IEC 7812-1).
    LuhnIssuer,
    /// An IBAN: the country's length and remainder (ISO 13616-1).
    Mod97,
}

/// What a validator makes of a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// It is none.
    Reject,
    /// It looks like one, but its checksum or its inner form fails.
    Doubt,
    /// It is one.
    Pass,
}

impl Check {
    pub(crate) fn outcome(self, value: &[u8]) -> Outcome {
        let surely = |holds: bool| {
            if holds {
                Outcome::Pass
            } else {
                Outcome::Reject
            }
        };
        let maybe = |holds: bool| if holds { Outcome::Pass } else { Outcome::Doubt };
        match self {
            Self::Entropy(least) => surely(random::entropy(value) >= least),
            Self::Mixed => surely(random::is_mixed(value)),
            Self::Userinfo => Outcome::Pass,
            Self::Filled => surely(!random::is_template(value)),
            Self::Setting => surely(random::is_setting(value)),
            Self::Jwt => structure::jwt(value),
            Self::Pem => maybe(structure::is_pem(value)),
            Self::Basic => surely(structure::is_basic(value)),
            Self::Macaroon => maybe(structure::is_macaroon(value)),
            Self::AwsKeyId => maybe(structure::is_aws_key_id(value)),
            Self::Base58check => maybe(base58check(value).is_some()),
            Self::Bech32 => maybe(checksum::is_bech32(value)),
            Self::Strkey => surely(checksum::is_strkey(value)),
            Self::GithubCrc => maybe(checksum::is_github_crc(value)),
            Self::GitlabCrc => maybe(checksum::is_gitlab_crc(value)),
            Self::GrafanaCrc => maybe(checksum::is_grafana_crc(value)),
            Self::Clamped => maybe(structure::is_clamped(value)),
            Self::Aba => surely(money::is_aba(value)),
            Self::LuhnIssuer => surely(is_card(&digits(value))),
            Self::Mod97 => surely(is_iban(value)),
        }
    }
}

/// The strictest outcome of all checks.
pub(crate) fn outcome(checks: &[Check], value: &[u8]) -> Outcome {
    checks
        .iter()
        .map(|check| check.outcome(value))
        .min()
        .unwrap_or(Outcome::Pass)
}

#[cfg(test)]
mod tests;
