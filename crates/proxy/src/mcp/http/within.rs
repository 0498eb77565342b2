//! The model context protocol within plain HTTP: a client speaks to a remote server by the gate, and was
//! told of no other.
//!
//! What holds messages by its structure is judged message by message, as by `mcp proxy`: each of their
//! strings, names and numbers. What goes on of a request is then judged as any HTTP, and so is whatever
//! cannot be read as messages.

mod opening;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::uri::PathAndQuery;
use ::http::{Method, Response, StatusCode, request, response};
use bytes::Bytes;
use carboy_engine::{Fault, Target, decode};
use carboy_wire::mcp::{
    LINE_BYTES_MAX, holds_messages, is_card_path, may_begin_messages, plain_path,
};
use hyper::body::Incoming;
use lru::LruCache;
use parking_lot::Mutex;

use super::link::{Content, Link, Words, joined, whole};
use super::sessions::{Key, SESSION, Sessions};
use super::{Front, Remote};
use crate::gate::{Gate, Pass, Refused};
use crate::http::{Body, Flow};
use crate::limits::MCP_SERVERS_MAX;
use crate::mcp::server::Server;
use crate::mcp::server_name::ServerName;
use crate::mcp::talk::{Heard, Talk};

pub(crate) use opening::Opening;
use opening::Stream;

/// The header that tells the protocol's revision.
const VERSION: &str = "mcp-protocol-version";

/// Fields of a client's request that a request of the gate's own does not have: they tell of one body
/// or one connection.
const NOT_OWN: [HeaderName; 9] = [
    header::ACCEPT_ENCODING,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::RANGE,
    header::TE,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("last-event-id"),
];

/// The servers that a gate's clients speak to.
#[derive(Default)]
pub(crate) struct Within {
    state: OnceLock<Box<Path>>,
    known: Mutex<Option<Known>>,
}

struct Known {
    fronts: LruCache<Place, Arc<Front>>,
    /// The servers of the older transport, by the path and query that their streams named: messages are
    /// posted there.
    endpoints: LruCache<Place, Arc<Front>>,
}

/// Where a server is: one host may have several.
type Place = (Target, Box<str>);

/// One request that holds messages, until its answer is heard.
pub(crate) struct Exchange(Hearing);

enum Hearing {
    /// Messages.
    Messages(Box<Messages>),
    /// An agent's card.
    Card(Arc<Front>),
    /// Events that may be messages.
    Stream(Box<Stream>),
}

struct Messages {
    front: Arc<Front>,
    link: Link,
    talk: Arc<Talk>,
    back: Vec<Vec<u8>>,
    ends: Option<Key>,
}

/// What becomes of a request's body.
pub(crate) enum Said {
    /// It holds no messages.
    Nothing(Bytes),
    /// This of it goes on.
    Goes(Bytes, Exchange),
    /// Nothing does, and the client is answered so.
    Answered(Response<Body>),
}

/// Whether a request's body may hold messages.
pub(crate) fn may_speak(head: &request::Parts) -> Option<Speaks> {
    let kind = match is_marked(head) {
        true => Speaks::Surely,
        false => Speaks::ByContent,
    };
    (head.method == Method::POST).then_some(kind)
}

/// What a request's head tells of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// It says that the request is one of the protocol's.
    Surely,
    /// The body tells.
    ByContent,
}

impl Known {
    fn new() -> Self {
        let room = NonZeroUsize::new(MCP_SERVERS_MAX).unwrap_or(NonZeroUsize::MIN);
        Self {
            fronts: LruCache::new(room),
            endpoints: LruCache::new(room),
        }
    }
}

impl Within {
    /// Says where what is kept of servers is. Only the first call counts.
    pub(crate) fn keep_in(&self, state: &Path) {
        let _ = self.state.set(state.into());
    }

    /// Forgets the servers, which hold the gate.
    pub(crate) fn end(&self) {
        *self.known.lock() = None;
    }

    /// A connection that begins to the server that a request is for.
    pub(crate) fn talk(
        &self,
        gate: &Arc<Gate>,
        head: &request::Parts,
        target: &Target,
    ) -> Result<Arc<Talk>, Fault> {
        let front = self.front(gate, head, target)?;
        let talk = front.sessions.lock().begin();
        Ok(talk)
    }

    /// The server that a request is for.
    fn front(
        &self,
        gate: &Arc<Gate>,
        head: &request::Parts,
        target: &Target,
    ) -> Result<Arc<Front>, Fault> {
        let place = place(head, target);
        let endpoint = (target.clone(), path_of(head).as_str().into());
        {
            let mut known = self.known.lock();
            let known = known.get_or_insert_with(Known::new);
            if let Some(front) = known.fronts.get(&place) {
                return Ok(Arc::clone(front));
            }
            if let Some(front) = known.endpoints.get(&endpoint) {
                return Ok(Arc::clone(front));
            }
        }
        self.meet(gate, place)
    }

    /// A server that was not spoken to yet.
    fn meet(&self, gate: &Arc<Gate>, place: Place) -> Result<Arc<Front>, Fault> {
        let mut known = self.known.lock();
        let known = known.get_or_insert_with(Known::new);
        if let Some(front) = known.fronts.get(&place) {
            return Ok(Arc::clone(front));
        }
        let (target, path) = &place;
        let state = self.state.get().map(|state| &**state);
        let name = ServerName::of_place(target, path);
        let server = Server::within(Arc::clone(gate), state, &name, target.clone())
            .map_err(|error| Fault::State(error.to_string()))?;
        let front = Arc::new(Front {
            sessions: Mutex::new(Sessions::new(&server)),
            pages: Mutex::default(),
            remote: Remote {
                server,
                endpoint: PathAndQuery::from_static("/"),
                headers: Arc::default(),
            },
        });
        known.fronts.put(place.clone(), Arc::clone(&front));
        Ok(front)
    }

    /// Takes it that a server's stream has said where its messages are posted. A place that is known as
    /// another server's stays that server's.
    pub(super) fn posts_to(&self, path: &str, front: &Arc<Front>) {
        let target = front.remote.server.target().clone();
        let own = path.split('?').next().unwrap_or_default();
        let place = (target.clone(), plain_path(own).into());
        let mut known = self.known.lock();
        // A gate that stopped knows none.
        if let Some(known) = &mut *known {
            let is_nobodys = |front: &Arc<Front>| !front.remote.server.has_tools();
            if known.fronts.peek(&place).is_some_and(is_nobodys) {
                known.fronts.pop(&place);
            }
            let endpoint = (target, path.into());
            known.endpoints.put(endpoint, Arc::clone(front));
        }
    }
}

impl Exchange {
    /// Judges the messages that a request's body holds, if it holds any.
    pub(crate) async fn begin(
        gate: &Arc<Gate>,
        head: &mut request::Parts,
        target: &Target,
        content: Bytes,
    ) -> Result<Said, Fault> {
        if !holds(head, &content)? {
            return Ok(Said::Nothing(content));
        }
        let front = gate.within().front(gate, head, target)?;
        let talk = front.talk_of(head, &content);
        let mut link = link(&front, &talk, head);
        let judged = talk.client_says(&content, &link.own).await;
        let Some(on) = judged.on else {
            return Ok(Said::Answered(answered(judged.back)));
        };
        link.sends(&on);
        let hearing = Messages {
            front,
            link,
            talk,
            back: judged.back,
            ends: None,
        };
        // What can be read must be read: the answer is not to be compressed.
        head.headers.remove(header::ACCEPT_ENCODING);
        let exchange = Self(Hearing::Messages(Box::new(hearing)));
        Ok(Said::Goes(on.into(), exchange))
    }

    /// A request whose answer may hold messages though its body does not: one that ends a session, hears
    /// events, or asks for an agent's card.
    pub(crate) fn listen(
        gate: &Arc<Gate>,
        head: &mut request::Parts,
        target: &Target,
    ) -> Result<Option<Self>, Fault> {
        let is_get = head.method == Method::GET;
        let is_ours = is_marked(head) && (is_get || head.method == Method::DELETE);
        let hearing = if is_get && is_card_path(head.uri.path()) {
            Hearing::Card(gate.within().front(gate, head, target)?)
        } else if is_ours {
            let front = gate.within().front(gate, head, target)?;
            let talk = front.talk_of(head, b"");
            Hearing::Messages(Box::new(Messages {
                link: link(&front, &talk, head),
                front,
                talk,
                back: Vec::new(),
                ends: Key::of(head).filter(|_| head.method == Method::DELETE),
            }))
        } else if is_get && wants_events(&head.headers) {
            Hearing::Stream(Box::new(Stream {
                gate: Arc::clone(gate),
                place: place(head, target),
                path: path_of(head),
                fields: own_fields(&head.headers),
            }))
        } else {
            return Ok(None);
        };
        head.headers.remove(header::ACCEPT_ENCODING);
        Ok(Some(Self(hearing)))
    }

    /// Judges the messages that an answer's body holds. What is returned
    /// says whether it is still to be judged as HTTP.
    ///
    /// # Errors
    /// The refusal of the answer as a whole.
    pub(crate) async fn hear(
        self,
        head: &mut response::Parts,
        pass: &mut Pass,
        body: Incoming,
    ) -> Result<Flow, Refused> {
        let is_coded = head.headers.contains_key(header::CONTENT_ENCODING);
        match self.0 {
            // Events that cannot be read here are judged as any others; calls of a server that answers
            // by them are refused.
            Hearing::Stream(stream) if !is_coded => Ok(stream.begins(head, body)),
            Hearing::Stream(_) => Ok(body.into()),
            Hearing::Card(_) | Hearing::Messages(_) if is_coded => {
                let what = "an answer of messages that is compressed without being asked for";
                Err(pass.end_with(Fault::Unsupported(what.into())))
            }
            Hearing::Card(front) => card(&front, head, pass, body).await,
            Hearing::Messages(messages) => messages.hear(head, pass, body).await,
        }
    }
}

impl Messages {
    async fn hear(
        self,
        head: &mut response::Parts,
        pass: &mut Pass,
        body: Incoming,
    ) -> Result<Flow, Refused> {
        if let Some(session) = head.headers.get(SESSION) {
            let key = Key::Named(session.as_bytes().into());
            self.front.sessions.lock().keep(key, self.talk);
        }
        if let Some(key) = self.ends.filter(|_| head.status.is_success()) {
            self.front.sessions.lock().end(&key);
        }
        match self.link.hear(head, body, self.back).await {
            Ok(words) => Ok(flow(words)),
            Err(fault) => Err(pass.end_with(fault)),
        }
    }
}

/// Whether a request's body holds messages.
///
/// # Errors
/// When it does, or must, in a content coding: what they say would be judged as content alone.
fn holds(head: &request::Parts, content: &[u8]) -> Result<bool, Fault> {
    let Some(speaks) = may_speak(head) else {
        return Ok(false);
    };
    let Some(codings) = codings(&head.headers) else {
        return Ok(speaks == Speaks::Surely || holds_messages(content));
    };
    let plain = decode(&codings, content, LINE_BYTES_MAX);
    let holds_any = plain.is_some_and(|plain| holds_messages(&plain));
    match speaks == Speaks::Surely || holds_any {
        true => Err(Fault::Unsupported(
            "messages of the model context protocol in a content coding; send them in none".into(),
        )),
        false => Ok(false),
    }
}

/// The codings of a body, if it has any.
fn codings(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn link(front: &Arc<Front>, talk: &Arc<Talk>, head: &request::Parts) -> Link {
    let heard = match head.headers.contains_key("last-event-id") {
        true => Heard::Again,
        false => Heard::Once,
    };
    Link::new(front, talk, path_of(head), own_fields(&head.headers), heard)
}

fn path_of(head: &request::Parts) -> PathAndQuery {
    let path = head.uri.path_and_query().cloned();
    path.unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// Whether a client listens for events.
fn wants_events(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    accepted.any(|value| {
        let value = value.to_str().unwrap_or_default();
        value.to_ascii_lowercase().contains("text/event-stream")
    })
}

fn flow(words: Words) -> Flow {
    match words {
        Words::Messages(bytes) => Flow::Told(Some(bytes)),
        Words::Nothing => Flow::Told(None),
        Words::Events(events) => Flow::Judged(events),
        Words::Other(flow) => flow,
    }
}

/// An agent's card: what it says of itself is kept, and may not change unseen. Clients read it whatever
/// it is said to be.
async fn card(
    front: &Front,
    head: &response::Parts,
    pass: &mut Pass,
    body: Incoming,
) -> Result<Flow, Refused> {
    if !head.status.is_success() {
        return Ok(body.into());
    }
    let Some(bytes) = whole(body).await else {
        let what = "an agent's card that is not whole, late, or too long";
        return Err(pass.end_with(Fault::Upstream(what.into())));
    };
    // A page that says that there is none is no card.
    if Content::of(&head.headers) == Content::Json || may_begin_messages(&bytes) == Some(true) {
        front.remote.server.hear_card(pass, &bytes)?;
    }
    Ok(Flow::Whole(Some(bytes)))
}

fn place(head: &request::Parts, target: &Target) -> Place {
    (target.clone(), plain_path(head.uri.path()).into())
}

/// Whether a request's head says that it is one of the protocol's.
fn is_marked(head: &request::Parts) -> bool {
    head.headers.contains_key(SESSION) || head.headers.contains_key(VERSION)
}

/// The fields of a request of the gate's own: those of the client's, which were judged with it.
fn own_fields(of: &HeaderMap) -> HeaderMap {
    let mut fields = of.clone();
    for name in &NOT_OWN {
        fields.remove(name);
    }
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    fields.insert(header::ACCEPT, accept);
    let json = HeaderValue::from_static("application/json");
    fields.insert(header::CONTENT_TYPE, json);
    fields
}

/// The gate's answer to a request of which nothing goes on.
fn answered(back: Vec<Vec<u8>>) -> Response<Body> {
    let Some(answer) = joined(back) else {
        // Notifications that were refused: there is nothing to answer.
        let mut response = Response::new(Body::default());
        *response.status_mut() = StatusCode::ACCEPTED;
        return response;
    };
    let mut response = Response::new(Body::own(answer.into()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
