//! Undoes content codings as the bytes arrive, within bounds.

use std::io::Write;

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Codings on top of each other; honest servers use one.
const CODINGS_MAX: usize = 2;

/// Output that may always come, whatever the input: small documents of blanks.
const OUTPUT_FLOOR_BYTES: u64 = 4 << 20;

/// Output bytes an input byte: machine-written logs reach about a hundred.
const RATIO_MAX: u64 = 256;

/// Input is fed in pieces this small, so that no piece yields much before the ratio is looked at:
/// half a MiB by DEFLATE's limit of 1032 to 1.
const PIECE_BYTES: usize = 512;

/// The largest window that HTTP allows for zstd (RFC 9659, section 3).
const ZSTD_WINDOW_MAX_BYTES: u64 = 8 << 20;

/// Why content cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opaque {
    /// A coding that is not known.
    Encoding,
    /// Not what its coding says, or cut off.
    Corrupt,
    /// It grows out of bounds.
    Ratio,
}

/// The codings of one body, the outermost first.
pub(crate) struct Inflate {
    layers: Vec<Layer>,
    bytes_in: u64,
    bytes_out: u64,
}

impl std::fmt::Debug for Inflate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inflate({} layers)", self.layers.len())
    }
}

/// Where a decoder writes. What does not fit is an error: brotli and zstd know no small ratio.
struct Sink {
    bytes: Vec<u8>,
    room: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.room = self
            .room
            .checked_sub(bytes.len() as u64)
            .ok_or(std::io::ErrorKind::FileTooLarge)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

enum Layer {
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zlib(ZlibDecoder<Sink>),
    Deflate(DeflateDecoder<Sink>),
    /// `deflate` before its first two bytes tell whether zlib's header is there (RFC 9110,
    /// section 8.4.1.2, notes that some senders leave it out).
    Unsure(Vec<u8>),
    Brotli(Box<DecompressorWriter<Sink>>),
    Zstd(Box<Zstd>),
}

impl Inflate {
    /// Reads a `Content-Encoding` value; none for identity.
    pub(crate) fn new(content_encoding: &str) -> Result<Option<Self>, Opaque> {
        let names = content_encoding
            .split(',')
            .map(|name| name.trim().to_ascii_lowercase());
        let names: Vec<String> = names
            .filter(|name| !name.is_empty() && name != "identity")
            .collect();
        if names.is_empty() {
            return Ok(None);
        }
        if names.len() > CODINGS_MAX {
            return Err(Opaque::Encoding);
        }
        let layers = names.iter().rev().map(|name| Layer::new(name));
        let layers = layers.collect::<Option<Vec<_>>>().ok_or(Opaque::Encoding)?;
        Ok(Some(Self {
            layers,
            bytes_in: 0,
            bytes_out: 0,
        }))
    }

    /// The largest piece that [`Inflate::feed`] should be given.
    pub(crate) fn piece_bytes() -> usize {
        PIECE_BYTES
    }

    /// Decodes the next piece, and appends what comes out.
    pub(crate) fn feed(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Opaque> {
        self.bytes_in += piece.len() as u64;
        let most = OUTPUT_FLOOR_BYTES.max(self.bytes_in * RATIO_MAX);
        let room = most.saturating_sub(self.bytes_out);
        let mut bytes = piece.to_vec();
        for layer in &mut self.layers {
            bytes = layer.feed(&bytes, room)?;
        }
        self.bytes_out += bytes.len() as u64;
        out.extend_from_slice(&bytes);
        Ok(())
    }

    /// Says that no more comes. A body without a byte is whole.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Opaque> {
        if self.bytes_in == 0 {
            return Ok(());
        }
        let mut carried = Vec::new();
        for layer in &mut self.layers {
            let mut bytes = layer.feed(&carried, OUTPUT_FLOOR_BYTES)?;
            bytes.extend(layer.end()?);
            carried = bytes;
        }
        out.extend_from_slice(&carried);
        Ok(())
    }
}

/// Undoes the codings of whole content, as `content-encoding` lists them (RFC 9110, section 8.4); none
/// where it cannot be read, or is more than `bytes_max`.
pub fn decode(content_encoding: &str, content: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let Some(mut inflate) = Inflate::new(content_encoding).ok()? else {
        return Some(content.to_vec());
    };
    let mut decoded = Vec::new();
    for piece in content.chunks(PIECE_BYTES) {
        inflate.feed(piece, &mut decoded).ok()?;
        if decoded.len() > bytes_max {
            return None;
        }
    }
    inflate.end(&mut decoded).ok()?;
    Some(decoded)
}

fn sink() -> Sink {
    Sink {
        bytes: Vec::new(),
        room: 0,
    }
}

impl Layer {
    fn new(name: &str) -> Option<Self> {
        match name {
            "gzip" | "x-gzip" => Some(Self::Gzip(Box::new(MultiGzDecoder::new(sink())))),
            "deflate" => Some(Self::Unsure(Vec::new())),
            "br" => Some(Self::Brotli(Box::new(DecompressorWriter::new(
                sink(),
                16 * 1024,
            )))),
            "zstd" => Some(Self::Zstd(Box::default())),
            _ => None,
        }
    }

    fn feed(&mut self, bytes: &[u8], room: u64) -> Result<Vec<u8>, Opaque> {
        match self {
            Self::Gzip(decoder) => {
                decoder.get_mut().room = room;
                settle(decoder.write_all(bytes))?;
                settle(decoder.flush())?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
            Self::Zlib(decoder) => {
                decoder.get_mut().room = room;
                settle(decoder.write_all(bytes))?;
                settle(decoder.flush())?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
            Self::Deflate(decoder) => {
                decoder.get_mut().room = room;
                settle(decoder.write_all(bytes))?;
                settle(decoder.flush())?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
            Self::Unsure(held) => {
                held.extend_from_slice(bytes);
                let [first, second, ..] = held[..] else {
                    return Ok(Vec::new());
                };
                let held = std::mem::take(held);
                let has_header = first & 0x0f == 8 && u16::from_be_bytes([first, second]) % 31 == 0;
                *self = if has_header {
                    Self::Zlib(ZlibDecoder::new(sink()))
                } else {
                    Self::Deflate(DeflateDecoder::new(sink()))
                };
                self.feed(&held, room)
            }
            Self::Brotli(decoder) => {
                decoder.get_mut().room = room;
                settle(decoder.write_all(bytes))?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
            Self::Zstd(decoder) => decoder.feed(bytes, room),
        }
    }

    fn end(&mut self) -> Result<Vec<u8>, Opaque> {
        match self {
            Self::Gzip(decoder) => {
                settle(decoder.try_finish())?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
            Self::Zlib(decoder) => {
                settle(decoder.try_finish())?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
            Self::Deflate(decoder) => {
                settle(decoder.try_finish())?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
            Self::Unsure(_) => Err(Opaque::Corrupt),
            Self::Brotli(decoder) => {
                settle(decoder.close())?;
                Ok(std::mem::take(&mut decoder.get_mut().bytes))
            }
            Self::Zstd(decoder) => decoder.end(),
        }
    }
}

fn settle(result: std::io::Result<()>) -> Result<(), Opaque> {
    result.map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => Opaque::Ratio,
        _ => Opaque::Corrupt,
    })
}

/// Feeds whole blocks to a decoder that takes no partial ones (RFC 8878, section 3.1.1).
struct Zstd {
    decoder: FrameDecoder,
    pending: Vec<u8>,
    /// Whether a frame is begun, and whether it ends in a checksum.
    frame: Option<bool>,
}

impl Default for Zstd {
    fn default() -> Self {
        Self {
            decoder: FrameDecoder::new(),
            pending: Vec::new(),
            frame: None,
        }
    }
}

impl Zstd {
    fn feed(&mut self, bytes: &[u8], room: u64) -> Result<Vec<u8>, Opaque> {
        self.pending.extend_from_slice(bytes);
        let (mut out, mut taken) = (Vec::new(), 0);
        loop {
            let rest = &self.pending[taken..];
            let step = match self.frame {
                None => frame_header(rest)?,
                Some(has_checksum) => block_len(rest, has_checksum),
            };
            let Some(len) = step.filter(|len| *len <= rest.len()) else {
                break;
            };
            let mut part = &rest[..len];
            if self.frame.is_none() {
                self.decoder.init(&mut part).map_err(|_| Opaque::Corrupt)?;
                self.frame = Some(rest[4] & 0x04 != 0);
            } else {
                let one = BlockDecodingStrategy::UptoBlocks(1);
                let is_last = self
                    .decoder
                    .decode_blocks(&mut part, one)
                    .map_err(|_| Opaque::Corrupt)?;
                out.extend(self.decoder.collect().unwrap_or_default());
                if is_last {
                    self.frame = None;
                }
            }
            taken += len;
            if out.len() as u64 > room {
                return Err(Opaque::Ratio);
            }
        }
        self.pending.drain(..taken);
        Ok(out)
    }

    fn end(&mut self) -> Result<Vec<u8>, Opaque> {
        match (self.frame, self.pending.is_empty()) {
            (None, true) => Ok(Vec::new()),
            (None, false) | (Some(_), _) => Err(Opaque::Corrupt),
        }
    }
}

/// The length of a frame's header, once enough of it is there to tell (section 3.1.1.1).
fn frame_header(rest: &[u8]) -> Result<Option<usize>, Opaque> {
    let Some(descriptor) = rest.get(4) else {
        return Ok(None);
    };
    if rest[..4] != [0x28, 0xb5, 0x2f, 0xfd] {
        return Err(Opaque::Corrupt);
    }
    let is_single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match descriptor >> 6 {
        0 => usize::from(is_single),
        flag => 1 << flag,
    };
    let window = usize::from(!is_single);
    if let (false, Some(byte)) = (is_single, rest.get(5)) {
        let base = 1u64 << (10 + (byte >> 3));
        if base + base / 8 * u64::from(byte & 7) > ZSTD_WINDOW_MAX_BYTES {
            return Err(Opaque::Ratio);
        }
    }
    let len = 5 + window + dictionary + size;
    if is_single && rest.len() >= len {
        let stated = &rest[len - size..len];
        let stated = stated
            .iter()
            .rev()
            .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        if stated > ZSTD_WINDOW_MAX_BYTES {
            return Err(Opaque::Ratio);
        }
    }
    Ok(Some(len))
}

/// The length of a block with its header, and of the frame's checksum after the last one.
fn block_len(rest: &[u8], has_checksum: bool) -> Option<usize> {
    let [a, b, c, ..] = *rest else {
        return None;
    };
    let header = u32::from_le_bytes([a, b, c, 0]);
    let is_rle = header >> 1 & 3 == 1;
    let content = if is_rle { 1 } else { (header >> 3) as usize };
    let is_last = header & 1 == 1;
    Some(3 + content + if is_last && has_checksum { 4 } else { 0 })
}
