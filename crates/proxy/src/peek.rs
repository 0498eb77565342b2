//! Looks at what a client says first, and gives the bytes back.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use carboy_wire::opening::{Opening, opening};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use crate::limits::HEAD_READ_TIMEOUT;

/// Room for a `ClientHello` with post-quantum key shares, in one read.
const FIRST_READ_BYTES: usize = 2048;

/// A client that has been listened to.
pub(crate) struct Peeked<IO> {
    /// What it speaks; undecided when it said nothing, or too little in time.
    pub(crate) opening: Opening,
    /// Whether it has closed its side already.
    pub(crate) ended: bool,
    /// The client, with what it said still to be read.
    pub(crate) io: Prefixed<IO>,
}

/// Reads until the protocol is known. A client that says nothing is waited for as long as `silence`;
/// one that has begun, for as long as a request's head may take.
///
/// # Errors
/// When the connection breaks.
pub(crate) async fn peek<IO>(mut io: IO, silence: Duration) -> io::Result<Peeked<IO>>
where
    IO: AsyncRead + Unpin,
{
    let mut sent = BytesMut::with_capacity(FIRST_READ_BYTES);
    let mut until = Instant::now() + silence;
    let mut seen = Opening::Undecided;
    let mut ended = false;
    while seen == Opening::Undecided {
        match timeout_at(until, io.read_buf(&mut sent)).await {
            Err(_) => break,
            Ok(Ok(0)) => {
                ended = true;
                break;
            }
            Ok(Ok(read)) if read == sent.len() => until = Instant::now() + HEAD_READ_TIMEOUT,
            Ok(read) => {
                read?;
            }
        }
        seen = opening(&sent);
    }
    Ok(Peeked {
        opening: seen,
        ended,
        io: Prefixed {
            prefix: sent.freeze(),
            io,
        },
    })
}

impl<IO> Peeked<IO> {
    /// Whether the client said nothing at all.
    pub(crate) fn is_silent(&self) -> bool {
        self.io.prefix.is_empty()
    }
}

/// A stream of which a first part has been read already.
pub(crate) struct Prefixed<IO> {
    prefix: Bytes,
    io: IO,
}

impl<IO> Prefixed<IO> {
    pub(crate) fn new(prefix: Bytes, io: IO) -> Self {
        Self { prefix, io }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Prefixed<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.io).poll_read(context, buffer);
        }
        let length = self.prefix.len().min(buffer.remaining());
        buffer.put_slice(&self.prefix[..length]);
        self.prefix.advance(length);
        if self.prefix.is_empty() {
            // Lets the first read's memory go: an idle connection keeps none.
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Prefixed<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    const LONG: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn what_was_read_is_read_again() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"GE").await.unwrap();
        let sending = tokio::spawn(async move {
            client.write_all(b"T / HTTP/1.1\r\n").await.unwrap();
        });
        let mut peeked = peek(server, LONG).await.unwrap();
        assert_eq!(peeked.opening, Opening::Http1);
        sending.await.unwrap();
        let mut text = String::new();
        peeked.io.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "GET / HTTP/1.1\r\n");
    }

    #[tokio::test]
    async fn a_silent_client_is_told_from_a_closed_one() {
        let (client, server) = tokio::io::duplex(64);
        let silent = peek(server, Duration::from_millis(5)).await.unwrap();
        assert!(silent.is_silent() && !silent.ended);
        drop(client);

        let (client, server) = tokio::io::duplex(64);
        drop(client);
        let closed = peek(server, LONG).await.unwrap();
        assert!(closed.is_silent() && closed.ended);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_is_not_waited_for_longer_than_a_head() {
        let (mut client, server) = tokio::io::duplex(64);
        client.write_all(b"GET").await.unwrap();
        let start = Instant::now();
        let stalled = peek(server, Duration::from_millis(5)).await.unwrap();
        assert_eq!(stalled.opening, Opening::Undecided);
        assert_eq!(start.elapsed(), HEAD_READ_TIMEOUT);
    }
}
