//! Invariants of the views, a target for each decoder: the input stands behind what wakes it.

use std::sync::LazyLock;

use carboy_engine::{Direction, Probe};

static PROBE: LazyLock<Probe> = LazyLock::new(Probe::default);

/// Decodings on top of each other.
const DEPTH_MAX: usize = 5;

/// What the engine lets a decoder make of content: a floor, and so many bytes for each.
const OUTPUT_FLOOR_BYTES: usize = 1 << 20;
const RATIO_MAX: usize = 64;

/// More makes an input slow, not telling.
const INPUT_MAX: usize = 4096;

/// No view is deeper or larger than told, and each comes from a part of the content.
fn bounded(before: &[u8], data: &[u8], after: &[u8]) {
    let data = &data[..data.len().min(INPUT_MAX)];
    let content = [before, data, after].concat();
    // Content may cost more than its budget: then it is refused.
    let Some(views) = PROBE.views(&content) else {
        return;
    };
    for (depth, _, len, range) in views {
        assert!(depth <= DEPTH_MAX, "{depth} deep");
        assert!(
            range.start <= range.end && range.end <= content.len(),
            "{range:?}"
        );
        // A level of compressed data may make so much of the one before.
        let most = OUTPUT_FLOOR_BYTES + content.len() * RATIO_MAX;
        assert!(len <= most * RATIO_MAX, "{len} bytes of {}", content.len());
    }
}

/// Base64, base32 and their kin, with separators.
pub fn alphabets(data: &[u8]) {
    bounded(b"Z2hw X0Fi ", data, b"");
    bounded(b"H4sI", data, b"");
}

/// Five symbols for four bytes.
pub fn base85(data: &[u8]) {
    bounded(b"<~87cURD]", data, b"~>");
}

/// Numbers for bytes.
pub fn numbers(data: &[u8]) {
    bounded(b"103, 104, 112, ", data, b", 48");
}

/// Compressed data of each form.
pub fn compressed(data: &[u8]) {
    let marks: [&[u8]; 7] = [
        b"\x1f\x8b\x08\0\0\0\0\0\0\x03",
        b"\x78\x9c",
        b"",
        b"\x28\xb5\x2f\xfd",
        b"BZh91AY&SY",
        b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46",
        b"PK\x03\x04\x14\0\0\0\x08\0",
    ];
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    bounded(marks[usize::from(*first) % marks.len()], rest, b"");
}

/// Escapes of each kind.
pub fn escapes(data: &[u8]) {
    bounded(b"%67\\x67&#103;", data, b"\\");
}

/// Quoted-printable, uuencode and UTF-7.
pub fn mail(data: &[u8]) {
    bounded(b"=3D", data, b"=");
    bounded(b"begin 644 a\n", data, b"");
    bounded(b"+AGc", data, b"-");
}

/// UTF-16 and UTF-32.
pub fn wide(data: &[u8]) {
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let marks: [&[u8]; 5] = [
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xff\xfe\0\0",
        b"\0\0\xfe\xff",
        b"a\0b\0",
    ];
    bounded(marks[usize::from(*first) % marks.len()], rest, b"");
}

/// Names in Punycode and bytes as variation selectors.
pub fn hidden(data: &[u8]) {
    bounded(b"xn--", data, b"");
    let selectors: String = data.iter().filter_map(|byte| selector(*byte)).collect();
    bounded(b"", selectors.as_bytes(), b"");
}

fn selector(byte: u8) -> Option<char> {
    match byte {
        0..16 => char::from_u32(0xfe00 + u32::from(byte)),
        16.. => char::from_u32(0xe00f0 + u32::from(byte)),
    }
}

/// Other spellings of a passage.
pub fn spellings(data: &[u8]) {
    let clues: [&[u8]; 5] = [b"tuc_", b"89A0", b"_phg", b"1gn0re ", b"GHP_"];
    let (first, rest) = data.split_first().unwrap_or((&0, &[]));
    let clue = clues[usize::from(*first) % clues.len()];
    bounded(clue, rest, clue);
}

/// Numbers in base 36 to 62.
pub fn radix(data: &[u8]) {
    const SYMBOLS: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let token: Vec<u8> = data
        .iter()
        .map(|byte| SYMBOLS[usize::from(*byte) % SYMBOLS.len()])
        .collect();
    bounded(b"", &token, b"");
}

/// What the literal sweep finds in a small view, it finds in a large one too, which it sweeps as
/// four stretches at once.
pub fn literals(data: &[u8]) {
    let data = &data[..data.len().min(200)];
    let seen = |content: &[u8]| -> Vec<(&'static str, u64)> {
        let seen = PROBE.scan(Direction::Outbound, content).unwrap_or_default();
        let seen = seen
            .into_iter()
            .filter(|(rule, ..)| !Probe::is_injection(rule));
        seen.map(|(rule, _, offset, _)| (rule, offset)).collect()
    };
    let alone = seen(data);
    let followed = seen(&[data, &b"\n".repeat(1000)[..]].concat());
    for sighting in alone {
        assert!(followed.contains(&sighting), "{sighting:?} is lost");
    }
}
