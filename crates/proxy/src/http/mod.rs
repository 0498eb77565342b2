//! The HTTP adapter: forward, intercepted and transparent HTTP are the same code, and differ only
//! in how the target is learnt.

mod body;
mod connect;
mod draft;
mod exchange;
mod fallback;
mod flow;
mod guard;
mod own;
mod pauses;
mod websocket;
mod whole;

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use ::http::{Request, Response};
pub use carboy_wire::http::{BackendError, Backends, Origin};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) use body::{Body, Came, Source, cause};
pub(crate) use flow::Flow;
pub(crate) use websocket::{
    Answered, Io as UpgradedIo, Outlet, Switched, ask as ask_for_websocket, drain,
};

use crate::gate::Gate;
use crate::limits::{
    CLIENT_IDLE_TIMEOUT, H2_CLIENT_STREAM_WINDOW_BYTES, H2_CLIENT_WINDOW_BYTES, H2_PING_INTERVAL,
    H2_PING_TIMEOUT, H2_STREAMS_MAX, HEAD_BYTES_MAX,
};
use crate::login::Login;
use connect::Tunnel;
use fallback::Fallback;
use guard::{ConnectionState, Guard};
use websocket::WebSocket;

/// The protocol that the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.1, and 1.0.
    Http1,
    /// HTTP/2, by ALPN.
    Http2,
}

/// One client connection, as its requests see it.
pub(crate) struct Client {
    pub(crate) gate: Arc<Gate>,
    pub(crate) origin: Origin,
    /// What each request must give, if it must.
    pub(crate) login: Option<Arc<Login>>,
    pub(crate) state: Arc<ConnectionState>,
    next: parking_lot::Mutex<Option<Next>>,
}

/// What an HTTP/1.1 connection becomes once its last answer is sent.
enum Next {
    Tunnel(Tunnel),
    WebSocket(Box<WebSocket>),
}

impl Client {
    fn become_next(&self, next: Next) {
        self.state.open_tunnel();
        *self.next.lock() = Some(next);
    }
}

/// Serves one client connection to its end, tunnels included. Every request on it is a crossing,
/// and so is every response.
///
/// The future is boxed: a tunnel's content may be HTTP again, so the types are recursive.
pub fn serve<IO>(
    gate: Arc<Gate>,
    io: IO,
    origin: Origin,
    version: Version,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    serve_for(gate, io, (origin, None), version)
}

/// Serves a client that takes the gate for a proxy; its requests must give `login`, if there is one.
pub(crate) fn serve_proxy<IO>(
    gate: Arc<Gate>,
    io: IO,
    login: Option<Arc<Login>>,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    serve_for(gate, io, (Origin::Forward, login), Version::Http1)
}

fn serve_for<IO>(
    gate: Arc<Gate>,
    io: IO,
    (origin, login): (Origin, Option<Arc<Login>>),
    version: Version,
) -> Pin<Box<dyn Future<Output = ()> + Send>>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let client = Arc::new(Client {
        gate,
        origin,
        login,
        state: Arc::default(),
        next: parking_lot::Mutex::new(None),
    });
    match version {
        Version::Http1 => Box::pin(serve_http1(client, io)),
        Version::Http2 => Box::pin(serve_http2(client, io)),
    }
}

async fn serve_http1<IO>(client: Arc<Client>, io: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // What it holds is let go of before the tunnel begins, which may stay for long.
    serve_requests(&client, io).await;
    let next = client.next.lock().take();
    match next {
        None => {}
        Some(Next::Tunnel(tunnel)) => tunnel.serve(Arc::clone(&client.gate)).await,
        // Boxed, so that what never becomes one keeps no room for it.
        Some(Next::WebSocket(socket)) => Box::pin(socket.serve(Arc::clone(&client.gate))).await,
    }
}

/// Serves an HTTP/1 connection until it ends or becomes something else.
async fn serve_requests<IO>(client: &Arc<Client>, io: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let io = TokioIo::new(Guard::new(io, Arc::clone(&client.state)));
    let serving = Arc::clone(client);
    let service = service_fn(move |request| answer(Arc::clone(&serving), request));
    let mut connection = pin!(
        http1::Builder::new()
            // The guard keeps the time: it tells an idle connection from a half-sent head.
            .header_read_timeout(None)
            .max_header_size(HEAD_BYTES_MAX)
            .serve_connection(io, service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = client.gate.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "client connection ended");
    }
}

async fn serve_http2<IO>(client: Arc<Client>, io: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serving = Arc::clone(&client);
    let service = service_fn(move |request| answer(Arc::clone(&serving), request));
    let mut connection = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS_MAX)
            .initial_stream_window_size(H2_CLIENT_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(H2_CLIENT_WINDOW_BYTES)
            .enable_connect_protocol()
            .max_header_list_size(HEAD_BYTES_MAX as u32)
            .keep_alive_interval(H2_PING_INTERVAL)
            .keep_alive_timeout(H2_PING_TIMEOUT)
            .serve_connection(TokioIo::new(Fallback::new(io)), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = idle(&client.state) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = client.gate.stopping() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "client connection ended");
    }
}

/// Ends once a connection has had no request for [`CLIENT_IDLE_TIMEOUT`].
async fn idle(state: &ConnectionState) {
    let mut served = state.served();
    loop {
        tokio::time::sleep(CLIENT_IDLE_TIMEOUT).await;
        let now = state.served();
        if !state.is_busy() && now == served {
            return;
        }
        served = now;
    }
}

async fn answer(
    client: Arc<Client>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let busy = client.state.begin();
    // Boxed, so that a connection without a request does not keep room for one.
    let mut response = Box::pin(exchange::exchange(&client, request)).await;
    response.body_mut().keep(busy);
    Ok(response)
}
