//! A strict reading of an HTTP/1.x client's raw bytes (RFC 9112).
//!
//! An HTTP library reads leniently: it takes bare line feeds, drops one of two framings, skips
//! stray blank lines. Whoever reads the same bytes less leniently sees other requests in them.
//! [`Framing`] walks the bytes ahead of the library and vets only what has one reading.

mod block;
mod target;
#[cfg(test)]
mod tests;

use carboy_engine::Fault;

use block::{Block, Section};
pub use target::escape_target;

/// The longest request head. Longer than what servers take (8 to 48 KiB), so that it is not
/// Carboy that refuses a client's cookies.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The longest trailer section: what trailers are used for (digests, gRPC status) is far shorter.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// The most fields in a head or a trailer section. The library that reads them next takes no more, and
/// would answer in words of its own.
pub const FIELDS_MAX: usize = 100;

/// The longest method. The longest registered one has 17 bytes (RFC 4437).
pub const METHOD_BYTES_MAX: usize = 32;

/// The longest extension of one chunk. Nobody needs them, and they are not sent on.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 256;

/// The extensions of all chunks of one body: half of what hyper takes, so that it never has to
/// judge them.
pub const BODY_EXTENSION_BYTES_MAX: usize = 8 * 1024;

/// Sixteen hexadecimal digits fill a `u64`.
const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

/// How the bytes have more than one reading, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A line ends in a bare LF, or holds a bare CR.
    #[error("a line end other than CR LF")]
    LineEnd,
    /// A blank line where a request line should be.
    #[error("a blank line before the request")]
    BlankLine,
    /// The head or the trailer section is too long.
    #[error("the head or trailers are longer than allowed")]
    TooLong,
    /// There are too many fields.
    #[error("more than {FIELDS_MAX} fields")]
    TooManyFields,
    /// The method is not a token, or too long.
    #[error("the method is not a token")]
    Method,
    /// The request target is empty, or holds a fragment or a byte that no URL holds as it is. Some of
    /// those [`escape_target`] mends.
    #[error("a byte in the request target that may not be there")]
    Target,
    /// The version is neither `HTTP/1.1` nor `HTTP/1.0`.
    #[error("the version is neither HTTP/1.1 nor HTTP/1.0")]
    Version,
    /// A line folded over two (RFC 9112, section 5.2).
    #[error("a folded header line")]
    Folded,
    /// A field without a name that is a token right before its colon.
    #[error("a field name that is not a token")]
    FieldName,
    /// A control character in a field's value.
    #[error("a control character in a field's value")]
    FieldValue,
    /// A field that some servers would take for a framing field, such as `Content_Length`.
    #[error("a field name that looks like a framing field")]
    Lookalike,
    /// `Content-Length` is not one number, or there are two.
    #[error("Content-Length is not one number")]
    Length,
    /// `Transfer-Encoding` is not `chunked`, once, in HTTP/1.1.
    #[error("Transfer-Encoding is not chunked, or not allowed here")]
    Encoding,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("both Content-Length and Transfer-Encoding")]
    BothFramings,
    /// A `CONNECT` with a body.
    #[error("CONNECT with a body")]
    ConnectBody,
    /// A chunk's size is not one to sixteen hexadecimal digits.
    #[error("a chunk size that is not a hexadecimal number")]
    ChunkSize,
    /// A chunk's extension is too long, or holds a control character.
    #[error("a chunk extension that is too long or malformed")]
    ChunkExtension,
    /// A chunk's data are not followed by CR LF.
    #[error("chunk data without their line end")]
    ChunkEnd,
    /// A field that may not stand in a trailer section (RFC 9110, section 6.5.1).
    #[error("a framing or routing field in the trailers")]
    Trailer,
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Malformed(violation.to_string())
    }
}

/// Walks the bytes of one client connection, request after request.
///
/// The caller keeps the bytes that are not vetted yet, at most [`HEAD_BYTES_MAX`] of a partial
/// head, and hands on only vetted ones. Heads and trailer sections are vetted whole; body bytes
/// as they come. After a `CONNECT` nothing is vetted until [`Framing::pass_through`]: a refused
/// tunnel's connection must end, since its bytes may be no HTTP at all.
#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    block: Block,
    extension_bytes: usize,
    violation: Option<Violation>,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Head,
    /// A body of which this many bytes are to come.
    Sized(u64),
    /// The digits of a chunk's size.
    ChunkSize {
        size: u64,
        digits: u8,
    },
    /// A chunk's extension; this many bytes of it went by.
    ChunkExtension {
        size: u64,
        bytes: usize,
    },
    /// The LF of a chunk's size line.
    ChunkSizeLf {
        size: u64,
    },
    /// Chunk data of which this many bytes are to come.
    ChunkData(u64),
    /// The CR after chunk data.
    ChunkCr,
    /// The LF after chunk data.
    ChunkLf,
    Trailers,
    /// A `CONNECT` was vetted and not answered yet.
    Tunnel,
    /// The bytes are no longer HTTP/1.x.
    Opaque,
}

impl Framing {
    /// Starts at the beginning of a connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Vets the connection's next bytes and returns how many of them may be handed on.
    ///
    /// `unvetted` starts at the first byte not handed on yet, and holds at least all bytes that
    /// it held in the call before. Where fewer than all are vetted, more bytes are needed or the
    /// next call returns the violation, so that all that came before it still is handed on,
    /// however the bytes are cut.
    ///
    /// # Errors
    /// The [`Violation`] at the first byte of `unvetted`'s line, head or chunk; from then on always.
    pub fn advance(&mut self, unvetted: &[u8]) -> Result<usize, Violation> {
        let mut vetted = 0;
        while vetted < unvetted.len() && self.violation.is_none() {
            match self.step(&unvetted[vetted..]) {
                Ok(0) => break,
                Ok(count) => vetted += count,
                Err(violation) => self.violation = Some(violation),
            }
        }
        match self.violation {
            Some(violation) if vetted == 0 => Err(violation),
            _ => Ok(vetted),
        }
    }

    /// Says that the connection is not HTTP/1.x from here on: a tunnel was opened. All bytes are
    /// vetted from now on.
    pub fn pass_through(&mut self) {
        self.state = State::Opaque;
    }

    /// Forgets the violation of a head that the caller has mended, to vet it again from its start.
    pub fn retry(&mut self) {
        self.block = Block::default();
        self.violation = None;
    }

    /// Whether no request is half-way, as far as the vetted bytes go, so that the connection may
    /// end here.
    pub fn is_between_requests(&self) -> bool {
        matches!(self.state, State::Head | State::Tunnel | State::Opaque)
    }

    /// Whether a `CONNECT` waits for its answer.
    pub fn is_awaiting_tunnel(&self) -> bool {
        self.state == State::Tunnel
    }

    /// The violation that ended the connection, if one did.
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// Vets some of the bytes, which are not empty. Zero asks for more.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        match self.state {
            State::Head => self.head(bytes),
            State::Sized(left) => Ok(self.skip(left, bytes.len(), State::Sized, State::Head)),
            State::ChunkData(left) => {
                Ok(self.skip(left, bytes.len(), State::ChunkData, State::ChunkCr))
            }
            State::ChunkSize { size, digits } => self.chunk_size(size, digits, bytes[0]),
            State::ChunkExtension { size, bytes: seen } => {
                self.chunk_extension(size, seen, bytes[0])
            }
            State::ChunkSizeLf { size } => self.chunk_size_end(size, bytes[0]),
            State::ChunkCr => self.expect(bytes[0], b'\r', State::ChunkLf),
            State::ChunkLf => self.expect(bytes[0], b'\n', FIRST_CHUNK),
            State::Trailers => self.trailers(bytes),
            State::Tunnel => Ok(0),
            State::Opaque => Ok(bytes.len()),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let Some(end) = self.block.scan(Section::Head, bytes, HEAD_BYTES_MAX)? else {
            return Ok(0);
        };
        let framing = std::mem::take(&mut self.block).framing()?;
        self.extension_bytes = 0;
        self.state = match framing {
            block::Body::Tunnel => State::Tunnel,
            block::Body::Chunked => FIRST_CHUNK,
            block::Body::Sized(0) => State::Head,
            block::Body::Sized(length) => State::Sized(length),
        };
        Ok(end)
    }

    fn trailers(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        let end = self
            .block
            .scan(Section::Trailers, bytes, TRAILER_BYTES_MAX)?;
        let Some(end) = end else {
            return Ok(0);
        };
        self.block = Block::default();
        self.state = State::Head;
        Ok(end)
    }

    fn skip(&mut self, left: u64, have: usize, more: fn(u64) -> State, then: State) -> usize {
        // What does not fit a usize is more than any slice holds.
        let count = usize::try_from(left).map_or(have, |left| left.min(have));
        let left = left - count as u64;
        self.state = if left == 0 { then } else { more(left) };
        count
    }

    fn chunk_size(&mut self, size: u64, digits: u8, byte: u8) -> Result<usize, Violation> {
        self.state = match byte {
            b'\r' if digits > 0 => State::ChunkSizeLf { size },
            b';' if digits > 0 => State::ChunkExtension { size, bytes: 0 },
            _ => {
                let digit = char::from(byte).to_digit(16).ok_or(Violation::ChunkSize)?;
                if digits == CHUNK_SIZE_DIGITS_MAX {
                    return Err(Violation::ChunkSize);
                }
                State::ChunkSize {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                }
            }
        };
        Ok(1)
    }

    fn chunk_extension(&mut self, size: u64, seen: usize, byte: u8) -> Result<usize, Violation> {
        self.extension_bytes += 1;
        let over =
            seen >= CHUNK_EXTENSION_BYTES_MAX || self.extension_bytes > BODY_EXTENSION_BYTES_MAX;
        self.state = match byte {
            b'\r' => State::ChunkSizeLf { size },
            b'\t' | b' '..=b'~' if !over => State::ChunkExtension {
                size,
                bytes: seen + 1,
            },
            _ => return Err(Violation::ChunkExtension),
        };
        Ok(1)
    }

    fn chunk_size_end(&mut self, size: u64, byte: u8) -> Result<usize, Violation> {
        if byte != b'\n' {
            return Err(Violation::LineEnd);
        }
        self.state = if size == 0 {
            State::Trailers
        } else {
            State::ChunkData(size)
        };
        Ok(1)
    }

    fn expect(&mut self, byte: u8, wanted: u8, then: State) -> Result<usize, Violation> {
        if byte != wanted {
            return Err(Violation::ChunkEnd);
        }
        self.state = then;
        Ok(1)
    }
}

const FIRST_CHUNK: State = State::ChunkSize { size: 0, digits: 0 };
