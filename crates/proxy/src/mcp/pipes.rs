//! A server behind pipes: a message a line, both ways (the protocol's stdio transport).

use std::io;

use carboy_wire::mcp::{LINE_BYTES_MAX, Line, Lines};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::talk::{Carried, Judged, Talk};
use crate::limits::{MCP_END_TIMEOUT, MCP_QUEUE_MESSAGES, MCP_READ_BYTES};

type Sender = mpsc::Sender<Vec<u8>>;
type WeakSender = mpsc::WeakSender<Vec<u8>>;

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
    CR: AsyncRead + Unpin,
    CW: AsyncWrite + Unpin,
    SR: AsyncRead + Unpin,
    SW: AsyncWrite + Unpin,
{
    let (to_client, for_client) = mpsc::channel(MCP_QUEUE_MESSAGES);
    let (to_server, for_server) = mpsc::channel(MCP_QUEUE_MESSAGES);
    let (client_back, server_back) = (to_client.downgrade(), to_server.downgrade());
    let serverward = async {
        let ended = tokio::join!(
            read_client(&talk, client.0, to_server, client_back),
            write(for_server, server.1)
        );
        if let (Err(error), _) | (_, Err(error)) = ended {
            // A server that ended may have much unread; its output's end tells.
            tracing::debug!(%error, "no more goes to the server");
        }
    };
    let clientward = async {
        let (read, written) = tokio::join!(
            read_server(&talk, server.0, to_client, server_back),
            write(for_client, client.1)
        );
        written.and(read)
    };
    tokio::pin!(serverward, clientward);
    tokio::select! {
        biased;
        ended = &mut clientward => ended,
        () = &mut serverward => match timeout(MCP_END_TIMEOUT, clientward).await {
            Ok(ended) => ended,
            // It goes on without anyone to hear it.
            Err(_) => Ok(()),
        },
    }
}

/// Judges what the client says. Ends, and closes the server's input, when the client has ended and no
/// call of its waits for a person any more.
async fn read_client<R>(
    talk: &Talk,
    from: R,
    to_server: Sender,
    to_client: WeakSender,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
{
    let mut source = Source::new(from);
    let mut waiting = JoinSet::new();
    let mut is_open = true;
    while is_open || !waiting.is_empty() {
        let judged = tokio::select! {
            line = source.next_line(), if is_open => match line? {
                Some(Line::Message(bytes)) => {
                    let (judged, held) = talk.client_says_apart(&bytes, &to_server).await;
                    for call in held {
                        waiting.spawn(call.ruled());
                    }
                    judged
                }
                Some(Line::Long) => answered(talk.unreadable_from_client(&too_long())),
                Some(Line::Broken) => answered(talk.unreadable_from_client(BROKEN)),
                None => {
                    is_open = false;
                    continue;
                }
            },
            Some(ruled) = waiting.join_next() => talk.ruled(ruled.map_err(io::Error::other)?),
        };
        if let Some(back) = to_client.upgrade() {
            send(&back, judged.back).await?;
        }
        send(&to_server, judged.on).await?;
    }
    Ok(())
}

/// Judges what the server says. Ends, and with it the client's input, when the server ends.
async fn read_server<R>(
    talk: &Talk,
    from: R,
    to_client: Sender,
    to_server: WeakSender,
) -> io::Result<()>
where
    R: AsyncRead + Unpin,
{
    let mut source = Source::new(from);
    while let Some(line) = source.next_line().await? {
        let judged = match line {
            Line::Message(bytes) => talk.server_says(&bytes, Carried::PLAINLY),
            Line::Long => {
                send(&to_client, talk.unreadable_from_server(&too_long())).await?;
                continue;
            }
            Line::Broken => {
                send(&to_client, talk.unreadable_from_server(BROKEN)).await?;
                continue;
            }
        };
        if let Some(back) = to_server.upgrade() {
            // A server that reads no more gets no answers.
            let _ = send(&back, judged.back).await;
        }
        send(&to_client, judged.on).await?;
    }
    Ok(())
}

const BROKEN: &str = "a carriage return within a line";

fn too_long() -> String {
    format!("a line of more than {LINE_BYTES_MAX} bytes")
}

fn answered(back: Vec<u8>) -> Judged {
    Judged {
        on: None,
        back: vec![back],
    }
}

/// A side's output, cut into lines.
struct Source<R> {
    from: R,
    lines: Lines,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Source<R> {
    fn new(from: R) -> Self {
        Self {
            from,
            lines: Lines::default(),
            buffer: vec![0; MCP_READ_BYTES],
        }
    }

    async fn next_line(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.lines.next_line() {
                return Ok(Some(line));
            }
            match self.from.read(&mut self.buffer).await? {
                0 => return Ok(self.lines.finish()),
                read => self.lines.push(&self.buffer[..read]),
            }
        }
    }
}

async fn send(to: &Sender, messages: impl IntoIterator<Item = Vec<u8>>) -> io::Result<()> {
    for message in messages {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        to.send(message).await.map_err(gone)?;
    }
    Ok(())
}

/// Writes messages, each as a line, until nobody can send one any more.
async fn write<W>(mut messages: mpsc::Receiver<Vec<u8>>, mut to: W) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
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
