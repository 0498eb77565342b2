//! The protocol's HTTP transports: streamable HTTP, and HTTP with server-sent events before it.
//!
//! A client talks to the gate as to the server. What its request's head and the answer's hold are crossings
//! of HTTP; what their bodies hold are messages, each a crossing of its own, as in a pipe.

mod added;
mod connect;
mod exchange;
mod far;
mod link;
mod reply;
mod sessions;
mod sign_in;
mod socket;
mod within;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use ::http::uri::PathAndQuery;
use ::http::{Request, Response, request};
use carboy_wire::mcp::{SignInPage, begins_session};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::server::Server;
use super::talk::Talk;
use crate::limits::{
    CONNECTIONS_MAX, DRAIN_TIMEOUT, HEAD_BYTES_MAX, HEAD_READ_TIMEOUT, POOL_SWEEP_INTERVAL,
};
pub use added::AddedFields;
pub use connect::{Carrier, serve_connected};
use reply::Reply;
use sessions::{Key, Sessions};
use socket::Next;

pub(crate) use within::{Exchange, Opening, Said, Speaks, Within, may_speak};

/// Where a server is, and what it is told beside what the client says.
pub struct Remote {
    /// The server; its target is the far end.
    pub server: Arc<Server>,
    /// The path, with its query, of its endpoint.
    pub endpoint: PathAndQuery,
    /// Fields that are added to each request after its inspection.
    pub headers: Arc<AddedFields>,
}

/// A remote server, as the gate's clients reach it.
struct Front {
    remote: Remote,
    sessions: Mutex<Sessions>,
    /// The paths at the server that its metadata names, where clients sign in.
    pages: Mutex<Vec<(String, SignInPage)>>,
}

impl Front {
    /// The connection that a request belongs to.
    fn talk_of(&self, head: &request::Parts, bytes: &[u8]) -> Arc<Talk> {
        let mut sessions = self.sessions.lock();
        let path = head.uri.path_and_query().map(PathAndQuery::as_str);
        if let Some(key) = Key::of(head) {
            sessions.of_session(key)
        } else if let Some(talk) = path.and_then(|path| sessions.of_endpoint(path)) {
            talk
        } else if begins_session(bytes) {
            sessions.begin()
        } else {
            sessions.without()
        }
    }
}

/// Serves clients of one remote server until `shutdown` ends; then they may finish for a short while.
///
/// # Errors
/// When the listener's own address cannot be told.
pub async fn serve_remote(
    listener: TcpListener,
    remote: Remote,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let gate = Arc::clone(remote.server.gate());
    gate.listens_on(vec![address]);
    let front = Arc::new(Front {
        sessions: Mutex::new(Sessions::new(&remote.server)),
        pages: Mutex::default(),
        remote,
    });
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = sleep(POOL_SWEEP_INTERVAL) => {
                gate.upstream().sweep();
                continue;
            }
            () = &mut shutdown => break,
        };
        // With no descriptors left, or no room, a client waits in the socket's queue.
        match (accepted, Arc::clone(&room).try_acquire_owned()) {
            (Ok((stream, _)), Ok(place)) => {
                let front = Arc::clone(&front);
                connections.spawn(async move {
                    serve_client(front, address, stream).await;
                    drop(place);
                });
            }
            (Ok(_), Err(_)) => tracing::warn!("too many connections; one was closed"),
            (Err(error), _) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    gate.stop();
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        connections.shutdown().await;
    }
    gate.settled().await;
    Ok(())
}

/// The pause after a failed accept: with no descriptors left, trying at once would spin.
const ACCEPT_PAUSE: std::time::Duration = std::time::Duration::from_millis(50);

async fn serve_client(front: Arc<Front>, address: SocketAddr, stream: TcpStream) {
    // Messages are small, and each waits for the one before.
    let _ = stream.set_nodelay(true);
    let (serving, next) = (Arc::clone(&front), Next::default());
    let becomes = Arc::clone(&next);
    let service = service_fn(move |request| {
        answer(Arc::clone(&serving), address, request, Arc::clone(&becomes))
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_READ_TIMEOUT)
            .max_header_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = front.remote.server.gate().stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an MCP client's connection ended");
    }
    let socket = next.lock().take();
    if let Some(socket) = socket {
        socket.serve(front.remote.server.gate()).await;
    }
}

async fn answer(
    front: Arc<Front>,
    address: SocketAddr,
    request: Request<Incoming>,
    next: Next,
) -> Result<Response<Reply>, Infallible> {
    Ok(Box::pin(exchange::exchange(&front, address, request, &next)).await)
}
