//! Stands between a client's socket and the HTTP/1 library, which sees only bytes that have one
//! reading.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use carboy_wire::http1::{Framing, Violation, escape_target};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::{CLIENT_IDLE_TIMEOUT, HEAD_READ_TIMEOUT};

/// What a connection's requests and its guard tell each other.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    begun: AtomicU64,
    ended: AtomicU64,
    tunnel: AtomicBool,
    violation: Mutex<Option<Violation>>,
}

/// One request being served; it ends with the response's last byte.
#[derive(Debug)]
pub(crate) struct Busy(Arc<ConnectionState>);

/// The method of the request that the library is handed in a malformed one's stead, so that the
/// refusal takes its turn behind the answers before it.
pub(crate) const MALFORMED_METHOD: &str = "MALFORMED";

const MALFORMED_HEAD: &[u8] = b"MALFORMED / HTTP/1.1\r\nhost: malformed\r\n\r\n";

/// A client's socket, vetted.
pub(crate) struct Guard<IO> {
    io: IO,
    state: Arc<ConnectionState>,
    framing: Framing,
    /// Read but not handed on: `vetted` bytes that may be, then those that may not yet.
    held: BytesMut,
    vetted: usize,
    violated: bool,
    opaque: bool,
    since: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl ConnectionState {
    /// Counts a request until the returned value is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.begun.load(Ordering::Relaxed) != self.ended.load(Ordering::Relaxed)
    }

    /// How many requests there have been.
    pub(crate) fn served(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Lets the connection become a tunnel.
    pub(crate) fn open_tunnel(&self) {
        self.tunnel.store(true, Ordering::Release);
    }

    /// How the client broke the protocol, if it did.
    pub(crate) fn violation(&self) -> Option<Violation> {
        *self.violation.lock()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

impl<IO> Guard<IO> {
    pub(crate) fn new(io: IO, state: Arc<ConnectionState>) -> Self {
        Self {
            io,
            state,
            framing: Framing::new(),
            held: BytesMut::new(),
            vetted: 0,
            violated: false,
            opaque: false,
            since: Instant::now(),
            alarm: None,
        }
    }

    /// Vets what is held. Afterwards `vetted` says what may be handed on.
    fn vet(&mut self) -> io::Result<()> {
        match self.framing.advance(&self.held[self.vetted..]) {
            Ok(count) => {
                self.vetted += count;
                Ok(())
            }
            Err(Violation::Target) if self.mend_target() => self.vet(),
            Err(violation) => self.violate(violation),
        }
    }

    /// Writes the target of the request at hand as other clients would have. Whether that is another.
    fn mend_target(&mut self) -> bool {
        let Some(mended) = escape_target(&self.held[self.vetted..]) else {
            return false;
        };
        self.held.truncate(self.vetted);
        self.held.extend_from_slice(&mended);
        self.framing.retry();
        true
    }

    fn violate(&mut self, violation: Violation) -> io::Result<()> {
        self.violated = true;
        *self.state.violation.lock() = Some(violation);
        self.held.clear();
        self.vetted = 0;
        if !self.framing.is_between_requests() {
            let error = io::Error::new(io::ErrorKind::InvalidData, violation);
            return Err(error);
        }
        self.held.extend_from_slice(MALFORMED_HEAD);
        self.vetted = self.held.len();
        Ok(())
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.vetted.min(buf.remaining());
        buf.put_slice(&self.held[..count]);
        self.held.advance(count);
        self.vetted -= count;
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
    }

    /// Whether the client has been silent for too long: with a head half-sent, or between
    /// requests. While a request is served its body keeps the time.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = if self.held.is_empty() {
            CLIENT_IDLE_TIMEOUT
        } else {
            HEAD_READ_TIMEOUT
        };
        let deadline = self.since + limit;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if self.state.is_busy() {
                self.since = now;
            }
            if now >= self.since + limit {
                return true;
            }
            alarm.as_mut().reset(self.since + limit);
        }
        false
    }
}

impl<IO: AsyncRead + Unpin> Guard<IO> {
    /// Reads straight into the library's buffer and takes back what is not vetted.
    fn read_through(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let fresh = &buf.filled()[before..];
        if fresh.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.since = Instant::now();
        let vetted = match self.framing.advance(fresh) {
            Ok(vetted) => vetted,
            Err(violation) => {
                self.held.extend_from_slice(fresh);
                buf.set_filled(before);
                let is_mended = violation == Violation::Target && self.mend_target();
                return Poll::Ready(match is_mended {
                    true => Ok(()),
                    false => self.violate(violation),
                });
            }
        };
        if vetted < fresh.len() {
            self.held.extend_from_slice(&fresh[vetted..]);
            buf.set_filled(before + vetted);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads behind what is held. Whether there was an end of the stream.
    fn read_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [0; READ_MORE_BYTES];
        let mut buf = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        self.held.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().is_empty()))
    }

    fn poll_vetted(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.vetted > 0 {
                self.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            if self.violated {
                // Nothing more is read. An end would be taken for the client's leaving; the refusal
                // closes the connection once it is written.
                return Poll::Pending;
            }
            if self.held.is_empty() {
                let before = buf.filled().len();
                ready!(self.read_through(cx, buf))?;
                let read = buf.filled().len() > before;
                if read || (self.held.is_empty() && self.vetted == 0) {
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            if self.framing.is_awaiting_tunnel() && self.held.len() >= EARLY_TUNNEL_BYTES_MAX {
                // The tunnel, once open, reads on; a refused one closes the connection.
                return Poll::Pending;
            }
            // What was held back may already hold a violation.
            self.vet()?;
            if self.vetted == 0 && !self.violated && ready!(self.read_more(cx))? {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_opaque(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            self.vetted = self.held.len();
            self.hand_on(buf);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Guard<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let guard = self.get_mut();
        if !guard.opaque && guard.state.tunnel.load(Ordering::Acquire) {
            guard.opaque = true;
            guard.alarm = None;
        }
        if guard.opaque {
            return guard.poll_opaque(cx, buf);
        }
        match guard.poll_vetted(cx, buf) {
            Poll::Pending if guard.is_overdue(cx) => {
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
            other => other,
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Guard<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

/// How much of a tunnel's content is kept that comes before the tunnel is open: more than a client
/// that does not wait for the answer begins with, a `ClientHello`.
const EARLY_TUNNEL_BYTES_MAX: usize = 32 * 1024;

/// One read of a head that came in pieces.
const READ_MORE_BYTES: usize = 4096;
