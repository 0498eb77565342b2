//! Where a gRPC body's messages end.
//!
//! The two sides of a streaming call talk in turns, a message at a time, so that what ends a message
//! must not wait for the next one.

use ::http::HeaderMap;
use ::http::header::CONTENT_TYPE;

/// A message's prefix: whether it is compressed, and its length (gRPC over HTTP/2, "Requests").
const PREFIX_BYTES: usize = 5;

/// Follows a body's messages by their lengths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Messages {
    prefix: [u8; PREFIX_BYTES],
    /// How much of the prefix has come.
    prefixed: usize,
    /// How much of the message is to come, once the prefix is whole.
    left: u32,
}

impl Messages {
    /// For a body whose head says that it is gRPC's, or gRPC-Web's without base64.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let declared = headers.get(CONTENT_TYPE)?.as_bytes();
        let essence = declared.split(|byte| matches!(byte, b';' | b'+')).next()?;
        let essence = essence.trim_ascii();
        ["application/grpc", "application/grpc-web"]
            .iter()
            .any(|grpc| essence.eq_ignore_ascii_case(grpc.as_bytes()))
            .then(Self::default)
    }

    /// Takes the body's next bytes, however it was cut.
    pub fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.prefixed < PREFIX_BYTES {
                let wanted = (PREFIX_BYTES - self.prefixed).min(bytes.len());
                let (head, rest) = bytes.split_at(wanted);
                self.prefix[self.prefixed..self.prefixed + wanted].copy_from_slice(head);
                self.prefixed += wanted;
                bytes = rest;
                if self.prefixed == PREFIX_BYTES {
                    let [_, length @ ..] = self.prefix;
                    self.left = u32::from_be_bytes(length);
                }
            } else {
                let within = bytes.len().min(self.left as usize);
                self.left -= within as u32;
                bytes = &bytes[within..];
            }
            if self.prefixed == PREFIX_BYTES && self.left == 0 {
                self.prefixed = 0;
            }
        }
    }

    /// Whether all that came so far is whole messages.
    pub fn is_between(&self) -> bool {
        self.prefixed == 0
    }
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderMap, HeaderValue};

    use super::Messages;

    #[test]
    fn the_declared_type_tells() {
        for (declared, is_grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC;charset=utf-8", true),
            ("application/grpc-web+proto", true),
            // Base64: its lengths are not in the clear.
            ("application/grpc-web-text", false),
            ("application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", HeaderValue::from_static(declared));
            assert_eq!(Messages::of(&headers).is_some(), is_grpc, "{declared}");
        }
        assert_eq!(Messages::of(&HeaderMap::new()), None);
    }

    #[test]
    fn messages_end_where_their_lengths_say_however_they_are_cut() {
        let bytes = b"\0\0\0\0\x02hi\x01\0\0\0\0\0\0\0\x01\0" as &[u8];
        let ends = [0, 7, 12];
        for cut in 1..=bytes.len() {
            let mut messages = Messages::default();
            let mut taken = 0;
            for piece in bytes.chunks(cut) {
                assert_eq!(
                    messages.is_between(),
                    ends.contains(&taken),
                    "{taken} by {cut}"
                );
                messages.take(piece);
                taken += piece.len();
            }
            assert!(!messages.is_between());
        }
    }
}
