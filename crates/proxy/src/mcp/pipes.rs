//! A server behind pipes: a message a line, both ways (the protocol's stdio transport).

use std::io;

use carboy_wire::mcp::{LINE_BYTES_MAX, Line, Lines};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::carry::{Said, Sink, Source, carry};
use super::talk::Talk;
use crate::limits::{MCP_END_TIMEOUT, MCP_READ_BYTES};

/// Carries messages between a client and a server until the server has ended its output. When the
/// client ends first, the server's input is closed and what it still says is carried on for a while.
///
/// # Errors
/// When the client cannot be written to any more.
pub async fn serve_pipes<CR, CW, SR, SW>(
    talk: Talk,
    client: (CR, CW),
    server: (SR, SW),
) -> io::Result<()>
where
    CR: AsyncRead + Unpin + Send,
    CW: AsyncWrite + Unpin + Send,
    SR: AsyncRead + Unpin + Send,
    SW: AsyncWrite + Unpin + Send,
{
    carry(
        &talk,
        (&mut LinesIn::new(client.0), &mut LinesOut::new(client.1)),
        (&mut LinesIn::new(server.0), &mut LinesOut::new(server.1)),
        MCP_END_TIMEOUT,
    )
    .await
}

/// A side's output, cut into lines.
pub(super) struct LinesIn<R> {
    from: R,
    lines: Lines,
    buffer: Vec<u8>,
}

impl<R> LinesIn<R> {
    pub(super) fn new(from: R) -> Self {
        Self {
            from,
            lines: Lines::default(),
            buffer: vec![0; MCP_READ_BYTES],
        }
    }
}

impl<R: AsyncRead + Unpin + Send> Source for LinesIn<R> {
    async fn next(&mut self) -> io::Result<Option<Said>> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Ok(Some(said(line)));
            }
            match self.from.read(&mut self.buffer).await? {
                0 => return Ok(self.lines.finish().map(said)),
                read => self.lines.push(&self.buffer[..read]),
            }
        }
    }
}

fn said(line: Line) -> Said {
    match line {
        Line::Message(bytes) => Said::Message(bytes),
        Line::Long => Said::Unreadable(format!("a line of more than {LINE_BYTES_MAX} bytes")),
        Line::Broken => Said::Unreadable("a carriage return within a line".to_owned()),
    }
}

/// A side's input, which is closed with its last line.
pub(super) struct LinesOut<W>(Option<W>);

impl<W> LinesOut<W> {
    pub(super) fn new(to: W) -> Self {
        Self(Some(to))
    }
}

impl<W: AsyncWrite + Unpin + Send> Sink for LinesOut<W> {
    async fn write(&mut self, mut messages: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        // A pipe is closed only when nobody holds it.
        let Some(mut to) = self.0.take() else {
            return Ok(());
        };
        while let Some(mut message) = messages.recv().await {
            // Within a message a line's end is white space, between its parts.
            for byte in message
                .iter_mut()
                .filter(|byte| matches!(byte, b'\n' | b'\r'))
            {
                *byte = b' ';
            }
            message.push(b'\n');
            to.write_all(&message).await?;
            to.flush().await?;
        }
        to.shutdown().await
    }
}
