//! The far side of an exchange: a request's head judged, its message sent, the answer's head judged.

use std::sync::Arc;

use ::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ::http::uri::PathAndQuery;
use ::http::{Method, Request, Response, Uri, request, response};
use bytes::Bytes;
use carboy_engine::{Crossing, CrossingKind, Fault, Permit, Surface, SurfaceKind, Target};
use carboy_wire::http::{
    Protocol, check_response, downstream_head, request_surfaces, response_surfaces, upstream_head,
};
use carboy_wire::mcp::holds_messages;
use carboy_wire::websocket::Opening;
use hyper::body::Incoming;

use super::Remote;
use super::sessions::SESSION;
use crate::gate::{Asked, Gate, Pass, Refused};
use crate::http::{Answered, Body, ask_for_websocket};
use crate::upstream::{Lease, SendError};

/// The fields of a client's request that go on.
const REQUEST_FIELDS: [&str; 8] = [
    "accept",
    "accept-language",
    "authorization",
    "content-type",
    "last-event-id",
    "mcp-protocol-version",
    SESSION,
    "user-agent",
];

/// The fields of an answer that go on.
const RESPONSE_FIELDS: [&str; 7] = [
    "allow",
    "cache-control",
    "content-type",
    "mcp-protocol-version",
    SESSION,
    "retry-after",
    "www-authenticate",
];

/// A request that may be sent.
pub(super) struct Call {
    head: request::Parts,
    path: String,
    pass: Box<Pass>,
    permit: Permit,
}

/// An answer whose head was judged.
pub(super) struct Answer {
    pub(super) head: response::Parts,
    pub(super) body: Incoming,
    /// The answer's crossing, which what its body holds may belong to.
    pub(super) pass: Box<Pass>,
    pub(super) lease: Lease,
}

impl Remote {
    /// Judges a request's head and where it goes.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &PathAndQuery,
        fields: HeaderMap,
    ) -> Result<Call, Refused> {
        let (gate, target) = (self.server.gate(), self.server.target());
        let head = head(method, path, fields);
        let mut pass = gate.open(Crossing {
            kind: CrossingKind::HttpRequest,
            target,
            method: Some(head.method.as_str()),
        })?;
        request_surfaces(&head, target, |surface| pass.push(surface).map(drop))?;
        let permit = pass.connect().await?;
        if gate.is_own(&permit) {
            let fault = Fault::Unsupported("a request to the gate itself".into());
            return Err(pass.fail(fault));
        }
        Ok(Call {
            path: path.path().to_owned(),
            head,
            pass,
            permit,
        })
    }

    /// Sends a judged request, with a body whose messages were judged, and judges the answer's head.
    pub(super) async fn send(&self, call: Call, body: Bytes) -> Result<Answer, Refused> {
        let (gate, target) = (self.server.gate(), self.server.target());
        let Call {
            mut head,
            path,
            mut pass,
            permit,
        } = call;
        let lease = match gate.upstream().lease(&permit, Protocol::Http1).await {
            Ok(lease) => lease,
            Err(fault) => return Err(pass.fail(fault)),
        };
        if let Err(fault) = upstream_head(&mut head, target, lease.protocol()) {
            return Err(pass.fail(fault));
        }
        // What can be read must be read: the answer is not to be compressed.
        head.headers.remove(header::ACCEPT_ENCODING);
        self.headers.add_to(&mut head.headers);
        pass.dialled(lease.address());
        let asked = pass.asked();
        pass.close()?;
        let request = Request::from_parts(head, Body::own(body));
        match transmit(gate, &permit, lease, request).await {
            Ok((response, lease)) => answer(gate, target, &asked, &path, response, lease),
            Err(fault) => Err(gate.refuse_answer(&asked, fault)),
        }
    }
}

impl Remote {
    /// Asks for a WebSocket by a judged request.
    pub(super) async fn open_socket(
        &self,
        call: Call,
        opening: &Opening,
    ) -> Result<Answered, Refused> {
        let Call {
            head, pass, permit, ..
        } = call;
        let gate = self.server.gate();
        let add = |headers: &mut HeaderMap| self.headers.add_to(headers);
        let answered = ask_for_websocket(gate, pass, &permit, head, opening, add).await?;
        if !answered.is_switched() {
            let status = answered.response.status();
            let what = format!("it answered {status} to the handshake of a WebSocket");
            return Err(gate.refuse_answer(&answered.asked, Fault::Upstream(what)));
        }
        Ok(answered)
    }
}

impl Call {
    /// Judges a body that holds no messages. One that does would pass by the rules of tools: a server says
    /// itself which of its paths are for signing in.
    pub(super) fn says(&mut self, body: &[u8]) -> Result<(), Refused> {
        if holds_messages(body) {
            let why = "a message of the protocol where a client signs in";
            return Err(self.pass.end_with(Fault::Malformed(why.into())));
        }
        let content = Surface {
            kind: SurfaceKind::Body,
            name: "",
            bytes: body,
        };
        self.pass.push(content).map(drop)
    }

    /// Ends a request that need not be sent.
    pub(super) fn unsent(mut self) -> Result<(), Refused> {
        self.pass.close()
    }
}

/// Sends a request; once more on a new connection where a kept one broke before it took a byte.
async fn transmit(
    gate: &Arc<Gate>,
    permit: &Permit,
    mut lease: Lease,
    mut request: Request<Body>,
) -> Result<(Response<Incoming>, Lease), Fault> {
    loop {
        let is_reused = lease.is_reused();
        match lease.send(request).await {
            Ok(response) => return Ok((response, lease)),
            Err(SendError::Unsent(unsent, _)) if is_reused => {
                request = *unsent;
                lease = gate.upstream().dial_http(permit, lease.protocol()).await?;
            }
            Err(error) => return Err(error.into_fault(permit)),
        }
    }
}

fn answer(
    gate: &Arc<Gate>,
    target: &Target,
    asked: &Asked,
    path: &str,
    response: Response<Incoming>,
    lease: Lease,
) -> Result<Answer, Refused> {
    let (mut head, body) = response.into_parts();
    let mut pass = gate.open_answer(asked)?;
    if let Err(fault) = check_response(&head) {
        return Err(pass.fail(fault));
    }
    response_surfaces(&head, path, |surface| pass.push(surface).map(drop))?;
    downstream_head(&mut head);
    if head.headers.contains_key(header::CONTENT_ENCODING) {
        let fault = format!("{target} compresses its answer without being asked to");
        return Err(pass.fail(Fault::Unsupported(fault)));
    }
    head.headers = kept(&head.headers, &RESPONSE_FIELDS);
    Ok(Answer {
        head,
        body,
        pass,
        lease,
    })
}

fn head(method: Method, path: &PathAndQuery, fields: HeaderMap) -> request::Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = method;
    head.uri = Uri::from(path.clone());
    head.headers = fields;
    head
}

fn kept(fields: &HeaderMap, names: &[&'static str]) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in names {
        let name = HeaderName::from_static(name);
        for value in fields.get_all(&name) {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}

/// The fields of a client's request that go on.
pub(super) fn client_fields(of: &HeaderMap) -> HeaderMap {
    kept(of, &REQUEST_FIELDS)
}

/// The fields of an answer that opens a WebSocket.
pub(super) fn socket_fields(of: &HeaderMap) -> HeaderMap {
    kept(of, &["sec-websocket-protocol"])
}

/// The fields of a request of the gate's own, within a session.
pub(super) fn own_fields(of: &HeaderMap) -> HeaderMap {
    let mut fields = kept(of, &["authorization", "mcp-protocol-version", SESSION]);
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    fields.insert(header::ACCEPT, accept);
    let json = HeaderValue::from_static("application/json");
    fields.insert(header::CONTENT_TYPE, json);
    fields
}
