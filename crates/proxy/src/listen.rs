//! Accepts the gate's clients, and lets them finish when it stops.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::forward;
use crate::gate::Gate;
use crate::http::Backends;
use crate::limits::{CONNECTIONS_MAX, DRAIN_TIMEOUT, POOL_SWEEP_INTERVAL};
use crate::login::Login;
use crate::reverse;
use crate::transparent::{self, OriginalDestination};
use crate::workers::Workers;

/// A socket that clients come to.
pub struct Listener {
    /// The socket.
    pub socket: TcpListener,
    /// What its clients speak.
    pub role: Role,
}

/// What a listener's clients take the gate for.
#[derive(Clone)]
pub enum Role {
    /// A proxy, by HTTP or SOCKS 5.
    Forward,
    /// The same, for clients that give this login.
    Private(Arc<Login>),
    /// The far ends that its hosts stand for.
    Reverse(Arc<Backends>),
    /// The network: connections to anywhere are redirected to it.
    Transparent(OriginalDestination),
}

/// Serves until `shutdown` ends, on `workers`; then clients may finish for a short while, and what is left is
/// dropped, each crossing with its receipt.
///
/// # Errors
/// When a listener's own address cannot be told.
pub async fn serve(
    gate: Arc<Gate>,
    listeners: Vec<Listener>,
    workers: Workers,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let addresses: io::Result<Vec<SocketAddr>> = listeners
        .iter()
        .map(|listener| listener.socket.local_addr())
        .collect();
    gate.listens_on(addresses?);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let workers = Arc::new(workers);
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(
            Arc::clone(&gate),
            listener,
            Arc::clone(&room),
            Arc::clone(&workers),
        ));
    }
    accepting.spawn(sweep(Arc::clone(&gate)));
    shutdown.await;
    gate.stop();
    while accepting.join_next().await.is_some() {}
    gate.settled().await;
    Ok(())
}

/// Accepts until the gate stops, then waits for its connections.
async fn accept(gate: Arc<Gate>, listener: Listener, room: Arc<Semaphore>, workers: Arc<Workers>) {
    let mut connections = JoinSet::new();
    let mut stopping = std::pin::pin!(gate.stopping());
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener.socket, &room) => accepted,
            () = &mut stopping => break,
        };
        match accepted {
            Ok((stream, place)) => {
                let gate = Arc::clone(&gate);
                let role = listener.role.clone();
                let (worker, load) = workers.place();
                let serving = async move {
                    welcome(gate, role, stream).await;
                    drop((place, load));
                };
                connections.spawn_on(serving, worker);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        connections.shutdown().await;
    }
}

/// The next client, once there is room for it.
async fn next(
    socket: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(std::net::TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(room)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    let (stream, _) = socket.accept().await?;
    Ok((stream.into_std()?, place))
}

async fn welcome(gate: Arc<Gate>, role: Role, stream: std::net::TcpStream) {
    let stream = match ready(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a client is gone");
            return;
        }
    };
    match role {
        Role::Forward => forward::serve(gate, stream, None).await,
        Role::Private(login) => forward::serve(gate, stream, Some(login)).await,
        Role::Reverse(backends) => reverse::serve(gate, stream, backends).await,
        Role::Transparent(original) => {
            if let Err(error) = transparent::serve(gate, stream, &original).await {
                tracing::warn!(%error, "where a connection was going could not be told");
            }
        }
    }
}

/// A client's connection as its worker's runtime wants it.
fn ready(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    TcpStream::from_std(stream)
}

/// Closes idle upstream connections until the gate stops.
async fn sweep(gate: Arc<Gate>) {
    let mut stopping = std::pin::pin!(gate.stopping());
    loop {
        tokio::select! {
            () = sleep(POOL_SWEEP_INTERVAL) => gate.upstream().sweep(),
            () = &mut stopping => return,
        }
    }
}

/// The pause after a failed accept: with no descriptors left, trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
