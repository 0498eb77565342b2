//! HTTP/2 in clear, of which a client has prior knowledge (RFC 9113, section 3.3), and a server may have none.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use carboy_engine::{Fault, Permit};
use carboy_wire::http::Protocol;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::lease::Connection;
use super::{Upstream, peer, speak};
use crate::limits::PREFACE_TIMEOUT;

impl Upstream {
    /// A connection in clear text for a client of HTTP/2, whose knowledge of its server may be about
    /// this gate only: where the server's first words are no preface, HTTP/1.1 is spoken on another
    /// connection. No request has been sent by then.
    pub(super) async fn speak_in_clear(&self, permit: &Permit) -> Result<Connection, Fault> {
        let stream = self.tcp(permit).await?;
        let address = peer(&stream, permit)?;
        let (told, is_http2) = oneshot::channel();
        let listening = Listening {
            io: stream,
            heard: Vec::with_capacity(FRAME_HEAD_BYTES),
            told: Some(told),
        };
        let connection = speak(listening, address, permit, Protocol::Http2).await?;
        match timeout(PREFACE_TIMEOUT, is_http2).await {
            Ok(Ok(true)) => Ok(connection),
            Ok(Ok(false) | Err(_)) => {
                let stream = self.tcp(permit).await?;
                let address = peer(&stream, permit)?;
                speak(stream, address, permit, Protocol::Http1).await
            }
            Err(_) => Err(Fault::UpstreamTimeout(format!(
                "{} did not begin to speak HTTP/2 in {PREFACE_TIMEOUT:?}",
                permit.target()
            ))),
        }
    }
}

/// A connection whose first words are listened to as they are read.
struct Listening<IO> {
    io: IO,
    heard: Vec<u8>,
    /// Told whether they begin a preface, as soon as that is known; dropped at the end.
    told: Option<oneshot::Sender<bool>>,
}

impl<IO> Listening<IO> {
    fn hear(&mut self, said: &[u8]) {
        if self.told.is_none() {
            return;
        }
        let room = FRAME_HEAD_BYTES - self.heard.len();
        self.heard.extend_from_slice(&said[..said.len().min(room)]);
        if let Some(is_preface) = is_preface(&self.heard, said.is_empty())
            && let Some(told) = self.told.take()
        {
            // Who asked may have gone.
            let _ = told.send(is_preface);
        }
    }
}

/// Whether first words are the frame that begins a server's preface: one of settings, on stream 0, that
/// acknowledges none (RFC 9113, sections 3.4 and 6.5). `None` until that can be told.
fn is_preface(heard: &[u8], ended: bool) -> Option<bool> {
    const SETTINGS: u8 = 4;
    match heard {
        [_, _, _, kind, flags, 0, 0, 0, 0] => Some(*kind == SETTINGS && flags & 1 == 0),
        [_, _, _, _, _, _, _, _, _] => Some(false),
        [_, _, _, kind, ..] if *kind != SETTINGS => Some(false),
        _ => ended.then_some(false),
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Listening<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        match &read {
            Poll::Ready(Ok(())) => self.hear(&buffer.filled()[before..]),
            Poll::Ready(Err(_)) => self.hear(&[]),
            Poll::Pending => {}
        }
        read
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Listening<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, pieces)
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

/// A frame's head (RFC 9113, section 4.1).
const FRAME_HEAD_BYTES: usize = 9;

#[cfg(test)]
mod tests {
    use super::is_preface;

    #[test]
    fn a_preface_begins_with_settings() {
        for (heard, ended, expect) in [
            (&b"\0\0\0\x04\0\0\0\0\0"[..], false, Some(true)),
            (b"\0\0\x12\x04\0\0\0\0\0", false, Some(true)),
            (b"\0\0\0\x04", false, None),
            (b"\0\0\0\x04", true, Some(false)),
            (b"", false, None),
            (b"", true, Some(false)),
            // An acknowledgement, another stream, another frame, another protocol.
            (b"\0\0\0\x04\x01\0\0\0\0", false, Some(false)),
            (b"\0\0\0\x04\0\0\0\0\x01", false, Some(false)),
            (b"\0\0\x08\x07\0\0\0\0\0", false, Some(false)),
            (b"HTTP", false, Some(false)),
            (b"\x15\x03\x03\0\x02", false, Some(false)),
        ] {
            assert_eq!(is_preface(heard, ended), expect, "{heard:?} {ended}");
        }
    }
}
