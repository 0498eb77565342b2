//! Takes one peer's frames apart.

use bytes::{Bytes, BytesMut};

use super::frame::{Frame, Kind, Opcode, apply_mask};
use super::{Close, Violation};

/// The payload of a control frame (RFC 6455, section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// Whose frames are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The client's, which are masked.
    Client,
    /// The server's, which are not.
    Server,
}

/// A control frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Wants an answer.
    Ping(Bytes),
    /// The answer to a ping, or to nothing.
    Pong(Bytes),
    /// The end. Nothing is read after it.
    Close(Close),
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A message begins.
    Start {
        /// Text or bytes.
        kind: Kind,
        /// Whether it is compressed.
        is_compressed: bool,
    },
    /// More of the message, unmasked, as it came: compressed if the message is.
    Data(Bytes),
    /// The message is whole.
    End,
    /// A control frame, perhaps within a message.
    Control(Control),
}

/// Reads the frames of one side of a connection. It keeps no content: a message is told piece by piece
/// as it comes, and only a control frame is awaited whole.
#[derive(Debug)]
pub struct Reader {
    sender: Sender,
    may_compress: bool,
    /// A message is open.
    is_within: bool,
    current: Option<Current>,
    /// An event that is due without more bytes.
    due: Option<Event>,
    is_over: bool,
}

/// The data frame that is being read.
#[derive(Debug)]
struct Current {
    is_final: bool,
    mask: Option<[u8; 4]>,
    at: u64,
    length: u64,
}

impl Reader {
    /// Reads what `sender` sends. `may_compress` says whether permessage-deflate was agreed on.
    pub fn new(sender: Sender, may_compress: bool) -> Self {
        Self {
            sender,
            may_compress,
            is_within: false,
            current: None,
            due: None,
            is_over: false,
        }
    }

    /// The next event; `None` asks for more bytes, or follows a close frame.
    ///
    /// # Errors
    /// How the peer broke the protocol. Nothing may be read after it.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Violation> {
        if let Some(event) = self.due.take() {
            return Ok(Some(event));
        }
        if self.is_over {
            input.clear();
            return Ok(None);
        }
        if let Some(event) = self.payload(input) {
            return Ok(Some(event));
        }
        if self.current.is_some() {
            return Ok(None);
        }
        let Some((frame, size)) = Frame::parse(input)? else {
            return Ok(None);
        };
        self.check(&frame)?;
        if frame.opcode.is_control() {
            return self.control(frame, size, input);
        }
        let _ = input.split_to(size);
        self.begin(&frame);
        match self.due.take() {
            Some(event) => Ok(Some(event)),
            None => self.next(input),
        }
    }

    /// Whether a message has begun and not ended.
    pub fn is_within(&self) -> bool {
        self.is_within
    }

    /// What is wrong with a frame is told before its payload has come.
    fn check(&self, frame: &Frame) -> Result<(), Violation> {
        if frame.mask.is_some() != (self.sender == Sender::Client) {
            return Err(Violation::Masking);
        }
        let is_first = matches!(frame.opcode, Opcode::Message(_));
        if frame.is_compressed && !(self.may_compress && is_first) {
            return Err(Violation::Reserved);
        }
        if frame.opcode.is_control() {
            if !frame.is_final {
                return Err(Violation::ControlFragment);
            }
            return match frame.length <= CONTROL_BYTES_MAX as u64 {
                true => Ok(()),
                false => Err(Violation::ControlLength),
            };
        }
        match is_first == self.is_within {
            true => Err(Violation::Fragment),
            false => Ok(()),
        }
    }

    fn begin(&mut self, frame: &Frame) {
        if let Opcode::Message(kind) = frame.opcode {
            self.is_within = true;
            self.due = Some(Event::Start {
                kind,
                is_compressed: frame.is_compressed,
            });
        }
        self.current = Some(Current {
            is_final: frame.is_final,
            mask: frame.mask,
            at: 0,
            length: frame.length,
        });
    }

    /// What there is of the current frame's payload; its end, if it is there too, comes next.
    fn payload(&mut self, input: &mut BytesMut) -> Option<Event> {
        let current = self.current.as_mut()?;
        let left = current.length - current.at;
        let count = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let mut bytes = input.split_to(count);
        if let Some(mask) = current.mask {
            apply_mask(&mut bytes, mask, current.at);
        }
        current.at += count as u64;
        if current.at == current.length {
            let is_end = current.is_final;
            self.current = None;
            if is_end {
                self.is_within = false;
                self.due = Some(Event::End);
            }
        }
        match bytes.is_empty() {
            true => self.due.take(),
            false => Some(Event::Data(bytes.freeze())),
        }
    }

    fn control(
        &mut self,
        frame: Frame,
        size: usize,
        input: &mut BytesMut,
    ) -> Result<Option<Event>, Violation> {
        let length = frame.length as usize;
        if input.len() < size + length {
            return Ok(None);
        }
        let _ = input.split_to(size);
        let mut payload = input.split_to(length);
        if let Some(mask) = frame.mask {
            apply_mask(&mut payload, mask, 0);
        }
        let payload = payload.freeze();
        let control = match frame.opcode {
            Opcode::Ping => Control::Ping(payload),
            Opcode::Pong => Control::Pong(payload),
            Opcode::Close | Opcode::Continuation | Opcode::Message(_) => {
                self.is_over = true;
                Control::Close(Close::parse(payload)?)
            }
        };
        Ok(Some(Event::Control(control)))
    }
}
