//! Streams of events of the server's, which may break off and be taken up again.

use std::sync::Arc;
use std::time::Duration;

use ::http::Method;
use ::http::header::{self, HeaderValue};
use bytes::Bytes;
use carboy_wire::mcp::{Event, Events, Id};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::far::{Far, answered};
use crate::limits::{MCP_LISTING_TIMEOUT, MCP_RESUME_WAIT, MCP_RESUME_WAIT_MAX, MCP_RESUMES_MAX};
use crate::mcp::http::link::{Content, endpoint_at};
use crate::upstream::Lease;

/// The bytes of a stream, and the connection that they come by, which ends with this.
pub(super) struct Bytestream {
    pub(super) body: Incoming,
    pub(super) _lease: Lease,
}

/// A stream, over its interruptions.
#[derive(Default)]
struct Stream {
    /// The last event that came with an id.
    last: Option<HeaderValue>,
    /// How long the server wants a client to wait.
    wait: Option<Duration>,
    /// Tries to take it up that brought nothing.
    vain: u32,
    /// Who waits for the older transport's first event.
    endpoint: Option<oneshot::Sender<()>>,
}

impl Far {
    /// Follows a stream until all that waits is answered. Returns whether it was.
    pub(super) async fn follow_to_answer(&self, from: Bytestream, waits: &[Id]) -> bool {
        let (mut stream, mut waits) = (Stream::default(), waits.to_vec());
        if waits.is_empty() {
            self.follow(from, &mut stream, &mut waits).await;
            return true;
        }
        let mut next = Some(from);
        while let Some(from) = next {
            self.follow(from, &mut stream, &mut waits).await;
            if waits.is_empty() {
                return true;
            }
            // Without an id it cannot be taken up.
            next = match stream.last {
                Some(_) => self.take_up(&mut stream).await,
                None => None,
            };
        }
        false
    }

    /// Hears what the server says by itself, for as long as it has such a stream.
    pub(super) async fn listen(self: Arc<Self>) {
        let stream = Stream::default();
        if let Some(from) = self.open(&stream).await {
            self.listen_to(from, stream).await;
        }
    }

    async fn listen_to(&self, from: Bytestream, mut stream: Stream) {
        let mut next = Some(from);
        while let Some(from) = next {
            let begun = Instant::now();
            self.follow(from, &mut stream, &mut Vec::new()).await;
            if begun.elapsed() > MCP_RESUME_WAIT_MAX {
                // It had nothing to say, and was closed as idle.
                stream.vain = 0;
            }
            next = self.take_up(&mut stream).await;
        }
    }

    /// Opens the stream of the older transport, and waits until it has said where to post.
    pub(super) async fn listen_older(self: &Arc<Self>, listening: &mut JoinSet<()>) -> bool {
        let (endpoint, said) = oneshot::channel();
        let mut stream = Stream {
            endpoint: Some(endpoint),
            ..Stream::default()
        };
        let Some(from) = self.open(&stream).await else {
            return false;
        };
        let far = Arc::clone(self);
        listening.spawn(async move {
            // A stream of this transport that ends is the session's end.
            far.follow(from, &mut stream, &mut Vec::new()).await;
        });
        matches!(timeout(MCP_LISTING_TIMEOUT, said).await, Ok(Ok(())))
    }

    /// Takes a stream up again where it broke off.
    async fn take_up(&self, stream: &mut Stream) -> Option<Bytestream> {
        while stream.vain < MCP_RESUMES_MAX {
            stream.vain += 1;
            let wait = stream.wait.unwrap_or(MCP_RESUME_WAIT);
            sleep(wait.min(MCP_RESUME_WAIT_MAX)).await;
            if let Some(from) = self.open(stream).await {
                return Some(from);
            }
        }
        None
    }

    async fn open(&self, stream: &Stream) -> Option<Bytestream> {
        let mut fields = self.fields();
        fields.remove(header::CONTENT_TYPE);
        if let Some(last) = &stream.last {
            fields.insert("last-event-id", last.clone());
        }
        let path = &self.remote.endpoint;
        let call = self.remote.call(Method::GET, path, fields).await.ok()?;
        let mut answer = self.remote.send(call, Bytes::new()).await.ok()?;
        answer.pass.close().ok()?;
        let head = &answer.head;
        let is_stream = head.status.is_success() && Content::of(&head.headers) == Content::Events;
        is_stream.then_some(Bytestream {
            body: answer.body,
            _lease: answer.lease,
        })
    }

    /// Hears events until the stream ends, or the last of what waits is answered.
    async fn follow(&self, mut from: Bytestream, stream: &mut Stream, waits: &mut Vec<Id>) {
        let is_waited_for = !waits.is_empty();
        let mut events = Events::default();
        while let Some(Ok(frame)) = from.body.frame().await {
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let is_fit = events.push(data).is_ok();
            while let Some(event) = events.next_event() {
                stream.vain = 0;
                self.hear_event(event, stream, waits).await;
                if is_waited_for && waits.is_empty() {
                    return;
                }
            }
            if !is_fit {
                return;
            }
        }
    }

    async fn hear_event(&self, event: Event, stream: &mut Stream, waits: &mut Vec<Id>) {
        if !event.id.is_empty() {
            stream.last = HeaderValue::try_from(&event.id).ok();
        }
        if let Some(wait) = event.retry {
            stream.wait = Some(Duration::from_millis(wait));
        }
        match &*event.name {
            _ if event.data.is_empty() => {}
            "" | "message" => {
                if !waits.is_empty() {
                    let answered = answered(&event.data);
                    waits.retain(|id| !answered.contains(id));
                }
                self.say(event.data).await;
            }
            "endpoint" => {
                let target = self.remote.server.target();
                if let Some(waiting) = stream.endpoint.take()
                    && let Some(path) = endpoint_at(target, &event.data)
                {
                    let _ = self.posts_to.set(path);
                    let _ = waiting.send(());
                }
            }
            // No client of the protocol knows another.
            _ => {}
        }
    }
}
