//! A bottle's gate at work, on threads of its own.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use carboy_bottle::{Sockets, original_destination};
use carboy_proxy::{
    Gate, Listener, OriginalDestination, Role, Totals, Workers, serve, serve_dns_tcp, serve_dns_udp,
};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::assemble::{self, Parts};

/// The threads that serve connections: traffic keeps moving on one while another scans.
const WORKERS: usize = 2;
/// How long tasks that hang on the outside world may hold up the end.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(1);

/// A gate that serves a bottle's sockets.
pub(crate) struct Serving {
    runtime: Runtime,
    gate: Arc<Gate>,
    stop: oneshot::Sender<()>,
    listening: JoinHandle<io::Result<()>>,
}

impl Serving {
    /// Makes the gate and serves the sockets with it.
    ///
    /// # Errors
    /// When the gate cannot be made.
    pub(crate) fn start(parts: Parts<'_>, sockets: Sockets) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            // It accepts and answers DNS; connections go to the workers.
            .worker_threads(1)
            .thread_name("accept")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let (gate, listening) = runtime.block_on(async {
            let gate = assemble::gate(parts)?;
            let listening = listen(&gate, sockets, async {
                // A dropped sender says the same.
                let _ = stopped.await;
            });
            anyhow::Ok((Arc::clone(&gate), listening?))
        })?;
        // A gate serves as well with what its start used still in memory.
        let _ = carboy_bottle::forget_start();
        Ok(Self {
            runtime,
            gate,
            stop,
            listening,
        })
    }

    /// Where the receipts are.
    pub(crate) fn receipts(&self) -> Option<PathBuf> {
        self.gate.evidence().path().map(Into::into)
    }

    /// Ends every connection and the receipts.
    ///
    /// # Errors
    /// When the last receipts could not be written.
    pub(crate) fn stop(self) -> Result<Totals> {
        // The other end is gone only if the listeners are.
        let _ = self.stop.send(());
        let ended = self.runtime.block_on(self.listening);
        ended
            .context("the gate's listeners failed")?
            .context("the gate's listeners failed")?;
        self.gate
            .evidence()
            .close()
            .context("cannot end the receipts")?;
        self.runtime.shutdown_timeout(SHUTDOWN_WAIT);
        Ok(self.gate.totals())
    }
}

fn listen(
    gate: &Arc<Gate>,
    sockets: Sockets,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> Result<JoinHandle<io::Result<()>>> {
    for socket in sockets.dns_udp {
        socket.set_nonblocking(true)?;
        tokio::spawn(serve_dns_udp(
            Arc::clone(gate),
            UdpSocket::from_std(socket)?,
        ));
    }
    for socket in sockets.dns_tcp {
        tokio::spawn(serve_dns_tcp(Arc::clone(gate), listener(socket)?));
    }
    let original: OriginalDestination = Arc::new(|stream| original_destination(stream.as_fd()));
    let mut listeners = Vec::new();
    for socket in sockets.tcp {
        let role = Role::Transparent(Arc::clone(&original));
        listeners.push(Listener {
            socket: listener(socket)?,
            role,
        });
    }
    let workers = Workers::start(WORKERS, gate.evidence().durability())?;
    Ok(tokio::spawn(serve(
        Arc::clone(gate),
        listeners,
        workers,
        stopped,
    )))
}

fn listener(socket: std::net::TcpListener) -> io::Result<TcpListener> {
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}
