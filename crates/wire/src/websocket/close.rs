//! Close frames (RFC 6455, section 7.4).

use bytes::{BufMut, Bytes, BytesMut};
use carboy_engine::Refusal;

use super::Violation;

/// What fits beside the code into a control frame.
pub const CLOSE_REASON_BYTES_MAX: usize = 123;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(u16);

/// The payload of a close frame, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close(Bytes);

impl Code {
    /// The purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// An endpoint goes away.
    pub const GOING_AWAY: Self = Self(1001);
    /// The protocol was broken.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// Text that is not UTF-8, or content that is not what it says.
    pub const INVALID_DATA: Self = Self(1007);
    /// The policy forbids it.
    pub const POLICY: Self = Self(1008);
    /// A message is too big.
    pub const TOO_BIG: Self = Self(1009);
    /// The other side failed.
    pub const FAILED: Self = Self(1011);

    /// Whether a peer may send it: the registered ones that are no mere signs for an application, and
    /// the private ones.
    fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl Close {
    /// Reads a close frame's payload.
    ///
    /// # Errors
    /// [`Violation::CloseCode`] or [`Violation::Text`].
    pub fn parse(payload: Bytes) -> Result<Self, Violation> {
        match &payload[..] {
            [] => Ok(Self(payload)),
            [high, low, reason @ ..] => {
                if !Code(u16::from_be_bytes([*high, *low])).may_be_sent() {
                    return Err(Violation::CloseCode);
                }
                if std::str::from_utf8(reason).is_err() {
                    return Err(Violation::Text);
                }
                Ok(Self(payload))
            }
            [_] => Err(Violation::CloseCode),
        }
    }

    /// What it says beside the code.
    pub fn reason(&self) -> &[u8] {
        self.0.get(2..).unwrap_or_default()
    }

    /// The payload.
    pub fn payload(&self) -> &Bytes {
        &self.0
    }
}

/// The payload of a close frame. A long reason is cut.
pub fn close_payload(code: Code, reason: &str) -> Bytes {
    let mut cut = reason.len().min(CLOSE_REASON_BYTES_MAX);
    while !reason.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut payload = BytesMut::with_capacity(2 + cut);
    payload.put_u16(code.0);
    payload.put_slice(&reason.as_bytes()[..cut]);
    payload.freeze()
}

/// A refusal in as few words as a close frame holds.
pub fn refusal_reason(refusal: &Refusal, crossing: &str) -> String {
    let by = match &*refusal.rule {
        "" => String::new(),
        rule => format!(" by {rule}"),
    };
    format!("carboy refused {crossing}: {}{by}", refusal.reason.as_str())
}
