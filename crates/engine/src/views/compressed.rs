//! Compressed data inside of content: its header says so, or for raw DEFLATE its first code.

use std::io::Read;

use bzip2::bufread::BzDecoder;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::StreamingDecoder;

use super::branch::{Decoded, Places, has_text};
use crate::scan::BudgetSpent;

/// Output that may always come, and output bytes for each byte of input: as for the work budget.
const OUTPUT_FLOOR_BYTES: usize = 1 << 20;
const RATIO_MAX: usize = 64;

/// What an attempt costs beside its output, in bytes of views: tables are made and cleared.
const ATTEMPT_BYTES: usize = 4 * 1024;

/// The same where a window of megabytes is made.
const LARGE_ATTEMPT_BYTES: usize = 64 * 1024;

/// The dictionary that xz's strongest preset asks for takes 65 MiB.
const XZ_MEMORY_MAX_KIB: u32 = 66 * 1024;

/// RFC 9659, section 3, for HTTP; larger windows are for archives.
const ZSTD_WINDOW_MAX_BYTES: u64 = 8 << 20;

/// A form of compressed data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Gzip,
    Zlib,
    Deflate,
    Zstd,
    Bzip2,
    Xz,
    /// A deflated member of a ZIP archive.
    Zip,
    /// One that is packed with LZMA.
    ZipLzma,
}

/// What [`Format::name`] gives.
pub(super) const NAMES: [&str; 7] = ["gzip", "zlib", "deflate", "zstd", "bzip2", "xz", "zip"];

/// Whether a decoding is one of these.
pub(crate) fn is_compression(name: &str) -> bool {
    NAMES.contains(&name)
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zlib => "zlib",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zip | Self::ZipLzma => "zip",
        }
    }

    /// What an attempt to decompress costs the work budget.
    pub(super) fn attempt_bytes(self) -> usize {
        match self {
            Self::Gzip | Self::Zlib | Self::Deflate | Self::Zip => ATTEMPT_BYTES,
            Self::Zstd | Self::Bzip2 | Self::Xz | Self::ZipLzma => LARGE_ATTEMPT_BYTES,
        }
    }
}

/// Whether decoded bytes, of which there are `len` in all, begin as compressed data does.
pub(super) fn begins(bytes: &[u8], len: usize) -> bool {
    marked(bytes).or(form(bytes, len)).is_some()
}

/// The form that the bytes' first ones name.
pub(super) fn marked(bytes: &[u8]) -> Option<Format> {
    match bytes {
        // RFC 1952, section 2.3: DEFLATE, and no reserved flag.
        [0x1f, 0x8b, 8, flags, ..] if flags & 0xe0 == 0 => Some(Format::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Format::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Format::Xz),
        [
            b'B',
            b'Z',
            b'h',
            b'1'..=b'9',
            b'1',
            b'A',
            b'Y',
            b'&',
            b'S',
            b'Y',
            ..,
        ] => Some(Format::Bzip2),
        [b'P', b'K', 3, 4, _, _, _, _, 8, 0, ..] => Some(Format::Zip),
        [b'P', b'K', 3, 4, _, _, _, _, 14, 0, ..] => Some(Format::ZipLzma),
        _ => None,
    }
}

/// The form of bytes that begin with a zlib header (RFC 1950, section 2.2) or without any. The
/// first block must look like one.
pub(super) fn unmarked(bytes: &[u8]) -> Option<Format> {
    form(bytes, bytes.len())
}

fn form(bytes: &[u8], len: usize) -> Option<Format> {
    let [first, second, rest @ ..] = bytes else {
        return None;
    };
    let has_header = first & 0x0f == 8 && first >> 4 <= 7 && second & 0x20 == 0;
    if has_header && u16::from_be_bytes([*first, *second]) % 31 == 0 && is_block(rest, len, false) {
        return Some(Format::Zlib);
    }
    is_block(bytes, len, true).then_some(Format::Deflate)
}

/// Bits of a DEFLATE stream, the lowest first (RFC 1951, section 3.1.1).
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Option<u32> {
        (0..count).try_fold(0, |sum, index| {
            let byte = self.bytes.get(self.at / 8)?;
            let bit = u32::from(*byte) >> (self.at % 8) & 1;
            self.at += 1;
            Some(sum | bit << index)
        })
    }
}

/// The first literals of a block with fixed codes that must be text.
const LITERALS: usize = 8;

/// A block with codes of its own is longer than this: they alone take as much.
const DYNAMIC_MIN: usize = 40;

/// Whether a DEFLATE block may begin here (RFC 1951, section 3.2.3 and on), and of text where only
/// that can tell.
fn is_block(bytes: &[u8], len: usize, of_text: bool) -> bool {
    may_be_block(Bits { bytes, at: 0 }, len, of_text).unwrap_or(false)
}

fn may_be_block(mut bits: Bits<'_>, len: usize, of_text: bool) -> Option<bool> {
    bits.take(1)?;
    match bits.take(2)? {
        0 => {
            let stored = bits.bytes.get(1..)?;
            let [a, b, c, d, text @ ..] = stored else {
                return None;
            };
            let is_len = u16::from_le_bytes([*a, *b]) == !u16::from_le_bytes([*c, *d]);
            Some(is_len && (has_text(text) || !of_text))
        }
        1 => {
            let mut is_text = true;
            for _ in 0..LITERALS {
                // Codes come with the highest bit first: those of 0 to 143 are 8 bits from 0x30 on.
                let code = bits.take(8)?.reverse_bits() >> 24;
                is_text &= matches!(code, 0x39 | 0x3a | 0x3d | 0x50..=0xae);
                if of_text && !is_text {
                    return Some(false);
                }
            }
            Some(is_text || !of_text)
        }
        2 if len < DYNAMIC_MIN => Some(false),
        2 => {
            let (literals, distances) = (bits.take(5)?, bits.take(5)?);
            let mut lengths = [0; ORDER.len()];
            let mut sum = 0;
            for symbol in &ORDER[..bits.take(4)? as usize + 4] {
                let length = bits.take(3)?;
                lengths[*symbol] = length;
                sum += if length == 0 { 0 } else { 128 >> length };
            }
            // A code that is complete fills its space exactly.
            if literals > 29 || distances > 29 || sum != 128 {
                return Some(false);
            }
            // Where the rest of the codes is not at hand, it may be a block.
            let is_cut = bits.bytes.len() < len;
            Some(has_literals(bits, &lengths, literals as usize + 257).unwrap_or(is_cut))
        }
        _ => Some(false),
    }
}

/// The order in which the lengths of the codes for lengths come (RFC 1951, section 3.2.7).
const ORDER: [usize; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

/// Whether the lengths of a block's codes for literals make a whole code that can end the block.
fn has_literals(mut bits: Bits<'_>, of: &[u32; ORDER.len()], count: usize) -> Option<bool> {
    const END_OF_BLOCK: usize = 256;
    let (mut seen, mut last, mut space, mut can_end) = (0, 0, 0u32, false);
    while seen < count {
        let (length, times) = match length_code(&mut bits, of)? {
            16 if seen == 0 => return Some(false),
            16 => (last, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        // The last run may go on into the codes for distances.
        let times = (times as usize).min(count - seen);
        can_end |= length > 0 && (seen..seen + times).contains(&END_OF_BLOCK);
        space += if length == 0 {
            0
        } else {
            times as u32 * (1 << 15 >> length)
        };
        (seen, last) = (seen + times, length);
    }
    Some(space == 1 << 15 && can_end)
}

/// Reads a code for a length: codes of a length follow each other in the order of what they stand for
/// (RFC 1951, section 3.2.2).
fn length_code(bits: &mut Bits<'_>, of: &[u32; ORDER.len()]) -> Option<u32> {
    let (mut code, mut first) = (0, 0);
    for length in 1..=7 {
        code = code << 1 | bits.take(1)?;
        first <<= 1;
        let mut own = (0u32..).zip(of).filter(|(_, of)| **of == length);
        let count = own.clone().count() as u32;
        if code - first < count {
            return own.nth((code - first) as usize).map(|(symbol, _)| symbol);
        }
        first += count;
    }
    None
}

/// Where compressed data with a mark begins in content that has bytes beyond ASCII.
pub(super) fn starts(bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let marks = memchr::memchr2_iter(0x1f, 0xfd, bytes);
    marks.filter_map(|at| {
        // Of zstd's mark it is the last byte.
        let at = if bytes[at] == 0xfd && bytes.get(at + 1) != Some(&b'7') {
            at.checked_sub(3)?
        } else {
            at
        };
        marked(&bytes[at..]).map(|_| at)
    })
}

/// The compressed data that a text in content tells of: a mark, a PNG's chunk of text, a stream in a PDF.
pub(super) fn at_clue(bytes: &[u8], at: usize) -> Option<(usize, Format)> {
    let clue = &bytes[at..];
    let zlib = match clue {
        [b'z', b'T', b'X', b't', text @ ..] => in_ztxt(text),
        [b'i', b'T', b'X', b't', text @ ..] => in_itxt(text),
        _ if clue.starts_with(b"FlateDecode") => in_stream(clue),
        // Of bzip2's mark the first bytes are `BZh9`.
        _ => {
            let at = at.checked_sub(if clue.starts_with(b"1AY&SY") { 4 } else { 0 })?;
            return marked(&bytes[at..]).map(|format| (at, format));
        }
    };
    let data = bytes.len() - zlib?.len();
    Some((data, Format::Zlib))
}

/// A keyword, and the method, of which there is one (PNG, third edition, section 11.3.3.3).
fn in_ztxt(text: &[u8]) -> Option<&[u8]> {
    let (_, text) = after_zero(text)?;
    text.strip_prefix(&[0])
}

/// A keyword, a flag that says that it is compressed, the method, a language and the keyword in it (PNG, third
/// edition, section 11.3.3.4).
fn in_itxt(text: &[u8]) -> Option<&[u8]> {
    let (_, text) = after_zero(text)?;
    let (_, text) = after_zero(text.strip_prefix(&[1, 0])?)?;
    after_zero(text).map(|(_, text)| text)
}

/// A keyword of a PNG's text is no longer.
const KEYWORD_BYTES_MAX: usize = 80;

fn after_zero(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let zero = text
        .iter()
        .take(KEYWORD_BYTES_MAX)
        .position(|byte| *byte == 0)?;
    Some((&text[..zero], &text[zero + 1..]))
}

/// The rest of a stream's dictionary is no longer.
const DICTIONARY_BYTES_MAX: usize = 512;

/// What follows the word `stream` and a line's end (ISO 32000-1, section 7.3.8.1).
fn in_stream(clue: &[u8]) -> Option<&[u8]> {
    let dictionary = &clue[..clue.len().min(DICTIONARY_BYTES_MAX)];
    let word = memchr::memmem::find(dictionary, b"stream")?;
    let data = &clue[word + b"stream".len()..];
    let data = data.strip_prefix(b"\r").unwrap_or(data);
    data.strip_prefix(b"\n")
}

/// What the data that begins at a place decompresses to, as far as it is whole.
///
/// # Errors
/// It grows out of bounds.
pub(super) fn decode(
    bytes: &[u8],
    at: usize,
    format: Format,
) -> Result<Option<Decoded>, BudgetSpent> {
    let data = &bytes[at..];
    let bytes_max = OUTPUT_FLOOR_BYTES + data.len() * RATIO_MAX;
    let mut out = Vec::new();
    match format {
        Format::Gzip => fill(GzDecoder::new(data), bytes_max, &mut out)?,
        Format::Zlib => fill(ZlibDecoder::new(data), bytes_max, &mut out)?,
        Format::Deflate => fill(DeflateDecoder::new(data), bytes_max, &mut out)?,
        Format::Bzip2 => fill(BzDecoder::new(data), bytes_max, &mut out)?,
        Format::Xz => {
            let reader = XzReader::new_mem_limit(data, false, XZ_MEMORY_MAX_KIB);
            fill(reader, bytes_max, &mut out)?;
        }
        Format::Zstd => zstd(data, bytes_max, &mut out)?,
        Format::Zip => {
            if let Some(content) = member(data) {
                fill(DeflateDecoder::new(content), bytes_max, &mut out)?;
            }
        }
        Format::ZipLzma => {
            if let Some(reader) = member(data).and_then(|content| lzma(content, data)) {
                fill(reader, bytes_max, &mut out)?;
            }
        }
    }
    let is_sure = format != Format::Deflate || has_text(&out) || begins(&out, out.len());
    Ok((!out.is_empty() && is_sure).then_some(Decoded {
        name: format.name(),
        bytes: out,
        places: Places::Whole(at..bytes.len()),
        clipped: false,
    }))
}

/// The content of a ZIP archive's member, after its header (APPNOTE, section 4.3.7).
fn member(data: &[u8]) -> Option<&[u8]> {
    let field = |at: usize| {
        data.get(at..at + 2)
            .map(|len| usize::from(u16::from_le_bytes([len[0], len[1]])))
    };
    data.get(30 + field(26)? + field(28)?..)
}

/// A reader of a member packed with LZMA: a version, the length of the properties, these, and data that is read to
/// the size that the header names, or to its mark (APPNOTE, section 5.8.8).
fn lzma<'a>(content: &'a [u8], header: &[u8]) -> Option<LzmaReader<&'a [u8]>> {
    let [_, _, 5, 0, properties, a, b, c, d, packed @ ..] = content else {
        return None;
    };
    let dictionary = u32::from_le_bytes([*a, *b, *c, *d]);
    let size = u32::from_le_bytes(*header.get(22..)?.first_chunk()?);
    let size = if matches!(size, 0 | u32::MAX) {
        u64::MAX
    } else {
        u64::from(size)
    };
    let is_bounded = dictionary / 1024 <= XZ_MEMORY_MAX_KIB;
    let reader = is_bounded
        .then(|| LzmaReader::new_with_props(packed, size, *properties, dictionary, None))?;
    reader.ok()
}

/// Reads to the end, or to where the data is corrupt or cut off.
fn fill(mut reader: impl Read, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), BudgetSpent> {
    let mut piece = [0; 8 * 1024];
    while let Ok(len @ 1..) = reader.read(&mut piece) {
        out.extend_from_slice(&piece[..len]);
        if out.len() > bytes_max {
            return Err(BudgetSpent);
        }
    }
    Ok(())
}

fn zstd(data: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), BudgetSpent> {
    match StreamingDecoder::new_with_max_window_size(data, ZSTD_WINDOW_MAX_BYTES) {
        Ok(decoder) => fill(decoder, bytes_max, out),
        Err(_) => Ok(()),
    }
}
