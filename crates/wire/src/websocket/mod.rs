//! WebSockets (RFC 6455), compression included (RFC 7692).
//!
//! The two handshakes that the gate takes part in are made anew by [`Opening`]; what it does not know
//! of them is not passed on. [`Reader`] takes frames apart and knows what is wrong with them,
//! [`Inflater`] undoes the compression, and [`write_frame`] makes the frames that are sent on.

mod close;
mod deflate;
mod frame;
mod handshake;
mod reader;
#[cfg(test)]
mod tests;
mod text;

use carboy_engine::Fault;

pub use close::{CLOSE_REASON_BYTES_MAX, Close, Code, close_payload, refusal_reason};
pub use deflate::{Deflate, Inflater, deflate};
pub use frame::{Frame, Kind, Opcode, write_frame};
pub use handshake::{Agreement, KEY_BYTES, Opening, is_wanted};
pub use reader::{CONTROL_BYTES_MAX, Control, Event, Reader, Sender};
pub use text::TextCheck;

/// How a peer broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A client's frame without a mask, or a server's with one (RFC 6455, section 5.1).
    #[error("a frame is masked that must not be, or is not that must be")]
    Masking,
    /// A reserved bit that no extension gave a meaning here.
    #[error("a reserved bit is set")]
    Reserved,
    /// An opcode that means nothing.
    #[error("an unknown opcode")]
    Opcode,
    /// A length in more bytes than it needs, or of more than 63 bits.
    #[error("a length that is not in its shortest form")]
    Length,
    /// A control frame of more than 125 bytes.
    #[error("a control frame of more than {CONTROL_BYTES_MAX} bytes")]
    ControlLength,
    /// A control frame in fragments.
    #[error("a control frame in fragments")]
    ControlFragment,
    /// A continuation of nothing, or a new message within another.
    #[error("a fragment out of its order")]
    Fragment,
    /// A close frame whose code may not be sent.
    #[error("a close frame without a valid code")]
    CloseCode,
    /// Text that is not UTF-8.
    #[error("text that is not UTF-8")]
    Text,
    /// A compressed message that cannot be read in one way only.
    #[error("a message that is not compressed as it says")]
    Compression,
}

impl Violation {
    /// What the connection is closed with.
    pub fn code(self) -> Code {
        match self {
            Self::Masking
            | Self::Reserved
            | Self::Opcode
            | Self::Length
            | Self::ControlLength
            | Self::ControlFragment
            | Self::Fragment
            | Self::CloseCode => Code::PROTOCOL_ERROR,
            Self::Text | Self::Compression => Code::INVALID_DATA,
        }
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Malformed(violation.to_string())
    }
}
