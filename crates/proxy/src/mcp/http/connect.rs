//! A remote server to a client behind pipes, which speaks no HTTP itself.

mod far;
mod stream;

use std::io;
use std::sync::Arc;

use ::http::Method;
use ::http::header::{HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use carboy_wire::websocket::Opening;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use self::far::{Heard, Spoken};
use super::Remote;
use crate::gate::Refused;
use crate::limits::{MCP_END_TIMEOUT, MCP_QUEUE_MESSAGES};
use crate::mcp::SUBPROTOCOL;
use crate::mcp::carry::carry;
use crate::mcp::pipes::{LinesIn, LinesOut};
use crate::mcp::socket::serve_lines;
use crate::mcp::talk::Talk;

/// What carries messages to a remote server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// HTTP: streamable, or where the server knows only that, with server-sent events.
    Http,
    /// A WebSocket.
    WebSocket,
}

/// Carries messages between a client behind pipes and a remote server until one of them ends.
///
/// # Errors
/// When the client cannot be written to any more, or a WebSocket is not opened.
pub async fn serve_connected<R, W>(
    remote: Remote,
    carrier: Carrier,
    client: (R, W),
) -> io::Result<()>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let gate = Arc::clone(remote.server.gate());
    let talk = Talk::new(Arc::clone(&remote.server));
    let ended = match carrier {
        Carrier::Http => by_http(remote, &talk, client).await,
        Carrier::WebSocket => by_socket(&remote, &talk, client).await,
    };
    gate.stop();
    gate.settled().await;
    ended
}

async fn by_http<R, W>(remote: Remote, talk: &Talk, client: (R, W)) -> io::Result<()>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let (to_heard, heard) = mpsc::channel(MCP_QUEUE_MESSAGES);
    carry(
        talk,
        (&mut LinesIn::new(client.0), &mut LinesOut::new(client.1)),
        (&mut Heard(heard), &mut Spoken::new(remote, to_heard)),
        MCP_END_TIMEOUT,
    )
    .await
}

async fn by_socket<R, W>(remote: &Remote, talk: &Talk, client: (R, W)) -> io::Result<()>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let refused = |refused: Refused| {
        let refusal = &refused.refusal;
        let told = format!("{}. Remedy: {}", refusal.message, refusal.remedy);
        io::Error::other(told)
    };
    let opened = open_socket(remote).await.map_err(refused)?;
    let server = TokioIo::new(opened.await.map_err(io::Error::other)?);
    serve_lines(talk, client, server).await
}

async fn open_socket(remote: &Remote) -> Result<hyper::upgrade::OnUpgrade, Refused> {
    let subprotocol = HeaderValue::from_static(SUBPROTOCOL);
    let opening = Opening::own(subprotocol.clone());
    let fields = HeaderMap::from_iter([(SEC_WEBSOCKET_PROTOCOL, subprotocol)]);
    let call = remote.call(Method::GET, &remote.endpoint, fields).await?;
    let answered = remote.open_socket(call, &opening).await?;
    let (switched, _) = answered.judge(remote.server.gate(), &opening)?;
    Ok(switched.server)
}
