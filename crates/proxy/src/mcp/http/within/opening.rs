//! A stream of events whose first event tells whether it is one of the protocol's transport before
//! streamable HTTP: then that says where messages are posted, and their answers come by the stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::header::HeaderMap;
use ::http::response;
use ::http::uri::PathAndQuery;
use bytes::{Bytes, BytesMut};
use carboy_wire::mcp::{Event, Events};
use hyper::body::{Body as _, Incoming};
use tokio::sync::mpsc;

use super::{Content, Heard, Link, Place};
use crate::gate::Gate;
use crate::http::Flow;
use crate::limits::EVENT_BYTES_MAX;

/// The name of the event that says where messages are posted.
const ENDPOINT: &str = "endpoint";

/// A request for events.
pub(super) struct Stream {
    pub(super) gate: Arc<Gate>,
    pub(super) place: Place,
    pub(super) path: PathAndQuery,
    /// The fields of requests of the gate's own.
    pub(super) fields: HeaderMap,
}

/// Its answer, until the first event has come.
pub(crate) struct Opening {
    stream: Stream,
    /// None once it has told what it is.
    body: Option<Incoming>,
    begun: BytesMut,
    events: Events,
}

impl Stream {
    /// Takes the answer, if it is a stream without an end.
    pub(super) fn begins(self, head: &response::Parts, body: Incoming) -> Flow {
        let is_endless = body.size_hint().exact().is_none();
        if !is_endless || Content::of(&head.headers) != Content::Events {
            return Flow::Incoming(body);
        }
        Flow::Opening(Box::new(Opening {
            stream: self,
            body: Some(body),
            begun: BytesMut::new(),
            events: Events::default(),
        }))
    }

    /// Judges the stream as one of messages.
    fn carries(&self, begun: &[u8], body: Incoming) -> Result<Flow, Incoming> {
        let within = self.gate.within();
        let Ok(front) = within.meet(&self.gate, self.place.clone()) else {
            // What is posted where it says is refused for the same reason.
            return Err(body);
        };
        let mut events = Events::default();
        if events.push(begun).is_err() {
            return Err(body);
        }
        let talk = front.sessions.lock().begin();
        let (path, fields) = (self.path.clone(), self.fields.clone());
        let link = Link::new(&front, &talk, path, fields, Heard::Once);
        Ok(Flow::Judged(link.follows(events, body)))
    }
}

impl Opening {
    /// What the stream is; ready once it is known.
    pub(crate) fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<Flow> {
        loop {
            if let Some(first) = self.events.next_event() {
                return Poll::Ready(self.told_by(&first));
            }
            let Some(body) = &mut self.body else {
                return Poll::Ready(Flow::Whole(None));
            };
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Some(data) = frame.data_ref() else {
                        continue;
                    };
                    self.begun.extend_from_slice(data);
                    let is_long = self.events.push(data).is_err();
                    if is_long || self.begun.len() > EVENT_BYTES_MAX {
                        return Poll::Ready(self.as_it_is());
                    }
                }
                Some(Err(error)) => return Poll::Ready(broken(error)),
                None => {
                    self.body = None;
                    return Poll::Ready(Flow::Whole(Some(self.taken())));
                }
            }
        }
    }

    fn told_by(&mut self, first: &Event) -> Flow {
        let is_ours = first.name == ENDPOINT && first.has_data;
        let Some(body) = self.body.take() else {
            return Flow::Whole(Some(self.taken()));
        };
        let begun = self.taken();
        if !is_ours {
            return Flow::Begun(begun, body);
        }
        match self.stream.carries(&begun, body) {
            Ok(flow) => flow,
            Err(body) => Flow::Begun(begun, body),
        }
    }

    fn as_it_is(&mut self) -> Flow {
        let begun = self.taken();
        match self.body.take() {
            Some(body) => Flow::Begun(begun, body),
            None => Flow::Whole(Some(begun)),
        }
    }

    fn taken(&mut self) -> Bytes {
        std::mem::take(&mut self.begun).freeze()
    }
}

/// A body that ends with an error.
fn broken(error: hyper::Error) -> Flow {
    let (to, frames) = mpsc::channel(1);
    // The channel has room for it.
    let _ = to.try_send(Err(error));
    Flow::Judged(frames)
}
