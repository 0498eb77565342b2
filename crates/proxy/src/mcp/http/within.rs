//! The model context protocol within plain HTTP: a client speaks to a remote server by the gate, and was
//! told of no other.
//!
//! What holds messages by its structure is judged message by message, as by `mcp proxy`: each of their
//! strings, names and numbers. What goes on of a request is then judged as any HTTP, and so is whatever
//! cannot be read as messages.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::uri::PathAndQuery;
use ::http::{Method, Response, StatusCode, request, response};
use bytes::Bytes;
use carboy_engine::{Fault, Target};
use carboy_wire::mcp::{holds_messages, is_card_path};
use hyper::body::Incoming;
use lru::LruCache;
use parking_lot::Mutex;

use super::link::{Content, Link, Words, joined, whole};
use super::sessions::{Key, SESSION, Sessions};
use super::{Front, Remote};
use crate::gate::{Gate, Pass, Refused};
use crate::http::{Body, Flow};
use crate::limits::MCP_SERVERS_MAX;
use crate::mcp::talk::{Heard, Server, ServerName, Talk};

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
    fronts: Mutex<Option<LruCache<Place, Arc<Front>>>>,
}

/// Where a server is: one host may have several.
type Place = (Target, Box<str>);

/// One request that holds messages, until its answer is heard.
pub(crate) struct Exchange {
    kind: Hearing,
    front: Arc<Front>,
}

enum Hearing {
    /// Messages.
    Messages {
        link: Link,
        talk: Arc<Talk>,
        back: Vec<Vec<u8>>,
        ends: Option<Key>,
    },
    /// An agent's card.
    Card,
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
pub(crate) fn may_speak(head: &request::Parts) -> bool {
    head.method == Method::POST && (is_marked(head) || Content::of(&head.headers) == Content::Json)
}

impl Within {
    /// Says where what is kept of servers is. Only the first call counts.
    pub(crate) fn keep_in(&self, state: &Path) {
        let _ = self.state.set(state.into());
    }

    /// Forgets the servers, which hold the gate.
    pub(crate) fn end(&self) {
        *self.fronts.lock() = None;
    }

    fn front(&self, gate: &Arc<Gate>, place: Place) -> Result<Arc<Front>, Fault> {
        let mut fronts = self.fronts.lock();
        let room = NonZeroUsize::new(MCP_SERVERS_MAX).unwrap_or(NonZeroUsize::MIN);
        let fronts = fronts.get_or_insert_with(|| LruCache::new(room));
        if let Some(front) = fronts.get(&place) {
            return Ok(Arc::clone(front));
        }
        let (target, path) = &place;
        let state = self.state.get().map(|state| &**state);
        let name = ServerName::of_place(target, path);
        let server = Server::within(Arc::clone(gate), state, &name, target.clone())
            .map_err(|error| Fault::State(error.to_string()))?;
        let front = Arc::new(Front {
            sessions: Mutex::new(Sessions::new(&server)),
            remote: Remote {
                server,
                endpoint: PathAndQuery::from_static("/"),
                headers: HeaderMap::new(),
            },
            hears_posts_only: true,
        });
        fronts.put(place.clone(), Arc::clone(&front));
        Ok(front)
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
        if !may_speak(head) || !(is_marked(head) || holds_messages(&content)) {
            return Ok(Said::Nothing(content));
        }
        let front = gate.within().front(gate, place(head, target))?;
        let talk = front.talk_of(head, &content);
        let mut link = Self::link(&front, &talk, head);
        let judged = talk.client_says(&content, &link.own).await;
        let Some(on) = judged.on else {
            return Ok(Said::Answered(answered(judged.back)));
        };
        link.sends(&on);
        let kind = Hearing::Messages {
            link,
            talk,
            back: judged.back,
            ends: None,
        };
        // What can be read must be read: the answer is not to be compressed.
        head.headers.remove(header::ACCEPT_ENCODING);
        Ok(Said::Goes(on.into(), Self { kind, front }))
    }

    /// A request without a body whose answer may hold messages, or ends a session; or which asks for an
    /// agent's card.
    pub(crate) fn listen(
        gate: &Arc<Gate>,
        head: &mut request::Parts,
        target: &Target,
    ) -> Result<Option<Self>, Fault> {
        let asks_card = head.method == Method::GET && is_card_path(head.uri.path());
        let is_ours = is_marked(head) && matches!(head.method, Method::GET | Method::DELETE);
        if !asks_card && !is_ours {
            return Ok(None);
        }
        let front = gate.within().front(gate, place(head, target))?;
        let kind = if asks_card {
            Hearing::Card
        } else {
            let talk = front.talk_of(head, b"");
            Hearing::Messages {
                link: Self::link(&front, &talk, head),
                talk,
                back: Vec::new(),
                ends: Key::of(head).filter(|_| head.method == Method::DELETE),
            }
        };
        head.headers.remove(header::ACCEPT_ENCODING);
        Ok(Some(Self { kind, front }))
    }

    fn link(front: &Arc<Front>, talk: &Arc<Talk>, head: &request::Parts) -> Link {
        let heard = match head.headers.contains_key("last-event-id") {
            true => Heard::Again,
            false => Heard::Once,
        };
        let path = head.uri.path_and_query().cloned();
        let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Link::new(front, talk, path, own_fields(&head.headers), heard)
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
        if head.headers.contains_key(header::CONTENT_ENCODING) {
            let what = "an answer of messages that is compressed without being asked for";
            return Err(pass.end_with(Fault::Unsupported(what.into())));
        }
        match self.kind {
            Hearing::Card => card(&self.front, head, pass, body).await,
            Hearing::Messages {
                link,
                talk,
                back,
                ends,
            } => {
                if let Some(session) = head.headers.get(SESSION) {
                    let key = Key::Named(session.as_bytes().into());
                    self.front.sessions.lock().keep(key, Arc::clone(&talk));
                }
                if let Some(key) = ends.filter(|_| head.status.is_success()) {
                    self.front.sessions.lock().end(&key);
                }
                if link.asks() && head.status == StatusCode::ACCEPTED {
                    talk.is_answered_elsewhere();
                }
                match link.hear(head, body, back).await {
                    Ok(words) => Ok(flow(words)),
                    Err(fault) => Err(pass.end_with(fault)),
                }
            }
        }
    }
}

fn flow(words: Words) -> Flow {
    match words {
        Words::Messages(bytes) => Flow::Told(Some(bytes)),
        Words::Nothing => Flow::Told(None),
        Words::Events(events) => Flow::Judged(events),
        Words::Other(flow) => flow,
    }
}

/// An agent's card: what it says of itself is kept, and may not change unseen.
async fn card(
    front: &Front,
    head: &response::Parts,
    pass: &mut Pass,
    body: Incoming,
) -> Result<Flow, Refused> {
    if head.status != StatusCode::OK || Content::of(&head.headers) != Content::Json {
        return Ok(body.into());
    }
    let Some(bytes) = whole(body).await else {
        let what = "an agent's card that is not whole, late, or too long";
        return Err(pass.end_with(Fault::Upstream(what.into())));
    };
    front.remote.server.hear_card(pass, &bytes)?;
    Ok(Flow::Whole(Some(bytes)))
}

fn place(head: &request::Parts, target: &Target) -> Place {
    (target.clone(), head.uri.path().into())
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
