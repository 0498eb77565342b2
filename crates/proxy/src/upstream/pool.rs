//! Upstream HTTP connections, kept for the next permitted request to the same target.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ::http::{Request, Response};
use carboy_engine::{Permit, Target};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::http::Body;
use crate::limits::{POOL_IDLE_MAX, POOL_IDLE_PER_TARGET_MAX, POOL_IDLE_TIMEOUT};

/// The idle connections, by target.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<Shelves>,
}

#[derive(Default)]
struct Shelves {
    by_target: HashMap<Target, Vec<Idle>>,
    count: usize,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// One connection that speaks HTTP/1.1.
pub(super) struct Connection {
    pub(super) sender: SendRequest<Body>,
    pub(super) address: SocketAddr,
}

/// A connection in use by one exchange. Dropped, it is closed; given back, it is kept.
pub(crate) struct Lease {
    connection: Connection,
    target: Target,
    pool: Arc<Pool>,
    reused: bool,
}

/// Why a request got no response.
pub(crate) enum SendError {
    /// Not a byte of it was sent; here it is again.
    Unsent(Box<Request<Body>>, hyper::Error),
    /// The connection broke.
    Broken(hyper::Error),
    /// No answer came in time.
    TimedOut,
}

impl Pool {
    /// A kept connection to one of the permit's addresses, the most recently used first.
    pub(super) async fn take(self: &Arc<Self>, permit: &Permit) -> Option<Lease> {
        loop {
            let mut connection = self.pop(permit)?;
            // Its last exchange is over, so this waits for the connection's own task at most.
            if connection.sender.ready().await.is_ok() {
                return Some(self.lease(connection, permit, true));
            }
        }
    }

    pub(super) fn lease(
        self: &Arc<Self>,
        connection: Connection,
        permit: &Permit,
        reused: bool,
    ) -> Lease {
        Lease {
            connection,
            target: permit.target().clone(),
            pool: Arc::clone(self),
            reused,
        }
    }

    fn pop(&self, permit: &Permit) -> Option<Connection> {
        let mut shelves = self.idle.lock();
        let shelf = shelves.by_target.get_mut(permit.target())?;
        let before = shelf.len();
        shelf.retain(|idle| idle.is_fresh());
        let place = shelf
            .iter()
            .rposition(|idle| permit.addresses().contains(&idle.connection.address));
        let taken = place.map(|place| shelf.swap_remove(place));
        let gone = before - shelf.len();
        if shelf.is_empty() {
            shelves.by_target.remove(permit.target());
        }
        shelves.count -= gone;
        taken.map(|idle| idle.connection)
    }

    fn put(&self, target: Target, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut shelves = self.idle.lock();
        if shelves.count >= POOL_IDLE_MAX {
            shelves.sweep();
        }
        if shelves.count >= POOL_IDLE_MAX {
            return;
        }
        let shelf = shelves.by_target.entry(target).or_default();
        if shelf.len() < POOL_IDLE_PER_TARGET_MAX {
            shelf.push(Idle {
                connection,
                since: Instant::now(),
            });
            shelves.count += 1;
        }
    }

    /// Closes what was idle for too long, of any target.
    pub(super) fn sweep(&self) {
        self.idle.lock().sweep();
    }
}

impl Shelves {
    fn sweep(&mut self) {
        self.by_target.retain(|_, shelf| {
            shelf.retain(Idle::is_fresh);
            !shelf.is_empty()
        });
        self.count = self.by_target.values().map(Vec::len).sum();
    }
}

impl Idle {
    fn is_fresh(&self) -> bool {
        !self.connection.sender.is_closed() && self.since.elapsed() < POOL_IDLE_TIMEOUT
    }
}

impl Lease {
    /// The address that was dialled.
    pub(crate) fn address(&self) -> SocketAddr {
        self.connection.address
    }

    /// Whether the connection has served before, so that the upstream may have closed it.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, SendError> {
        let sent = self.connection.sender.try_send_request(request).await;
        sent.map_err(|mut error| match error.take_message() {
            Some(request) => SendError::Unsent(Box::new(request), error.into_error()),
            None => SendError::Broken(error.into_error()),
        })
    }

    /// Keeps the connection for the next exchange.
    pub(crate) fn give_back(self) {
        self.pool.put(self.target, self.connection);
    }
}
