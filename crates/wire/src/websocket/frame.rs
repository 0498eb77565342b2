//! Frames (RFC 6455, section 5.2).

use bytes::{BufMut, BytesMut};

use super::Violation;

const FINAL: u8 = 0x80;
const RESERVED_1: u8 = 0x40;
const RESERVED_2_3: u8 = 0x30;
const MASKED: u8 = 0x80;
const OPCODE: u8 = 0x0f;
const LENGTH: u8 = 0x7f;
/// The length is in the next two bytes.
const LENGTH_16: u8 = 126;
/// The length is in the next eight bytes.
const LENGTH_64: u8 = 127;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The next fragment of a message.
    Continuation,
    /// A message or its first fragment.
    Message(Kind),
    /// The last frame of its sender.
    Close,
    /// Wants an answer.
    Ping,
    /// The answer.
    Pong,
}

/// A frame's first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Whether it is a message's last fragment.
    pub is_final: bool,
    /// The first reserved bit: on a message's first frame, that it is compressed.
    pub is_compressed: bool,
    /// What it is.
    pub opcode: Opcode,
    /// What its payload is masked with.
    pub mask: Option<[u8; 4]>,
    /// The bytes of its payload.
    pub length: u64,
}

impl Opcode {
    /// Whether it is of the frames that may come within a message.
    pub fn is_control(self) -> bool {
        match self {
            Self::Continuation | Self::Message(_) => false,
            Self::Close | Self::Ping | Self::Pong => true,
        }
    }

    fn parse(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Continuation),
            1 => Some(Self::Message(Kind::Text)),
            2 => Some(Self::Message(Kind::Binary)),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Message(Kind::Text) => 1,
            Self::Message(Kind::Binary) => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }
}

impl Frame {
    /// Reads a frame's first bytes: what they say, and how many they are. `None` asks for more.
    ///
    /// # Errors
    /// [`Violation::Reserved`], [`Violation::Opcode`] or [`Violation::Length`].
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & RESERVED_2_3 != 0 {
            return Err(Violation::Reserved);
        }
        let opcode = Opcode::parse(first & OPCODE).ok_or(Violation::Opcode)?;
        let Some((length, length_bytes)) = parse_length(second & LENGTH, rest)? else {
            return Ok(None);
        };
        let mut size = 2 + length_bytes;
        let mut mask = None;
        if second & MASKED != 0 {
            mask = rest[length_bytes..].first_chunk().copied();
            if mask.is_none() {
                return Ok(None);
            }
            size += 4;
        }
        let frame = Self {
            is_final: first & FINAL != 0,
            is_compressed: first & RESERVED_1 != 0,
            opcode,
            mask,
            length,
        };
        Ok(Some((frame, size)))
    }

    fn write(self, out: &mut BytesMut) {
        let bit = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let first = bit(self.is_final, FINAL) | bit(self.is_compressed, RESERVED_1);
        out.put_u8(first | self.opcode.code());
        let masked = bit(self.mask.is_some(), MASKED);
        match self.length {
            length @ 0..=125 => out.put_u8(masked | length as u8),
            length @ 126..=0xffff => {
                out.put_u8(masked | LENGTH_16);
                out.put_u16(length as u16);
            }
            length => {
                out.put_u8(masked | LENGTH_64);
                out.put_u64(length);
            }
        }
        if let Some(mask) = self.mask {
            out.put_slice(&mask);
        }
    }
}

/// The length and the bytes that it takes beside the first. It must be in its shortest form.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let (length, bytes, least) = match short {
        LENGTH_16 => match rest.first_chunk() {
            Some(length) => (u16::from_be_bytes(*length).into(), 2, 126),
            None => return Ok(None),
        },
        LENGTH_64 => match rest.first_chunk() {
            Some(length) => (u64::from_be_bytes(*length), 8, 0x1_0000),
            None => return Ok(None),
        },
        short => (short.into(), 0, 0),
    };
    if length < least || length > i64::MAX as u64 {
        return Err(Violation::Length);
    }
    Ok(Some((length, bytes)))
}

/// Appends a frame, whose length is its payload's.
pub fn write_frame(out: &mut BytesMut, mut frame: Frame, payload: &[u8]) {
    frame.length = payload.len() as u64;
    out.reserve(FRAME_BYTES_MAX + payload.len());
    frame.write(out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = frame.mask {
        apply_mask(&mut out[start..], mask, 0);
    }
}

/// The bytes of a frame beside its payload.
const FRAME_BYTES_MAX: usize = 14;

/// Masks, or unmasks (RFC 6455, section 5.3). `at` is where in the frame's payload the bytes begin.
pub(super) fn apply_mask(bytes: &mut [u8], mut mask: [u8; 4], at: u64) {
    mask.rotate_left((at % 4) as usize);
    let wide = u64::from_ne_bytes([
        mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3],
    ]);
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let value = u64::from_ne_bytes(word.try_into().expect("a chunk of eight"));
        word.copy_from_slice(&(value ^ wide).to_ne_bytes());
    }
    for (byte, mask) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}
