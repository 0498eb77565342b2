//! What cannot be said over HTTP/2 here, and can be over HTTP/1.1.
//!
//! The HTTP/2 library takes no target with the signs that clients should have escaped (`"`, `<`, `>`),
//! though some clients send them and servers take them: it resets such a stream before anyone hears of a
//! request. Over HTTP/1.1 such a target is escaped and served, so the client is told to come again that way
//! (RFC 9113, section 7, `HTTP_1_1_REQUIRED`), which it does by itself.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A frame's head, and what a `RST_STREAM` holds (RFC 9113, sections 4.1 and 6.4).
const HEAD_BYTES: usize = 9;
const RST_STREAM: u8 = 3;
const CODE_BYTES: u32 = 4;
const PROTOCOL_ERROR: u8 = 1;
const HTTP_1_1_REQUIRED: u8 = 0xd;

/// An HTTP/2 connection's bytes. Those that are read stay what they are.
pub(super) struct Fallback<IO> {
    io: IO,
    frames: Frames,
}

impl<IO> Fallback<IO> {
    pub(super) fn new(io: IO) -> Self {
        Self {
            io,
            frames: Frames::default(),
        }
    }
}

/// Follows the frames that are written.
#[derive(Debug, Default, Clone)]
struct Frames {
    head: [u8; HEAD_BYTES],
    /// How much of it has come.
    has: usize,
    /// What is to come of the frame's payload.
    left: u32,
}

impl Frames {
    /// Follows bytes up to the first that is to be another. Where that is, or none if it is none of them.
    fn follow(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while at < bytes.len() {
            if self.has < HEAD_BYTES {
                self.head[self.has] = bytes[at];
                self.has += 1;
                at += 1;
                self.left = u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]]);
            } else if self.left == 1 && self.is_reset() {
                if bytes[at] == PROTOCOL_ERROR {
                    return Some(at);
                }
                self.left = 0;
                at += 1;
            } else {
                // Of a reset all but the last byte, which says why.
                let end = self.left - u32::from(self.is_reset());
                let taken = (bytes.len() - at).min(end as usize);
                self.left -= taken as u32;
                at += taken;
            }
            if self.has == HEAD_BYTES && self.left == 0 {
                self.has = 0;
            }
        }
        None
    }

    fn is_reset(&self) -> bool {
        let length = u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]]);
        self.head[3] == RST_STREAM && length == CODE_BYTES
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Fallback<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Fallback<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = match self.frames.clone().follow(bytes) {
            Some(0) => &[HTTP_1_1_REQUIRED],
            Some(at) => &bytes[..at],
            None => bytes,
        };
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, bytes))?;
        self.frames.follow(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut frames = self.frames.clone();
        if slices.iter().any(|own| frames.follow(own).is_some()) {
            let first = slices.iter().find(|own| !own.is_empty());
            let first = first.map_or(&[][..], |own| own);
            return self.poll_write(cx, first);
        }
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for own in slices {
            let taken = left.min(own.len());
            self.frames.follow(&own[..taken]);
            left -= taken;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
    }

    /// However it is cut.
    #[tokio::test]
    async fn a_stream_that_was_reset_as_broken_is_to_come_again() {
        let content = frame(0, &frame(RST_STREAM, &[0, 0, 0, 1]));
        let written = [
            frame(4, &[]),
            content.clone(),
            frame(RST_STREAM, &[0, 0, 0, 1]),
            frame(RST_STREAM, &[0, 0, 0, 8]),
            frame(7, &[0, 0, 0, 1, 0, 0, 0, 1]),
        ]
        .concat();
        let expect = [
            frame(4, &[]),
            content,
            frame(RST_STREAM, &[0, 0, 0, 0xd]),
            frame(RST_STREAM, &[0, 0, 0, 8]),
            frame(7, &[0, 0, 0, 1, 0, 0, 0, 1]),
        ]
        .concat();
        for piece in 1..written.len() {
            for is_vectored in [false, true] {
                let (near, mut far) = tokio::io::duplex(7);
                let mut near = Fallback::new(near);
                let reading = tokio::spawn(async move {
                    let mut read = Vec::new();
                    far.read_to_end(&mut read).await.unwrap();
                    read
                });
                let mut rest = &written[..];
                while !rest.is_empty() {
                    let (first, second) = rest.split_at(piece.min(rest.len()));
                    let slices = [IoSlice::new(&[]), IoSlice::new(first), IoSlice::new(second)];
                    let taken = match is_vectored {
                        true => near.write_vectored(&slices).await.unwrap(),
                        false => near.write(first).await.unwrap(),
                    };
                    rest = &rest[taken..];
                }
                drop(near);
                assert_eq!(reading.await.unwrap(), expect, "in pieces of {piece}");
            }
        }
    }
}
