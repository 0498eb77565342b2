//! Every encoding that the views undo, written without a look at how they undo it.

use std::fmt::Write as _;
use std::io::{Read, Write as _};

use data_encoding::{
    BASE32, BASE32_NOPAD, BASE32HEX_NOPAD, BASE64, BASE64_MIME, BASE64_NOPAD, BASE64URL_NOPAD,
    HEXLOWER, HEXUPPER, Specification,
};
use flate2::Compression;

/// What an encoding can encode, and what it makes. Each kind holds those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Content {
    /// The credential or instruction itself: what wakes the decoder must be in it.
    Clear,
    /// Printable ASCII and line breaks.
    Ascii,
    /// UTF-8.
    Text,
    Bytes,
}

/// One encoding.
#[derive(Debug)]
pub(crate) struct Encoding {
    /// What it is, for `docs/encodings.md`.
    pub(crate) title: &'static str,
    /// What a finding names it.
    pub(crate) via: &'static str,
    pub(crate) takes: Content,
    pub(crate) makes: Content,
    pub(crate) encode: fn(&[u8]) -> Vec<u8>,
}

macro_rules! encodings {
    ($($title:literal $via:literal $takes:ident $makes:ident $encode:expr;)*) => {
        /// All of them, by kind.
        pub(crate) static ENCODINGS: &[Encoding] = &[$(Encoding {
            title: $title,
            via: $via,
            takes: Content::$takes,
            makes: Content::$makes,
            encode: $encode,
        }),*];
    };
}

encodings! {
    "Percent" "percent" Bytes Ascii |b| each(b, |b| format!("%{b:02X}"));
    "Percent, only signs" "percent" Ascii Ascii |b| each(b, |b| if b.is_ascii_alphanumeric() { char::from(b).into() } else { format!("%{b:02x}") });
    "Percent, escaped four times" "percent" Ascii Ascii |b| each(b, |b| format!("%252525{b:02x}"));
    "Percent of Unicode" "percent" Ascii Ascii |b| each(b, |b| format!("%u{b:04x}"));
    "HTML, decimal" "entity" Text Ascii |b| chars(b, |c| format!("&#{};", c as u32));
    "HTML, hexadecimal without semicolons" "entity" Ascii Ascii |b| each(b, |b| format!("&#x{b:06X}"));
    "HTML, names of signs" "entity" Clear Ascii |b| each(b, named);
    "JSON" "escape" Ascii Ascii |b| each(b, |b| format!("\\u{b:04x}"));
    "JavaScript" "escape" Ascii Ascii |b| each(b, |b| format!("\\u{{{b:x}}}"));
    "Hexadecimal of C and shells" "escape" Bytes Ascii |b| each(b, |b| format!("\\x{b:02x}"));
    "Quoted of shells" "escape" Ascii Ascii |b| wrap(b"$'", &each(b, |b| format!("\\x{b:02x}")), b"'");
    "Octal of C" "escape" Ascii Ascii |b| each(b, |b| format!("\\{b:03o}"));
    "Octal of shells" "escape" Ascii Ascii |b| each(b, |b| format!("\\0{b:03o}"));
    "Eight digits of Python" "escape" Text Ascii |b| chars(b, |c| format!("\\U{:08x}", c as u32));
    "CSS" "escape" Ascii Ascii |b| each(b, |b| format!("\\{b:06x}"));
    "CSS with spaces" "escape" Clear Ascii |b| each(b, |b| format!("\\{b:02x} "));
    "Lines that go on" "escape" Ascii Ascii |b| between(b, 7, b"\\\n");
    "Markdown" "escape" Clear Ascii |b| each(b, |b| if b.is_ascii_punctuation() { format!("\\{}", char::from(b)) } else { char::from(b).into() });
    "Base64" "base64" Bytes Ascii |b| BASE64.encode(b).into();
    "Base64 without padding" "base64" Bytes Ascii |b| BASE64_NOPAD.encode(b).into();
    "Base64 for URLs" "base64" Bytes Ascii |b| BASE64URL_NOPAD.encode(b).into();
    "Base64 in lines" "base64" Bytes Ascii |b| BASE64_MIME.encode(b).into();
    "Base64 after one byte" "base64" Ascii Ascii |b| BASE64.encode(&wrap(b"~", b, b"")).into();
    "Base64 after two bytes" "base64" Ascii Ascii |b| BASE64.encode(&wrap(b">?", b, b"")).into();
    "Base64 in groups" "base64" Ascii Ascii |b| between(&BASE64.encode(b).into_bytes(), 4, b" ");
    "Base64 with dots" "base64" Ascii Ascii |b| between(&BASE64_NOPAD.encode(b).into_bytes(), 5, b".");
    "Base64 with hyphens" "base64" Ascii Ascii |b| between(&BASE64_NOPAD.encode(b).into_bytes(), 8, b"-");
    "A data URL" "base64" Bytes Ascii |b| wrap(b"data:text/plain;base64,", BASE64.encode(b).as_bytes(), b"");
    "Base32" "base32" Bytes Ascii |b| BASE32.encode(b).into();
    "Base32, lower case" "base32" Bytes Ascii |b| BASE32_NOPAD.encode(b).to_lowercase().into();
    "Base32, extended hex" "base32hex" Ascii Ascii |b| BASE32HEX_NOPAD.encode(b).into();
    "Base32, Crockford's" "crockford32" Ascii Ascii |b| crockford(b);
    "Base36" "base36" Clear Ascii |b| radix(b, b"0123456789abcdefghijklmnopqrstuvwxyz");
    "Base58" "base58" Clear Ascii |b| radix(b, b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz");
    "Base58 with checksum" "base58" Clear Ascii |b| bs58::encode(&checked(b)).into_vec();
    "Base62" "base62" Clear Ascii |b| radix(b, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    "Base62, lower case first" "base62" Clear Ascii |b| radix(b, b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    "Base85 of Git" "base85" Ascii Ascii |b| base85(b, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~");
    "Ascii85" "ascii85" Clear Ascii |b| base85(b, &std::array::from_fn(|at| b'!' + at as u8));
    "Ascii85 of Adobe" "ascii85" Clear Ascii |b| wrap(b"<~", &base85(b, &std::array::from_fn(|at| b'!' + at as u8)), b"~>");
    "Z85" "z85" Ascii Ascii |b| base85(b, b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#");
    "Hexadecimal" "hex" Bytes Ascii |b| HEXLOWER.encode(b).into();
    "Hexadecimal, upper case" "hex" Bytes Ascii |b| HEXUPPER.encode(b).into();
    "Hexadecimal with colons" "hex" Bytes Ascii |b| join(b, ":", |b| format!("{b:02x}"));
    "Hexadecimal with spaces" "hex" Bytes Ascii |b| join(b, " ", |b| format!("{b:02X}"));
    "Hexadecimal of C" "hex" Bytes Ascii |b| join(b, ", ", |b| format!("0x{b:02x}"));
    "Decimal list" "decimal" Ascii Ascii |b| wrap(b"[", &join(b, ", ", |b| format!("{b}")), b"]");
    "Decimal list without spaces" "decimal" Ascii Ascii |b| join(b, ",", |b| format!("{b}"));
    "Octal list" "octal" Ascii Ascii |b| join(b, " ", |b| format!("{b:03o}"));
    "Binary" "binary" Ascii Ascii |b| each(b, |b| format!("{b:08b}"));
    "Binary with spaces" "binary" Ascii Ascii |b| join(b, " ", |b| format!("{b:08b}"));
    "Binary of C" "binary" Ascii Ascii |b| join(b, ", ", |b| format!("0b{b:08b}"));
    "Quoted-printable" "quoted-printable" Ascii Ascii |b| between(&each(b, |b| format!("={b:02X}")), 72, b"=\r\n");
    "Uuencode" "uuencode" Bytes Ascii |b| uuencode(b);
    "UTF-7" "utf-7" Ascii Ascii |b| utf7(b);
    "UTF-16, little-endian" "utf-16" Text Bytes |b| utf16(b, u16::to_le_bytes);
    "UTF-16, big-endian" "utf-16" Text Bytes |b| utf16(b, u16::to_be_bytes);
    "UTF-16 with a mark" "utf-16" Text Bytes |b| wrap(b"\xff\xfe", &utf16(b, u16::to_le_bytes), b"");
    "UTF-32" "utf-32" Text Bytes |b| text(b).chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
    "Punycode" "punycode" Clear Ascii |b| punycode(b);
    "gzip" "gzip" Bytes Bytes |b| read(flate2::read::GzEncoder::new(b, Compression::best()));
    "zlib" "zlib" Bytes Bytes |b| read(flate2::read::ZlibEncoder::new(b, Compression::best()));
    "DEFLATE" "deflate" Ascii Bytes |b| read(flate2::read::DeflateEncoder::new(b, Compression::best()));
    "zstd" "zstd" Ascii Bytes |b| zstd(b);
    "bzip2" "bzip2" Bytes Bytes |b| read(bzip2::read::BzEncoder::new(b, bzip2::Compression::best()));
    "xz" "xz" Bytes Bytes |b| xz(b);
    "ZIP" "zip" Bytes Bytes |b| zip(b);
    "Spelt with hyphens" "spelt" Ascii Ascii |b| between(b, 1, b"-");
    "Spelt in quotes" "spelt" Clear Ascii |b| wrap(b"[\"", &join(b, "\", \"", |b| char::from(b).into()), b"\"]");
    "ROT13" "rot13" Clear Ascii |b| b.iter().map(|b| turn13(*b)).collect();
    "ROT47" "rot47" Clear Ascii |b| b.iter().map(|b| if (33..127).contains(b) { (b - 33 + 47) % 94 + 33 } else { *b }).collect();
    "Reversed" "reversed" Clear Ascii |b| b.iter().rev().copied().collect();
    "Zero-width characters" "unicode" Ascii Text |b| between(b, 1, "\u{200b}".as_bytes());
    "Control characters" "unicode" Ascii Ascii |b| between(b, 2, b"\x01");
    "Combining marks" "unicode" Ascii Text |b| between(b, 1, "\u{301}".as_bytes());
    "Directions of text" "unicode" Ascii Text |b| between(b, 3, "\u{202e}".as_bytes());
    "Variation selectors after letters" "unicode" Ascii Text |b| between(b, 1, "\u{fe0f}".as_bytes());
    "Tag characters" "unicode" Ascii Text |b| chars(b, |c| shifted(c, 0xe0000));
    "Full-width forms" "unicode" Ascii Text |b| chars(b, |c| shifted(c, 0xfee0));
    "Letters that look alike" "unicode" Ascii Text |b| chars(b, |c| lookalike(c).into());
    "Bytes as variation selectors" "variation-selectors" Ascii Text |b| wrap("😀".as_bytes(), &each(b, selector), b"");
}

/// Those that only an alphabet of letters has, which a token with digits and signs survives too.
pub(crate) static OF_WORDS: &[Encoding] = &[
    Encoding {
        title: "Digits for letters",
        via: "respelt",
        takes: Content::Clear,
        makes: Content::Ascii,
        encode: |b| {
            let leet = |b: &u8| match b {
                b'i' => b'1',
                b'o' => b'0',
                b'e' => b'3',
                b's' => b'5',
                other => *other,
            };
            b.iter().map(leet).collect()
        },
    },
    Encoding {
        title: "Other vowels",
        via: "respelt",
        takes: Content::Clear,
        makes: Content::Ascii,
        encode: |b| {
            b.iter()
                .map(|b| if *b == b'o' { b'a' } else { *b })
                .collect()
        },
    },
    Encoding {
        title: "Exotic spaces",
        via: "unicode",
        takes: Content::Clear,
        makes: Content::Text,
        encode: |b| {
            chars(b, |c| {
                if c == ' ' {
                    "\u{2003}".into()
                } else {
                    c.into()
                }
            })
        },
    },
];

/// Of tokens alone: of phrases the rules know any case.
pub(crate) static OF_TOKENS: &[Encoding] = &[
    Encoding {
        title: "Swapped case",
        via: "swapped-case",
        takes: Content::Clear,
        makes: Content::Ascii,
        encode: |b| {
            b.iter()
                .map(|b| {
                    if b.is_ascii_alphabetic() {
                        b ^ 0x20
                    } else {
                        *b
                    }
                })
                .collect()
        },
    },
    Encoding {
        title: "Lines of any width",
        via: "joined",
        takes: Content::Clear,
        makes: Content::Ascii,
        encode: |b| between(b, 13, b"\n"),
    },
    Encoding {
        title: "Cells of a table",
        via: "joined",
        takes: Content::Clear,
        makes: Content::Ascii,
        encode: |b| between(b, 13, b" | "),
    },
    Encoding {
        title: "Strings that a program joins",
        via: "joined",
        takes: Content::Clear,
        makes: Content::Ascii,
        encode: |b| wrap(b"\"", &between(b, 9, b"\" + \""), b"\""),
    },
];

/// Parts of files and of what tools print, of bytes that are a credential.
pub(crate) static OF_FILES: &[Encoding] = &[
    Encoding {
        title: "Hexadecimal dump of xxd",
        via: "dump",
        takes: Content::Bytes,
        makes: Content::Ascii,
        encode: |b| dump(b, xxd_line),
    },
    Encoding {
        title: "Hexadecimal dump of hexdump",
        via: "dump",
        takes: Content::Bytes,
        makes: Content::Ascii,
        encode: |b| dump(b, hexdump_line),
    },
    Encoding {
        title: "Compressed text of a PNG",
        via: "zlib",
        takes: Content::Bytes,
        makes: Content::Bytes,
        encode: |b| wrap(b"\0\0\0\x20zTXtComment\0\0", &zlib(b), b"\0\0\0\0"),
    },
    Encoding {
        title: "International text of a PNG",
        via: "zlib",
        takes: Content::Bytes,
        makes: Content::Bytes,
        encode: |b| {
            wrap(
                b"\0\0\0\x20iTXtComment\0\x01\0en\0\0",
                &zlib(b),
                b"\0\0\0\0",
            )
        },
    },
    Encoding {
        title: "Stream of a PDF",
        via: "zlib",
        takes: Content::Bytes,
        makes: Content::Bytes,
        encode: |b| {
            let head = b"4 0 obj\n<< /Length 48 /Filter /FlateDecode >>\nstream\r\n";
            wrap(head, &zlib(b), b"\nendstream\nendobj\n")
        },
    },
    Encoding {
        title: "ZIP with LZMA",
        via: "zip",
        takes: Content::Bytes,
        makes: Content::Bytes,
        encode: zip_lzma,
    },
];

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the encoding takes text")
}

fn each(bytes: &[u8], write: impl Fn(u8) -> String) -> Vec<u8> {
    join(bytes, "", write)
}

fn join(bytes: &[u8], between: &str, write: impl Fn(u8) -> String) -> Vec<u8> {
    let parts: Vec<String> = bytes.iter().map(|byte| write(*byte)).collect();
    parts.join(between).into()
}

fn chars(bytes: &[u8], write: impl Fn(char) -> String) -> Vec<u8> {
    text(bytes).chars().map(write).collect::<String>().into()
}

fn wrap(before: &[u8], bytes: &[u8], after: &[u8]) -> Vec<u8> {
    [before, bytes, after].concat()
}

fn between(bytes: &[u8], size: usize, separator: &[u8]) -> Vec<u8> {
    bytes.chunks(size).collect::<Vec<_>>().join(separator)
}

/// The variation selector that stands for a byte.
fn selector(byte: u8) -> String {
    let code = match byte {
        0..16 => 0xfe00 + u32::from(byte),
        16.. => 0xe0100 + u32::from(byte) - 16,
    };
    char::from_u32(code).map_or_else(String::new, String::from)
}

fn named(byte: u8) -> String {
    match byte {
        b'_' => "&lowbar;".into(),
        b'-' => "&hyphen;".into(),
        b' ' => "&nbsp;".into(),
        b'.' => "&period;".into(),
        b'/' => "&sol;".into(),
        other => char::from(other).into(),
    }
}

fn shifted(c: char, by: u32) -> String {
    let is_shown = ('!'..='~').contains(&c);
    let code = if is_shown { c as u32 + by } else { c as u32 };
    char::from_u32(code).map_or_else(String::new, String::from)
}

fn lookalike(c: char) -> char {
    match c {
        'a' => 'а',
        'c' => 'с',
        'e' => 'е',
        'i' => 'і',
        'o' => 'ο',
        'p' => 'р',
        's' => 'ѕ',
        'A' => 'Α',
        'K' => 'Κ',
        other => other,
    }
}

fn turn13(byte: u8) -> u8 {
    let first = if byte.is_ascii_lowercase() {
        b'a'
    } else {
        b'A'
    };
    if byte.is_ascii_alphabetic() {
        (byte - first + 13) % 26 + first
    } else {
        byte
    }
}

fn crockford(bytes: &[u8]) -> Vec<u8> {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    let encoding = specification.encoding().expect("thirty-two symbols");
    encoding.encode(bytes).into()
}

/// The bytes as a number in the base of the alphabet.
fn radix(bytes: &[u8], alphabet: &[u8]) -> Vec<u8> {
    let base = alphabet.len() as u32;
    let mut number = bytes.to_vec();
    let mut out = Vec::new();
    while number.iter().any(|byte| *byte != 0) {
        let mut rest = 0;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = (value / base) as u8;
            rest = value % base;
        }
        out.push(alphabet[rest as usize]);
    }
    out.reverse();
    out
}

/// As base58check: a version, the bytes, and four bytes of a double hash.
fn checked(bytes: &[u8]) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let content = wrap(b"\x80", bytes, b"");
    let hash = Sha256::digest(Sha256::digest(&content));
    wrap(&content, &hash[..4], b"")
}

fn base85(bytes: &[u8], alphabet: &[u8; 85]) -> Vec<u8> {
    let mut out = Vec::new();
    for group in bytes.chunks(4) {
        let mut word = [0; 4];
        word[..group.len()].copy_from_slice(group);
        let mut value = u32::from_be_bytes(word);
        let mut symbols = [0; 5];
        for symbol in symbols.iter_mut().rev() {
            *symbol = alphabet[(value % 85) as usize];
            value /= 85;
        }
        out.extend_from_slice(&symbols[..=group.len()]);
    }
    out
}

fn uuencode(bytes: &[u8]) -> Vec<u8> {
    let mut out = b"begin 644 notes.txt\n".to_vec();
    let symbol = |value: u32| if value == 0 { b'`' } else { value as u8 + b' ' };
    for line in bytes.chunks(45) {
        out.push(symbol(line.len() as u32));
        for group in line.chunks(3) {
            let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let word = byte(0) << 16 | byte(1) << 8 | byte(2);
            out.extend([18, 12, 6, 0].map(|shift| symbol(word >> shift & 63)));
        }
        out.push(b'\n');
    }
    out.extend_from_slice(b"`\nend\n");
    out
}

fn utf7(bytes: &[u8]) -> Vec<u8> {
    let units = utf16(bytes, u16::to_be_bytes);
    wrap(b"+", BASE64_NOPAD.encode(&units).as_bytes(), b"-")
}

fn utf16(bytes: &[u8], order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text(bytes).encode_utf16().flat_map(order).collect()
}

/// The bytes as labels, with letters that look alike, in Punycode.
fn punycode(bytes: &[u8]) -> Vec<u8> {
    let alike: String = text(bytes).chars().map(lookalike).collect();
    let encoded = idna::punycode::encode_str(&alike).expect("it is short");
    wrap(b"https://xn--", encoded.as_bytes(), b".example/")
}

fn read(mut reader: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    reader.read_to_end(&mut out).expect("memory can be read");
    out
}

/// After enough prose that it does not pay to store the bytes as they are.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let prose = "The river is quiet today and the boats are tied to the pier.\n".repeat(8);
    let content = wrap(prose.as_bytes(), bytes, b"");
    ruzstd::encoding::compress_to_vec(&content[..], ruzstd::encoding::CompressionLevel::Fastest)
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(6);
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).expect("a preset");
    writer.write_all(bytes).expect("memory takes all");
    writer.finish().expect("memory takes all")
}

/// An archive's first member; the directory at its end is not needed to read it.
fn zip(bytes: &[u8]) -> Vec<u8> {
    let content = read(flate2::read::DeflateEncoder::new(
        bytes,
        Compression::best(),
    ));
    let mut out = b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend((content.len() as u32).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend([5, 0, 0, 0]);
    out.extend_from_slice(b"a.txt");
    wrap(&out, &content, b"")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    read(flate2::read::ZlibEncoder::new(bytes, Compression::best()))
}

/// The same as [`zip`], of the method 14.
fn zip_lzma(bytes: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::LzmaOptions::with_preset(6);
    let size = Some(bytes.len() as u64);
    let writer = lzma_rust2::LzmaWriter::new_use_header(Vec::new(), &options, size);
    let mut writer = writer.expect("a preset");
    writer.write_all(bytes).expect("memory takes all");
    let content = writer.finish().expect("memory takes all");
    // Of the header of an LZMA file, archives have the first five bytes.
    let (properties, packed) = (&content[..5], &content[13..]);
    let mut out = b"PK\x03\x04\x3f\0\0\0\x0e\0\0\0\0\0\0\0\0\0".to_vec();
    out.extend((packed.len() as u32 + 9).to_le_bytes());
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend([5, 0, 0, 0]);
    out.extend_from_slice(b"a.txt");
    out.extend([9, 20, 5, 0]);
    out.extend_from_slice(properties);
    wrap(&out, packed, b"")
}

/// A line of a dump, from its offset on.
type DumpLine = fn(usize, &[u8]) -> String;

fn dump(bytes: &[u8], line: DumpLine) -> Vec<u8> {
    let lines = bytes.chunks(16).enumerate();
    lines
        .map(|(index, bytes)| line(index * 16, bytes))
        .collect::<String>()
        .into()
}

fn xxd_line(offset: usize, bytes: &[u8]) -> String {
    let groups: Vec<String> = bytes.chunks(2).map(|pair| HEXLOWER.encode(pair)).collect();
    format!("{offset:08x}: {:<39}  {}\n", groups.join(" "), seen(bytes))
}

fn hexdump_line(offset: usize, bytes: &[u8]) -> String {
    let halves: Vec<String> = bytes
        .chunks(8)
        .map(|half| {
            let pairs: Vec<String> = half.iter().map(|byte| format!("{byte:02x}")).collect();
            pairs.join(" ")
        })
        .collect();
    format!(
        "{offset:08x}  {:<48}  |{}|\n",
        halves.join("  "),
        seen(bytes)
    )
}

/// Bytes as a dump shows them beside their digits.
fn seen(bytes: &[u8]) -> String {
    let shown = |byte: &u8| {
        if (b' '..=b'~').contains(byte) {
            char::from(*byte)
        } else {
            '.'
        }
    };
    bytes.iter().map(shown).collect()
}

/// How content looks in a document: as it is, or its bytes.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let is_plain = |c: char| c == '\n' || c == '\r' || !c.is_control();
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() && text.chars().all(is_plain) => text.trim_end().into(),
        Ok(_) | Err(_) => bytes.iter().fold(String::new(), |mut out, byte| {
            if (b' '..=b'~').contains(byte) {
                out.push(char::from(*byte));
            } else {
                write!(out, "<{byte:02x}>").expect("a String takes all");
            }
            out
        }),
    }
}
