//! Upstream HTTP connections, kept for the next permitted request to the same target.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::{Request, Response};
use carboy_engine::{Permit, Target};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::http::Body;
use crate::limits::{
    POOL_IDLE_MAX, POOL_IDLE_PER_TARGET_MAX, POOL_IDLE_TIMEOUT, RESPONSE_HEAD_TIMEOUT,
};

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
    sender: SendRequest<Body>,
    address: SocketAddr,
    /// The runtime that drives it. Used from another, each of its wakes would cross threads.
    home: Id,
    /// Goes off when an answer is late, or before: it is set anew only then, not for each exchange.
    alarm: Option<Pin<Box<Sleep>>>,
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
        // What came back last is freshest; the sweep closes what is older than any that is taken.
        let (now, here) = (Instant::now(), Handle::current().id());
        let place = shelf.iter().rposition(|idle| {
            idle.connection.home == here
                && permit.addresses().contains(&idle.connection.address)
                && idle.is_fresh(now)
        })?;
        let taken = shelf.remove(place);
        shelves.count -= 1;
        Some(taken.connection)
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
        let now = Instant::now();
        self.by_target.retain(|_, shelf| {
            shelf.retain(|idle| idle.is_fresh(now));
            !shelf.is_empty()
        });
        self.count = self.by_target.values().map(Vec::len).sum();
    }
}

impl Idle {
    fn is_fresh(&self, now: Instant) -> bool {
        !self.connection.sender.is_closed() && now - self.since < POOL_IDLE_TIMEOUT
    }
}

impl Connection {
    /// A connection that the calling runtime drives.
    pub(super) fn new(sender: SendRequest<Body>, address: SocketAddr) -> Self {
        Self {
            sender,
            address,
            home: Handle::current().id(),
            alarm: None,
        }
    }
}

/// Ready once `deadline` is past. `alarm` may be set for an earlier time.
fn poll_late(
    alarm: &mut Option<Pin<Box<Sleep>>>,
    deadline: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    while alarm.as_mut().poll(cx).is_ready() {
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        alarm.as_mut().reset(deadline);
    }
    Poll::Pending
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

    /// Sends a request and waits for its response's head, at most for [`RESPONSE_HEAD_TIMEOUT`].
    pub(crate) async fn send(
        &mut self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, SendError> {
        let Connection { sender, alarm, .. } = &mut self.connection;
        let deadline = Instant::now() + RESPONSE_HEAD_TIMEOUT;
        let mut sending = pin!(sender.try_send_request(request));
        let sent = poll_fn(|cx| match sending.as_mut().poll(cx) {
            Poll::Ready(sent) => Poll::Ready(Some(sent)),
            Poll::Pending => poll_late(alarm, deadline, cx).map(|()| None),
        });
        let sent = sent.await.ok_or(SendError::TimedOut)?;
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
