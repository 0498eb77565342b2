//! The strings of binary structures, told by nothing but that all of the body reads as one: CBOR
//! (RFC 8949), MessagePack's specification, and protobuf's encoding without its schema.

use std::ops::Range;

use super::Strings;

/// Containers within each other. Deeper ones are no messages.
const DEPTH_MAX: usize = 16;

/// Bytes by which binary content is told.
const SAMPLE_BYTES: usize = 16;

/// Whether a body begins with what is no text.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    let is_text = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    !bytes.iter().take(SAMPLE_BYTES).all(is_text)
}

/// The strings of the structures that all of the body reads as.
pub(super) fn strings(bytes: &[u8]) -> Vec<Strings> {
    [cbor, msgpack, protobuf]
        .into_iter()
        .filter_map(|read| {
            let mut reader = Reader {
                bytes,
                at: 0,
                strings: Strings::default(),
                is_name: false,
            };
            while reader.at < bytes.len() {
                read(&mut reader, 0)?;
            }
            Some(reader.strings)
        })
        .collect()
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    strings: Strings,
    /// Whether what comes next names a value: it is no part of one.
    is_name: bool,
}

impl Reader<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A number of so many bytes, the first the highest.
    fn number(&mut self, count: usize) -> Option<usize> {
        let mut number = 0usize;
        for _ in 0..count {
            number = number.checked_mul(256)? + usize::from(self.byte()?);
        }
        Some(number)
    }

    fn skip(&mut self, count: usize) -> Option<Range<usize>> {
        let start = self.at;
        self.at = start
            .checked_add(count)
            .filter(|end| *end <= self.bytes.len())?;
        Some(start..self.at)
    }

    fn string(&mut self, count: usize) -> Option<()> {
        let range = self.skip(count)?;
        if !range.is_empty() && !self.is_name {
            self.strings.take(self.bytes, range);
        }
        Some(())
    }

    /// Names and values in turn.
    fn members(&mut self, count: usize, read: impl Fn(&mut Self) -> Option<()>) -> Option<()> {
        for _ in 0..count {
            let is_name = std::mem::replace(&mut self.is_name, true);
            let name = read(self);
            self.is_name = is_name;
            name?;
            read(self)?;
        }
        Some(())
    }

    /// A number of seven bits a byte, the lowest first.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

/// What ends an item of no told length (RFC 8949, section 3.2.1).
const BREAK: u8 = 0xff;

fn cbor(reader: &mut Reader<'_>, depth: usize) -> Option<()> {
    let first = reader.byte()?;
    let (major, info) = (first >> 5, first & 0x1f);
    let count = match info {
        0..24 => Some(usize::from(info)),
        24..=27 => Some(reader.number(1 << (info - 24))?),
        31 if matches!(major, 2..=5) => None,
        _ => return None,
    };
    if depth > DEPTH_MAX {
        return None;
    }
    match (major, count) {
        (0 | 1 | 7, Some(_)) => Some(()),
        (2 | 3, Some(count)) => reader.string(count),
        (4, Some(count)) => (0..count).try_for_each(|_| cbor(reader, depth + 1)),
        (5, Some(count)) => reader.members(count, |reader| cbor(reader, depth + 1)),
        (6, Some(_)) => cbor(reader, depth + 1),
        // Chunks of a string are strings too.
        (_, _) => {
            while *reader.bytes.get(reader.at)? != BREAK {
                cbor(reader, depth + 1)?;
            }
            reader.skip(1).map(drop)
        }
    }
}

fn msgpack(reader: &mut Reader<'_>, depth: usize) -> Option<()> {
    if depth > DEPTH_MAX {
        return None;
    }
    let first = reader.byte()?;
    let members = match first {
        0x80..=0x8f => Some(usize::from(first & 0x0f)),
        0xde => Some(reader.number(2)?),
        0xdf => Some(reader.number(4)?),
        _ => None,
    };
    if let Some(count) = members {
        return reader.members(count, |reader| msgpack(reader, depth + 1));
    }
    let (items, length) = match first {
        0x00..=0x8f | 0xc0 | 0xc2 | 0xc3 | 0xde.. => return Some(()),
        0x90..=0x9f => (usize::from(first & 0x0f), None),
        0xa0..=0xbf => (0, Some(usize::from(first & 0x1f))),
        0xc4 | 0xd9 => (0, Some(reader.number(1)?)),
        0xc5 | 0xda => (0, Some(reader.number(2)?)),
        0xc6 | 0xdb => (0, Some(reader.number(4)?)),
        0xc7..=0xc9 => {
            let count = reader.number(1 << (first - 0xc7))?;
            return reader.skip(count.checked_add(1)?).map(drop);
        }
        0xca => return reader.skip(4).map(drop),
        0xcb => return reader.skip(8).map(drop),
        0xcc..=0xcf => return reader.skip(1 << (first - 0xcc)).map(drop),
        0xd0..=0xd3 => return reader.skip(1 << (first - 0xd0)).map(drop),
        0xd4..=0xd8 => return reader.skip((1 << (first - 0xd4)) + 1).map(drop),
        0xdc => (reader.number(2)?, None),
        0xdd => (reader.number(4)?, None),
        0xc1 => return None,
    };
    match length {
        Some(length) => reader.string(length),
        None => (0..items).try_for_each(|_| msgpack(reader, depth + 1)),
    }
}

/// One field. What its length tells is text, or a message, or neither.
fn protobuf(reader: &mut Reader<'_>, depth: usize) -> Option<()> {
    let tag = reader.varint()?;
    if tag >> 3 == 0 || depth > DEPTH_MAX {
        return None;
    }
    match tag & 7 {
        0 => reader.varint().map(drop),
        1 => reader.skip(8).map(drop),
        5 => reader.skip(4).map(drop),
        2 => {
            let length = usize::try_from(reader.varint()?).ok()?;
            let range = reader.skip(length)?;
            let is_shown = |byte: &u8| !byte.is_ascii_control() || byte.is_ascii_whitespace();
            if reader.bytes[range.clone()].iter().all(is_shown) {
                reader.strings.take(reader.bytes, range);
                return Some(());
            }
            let mut inner = Reader {
                bytes: &reader.bytes[..range.end],
                at: range.start,
                strings: std::mem::take(&mut reader.strings),
                is_name: false,
            };
            while inner.at < range.end && protobuf(&mut inner, depth + 1).is_some() {}
            reader.strings = inner.strings;
            Some(())
        }
        _ => None,
    }
}
