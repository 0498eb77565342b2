//! Tells generated values from names, templates and prose.

/// Shannon entropy in bits a byte.
pub(super) fn entropy(value: &[u8]) -> f32 {
    let mut counts = [0u32; 256];
    value.iter().for_each(|byte| counts[*byte as usize] += 1);
    let total = value.len() as f32;
    let terms = counts.iter().filter(|count| **count > 0).map(|count| {
        let share = *count as f32 / total;
        -share * share.log2()
    });
    terms.sum()
}

pub(super) fn is_mixed(value: &[u8]) -> bool {
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

pub(super) fn is_template(value: &[u8]) -> bool {
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

/// Whether a name that ends here, before `token`, is of a form, a page of a list, or a link in a mail.
pub(crate) fn is_passing_name(before: &[u8]) -> bool {
    const NAME_BYTES_MAX: usize = 40;
    const KINDS: [&str; 26] = [
        "csrf",
        "csrfmiddleware",
        "xsrf",
        "authenticity",
        "antiforgery",
        "verification",
        "requestverification",
        "confirmation",
        "captcha",
        "page",
        "nextpage",
        "prevpage",
        "next",
        "continue",
        "continuation",
        "pagination",
        "scroll",
        "skip",
        "start",
        "starting",
        "resume",
        "sync",
        "nextsync",
        "marker",
        "connection",
        "unsubscribe",
    ];
    let is_name = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let name = before.iter().rev().take(NAME_BYTES_MAX).take_while(is_name);
    let letters = name.filter(|b| b.is_ascii_alphanumeric());
    let mut name: Vec<u8> = letters.map(u8::to_ascii_lowercase).collect();
    name.reverse();
    KINDS.iter().any(|kind| name.ends_with(kind.as_bytes()))
}

/// Bits a byte of a value that no one made up as a name.
const SETTING_ENTROPY_MIN: f32 = 3.0;

pub(super) fn is_setting(value: &[u8]) -> bool {
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
        && !is_publishable(value)
        && !value.starts_with(b"/")
        && !is_escaped(value)
        && !value.starts_with(b"$")
        && memchr::memmem::find(value, b"://").is_none()
}

/// A key that its provider's pages show to everyone.
fn is_publishable(value: &[u8]) -> bool {
    const STARTS: [&[u8]; 4] = [b"pk.", b"pk_live_", b"pk_test_", b"phc_"];
    STARTS.iter().any(|start| value.starts_with(start))
}

/// Bytes as a program spells them: a test's vector, which other decodings show.
fn is_escaped(value: &[u8]) -> bool {
    value.starts_with(b"\\x") || memchr::memmem::find_iter(value, b"\\x").count() >= 3
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
