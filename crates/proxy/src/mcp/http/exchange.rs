//! One request of a client's, and its answer.

use std::sync::Arc;

use ::http::header::{self, HeaderMap};
use ::http::uri::PathAndQuery;
use ::http::{Method, Request, Response, StatusCode, Uri, request};
use bytes::Bytes;
use carboy_engine::{Fault, Scheme};
use carboy_wire::mcp::{EVENT_BYTES_MAX, Event, Events, Frame, Kind, LINE_BYTES_MAX, refused};
use carboy_wire::refusal;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Front;
use super::far::{Answer, own_fields};
use super::reply::Reply;
use super::sessions::{Key, SESSION};
use crate::gate::Refused;
use crate::http::{Body, Came, Source};
use crate::limits::{MCP_BODY_TIMEOUT, MCP_QUEUE_MESSAGES};
use crate::mcp::talk::{Heard, Talk};

/// Answers one request.
pub(super) async fn exchange(front: &Arc<Front>, request: Request<Incoming>) -> Response<Reply> {
    let (head, body) = request.into_parts();
    if !is_local(&head, front) {
        // A page in a browser must not reach what listens on this machine (the protocol's
        // "Transports", Security Warning).
        return Reply::text(
            StatusCode::FORBIDDEN,
            "Carboy refused this: the request comes from a web page, or for another host.\n",
        );
    }
    let outcome = match head.method {
        Method::POST => post(front, &head, body).await,
        Method::GET => get(front, &head).await,
        Method::DELETE => delete(front, &head).await,
        _ => return Reply::status(StatusCode::METHOD_NOT_ALLOWED),
    };
    outcome.unwrap_or_else(|refused| told(&refused))
}

/// A message, or a batch.
async fn post(
    front: &Arc<Front>,
    head: &request::Parts,
    body: Incoming,
) -> Result<Response<Reply>, Refused> {
    let Some(bytes) = whole(body).await else {
        return Ok(Reply::text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Carboy refused this: the message did not come whole, in time, or is longer than 16 MiB.\n",
        ));
    };
    let (path, talk) = front.talk_of(head, &bytes);
    let remote = &front.remote;
    let call = remote.call(Method::POST, &path, &head.headers).await?;
    let link = Link::new(front, &talk, path, &head.headers, Heard::Once);
    let judged = talk.client_says(&bytes, &link.own).await;
    let Some(on) = judged.on else {
        call.unsent()?;
        return Ok(match joined(judged.back) {
            Some(answer) if is_unreadable(&bytes) => Reply::json(StatusCode::BAD_REQUEST, answer),
            Some(answer) => Reply::json(StatusCode::OK, answer),
            // Notifications that were refused: there is nothing to answer.
            None => Reply::status(StatusCode::ACCEPTED),
        });
    };
    let sent = remote.send(call, on.into()).await;
    let answer = sent.inspect_err(|_| talk.give_up(&bytes))?;
    if let Some(session) = answer.head.headers.get(SESSION) {
        let key = Key::Named(session.as_bytes().into());
        front.sessions.lock().keep(key, Arc::clone(&talk));
    }
    link.hear(answer, judged.back).await
}

/// A stream of what the server says by itself, or of what was cut off.
async fn get(front: &Arc<Front>, head: &request::Parts) -> Result<Response<Reply>, Refused> {
    let path = front.path_of(head);
    let talk = match Key::of(head) {
        Some(key) => front.sessions.lock().of_session(key),
        None => front.sessions.lock().without(),
    };
    let heard = match head.headers.contains_key("last-event-id") {
        true => Heard::Again,
        false => Heard::Once,
    };
    let remote = &front.remote;
    let call = remote.call(Method::GET, &path, &head.headers).await?;
    let link = Link::new(front, &talk, path, &head.headers, heard);
    let answer = remote.send(call, Bytes::new()).await?;
    link.hear(answer, Vec::new()).await
}

/// The end of a session.
async fn delete(front: &Arc<Front>, head: &request::Parts) -> Result<Response<Reply>, Refused> {
    let path = front.path_of(head);
    let remote = &front.remote;
    let call = remote.call(Method::DELETE, &path, &head.headers).await?;
    let answer = remote.send(call, Bytes::new()).await?;
    let key = Key::of(head);
    let talk = front.sessions.lock().without();
    if let Some(key) = key.filter(|_| answer.head.status.is_success()) {
        front.sessions.lock().end(&key);
    }
    let link = Link::new(front, &talk, path, &head.headers, Heard::Once);
    link.hear(answer, Vec::new()).await
}

impl Front {
    /// Where a message goes, and the connection it belongs to.
    fn talk_of(&self, head: &request::Parts, bytes: &[u8]) -> (PathAndQuery, Arc<Talk>) {
        let path = self.path_of(head);
        let mut sessions = self.sessions.lock();
        let talk = if let Some(key) = Key::of(head) {
            sessions.of_session(key)
        } else if let Some(talk) = sessions.of_endpoint(path.as_str()) {
            talk
        } else if begins(bytes) {
            sessions.begin()
        } else {
            sessions.without()
        };
        (path, talk)
    }

    /// The far path of a request: the server's endpoint, or for its older transport one that the server
    /// named.
    fn path_of(&self, head: &request::Parts) -> PathAndQuery {
        let asked = head.uri.path_and_query();
        let asked =
            asked.filter(|_| head.method == Method::POST && !head.headers.contains_key(SESSION));
        let named = asked.filter(|asked| {
            let known = self.sessions.lock().of_endpoint(asked.as_str());
            known.is_some()
        });
        named
            .cloned()
            .unwrap_or_else(|| self.remote.endpoint.clone())
    }
}

/// What an answer is heard by: the connection, and the way for what the gate itself says to the server.
struct Link {
    front: Arc<Front>,
    talk: Arc<Talk>,
    heard: Heard,
    own: mpsc::Sender<Vec<u8>>,
}

impl Link {
    fn new(
        front: &Arc<Front>,
        talk: &Arc<Talk>,
        path: PathAndQuery,
        fields: &HeaderMap,
        heard: Heard,
    ) -> Self {
        let (own, messages) = mpsc::channel(MCP_QUEUE_MESSAGES);
        let saying = say(
            Arc::clone(front),
            Arc::clone(talk),
            path,
            own_fields(fields),
            messages,
        );
        tokio::spawn(saying);
        Self {
            front: Arc::clone(front),
            talk: Arc::clone(talk),
            heard,
            own,
        }
    }

    /// Judges an answer's body. What was refused of the request is answered with it.
    async fn hear(self, answer: Answer, back: Vec<Vec<u8>>) -> Result<Response<Reply>, Refused> {
        let Answer {
            head,
            body,
            mut pass,
            lease,
        } = answer;
        let kind = Content::of(&head.headers);
        if body.is_end_stream() {
            pass.close()?;
            lease.give_back();
            return Ok(match joined(back) {
                Some(back) => Reply::json(StatusCode::OK, back),
                None => Response::from_parts(head, Reply::Whole(None)),
            });
        }
        match kind {
            Content::Json => {
                let Some(bytes) = whole(body).await else {
                    let what = format!(
                        "an answer that is not whole, late, or beyond {LINE_BYTES_MAX} bytes"
                    );
                    return Err(pass.fail(Fault::Upstream(what)));
                };
                pass.close()?;
                lease.give_back();
                let judged = self.talk.server_says(&bytes, self.heard);
                self.say_all(judged.back).await;
                Ok(match joined(judged.on.into_iter().chain(back).collect()) {
                    Some(json) => {
                        let mut response =
                            Response::from_parts(head, Reply::Whole(Some(json.into())));
                        response.headers_mut().remove(header::CONTENT_LENGTH);
                        response
                    }
                    None => Reply::status(StatusCode::BAD_GATEWAY),
                })
            }
            Content::Events => {
                pass.close()?;
                let (to, events) = mpsc::channel(MCP_QUEUE_MESSAGES);
                for answer in back {
                    // The channel has room for as many as one batch has at once.
                    let event = Event {
                        data: answer,
                        ..Event::default()
                    };
                    let _ = to.try_send(event.to_bytes().into());
                }
                tokio::spawn(self.follow(body, to));
                Ok(Response::from_parts(head, Reply::Events(events)))
            }
            Content::Other => {
                let source = Source::Upstream(Came::by(lease));
                let mut body = Body::inspected(body, pass, source, &head.headers);
                body.prime().await?;
                Ok(Response::from_parts(head, Reply::Other(Box::new(body))))
            }
        }
    }

    /// Judges events as they come, until the server or the client ends.
    async fn follow(mut self, mut body: Incoming, to: mpsc::Sender<Bytes>) {
        let mut events = Events::default();
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = to.closed() => return,
            };
            let Some(Ok(frame)) = frame else {
                return;
            };
            let Some(data) = frame.data_ref() else {
                continue;
            };
            let is_long = events.push(data).is_err();
            while let Some(event) = events.next_event() {
                let event = self.judge(event).await;
                if to.send(event.to_bytes().into()).await.is_err() {
                    return;
                }
            }
            if is_long {
                let what = format!("an event of more than {EVENT_BYTES_MAX} bytes");
                for data in self.talk.unreadable_from_server(&what) {
                    let event = Event {
                        data,
                        ..Event::default()
                    };
                    let _ = to.send(event.to_bytes().into()).await;
                }
                return;
            }
        }
    }

    /// What of an event goes on. One that is dropped still tells its id.
    async fn judge(&mut self, mut event: Event) -> Event {
        let data = std::mem::take(&mut event.data);
        match &*event.name {
            _ if data.is_empty() => {}
            "" | "message" => {
                let judged = self.talk.server_says(&data, self.heard);
                self.say_all(judged.back).await;
                event.data = judged.on.unwrap_or_default();
            }
            "endpoint" => match self.endpoint(&data) {
                Some(path) => event.data = path.as_str().into(),
                None => event.name.clear(),
            },
            _ => {}
        }
        if event.data.is_empty() {
            event.name.clear();
        }
        event
    }

    /// The endpoint that a stream's messages are posted to, if it is the same server's (the protocol's
    /// transport before streamable HTTP). Whoever posts to it has this stream's connection.
    fn endpoint(&mut self, data: &[u8]) -> Option<PathAndQuery> {
        let uri: Uri = std::str::from_utf8(data).ok()?.trim().parse().ok()?;
        let target = self.front.remote.server.target();
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
        if !path.as_str().starts_with('/') {
            return None;
        }
        let mut sessions = self.front.sessions.lock();
        self.talk = sessions.begin();
        let key = Key::Endpoint(path.as_str().into());
        sessions.keep(key, Arc::clone(&self.talk));
        Some(path)
    }

    async fn say_all(&self, messages: Vec<Vec<u8>>) {
        for message in messages {
            // It goes by a request of its own; if nobody sends it, nobody waits for it.
            let _ = self.own.send(message).await;
        }
    }
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
            let call = remote.call(Method::POST, &path, &fields).await?;
            remote.send(call, message.into()).await
        };
        let Ok(answer) = sent.await else {
            continue;
        };
        listen(&talk, answer).await;
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
                        talk.server_says(&event.data, Heard::Once);
                    }
                }
            }
            Content::Json | Content::Events | Content::Other => return,
        }
    }
    if !json.is_empty() {
        talk.server_says(&json, Heard::Once);
    }
}

/// What an answer's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Json,
    Events,
    Other,
}

impl Content {
    fn of(headers: &HeaderMap) -> Self {
        let text = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let essence = text
            .unwrap_or_default()
            .split(';')
            .next()
            .unwrap_or_default();
        match essence.trim().to_ascii_lowercase().as_str() {
            "application/json" => Self::Json,
            "text/event-stream" => Self::Events,
            _ => Self::Other,
        }
    }
}

/// All of a body that holds one message or batch.
async fn whole(body: Incoming) -> Option<Bytes> {
    let collecting = Limited::new(body, LINE_BYTES_MAX).collect();
    let collected = timeout(MCP_BODY_TIMEOUT, collecting).await.ok()?;
    Some(collected.ok()?.to_bytes())
}

/// Whether a message begins a session.
fn begins(bytes: &[u8]) -> bool {
    let frame = Frame::parse(bytes);
    let mut messages = frame.iter().flat_map(|frame| &frame.messages);
    messages.any(|message| match message {
        Ok(message) => {
            matches!(&message.kind, Kind::Request { method, .. } if method.known == Some("initialize"))
        }
        Err(_) => false,
    })
}

fn is_unreadable(bytes: &[u8]) -> bool {
    Frame::parse(bytes).is_err()
}

/// Several answers as one body.
fn joined(mut answers: Vec<Vec<u8>>) -> Option<Vec<u8>> {
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

/// A refusal of the exchange as a whole, which belongs to no message.
fn told(refused: &Refused) -> Response<Reply> {
    let id = refused.id.to_string();
    let status = refusal::status(refused.refusal.reason);
    Reply::json(status, self::refused(None, &refused.refusal, &id))
}

/// Whether a request is from a program on this machine, or for an address that others may use too.
fn is_local(head: &request::Parts, front: &Front) -> bool {
    let text = |name| {
        head.headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("?"))
    };
    let is_here = |authority: &str| {
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        let addr = host.parse::<std::net::IpAddr>();
        host.eq_ignore_ascii_case("localhost") || addr.is_ok_and(|addr| addr.is_loopback())
    };
    let from_here = text(header::ORIGIN).is_none_or(|origin| {
        origin
            .split_once("://")
            .is_some_and(|(_, authority)| is_here(authority))
    });
    let for_here = !front.address.ip().is_loopback() || text(header::HOST).is_none_or(is_here);
    from_here && for_here
}
