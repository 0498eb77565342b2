//! Which connection a request belongs to.

use std::num::NonZeroUsize;
use std::sync::Arc;

use ::http::request;
use lru::LruCache;

use crate::limits::MCP_SESSIONS_MAX;
use crate::mcp::server::Server;
use crate::mcp::talk::Talk;

/// The header that names a session.
pub(super) const SESSION: &str = "mcp-session-id";

/// What tells a request's connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The session's id.
    Named(Box<[u8]>),
    /// The path and query to which the messages of one stream of events are posted.
    Endpoint(Box<str>),
}

/// The connections that are known.
pub(super) struct Sessions {
    known: LruCache<Key, Arc<Talk>>,
    /// That of requests without a session.
    alone: Arc<Talk>,
    server: Arc<Server>,
}

impl Key {
    /// What a request's head says of its session.
    pub(super) fn of(head: &request::Parts) -> Option<Self> {
        let session = head.headers.get(SESSION)?;
        Some(Self::Named(session.as_bytes().into()))
    }
}

impl Sessions {
    pub(super) fn new(server: &Arc<Server>) -> Self {
        let room = NonZeroUsize::new(MCP_SESSIONS_MAX).unwrap_or(NonZeroUsize::MIN);
        Self {
            known: LruCache::new(room),
            alone: Arc::new(Talk::new(Arc::clone(server))),
            server: Arc::clone(server),
        }
    }

    /// The connection of a session, which the server may know from before the gate started.
    pub(super) fn of_session(&mut self, key: Key) -> Arc<Talk> {
        let server = &self.server;
        let begin = || Arc::new(Talk::new(Arc::clone(server)));
        Arc::clone(self.known.get_or_insert(key, begin))
    }

    /// The connection whose messages are posted to an endpoint, if the server named it.
    pub(super) fn of_endpoint(&mut self, path: &str) -> Option<Arc<Talk>> {
        self.known.get(&Key::Endpoint(path.into())).map(Arc::clone)
    }

    /// One message without a session: its answer comes with it, what the server asks may be answered
    /// by another.
    pub(super) fn without(&self) -> Arc<Talk> {
        Arc::new(self.alone.sibling())
    }

    /// A connection that begins.
    pub(super) fn begin(&self) -> Arc<Talk> {
        Arc::new(Talk::new(Arc::clone(&self.server)))
    }

    pub(super) fn keep(&mut self, key: Key, talk: Arc<Talk>) {
        self.known.put(key, talk);
    }

    pub(super) fn end(&mut self, key: &Key) {
        self.known.pop(key);
    }
}
