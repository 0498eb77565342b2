//! Messages carried between a client and a server, whatever brings them.

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::talk::{Carried, Judged, Talk};
use crate::limits::MCP_QUEUE_MESSAGES;

type Sender = mpsc::Sender<Vec<u8>>;
type WeakSender = mpsc::WeakSender<Vec<u8>>;

/// What comes of one side.
#[derive(Debug)]
pub(super) enum Said {
    /// A message, or a batch.
    Message(Vec<u8>),
    /// What is no message, and why.
    Unreadable(String),
}

/// Where one side's messages come from.
pub(super) trait Source: Send {
    /// The next, or none at the end. Nothing is lost where it is dropped before it is ready.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<Said>>> + Send;
}

/// Where one side's messages go.
pub(super) trait Sink: Send {
    /// Writes messages until nobody can send one any more, and then tells the side so.
    fn write(
        &mut self,
        messages: mpsc::Receiver<Vec<u8>>,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// Carries messages between a client and a server until the server has ended. When the client ends
/// first, the server is told, and what it still says is carried on for as long as `patience`.
///
/// # Errors
/// When the client cannot be written to any more.
pub(super) async fn carry(
    talk: &Talk,
    client: (&mut impl Source, &mut impl Sink),
    server: (&mut impl Source, &mut impl Sink),
    patience: Duration,
) -> io::Result<()> {
    let (to_client, for_client) = mpsc::channel(MCP_QUEUE_MESSAGES);
    let (to_server, for_server) = mpsc::channel(MCP_QUEUE_MESSAGES);
    let (client_back, server_back) = (to_client.downgrade(), to_server.downgrade());
    let serverward = async {
        let ended = tokio::join!(
            read_client(talk, client.0, to_server, client_back),
            server.1.write(for_server)
        );
        if let (Err(error), _) | (_, Err(error)) = ended {
            // A server that ended may have much unread; its output's end tells.
            tracing::debug!(%error, "no more goes to the server");
        }
    };
    let clientward = async {
        let (read, written) = tokio::join!(
            read_server(talk, server.0, to_client, server_back),
            client.1.write(for_client)
        );
        written.and(read)
    };
    tokio::pin!(serverward, clientward);
    tokio::select! {
        biased;
        ended = &mut clientward => ended,
        () = &mut serverward => match timeout(patience, clientward).await {
            Ok(ended) => ended,
            // It goes on without anyone to hear it.
            Err(_) => Ok(()),
        },
    }
}

/// Judges what the client says. Ends, and closes the server's input, when the client has ended and no
/// call of its waits for a person any more.
async fn read_client(
    talk: &Talk,
    source: &mut impl Source,
    to_server: Sender,
    to_client: WeakSender,
) -> io::Result<()> {
    let mut waiting = JoinSet::new();
    let mut is_open = true;
    while is_open || !waiting.is_empty() {
        let judged = tokio::select! {
            said = source.next(), if is_open => match said? {
                Some(Said::Message(bytes)) => {
                    let (judged, held) = talk.client_says_apart(&bytes, &to_server).await;
                    for call in held {
                        waiting.spawn(call.ruled());
                    }
                    judged
                }
                Some(Said::Unreadable(how)) => answered(talk.unreadable_from_client(&how)),
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
async fn read_server(
    talk: &Talk,
    source: &mut impl Source,
    to_client: Sender,
    to_server: WeakSender,
) -> io::Result<()> {
    while let Some(said) = source.next().await? {
        let judged = match said {
            Said::Message(bytes) => talk.server_says(&bytes, Carried::PLAINLY),
            Said::Unreadable(how) => {
                send(&to_client, talk.unreadable_from_server(&how)).await?;
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

fn answered(back: Vec<u8>) -> Judged {
    Judged {
        on: None,
        back: vec![back],
    }
}

async fn send(to: &Sender, messages: impl IntoIterator<Item = Vec<u8>>) -> io::Result<()> {
    for message in messages {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        to.send(message).await.map_err(gone)?;
    }
    Ok(())
}
