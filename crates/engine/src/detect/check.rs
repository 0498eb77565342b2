//! Validators over matched bytes.

use sha2::{Digest, Sha256};

/// What a validator looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Check {
    /// Bits of Shannon entropy a byte, at least.
    Entropy(f32),
    /// A JSON Web Token's header: base64url of a JSON object with `alg` (RFC 7519, section 5).
    Jwt,
    /// Base58 with four bytes of double SHA-256.
    Base58check,
    /// GitHub's tokens end in the CRC-32 of the rest, in base62.
    GithubCrc,
    /// At least one letter and one digit.
    Mixed,
    /// Not a word of a template: `your-key-here`, `<token>`, `${TOKEN}`, `process.env.TOKEN`.
    Filled,
    /// Not a template, and as hard to guess as a generated secret: not a word, an identifier, a
    /// path, a UUID or a number.
    Setting,
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
    /// It looks like one, but its checksum fails.
    Doubt,
    /// It is one.
    Pass,
}

impl Check {
    pub(crate) fn outcome(self, value: &[u8]) -> Outcome {
        let or = |holds: bool, otherwise| if holds { Outcome::Pass } else { otherwise };
        match self {
            Self::Entropy(least) => or(entropy(value) >= least, Outcome::Reject),
            Self::Jwt => or(is_jwt(value), Outcome::Reject),
            Self::Base58check => or(base58check(value).is_some(), Outcome::Doubt),
            Self::GithubCrc => or(is_github_crc(value), Outcome::Doubt),
            Self::Mixed => or(is_mixed(value), Outcome::Reject),
            Self::Filled => or(!is_template(value), Outcome::Reject),
            Self::Setting => or(is_setting(value), Outcome::Reject),
            Self::Aba => or(is_aba(value), Outcome::Reject),
            Self::LuhnIssuer => or(is_card(&digits(value)), Outcome::Reject),
            Self::Mod97 => or(is_iban(value), Outcome::Reject),
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

/// Shannon entropy in bits a byte.
pub(crate) fn entropy(value: &[u8]) -> f32 {
    let mut counts = [0u32; 256];
    value.iter().for_each(|byte| counts[*byte as usize] += 1);
    let total = value.len() as f32;
    let terms = counts.iter().filter(|count| **count > 0).map(|count| {
        let share = *count as f32 / total;
        -share * share.log2()
    });
    terms.sum()
}

fn is_jwt(value: &[u8]) -> bool {
    let header = value.split(|b| *b == b'.').next().unwrap_or_default();
    let Ok(json) = data_encoding::BASE64URL_NOPAD.decode(header) else {
        return false;
    };
    let header: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_slice(&json);
    header.is_ok_and(|header| header.contains_key("alg"))
}

/// The payload, with its version byte.
pub(crate) fn base58check(value: &[u8]) -> Option<Vec<u8>> {
    let decoded = bs58::decode(value).into_vec().ok()?;
    let (payload, checksum) = decoded.split_at_checked(decoded.len().checked_sub(4)?)?;
    let hash = Sha256::digest(Sha256::digest(payload));
    (hash[..4] == *checksum).then(|| payload.to_vec())
}

/// Six base62 digits after the prefix and thirty random ones.
fn is_github_crc(value: &[u8]) -> bool {
    let Some(split) = value.len().checked_sub(6) else {
        return false;
    };
    let Some(start) = value.iter().position(|b| *b == b'_').map(|at| at + 1) else {
        return false;
    };
    if start > split {
        return false;
    }
    let mut crc = flate2::Crc::new();
    crc.update(&value[start..split]);
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'Z' => byte - b'A' + 10,
        _ => byte - b'a' + 36,
    };
    let stated = value[split..]
        .iter()
        .fold(0u64, |sum, b| sum * 62 + u64::from(digit(b)));
    stated == u64::from(crc.sum())
}

fn is_mixed(value: &[u8]) -> bool {
    value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic)
}

/// Parts of values that stand for a secret in documents and code, and are none.
const TEMPLATES: [&str; 34] = [
    "your",
    "xxxx",
    "****",
    "....",
    "<",
    ">",
    "${",
    "{{",
    "$(",
    "%s",
    "example",
    "placeholder",
    "changeme",
    "change_me",
    "change-me",
    "redacted",
    "dummy",
    "sample",
    "insert",
    "process.env",
    "os.environ",
    "getenv",
    "env.",
    "secrets.",
    "config.",
    "settings.",
    "self.",
    "this.",
    "(",
    "[",
    "todo",
    "null",
    "undefined",
    "1234567890",
];

fn is_template(value: &[u8]) -> bool {
    const WORDS: [&[u8]; 7] = [
        b"password",
        b"passwd",
        b"passphrase",
        b"secret",
        b"token",
        b"hunter2",
        b"postgres",
    ];
    let value = value.to_ascii_lowercase();
    WORDS.contains(&value.as_slice())
        || TEMPLATES
            .iter()
            .any(|part| memchr::memmem::find(&value, part.as_bytes()).is_some())
}

/// Bits a byte of a value that no one made up as a name.
const SETTING_ENTROPY_MIN: f32 = 3.0;

fn is_setting(value: &[u8]) -> bool {
    let count = |test: fn(&u8) -> bool| value.iter().filter(|b| test(b)).count();
    let digits = count(u8::is_ascii_digit);
    let letters = count(u8::is_ascii_alphabetic);
    let others = value.len() - digits - letters;
    // Names, calls, paths, dates and versions are words with marks between; a secret's digits and
    // cases alternate.
    digits >= 1
        && letters >= 3
        && others * 3 <= value.len()
        && !is_template(value)
        && !is_uuid(value)
        && entropy(value) >= SETTING_ENTROPY_MIN
        && changes(value) * 4 >= value.len()
        && !value.starts_with(b"/")
        && !value.starts_with(b"$")
        && memchr::memmem::find(value, b"://").is_none()
}

/// How often the kind of byte (digit, upper, lower, mark) changes along a value. A capital that
/// begins a word is no change.
fn changes(value: &[u8]) -> usize {
    let kind = |b: u8| match b {
        b'0'..=b'9' => 0,
        b'A'..=b'Z' => 1,
        b'a'..=b'z' => 2,
        _ => 3,
    };
    let pairs = value.windows(2).map(|pair| (kind(pair[0]), kind(pair[1])));
    pairs
        .filter(|(a, b)| a != b && !matches!((a, b), (1, 2) | (3, _) | (_, 3)))
        .count()
}

fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36
        && value.iter().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// The ASCII digits of a value.
pub(crate) fn digits(value: &[u8]) -> Vec<u8> {
    value
        .iter()
        .filter(|b| b.is_ascii_digit())
        .map(|b| b - b'0')
        .collect()
}

fn is_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let weighed = u32::from(*digit) << (index % 2);
            if weighed > 9 { weighed - 9 } else { weighed }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Issuer identification numbers and lengths of Visa, Mastercard, American Express, Discover, JCB,
/// Diners Club and UnionPay, as their public tables give them.
pub(crate) fn is_card(digits: &[u8]) -> bool {
    if digits.len() < 13 {
        return false;
    }
    let prefix = |n: usize| {
        digits[..n]
            .iter()
            .fold(0u32, |sum, d| sum * 10 + u32::from(*d))
    };
    let issued = match digits.len() {
        13 => false,
        14 => matches!(prefix(3), 300..=305 | 309) || matches!(prefix(2), 36 | 38 | 39),
        15 => matches!(prefix(2), 34 | 37),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 62 | 65)
                || matches!(prefix(4), 2221..=2720 | 3528..=3589 | 6011)
                || matches!(prefix(3), 644..=649)
        }
        19 => prefix(2) == 62 || prefix(1) == 4,
        _ => false,
    };
    issued
        && is_luhn(digits)
        && digits
            .iter()
            .any(|digit| *digit != digits[digits.len() - 1])
}

/// Lengths of IBANs by country, from the registry of ISO 13616.
const IBAN_LENGTHS: &str = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BR29BY28CH21CR22CY28CZ24DE22DK18DO28EE20EG29ES24FI18FO18FR27GB22GE22GI23GL18GR27GT28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21MC27MD24ME22MK19MR27MT31MU30NL18NO15PK24PL28PS29PT25QA29RO24RS22SA24SC31SE24SI19SK24SM27ST25SV28TL23TN24TR26UA29VA22VG24XK20";

/// The length of a country's IBANs.
pub(crate) fn iban_len(country: [u8; 2]) -> Option<usize> {
    let entries = IBAN_LENGTHS.as_bytes().chunks_exact(4);
    let found = entries.clone().find(|entry| entry[..2] == country)?;
    Some(usize::from(found[2] - b'0') * 10 + usize::from(found[3] - b'0'))
}

/// `value` is upper case, without spaces.
pub(crate) fn is_iban(value: &[u8]) -> bool {
    if value.len() < 5 || iban_len([value[0], value[1]]) != Some(value.len()) {
        return false;
    }
    let remainder = value[4..]
        .iter()
        .chain(&value[..4])
        .try_fold(0u32, |sum, byte| {
            let digit = char::from(*byte).to_digit(36)?;
            Some((sum * if digit > 9 { 100 } else { 10 } + digit) % 97)
        });
    remainder == Some(1)
}

fn is_aba(value: &[u8]) -> bool {
    let digits = digits(value);
    let weights = [3, 7, 1, 3, 7, 1, 3, 7, 1];
    let sum: u32 = digits
        .iter()
        .zip(weights)
        .map(|(d, w)| u32::from(*d) * w)
        .sum();
    digits.len() == 9 && sum > 0 && sum.is_multiple_of(10)
}
