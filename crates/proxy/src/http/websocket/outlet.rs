//! What is sent to one peer of a WebSocket.

use std::io;

use bytes::{Buf, BytesMut};
use carboy_wire::websocket::{Frame, Opcode, Sender, close_payload, write_frame};
use tokio::io::{AsyncWriteExt, WriteHalf};
use tokio::time::timeout;

use super::relay::{Io, Words};
use crate::limits::{BODY_IDLE_TIMEOUT, WS_CLOSE_TIMEOUT};

/// Frames to one peer. Only whole ones are added to what waits, and writing can be broken off and
/// taken up again, so that a close frame never lands within another.
pub(crate) struct Outlet {
    io: WriteHalf<Io>,
    waiting: BytesMut,
    masks: Option<Masks>,
    is_closed: bool,
}

/// Random masks, drawn many at a time.
struct Masks {
    drawn: [u8; MASKS_BYTES],
    at: usize,
}

impl Outlet {
    /// For what goes on from `sender`. What comes from the client must be masked.
    pub(crate) fn new(io: WriteHalf<Io>, sender: Sender) -> Self {
        let masks = Masks {
            drawn: [0; MASKS_BYTES],
            at: MASKS_BYTES,
        };
        Self {
            io,
            waiting: BytesMut::new(),
            masks: (sender == Sender::Client).then_some(masks),
            is_closed: false,
        }
    }

    /// Adds a frame to what waits.
    pub(crate) fn add(&mut self, mut frame: Frame, payload: &[u8]) -> io::Result<()> {
        if self.is_closed {
            return Ok(());
        }
        frame.mask = match &mut self.masks {
            Some(masks) => Some(masks.draw()?),
            None => None,
        };
        self.is_closed = frame.opcode == Opcode::Close;
        write_frame(&mut self.waiting, frame, payload);
        Ok(())
    }

    /// Adds a control frame.
    pub(crate) fn add_control(&mut self, opcode: Opcode, payload: &[u8]) -> io::Result<()> {
        let frame = Frame {
            is_final: true,
            is_compressed: false,
            opcode,
            mask: None,
            length: 0,
        };
        self.add(frame, payload)
    }

    /// Whether so much waits that more should not be added before it is written.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_BYTES_MAX
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// When the peer is gone, or takes nothing for [`BODY_IDLE_TIMEOUT`].
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        if !self.waiting.has_remaining() {
            return Ok(());
        }
        while self.waiting.has_remaining() {
            let writing = self.io.write_buf(&mut self.waiting);
            if timeout(BODY_IDLE_TIMEOUT, writing).await?? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        if self.waiting.capacity() > KEPT_BYTES_MAX {
            self.waiting = BytesMut::new();
        }
        self.io.flush().await
    }

    /// Ends this way of the connection, with a close frame if there was none. Whether a peer takes it is
    /// its own affair.
    pub(crate) async fn end(&mut self, close: Option<Words<'_>>) {
        if let Some((code, reason)) = close
            && let Err(error) = self.add_control(Opcode::Close, &close_payload(code, reason))
        {
            tracing::debug!(%error, "a WebSocket was closed without a word");
        }
        let ending = async {
            self.flush().await?;
            self.io.shutdown().await
        };
        if let Ok(Err(error)) = timeout(WS_CLOSE_TIMEOUT, ending).await {
            tracing::debug!(%error, "a WebSocket's peer was gone");
        }
    }
}

impl Masks {
    fn draw(&mut self) -> io::Result<[u8; 4]> {
        if self.at == MASKS_BYTES {
            getrandom::fill(&mut self.drawn).map_err(io::Error::other)?;
            self.at = 0;
        }
        let mut mask = [0; 4];
        mask.copy_from_slice(&self.drawn[self.at..self.at + 4]);
        self.at += 4;
        Ok(mask)
    }
}

/// The masks of 64 frames, for one call of the system.
const MASKS_BYTES: usize = 256;

/// What may wait while more is at hand: a few writes' worth.
const WAITING_BYTES_MAX: usize = 256 * 1024;

/// A buffer that is kept for the next frame. An idle connection holds no larger one.
const KEPT_BYTES_MAX: usize = 4096;
