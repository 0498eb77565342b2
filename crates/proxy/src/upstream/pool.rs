//! Upstream HTTP connections, kept for the next permitted request to the same target.

use std::collections::HashMap;
use std::sync::Arc;

use carboy_engine::{Permit, Target};
use parking_lot::Mutex;
use tokio::runtime::{Handle, Id};
use tokio::time::Instant;

use super::lease::{Connection, Lease};
use crate::limits::{POOL_IDLE_MAX, POOL_IDLE_PER_TARGET_MAX, POOL_IDLE_TIMEOUT};

/// The kept connections, by target.
#[derive(Default)]
pub(super) struct Pool {
    shelves: Mutex<Shelves>,
}

#[derive(Default)]
struct Shelves {
    by_target: HashMap<Target, Shelf>,
    count: usize,
}

#[derive(Default)]
struct Shelf {
    kept: Vec<Kept>,
    /// Held by whoever dials for HTTP/2: the others wait for that connection and share it.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Whether the target was offered HTTP/2 and chose HTTP/1.1.
    declined_http2: bool,
}

/// An idle HTTP/1.1 connection, or an HTTP/2 connection that may be in use.
struct Kept {
    connection: Connection,
    /// The last use.
    since: Instant,
}

impl Pool {
    /// A kept HTTP/1.1 connection to one of the permit's addresses, the most recently used first.
    pub(super) async fn take(self: &Arc<Self>, permit: &Permit) -> Option<Lease> {
        loop {
            let mut connection = self.pop(permit)?;
            // Its last exchange is over, so this waits for the connection's own task at most.
            if connection.is_ready().await {
                return Some(self.lease(connection, permit, true));
            }
        }
    }

    /// A share in a kept HTTP/2 connection to one of the permit's addresses.
    pub(super) fn share(self: &Arc<Self>, permit: &Permit) -> Option<Lease> {
        let mut shelves = self.shelves.lock();
        let shelf = shelves.by_target.get_mut(permit.target())?;
        let now = Instant::now();
        let place = shelf.place(permit, now, Connection::has_room)?;
        let kept = &mut shelf.kept[place];
        kept.since = now;
        let connection = kept.connection.share()?;
        drop(shelves);
        Some(self.lease(connection, permit, true))
    }

    /// The turn to dial a target for HTTP/2; none where it is known to decline that.
    pub(super) fn turn(&self, target: &Target) -> Option<Arc<tokio::sync::Mutex<()>>> {
        let mut shelves = self.shelves.lock();
        let shelf = shelves.by_target.entry(target.clone()).or_default();
        (!shelf.declined_http2).then(|| Arc::clone(&shelf.turn))
    }

    /// Notes what a target chose that was offered HTTP/2, and keeps the connection if it can be
    /// shared.
    pub(super) fn note_choice(&self, target: &Target, connection: &Connection) {
        let shared = connection.share();
        let mut shelves = self.shelves.lock();
        let shelf = shelves.by_target.entry(target.clone()).or_default();
        shelf.declined_http2 = shared.is_none();
        drop(shelves);
        if let Some(shared) = shared {
            self.put(target.clone(), shared);
        }
    }

    pub(super) fn lease(
        self: &Arc<Self>,
        connection: Connection,
        permit: &Permit,
        reused: bool,
    ) -> Lease {
        Lease::new(
            connection,
            permit.target().clone(),
            Arc::clone(self),
            reused,
        )
    }

    /// Keeps a connection, if there is room.
    pub(super) fn put(&self, target: Target, connection: Connection) {
        if connection.is_closed() {
            return;
        }
        let mut shelves = self.shelves.lock();
        if shelves.count >= POOL_IDLE_MAX {
            shelves.sweep();
        }
        if shelves.count >= POOL_IDLE_MAX {
            return;
        }
        let shelf = shelves.by_target.entry(target).or_default();
        if shelf.kept.len() < POOL_IDLE_PER_TARGET_MAX {
            shelf.kept.push(Kept {
                connection,
                since: Instant::now(),
            });
            shelves.count += 1;
        }
    }

    /// Lets go of what was not used for too long, of any target.
    pub(super) fn sweep(&self) {
        self.shelves.lock().sweep();
    }

    fn pop(&self, permit: &Permit) -> Option<Connection> {
        let mut shelves = self.shelves.lock();
        let shelf = shelves.by_target.get_mut(permit.target())?;
        let place = shelf.place(permit, Instant::now(), |it| !it.is_shared())?;
        let taken = shelf.kept.remove(place);
        shelves.count -= 1;
        Some(taken.connection)
    }
}

impl Shelf {
    /// The most recently used connection that the permit and the calling runtime may use. The sweep
    /// closes what is older than any that is taken.
    fn place(
        &self,
        permit: &Permit,
        now: Instant,
        is_wanted: impl Fn(&Connection) -> bool,
    ) -> Option<usize> {
        let here: Id = Handle::current().id();
        self.kept.iter().rposition(|kept| {
            let connection = &kept.connection;
            connection.home() == here
                && is_wanted(connection)
                && connection.is_permitted(permit)
                && kept.is_fresh(now)
        })
    }
}

impl Shelves {
    fn sweep(&mut self) {
        let now = Instant::now();
        self.by_target.retain(|_, shelf| {
            shelf.kept.retain(|kept| kept.is_fresh(now));
            !shelf.kept.is_empty() || Arc::strong_count(&shelf.turn) > 1
        });
        self.count = self.by_target.values().map(|shelf| shelf.kept.len()).sum();
    }
}

impl Kept {
    fn is_fresh(&self, now: Instant) -> bool {
        !self.connection.is_closed() && now - self.since < POOL_IDLE_TIMEOUT
    }
}
