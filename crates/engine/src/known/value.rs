//! One known value: what of it is secret, and how much of it is a leak.

use zeroize::Zeroizing;

use super::index::Run;
use super::{Part, RULES};
use crate::rules::Rule;

/// Bytes of a value that are looked for. Keys in PEM have some thousand; the rest of what is longer
/// tells nothing more.
pub(super) const BYTES_MAX: usize = 4096;

/// The shortest value that is kept at all.
const NAMED_BYTES_MIN: usize = 8;

/// The shortest value that is kept though nobody named it.
const GENERATED_BYTES_MIN: usize = 12;

/// The shortest part of a value that is a leak by itself.
pub(super) const LEAK_BYTES_MIN: usize = 12;

/// A run of fewer bits, in text at large, says nothing: 2^44 places are some terabytes.
const LONG_PIECE_BITS: u32 = 44;

/// A word of fewer bits says nothing at all.
const PIECE_BITS_MIN: u32 = 16;

/// The shortest word that counts as a piece.
pub(super) const PIECE_BYTES_MIN: usize = 4;

pub(super) struct Value {
    pub(super) name: Box<str>,
    /// In lower case, as it is looked for.
    pub(super) folded: Zeroizing<Box<[u8]>>,
    /// Where the secret part begins: before it stands what all keys of its kind begin with.
    core: usize,
    is_canary: bool,
    /// Whether pieces of it can be told from words.
    has_pieces: bool,
    /// Bits that a byte of it carries, at least, whatever its case.
    bits: u32,
}

impl Value {
    pub(super) fn new(name: Box<str>, value: &[u8], is_canary: bool) -> Self {
        let core = core(value);
        Self {
            name,
            folded: Zeroizing::new(value.to_ascii_lowercase().into()),
            core,
            is_canary,
            has_pieces: is_mixed(&value[core..]),
            bits: bits(&value[core..]),
        }
    }

    pub(super) fn rule(&self) -> &'static Rule {
        &RULES[usize::from(self.is_canary)]
    }

    /// Bytes of the secret part.
    pub(super) fn core_len(&self) -> usize {
        self.folded.len() - self.core
    }

    /// The bytes of the secret part that are a leak: half of it, and no fewer than twelve.
    pub(super) fn leak_len(&self) -> usize {
        let core = self.core_len();
        core.div_ceil(2).max(LEAK_BYTES_MIN).min(core)
    }

    pub(super) fn is_leak(&self, len: u16) -> bool {
        usize::from(len) >= self.leak_len()
    }

    /// What a run shows of the secret part, if anything.
    pub(super) fn part(&self, run: &Run) -> Option<Part> {
        let start = run.start.max(self.core);
        let end = run.start + run.range.len();
        let len = end.checked_sub(start).filter(|len| *len > 0)?;
        Some(Part {
            value: run.value,
            start: start as u16,
            len: len as u16,
        })
    }

    /// Whether a run of so many bytes counts as a piece wherever it stands.
    pub(super) fn is_long_piece(&self, len: u16) -> bool {
        self.has_pieces && u32::from(len) * self.bits >= LONG_PIECE_BITS
    }

    /// A word of `len` bytes that stands at `start` of the value, as a piece.
    pub(super) fn piece(&self, value: u16, start: usize, len: usize) -> Option<Part> {
        let is_piece = self.has_pieces
            && start >= self.core
            && len >= PIECE_BYTES_MIN
            && len as u32 * self.bits >= PIECE_BITS_MIN;
        is_piece.then_some(Part {
            value,
            start: start as u16,
            len: len as u16,
        })
    }

    /// Words among which less than a sixteenth of one is a piece of this length by chance: random
    /// ones are with a chance of one in 2^bits for each place in the value.
    pub(super) fn words_a_chance(&self, len: u16) -> u64 {
        let bits = (u32::from(len) * self.bits).min(62);
        let places = self.core_len().max(1) as u64;
        (1 << bits) / places / 16
    }
}

/// Where the secret part begins: `sk-ant-api03-`, `github_pat_` and `ghp_` are known to all.
fn core(value: &[u8]) -> usize {
    /// The longest such beginning.
    const PREFIX_BYTES_MAX: usize = 20;
    /// A value whose rest is shorter has none.
    const CORE_BYTES_MIN: usize = 16;
    let mut core = 0;
    while let Some(len) = value[core..].iter().position(|b| matches!(b, b'-' | b'_')) {
        let end = core + len + 1;
        let is_short = end <= PREFIX_BYTES_MAX && value.len() - end >= CORE_BYTES_MIN;
        if !is_short || !is_label(&value[core..core + len]) {
            break;
        }
        core = end;
    }
    core
}

/// A few lower-case letters, and at most two digits after them.
fn is_label(part: &[u8]) -> bool {
    const LETTERS_MAX: usize = 8;
    let letters = part.iter().take_while(|b| b.is_ascii_lowercase()).count();
    let rest = &part[letters..];
    (1..=LETTERS_MAX).contains(&letters) && rest.len() <= 2 && rest.iter().all(u8::is_ascii_digit)
}

fn bits(core: &[u8]) -> u32 {
    if core.iter().all(u8::is_ascii_digit) {
        3
    } else if core.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-') {
        4
    } else {
        5
    }
}

/// Whether a value can be told from the words of any text.
pub(super) fn is_telling(value: &[u8]) -> bool {
    const LETTERS_MIN: usize = 12;
    const DISTINCT_MIN: usize = 5;
    let is_word = value.iter().all(u8::is_ascii_alphabetic);
    let is_number = value.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    value.len() >= NAMED_BYTES_MIN
        && distinct(value) >= DISTINCT_MIN
        && (value.len() >= LETTERS_MIN || !(is_word || is_number))
}

/// Whether a value looks generated, so that it is a secret if its name says so.
pub(super) fn is_generated(value: &[u8]) -> bool {
    const DISTINCT_MIN: usize = 8;
    if value.starts_with(b"-----BEGIN ") {
        return true;
    }
    let core = &value[core(value)..];
    value.len() >= GENERATED_BYTES_MIN
        && value.iter().all(u8::is_ascii_graphic)
        && distinct(core) >= DISTINCT_MIN
        && is_mixed(core)
        && !is_path(value)
        && memchr::memmem::find(value, b"://").is_none()
        && !is_template(value)
}

fn distinct(value: &[u8]) -> usize {
    let mut seen = [false; 256];
    value.iter().for_each(|b| seen[usize::from(*b)] = true);
    seen.iter().filter(|seen| **seen).count()
}

/// Whether kinds of bytes alternate as they do in generated text: in names and words a capital
/// begins a word, and digits end it.
fn is_mixed(value: &[u8]) -> bool {
    let kind = |b: u8| match b {
        b'0'..=b'9' => 0,
        b'A'..=b'Z' => 1,
        b'a'..=b'z' => 2,
        _ => 3,
    };
    let pairs = value.windows(2).map(|pair| (kind(pair[0]), kind(pair[1])));
    let changes = pairs.filter(|(a, b)| a != b && !matches!((a, b), (1, 2) | (3, _) | (_, 3)));
    changes.count() * 6 >= value.len()
}

fn is_path(value: &[u8]) -> bool {
    let is_rooted = [&b"/"[..], b"./", b"~/", b"../", b"file:"]
        .into_iter()
        .any(|root| value.starts_with(root));
    is_rooted && value.iter().filter(|b| **b == b'/').count() >= 2
}

/// A place that a person was to fill in.
fn is_template(value: &[u8]) -> bool {
    const PARTS: [&str; 8] = [
        "your",
        "xxxx",
        "example",
        "placeholder",
        "changeme",
        "redacted",
        "${",
        "{{",
    ];
    let value = Zeroizing::new(value.to_ascii_lowercase());
    let has = |part: &str| memchr::memmem::find(&value, part.as_bytes()).is_some();
    PARTS.into_iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::{core, is_generated, is_telling};

    #[test]
    fn what_all_keys_of_a_kind_begin_with_is_no_secret() {
        for (value, rest) in [
            ("sk-ant-api03-Zq8vK2mXw9Lp4RtY7nBc", "Zq8vK2mXw9Lp4RtY7nBc"),
            ("ghp_Zq8vK2mXw9Lp4RtY7nBc", "Zq8vK2mXw9Lp4RtY7nBc"),
            (
                "github_pat_11AZq8vK2mXw9_p4RtY7nBc",
                "11AZq8vK2mXw9_p4RtY7nBc",
            ),
            ("Zq8v-2mXw9Lp4RtY7nBc", "Zq8v-2mXw9Lp4RtY7nBc"),
            ("sk-Zq8vK2mXw9", "sk-Zq8vK2mXw9"),
        ] {
            assert_eq!(&value[core(value.as_bytes())..], rest, "{value}");
        }
    }

    #[test]
    fn only_what_looks_generated_is_taken_without_a_name() {
        for value in [
            "Zq8vK2mXw9Lp4RtY7nBc",
            "9f86d081884c7d659a2feaa0c55ad015",
            "sk-ant-api03-Zq8vK2mXw9Lp4RtY7nBc",
            "3f2b8c1e-7a4d-4e9b-b1c6-5d8f0a2e7c93",
            "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----",
        ] {
            assert!(is_generated(value.as_bytes()), "{value}");
        }
        for value in [
            "production",
            "true",
            "/home/dev/.config/gcloud/key1.json",
            "development-server-01",
            "MyServiceAccountProd",
            "YOUR_API_KEY_9x8y7z",
            "${VAULT_TOKEN_9x8y}",
            "localhost:8080",
            "eu-west-1",
            "a b c d e f 1 2 3 4",
            "2026-01-01T00:00:00Z",
            "file:///etc/a1b2c3/d4e5f6",
            "1111111111111111111",
            "en_GB.UTF-8",
            "org.example.application.Main",
        ] {
            assert!(!is_generated(value.as_bytes()), "{value}");
        }
    }

    #[test]
    fn what_is_named_must_be_told_from_words() {
        for value in [
            "hunter22",
            "correct-horse-battery",
            "Tr0ub4dor&3",
            "correcthorsebattery",
        ] {
            assert!(is_telling(value.as_bytes()), "{value}");
        }
        for value in [
            "password",
            "12345678",
            "aaaaaaaa1",
            "short1",
            "127.0.0.1",
            "",
        ] {
            assert!(!is_telling(value.as_bytes()), "{value}");
        }
    }
}
