//! One request of a client's, and its answer.

use std::net::SocketAddr;
use std::sync::Arc;

use ::http::header;
use ::http::uri::PathAndQuery;
use ::http::{Method, Request, Response, StatusCode, request};
use bytes::Bytes;
use carboy_engine::{Crossing, CrossingKind, Fault};
use carboy_wire::mcp::{Frame, refused};
use carboy_wire::refusal;
use carboy_wire::websocket::is_wanted;
use hyper::body::Incoming;

use super::Front;
use super::far::{Answer, client_fields, own_fields};
use super::link::{Link, Words, joined, whole};
use super::reply::{Coming, Reply};
use super::sessions::{Key, SESSION};
use super::sign_in::{SignIn, mend_challenge};
use super::socket::{self, Next};
use crate::gate::Refused;
use crate::http::{Body, Came, Source};
use crate::mcp::talk::Heard;

/// Answers one request.
pub(super) async fn exchange(
    front: &Arc<Front>,
    address: SocketAddr,
    request: Request<Incoming>,
    next: &Next,
) -> Response<Reply> {
    if !is_local(&request, address) {
        // A page in a browser must not reach what listens on this machine (the protocol's
        // "Transports", Security Warning).
        return Reply::text(
            StatusCode::FORBIDDEN,
            "Carboy refused this: the request comes from a web page, or for another host.\n",
        );
    }
    if is_wanted(request.headers()) {
        let outcome = socket::open(front, request, next).await;
        return outcome.unwrap_or_else(|refused| told(&refused));
    }
    let (head, body) = request.into_parts();
    if let Some(sign_in) = SignIn::of(front, &head) {
        let outcome = sign_in.answer(front, &head, body).await;
        return outcome.unwrap_or_else(|refused| told(&refused));
    }
    let outcome = match head.method {
        Method::POST => post(front, &head, body).await,
        Method::GET => get(front, &head).await,
        Method::DELETE => delete(front, &head).await,
        _ => return Reply::status(StatusCode::METHOD_NOT_ALLOWED),
    };
    let mut response = outcome.unwrap_or_else(|refused| told(&refused));
    mend_challenge(front, &head.headers, &mut response);
    response
}

/// A message, or a batch.
async fn post(
    front: &Arc<Front>,
    head: &request::Parts,
    body: Incoming,
) -> Result<Response<Reply>, Refused> {
    let Some(bytes) = whole(body).await else {
        return Ok(front.unread());
    };
    let (path, talk) = (front.path_of(head), front.talk_of(head, &bytes));
    let remote = &front.remote;
    let call = remote
        .call(Method::POST, &path, client_fields(&head.headers))
        .await?;
    let mut link = Link::new(front, &talk, path, own_fields(&head.headers), Heard::Once);
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
    link.sends(&on);
    let sent = remote.send(call, on.into()).await;
    let answer = sent.inspect_err(|_| talk.give_up(&bytes))?;
    if let Some(session) = answer.head.headers.get(SESSION) {
        let key = Key::Named(session.as_bytes().into());
        front.sessions.lock().keep(key, Arc::clone(&talk));
    }
    hear(link, answer, judged.back).await
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
    let call = remote
        .call(Method::GET, &path, client_fields(&head.headers))
        .await?;
    let link = Link::new(front, &talk, path, own_fields(&head.headers), heard);
    let answer = remote.send(call, Bytes::new()).await?;
    hear(link, answer, Vec::new()).await
}

/// The end of a session.
async fn delete(front: &Arc<Front>, head: &request::Parts) -> Result<Response<Reply>, Refused> {
    let path = front.path_of(head);
    let remote = &front.remote;
    let call = remote
        .call(Method::DELETE, &path, client_fields(&head.headers))
        .await?;
    let answer = remote.send(call, Bytes::new()).await?;
    let key = Key::of(head);
    let talk = front.sessions.lock().without();
    if let Some(key) = key.filter(|_| answer.head.status.is_success()) {
        front.sessions.lock().end(&key);
    }
    let link = Link::new(front, &talk, path, own_fields(&head.headers), Heard::Once);
    hear(link, answer, Vec::new()).await
}

/// Judges an answer's body. What was refused of the request is answered with it.
async fn hear(link: Link, answer: Answer, back: Vec<Vec<u8>>) -> Result<Response<Reply>, Refused> {
    let Answer {
        mut head,
        body,
        mut pass,
        lease,
    } = answer;
    match link.hear(&mut head, body, back).await {
        Err(fault) => Err(pass.fail(fault)),
        Ok(Words::Messages(on)) => {
            pass.close()?;
            lease.give_back();
            Ok(Response::from_parts(head, Reply::Whole(Some(on))))
        }
        Ok(Words::Nothing) => {
            pass.close()?;
            lease.give_back();
            Ok(Response::from_parts(head, Reply::Whole(None)))
        }
        Ok(Words::Events(events)) => {
            pass.close()?;
            Ok(Response::from_parts(
                head,
                Reply::Events(Coming {
                    events,
                    _lease: lease,
                }),
            ))
        }
        Ok(Words::Other(flow)) => {
            let source = Source::Upstream(Came::by(lease));
            let mut body = Body::inspected(flow, pass, source, &mut head.headers);
            body.prime().await?;
            Ok(Response::from_parts(head, Reply::Other(Box::new(body))))
        }
    }
}

impl Front {
    /// Refuses a request whose body cannot be judged.
    pub(super) fn unread(&self) -> Response<Reply> {
        let server = &self.remote.server;
        let crossing = Crossing {
            kind: CrossingKind::HttpRequest,
            target: server.target(),
            method: Some(Method::POST.as_str()),
        };
        let what = "a body that did not come whole, in time, or is longer than 16 MiB";
        server
            .gate()
            .refuse(crossing, Fault::Malformed(what.into()));
        Reply::text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "Carboy refused this: the message did not come whole, in time, or is longer than 16 MiB.\n",
        )
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

fn is_unreadable(bytes: &[u8]) -> bool {
    Frame::parse(bytes).is_err()
}

/// A refusal of the exchange as a whole, which belongs to no message.
fn told(refused: &Refused) -> Response<Reply> {
    let id = refused.id.to_string();
    let status = refusal::status(refused.refusal.reason);
    Reply::json(status, self::refused(None, &refused.refusal, &id))
}

/// Whether a request is from a program on this machine, or for an address that others may use too.
fn is_local(request: &Request<Incoming>, address: SocketAddr) -> bool {
    let text = |name| {
        request
            .headers()
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
    let for_here = !address.ip().is_loopback() || text(header::HOST).is_none_or(is_here);
    from_here && for_here
}
