//! The extension permessage-deflate (RFC 7692).

use std::fmt;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{Sender, Violation};

/// What a sender leaves out of each message (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Decompressed bytes given at a time.
const CHUNK_BYTES: usize = 32 * 1024;

/// The largest window of DEFLATE.
const WINDOW_BITS_MAX: u8 = 15;

const NAME: &str = "permessage-deflate";

/// An offer of the extension, or its acceptance.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Deflate {
    /// The server forgets each message.
    pub server_no_context_takeover: bool,
    /// The client forgets each message.
    pub client_no_context_takeover: bool,
    /// The server's window, as a power of two.
    pub server_max_window_bits: Option<u8>,
    /// The client's window; without a value, that the server may choose it.
    pub client_max_window_bits: Option<Option<u8>>,
}

impl Deflate {
    /// Reads one item of `Sec-WebSocket-Extensions`. `None` for another extension, and for parameters
    /// that are not as RFC 7692 has them, which a server declines too (section 5.1).
    pub(super) fn parse(item: &str) -> Option<Self> {
        let mut parts = item.split(';').map(str::trim);
        if !parts.next()?.eq_ignore_ascii_case(NAME) {
            return None;
        }
        let mut deflate = Self::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
                None => (part, None),
            };
            deflate.set(&name.to_ascii_lowercase(), value)?;
        }
        Some(deflate)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Option<()> {
        let flag =
            |flag: &mut bool| (value.is_none() && !std::mem::replace(flag, true)).then_some(());
        match name {
            "server_no_context_takeover" => flag(&mut self.server_no_context_takeover),
            "client_no_context_takeover" => flag(&mut self.client_no_context_takeover),
            "server_max_window_bits" if self.server_max_window_bits.is_none() => {
                self.server_max_window_bits = Some(window_bits(value?)?);
                Some(())
            }
            "client_max_window_bits" if self.client_max_window_bits.is_none() => {
                self.client_max_window_bits = Some(match value {
                    Some(value) => Some(window_bits(value)?),
                    None => None,
                });
                Some(())
            }
            _ => None,
        }
    }

    /// How far back a sender's message may refer, as a power of two (sections 7.1.2.1 and 7.1.2.2).
    pub fn window_bits(self, sender: Sender) -> u8 {
        let bits = match sender {
            Sender::Server => self.server_max_window_bits,
            Sender::Client => self.client_max_window_bits.flatten(),
        };
        bits.unwrap_or(WINDOW_BITS_MAX)
    }

    /// Whether a server may accept one of `offers` so: it must not bind a client that did not say that
    /// it can be bound (section 7.1.2.2).
    pub(super) fn may_answer(self, offers: &[Self]) -> bool {
        match self.client_max_window_bits {
            Some(None) => false,
            Some(Some(_)) => offers
                .iter()
                .any(|offer| offer.client_max_window_bits.is_some()),
            None => !offers.is_empty(),
        }
    }
}

impl fmt::Display for Deflate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        match self.client_max_window_bits {
            None => Ok(()),
            Some(None) => f.write_str("; client_max_window_bits"),
            Some(Some(bits)) => write!(f, "; client_max_window_bits={bits}"),
        }
    }
}

fn window_bits(value: &str) -> Option<u8> {
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    let bits = value.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    (!value.starts_with(['0', '+'])).then_some(bits)
}

/// Compresses a message by itself: it refers to none before it, whatever its receiver remembers. `None`
/// where that makes it no smaller, and where it is longer than the window, beyond which it may not refer.
pub fn deflate(message: &[u8], window_bits: u8) -> Option<Vec<u8>> {
    if window_bits < WINDOW_BITS_MAX && message.len() > 1 << window_bits {
        return None;
    }
    let mut stream = Compress::new(Compression::default(), false);
    // What does not fit is no smaller.
    let mut out = Vec::with_capacity(message.len() + TAIL.len());
    let status = stream.compress_vec(message, &mut out, FlushCompress::Sync);
    let is_whole = matches!(status, Ok(Status::Ok)) && stream.total_in() == message.len() as u64;
    let packed = out.strip_suffix(&TAIL).filter(|_| is_whole)?;
    (packed.len() < message.len()).then(|| packed.to_vec())
}

/// Decompresses one side's messages, one after the other. Nothing is allocated before the first, and
/// nothing kept after one where no context is taken over.
#[derive(Default)]
pub struct Inflater {
    stream: Option<Box<Decompress>>,
    forgets: bool,
    /// A final block was read: no more than the empty one may follow.
    ended: Option<usize>,
}

impl Inflater {
    /// `forgets` says that the sender takes no context over.
    pub fn new(forgets: bool) -> Self {
        Self {
            forgets,
            ..Self::default()
        }
    }

    /// Decompresses the next bytes of a message. `visit` sees what comes of them, at most 32 KiB at a
    /// time, and can end it.
    ///
    /// # Errors
    /// What `visit` returns, and [`Violation::Compression`].
    pub fn push<E: From<Violation>>(
        &mut self,
        mut bytes: &[u8],
        visit: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        loop {
            if let Some(after) = &mut self.ended {
                // RFC 7692, section 7.2.3.4: whoever ends with a final block adds an empty one, of
                // which one byte is left.
                *after += bytes.len();
                return match *after <= 1 && bytes.iter().all(|byte| *byte == 0) {
                    true => Ok(()),
                    false => Err(Violation::Compression.into()),
                };
            }
            let stream = self
                .stream
                .get_or_insert_with(|| Box::new(Decompress::new(false)));
            chunk.clear();
            let before = stream.total_in();
            let status = stream
                .decompress_vec(bytes, &mut chunk, FlushDecompress::Sync)
                .map_err(|_| Violation::Compression)?;
            bytes = &bytes[(stream.total_in() - before) as usize..];
            if !chunk.is_empty() {
                visit(&chunk)?;
            }
            match status {
                Status::StreamEnd => self.ended = Some(0),
                Status::Ok | Status::BufError => {
                    if bytes.is_empty() && chunk.len() < CHUNK_BYTES {
                        return Ok(());
                    }
                    if chunk.is_empty() {
                        return Err(Violation::Compression.into());
                    }
                }
            }
        }
    }

    /// Ends a message.
    ///
    /// # Errors
    /// As [`Inflater::push`].
    pub fn end<E: From<Violation>>(
        &mut self,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.ended.is_none() {
            self.push(&TAIL, visit)?;
        }
        if self.ended.take().is_some() || self.forgets {
            self.stream = None;
        }
        Ok(())
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inflater {{ forgets: {} }}", self.forgets)
    }
}
