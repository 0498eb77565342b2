//! How an answer's body is heard: its messages judged one by one.

use std::sync::Arc;

use ::http::header::{self, HeaderMap, HeaderValue};
use ::http::uri::PathAndQuery;
use ::http::{Method, StatusCode, Uri, response};
use bytes::Bytes;
use carboy_engine::{Fault, Scheme, Target};
use carboy_wire::mcp::{EVENT_BYTES_MAX, Event, Events, Frame, LINE_BYTES_MAX, asks_something};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Front;
use super::far::Answer;
use super::sessions::Key;
use crate::http::Flow;
use crate::limits::{MCP_BODY_TIMEOUT, MCP_QUEUE_MESSAGES};
use crate::mcp::talk::{Carried, Heard, Talk};

/// What an answer is heard by: the connection, and the way for what the gate itself says to the server.
pub(super) struct Link {
    front: Arc<Front>,
    talk: Arc<Talk>,
    heard: Heard,
    /// Whether the client waits for an answer.
    asks: bool,
    /// The fields of requests of the gate's own.
    fields: HeaderMap,
    pub(super) own: mpsc::Sender<Vec<u8>>,
}

/// An answer's body, its messages judged.
pub(super) enum Words {
    /// What goes on of a body of messages.
    Messages(Bytes),
    /// All messages were dropped. The head says that there is nothing, or that there should be something.
    Nothing,
    /// Events as they are judged.
    Events(mpsc::Receiver<Result<Bytes, hyper::Error>>),
    /// What holds no messages.
    Other(Flow),
}

impl Link {
    /// `fields` are those of requests of the gate's own.
    pub(super) fn new(
        front: &Arc<Front>,
        talk: &Arc<Talk>,
        path: PathAndQuery,
        fields: HeaderMap,
        heard: Heard,
    ) -> Self {
        Self {
            own: speak(front, talk, path, fields.clone()),
            front: Arc::clone(front),
            talk: Arc::clone(talk),
            heard,
            asks: false,
            fields,
        }
    }

    /// Says what goes on of the client's messages.
    pub(super) fn sends(&mut self, messages: &[u8]) {
        self.asks = asks_something(messages);
    }

    /// Judges an answer's body. What was refused of the request is answered with it.
    ///
    /// # Errors
    /// What is wrong with the body as a whole.
    pub(super) async fn hear(
        self,
        head: &mut response::Parts,
        body: Incoming,
        back: Vec<Vec<u8>>,
    ) -> Result<Words, Fault> {
        if body.is_end_stream() {
            return Ok(match joined(back) {
                Some(back) => {
                    say_json(head);
                    Words::Messages(back.into())
                }
                None => Words::Other(body.into()),
            });
        }
        match Content::of(&head.headers) {
            Content::Json => {
                let Some(bytes) = whole(body).await else {
                    let what = format!(
                        "an answer that is not whole, late, or beyond {LINE_BYTES_MAX} bytes"
                    );
                    return Err(Fault::Upstream(what));
                };
                if !head.status.is_success() && !has_message(&bytes) {
                    // An error of the server's, such as that of its sign-in.
                    return Ok(Words::Other(Flow::Whole(Some(bytes))));
                }
                head.headers.remove(header::CONTENT_LENGTH);
                let judged = self.talk.server_says(&bytes, self.carried(""));
                self.say_all(judged.back).await;
                let on = joined(judged.on.into_iter().chain(back).collect());
                Ok(match on {
                    Some(on) => Words::Messages(on.into()),
                    None => {
                        head.headers.remove(header::CONTENT_TYPE);
                        head.status = match self.asks {
                            true => StatusCode::BAD_GATEWAY,
                            // The client waits for nothing, and reads nothing.
                            false => StatusCode::ACCEPTED,
                        };
                        Words::Nothing
                    }
                })
            }
            Content::Events => {
                head.headers.remove(header::CONTENT_LENGTH);
                let (to, events) = mpsc::channel(MCP_QUEUE_MESSAGES);
                for answer in back {
                    // The channel has room for as many as one batch has at once.
                    let _ = to.try_send(Ok(event(answer).to_bytes().into()));
                }
                if !self.asks {
                    self.talk.has_stream();
                }
                tokio::spawn(self.follow(Events::default(), body, to));
                Ok(Words::Events(events))
            }
            Content::Other => Ok(Words::Other(body.into())),
        }
    }

    /// Judges the events of a stream of which some have come already.
    pub(super) fn follows(
        self,
        begun: Events,
        body: Incoming,
    ) -> mpsc::Receiver<Result<Bytes, hyper::Error>> {
        let (to, events) = mpsc::channel(MCP_QUEUE_MESSAGES);
        tokio::spawn(self.follow(begun, body, to));
        events
    }

    /// Judges events as they come, until the server or the client ends.
    async fn follow(
        mut self,
        mut events: Events,
        mut body: Incoming,
        to: mpsc::Sender<Result<Bytes, hyper::Error>>,
    ) {
        loop {
            while let Some(event) = events.next_event() {
                let event = self.judge(event).await;
                if to.send(Ok(event.to_bytes().into())).await.is_err() {
                    return;
                }
            }
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = to.closed() => return,
            };
            let frame = match frame {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => {
                    let _ = to.send(Err(error)).await;
                    return;
                }
                None => return,
            };
            let Some(data) = frame.data_ref() else {
                continue;
            };
            if events.push(data).is_err() {
                self.give_up(events, &to).await;
                return;
            }
        }
    }

    /// Ends a stream one of whose events is too long.
    async fn give_up(
        &mut self,
        mut events: Events,
        to: &mpsc::Sender<Result<Bytes, hyper::Error>>,
    ) {
        while let Some(event) = events.next_event() {
            let event = self.judge(event).await;
            let _ = to.send(Ok(event.to_bytes().into())).await;
        }
        let what = format!("an event of more than {EVENT_BYTES_MAX} bytes");
        for answer in self.talk.unreadable_from_server(&what) {
            let _ = to.send(Ok(event(answer).to_bytes().into())).await;
        }
    }

    fn carried<'a>(&self, event: &'a str) -> Carried<'a> {
        Carried {
            heard: self.heard,
            event,
        }
    }

    /// What of an event goes on. One that is dropped still tells its id, which is judged with it.
    async fn judge(&mut self, mut event: Event) -> Event {
        let data = std::mem::take(&mut event.data);
        let mut is_id_judged = false;
        match &*event.name {
            _ if data.is_empty() => {}
            "" | "message" => {
                let carried = self.carried(&event.id);
                let judged = self.talk.server_says(&data, carried);
                self.say_all(judged.back).await;
                // What went on as it came was let pass with its id.
                is_id_judged = judged.on.as_ref() == Some(&data);
                event.data = judged.on.unwrap_or_default();
                event.has_data = !event.data.is_empty();
            }
            "endpoint" => match self.endpoint(&data) {
                Some(path) => event.data = path.as_str().into(),
                None => event.has_data = false,
            },
            // No client of the protocol knows another.
            _ => event.has_data = false,
        }
        if event.data.is_empty() {
            event.name.clear();
        }
        if !is_id_judged && !event.id.is_empty() {
            let judged = self.talk.server_notes("event-id", event.id.as_bytes());
            if judged.is_err() {
                event.id.clear();
            }
        }
        event
    }

    /// The endpoint that a stream's messages are posted to, if it is the same server's (the protocol's
    /// transport before streamable HTTP). Whoever posts to it has this stream's connection.
    fn endpoint(&mut self, data: &[u8]) -> Option<PathAndQuery> {
        let path = endpoint_at(self.front.remote.server.target(), data)?;
        self.talk
            .server_notes("endpoint", path.as_str().as_bytes())
            .ok()?;
        {
            let mut sessions = self.front.sessions.lock();
            self.talk = sessions.begin();
            let key = Key::Endpoint(path.as_str().into());
            sessions.keep(key, Arc::clone(&self.talk));
        }
        self.talk.has_stream();
        // What the gate has to say goes there too.
        let fields = self.fields.clone();
        self.own = speak(&self.front, &self.talk, path.clone(), fields);
        let within = self.front.remote.server.gate().within();
        within.posts_to(path.as_str(), &self.front);
        Some(path)
    }

    async fn say_all(&self, messages: Vec<Vec<u8>>) {
        for message in messages {
            // It goes by a request of its own; if nobody sends it, nobody waits for it.
            let _ = self.own.send(message).await;
        }
    }
}

/// The path that an `endpoint` event names, if it is the same server's.
pub(super) fn endpoint_at(target: &Target, data: &[u8]) -> Option<PathAndQuery> {
    let uri: Uri = std::str::from_utf8(data).ok()?.trim().parse().ok()?;
    if let Some(authority) = uri.authority() {
        let default = match target.scheme {
            Scheme::Http => 80,
            Scheme::Https | Scheme::Tls | Scheme::Tcp | Scheme::Dns | Scheme::Mcp => 443,
        };
        let is_same = authority.host() == target.host.to_string()
            && authority.port_u16().unwrap_or(default) == target.port;
        if !is_same {
            return None;
        }
    }
    let path = uri.path_and_query()?.clone();
    path.as_str().starts_with('/').then_some(path)
}

/// A way for what the gate itself has to say to the server at a path.
fn speak(
    front: &Arc<Front>,
    talk: &Arc<Talk>,
    path: PathAndQuery,
    fields: HeaderMap,
) -> mpsc::Sender<Vec<u8>> {
    let (own, messages) = mpsc::channel(MCP_QUEUE_MESSAGES);
    tokio::spawn(say(
        Arc::clone(front),
        Arc::clone(talk),
        path,
        fields,
        messages,
    ));
    own
}

/// Says to the server what the gate itself has to say, each by a request of its own, whose answers are
/// judged and go to no one else.
async fn say(
    front: Arc<Front>,
    talk: Arc<Talk>,
    path: PathAndQuery,
    fields: HeaderMap,
    mut messages: mpsc::Receiver<Vec<u8>>,
) {
    while let Some(message) = messages.recv().await {
        let remote = &front.remote;
        let sent = async {
            let call = remote.call(Method::POST, &path, fields.clone()).await?;
            remote.send(call, message.clone().into()).await
        };
        if let Ok(answer) = sent.await {
            listen(&talk, answer).await;
        }
        talk.is_unanswered(&message);
    }
}

/// Hears the answer to what the gate itself said.
async fn listen(talk: &Talk, mut answer: Answer) {
    let kind = Content::of(&answer.head.headers);
    if answer.pass.close().is_err() {
        return;
    }
    let mut events = Events::default();
    let mut json = Vec::new();
    while let Ok(Some(Ok(frame))) = timeout(MCP_BODY_TIMEOUT, answer.body.frame()).await {
        let Some(data) = frame.data_ref() else {
            continue;
        };
        match kind {
            Content::Json if json.len() + data.len() <= LINE_BYTES_MAX => {
                json.extend_from_slice(data);
            }
            Content::Events if events.push(data).is_ok() => {
                while let Some(event) = events.next_event() {
                    if !event.data.is_empty() {
                        talk.server_says(&event.data, Carried::PLAINLY);
                    }
                }
            }
            Content::Json | Content::Events | Content::Other => return,
        }
    }
    if !json.is_empty() {
        talk.server_says(&json, Carried::PLAINLY);
    }
}

/// What an answer's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    Events,
    Other,
}

impl Content {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let essence = text
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/json" | "application/json-rpc" | "application/a2a+json" => Self::Json,
            "text/event-stream" => Self::Events,
            _ => Self::Other,
        }
    }
}

/// All of a body that holds one message or batch.
pub(super) async fn whole(body: Incoming) -> Option<Bytes> {
    let collecting = Limited::new(body, LINE_BYTES_MAX).collect();
    let collected = timeout(MCP_BODY_TIMEOUT, collecting).await.ok()?;
    Some(collected.ok()?.to_bytes())
}

/// Several answers as one body.
pub(super) fn joined(mut answers: Vec<Vec<u8>>) -> Option<Vec<u8>> {
    match answers.len() {
        0 => None,
        1 => answers.pop(),
        _ => {
            // A batch's answers are a list already.
            let parts = answers.iter().map(|answer| {
                let list = answer
                    .strip_prefix(b"[")
                    .and_then(|rest| rest.strip_suffix(b"]"));
                list.unwrap_or(answer)
            });
            let parts: Vec<&[u8]> = parts.collect();
            Some([b"[", &*parts.join(&b","[..]), b"]"].concat())
        }
    }
}

/// Makes an answer without content one that holds messages.
fn say_json(head: &mut response::Parts) {
    head.status = StatusCode::OK;
    head.headers.remove(header::CONTENT_LENGTH);
    let json = HeaderValue::from_static("application/json");
    head.headers.insert(header::CONTENT_TYPE, json);
}

fn has_message(bytes: &[u8]) -> bool {
    let frame = Frame::parse(bytes);
    frame.is_ok_and(|frame| frame.messages.iter().any(Result::is_ok))
}

fn event(data: Vec<u8>) -> Event {
    Event {
        data,
        has_data: true,
        ..Event::default()
    }
}
