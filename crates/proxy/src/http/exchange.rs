//! One request and its response: two crossings.

use std::sync::Arc;

use ::http::header::{ACCEPT, CONNECTION, HeaderValue};
use ::http::{Method, Request, Response, StatusCode, request, response};
use bytes::Bytes;
use carboy_engine::{Crossing, CrossingKind, Fault, Permit, Target};
use carboy_wire::grpc::Messages;
use carboy_wire::http::{
    Facing, Origin, Protocol, check_response, check_upgrade, downstream_head, redact_request,
    redact_response, request_surfaces, request_target, response_surfaces, upstream_head,
};
use carboy_wire::refusal;
use hyper::body::{Body as _, Incoming};

use super::body::{Body, Came, Outcome, Source, cause};
use super::guard::MALFORMED_METHOD;
use super::whole::{Ready, Taken};
use super::{Client, Flow, connect, own, websocket, whole};
use crate::gate::{Asked, Gate, Pass, Refused};
use crate::limits::RESPONSE_HEAD_TIMEOUT;
use crate::mcp::Exchange;
use crate::upstream::{Lease, SendError, wants_login};

/// Answers one request: with the upstream's response, a refusal, or the gate's own words.
pub(crate) async fn exchange(client: &Client, request: Request<Incoming>) -> Response<Body> {
    let accept = request.headers().get(ACCEPT).cloned();
    let is_grpc = Messages::of(request.headers()).is_some();
    let is_head = request.method() == Method::HEAD;
    let is_websocket = websocket::is_asked_for(&request);
    let is_connect = request.method() == Method::CONNECT && !is_websocket;
    let outcome = if let Some(refused) = malformed(client, &request) {
        Err(refused)
    } else if !own::is_admitted(client, &request) {
        return own::ask_login(client, request.method());
    } else if is_websocket {
        Box::pin(websocket::open(client, request)).await
    } else if is_connect && client.origin == Origin::Forward {
        connect::open(client, request)
    } else if let Some(page) = own::Page::of(client, &request) {
        Ok(Box::pin(page.answer(client)).await)
    } else {
        forward(client, request).await
    };
    outcome.unwrap_or_else(|refused| {
        if is_grpc {
            let answer = refusal::render_grpc(&refused.refusal, &refused.id.to_string());
            return answer.map(Body::own);
        }
        let mut response = refusal_response(&refused, accept.as_ref(), is_head);
        if is_connect {
            // What follows may be meant for the tunnel, so it is never read as HTTP.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        response
    })
}

/// Opens the crossing of a request, inspects its head, and connects it to its response.
async fn forward(client: &Client, request: Request<Incoming>) -> Result<Response<Body>, Refused> {
    let (head, body) = request.into_parts();
    let gate = &client.gate;
    let target = request_target(&head, &client.origin)
        .map_err(|fault| refuse(client, Some(&head.method), fault))?;
    let facing = facing(client, &head, &target)?;
    let ask = Ask::open(gate, head, target)?;
    let body = (!body.is_end_stream()).then(|| (body, Arc::clone(&client.state)));
    let mut response = ask.cross(gate, body).await?;
    if let Some(facing) = facing {
        facing.rename(response.headers_mut());
    }
    Ok(response)
}

/// How the client of a reverse proxy knows the far end.
pub(super) fn facing(
    client: &Client,
    head: &request::Parts,
    target: &Target,
) -> Result<Option<Facing>, Refused> {
    let Origin::Reverse { scheme, .. } = client.origin else {
        return Ok(None);
    };
    let facing = Facing::of(head, target, scheme);
    facing
        .map(Some)
        .map_err(|fault| refuse(client, Some(&head.method), fault))
}

/// A request whose head was inspected.
pub(crate) struct Ask {
    pub(super) head: request::Parts,
    pub(super) target: Target,
    pub(super) pass: Box<Pass>,
}

type ClientBody = (Incoming, Arc<super::ConnectionState>);

/// The same, after what has come of it.
type StreamedBody = (Bytes, Incoming, Arc<super::ConnectionState>);

impl Ask {
    /// Opens the crossing and inspects the head.
    pub(crate) fn open(
        gate: &Arc<Gate>,
        mut head: request::Parts,
        target: Target,
    ) -> Result<Self, Refused> {
        let mut pass = gate.open(Crossing {
            kind: CrossingKind::HttpRequest,
            target: &target,
            method: Some(head.method.as_str()),
        })?;
        if pass.redacts()
            && let Err(fault) = redact_request(&mut head, |surface| pass.redact(surface))
        {
            return Err(pass.fail(fault));
        }
        request_surfaces(&head, &target, |surface| pass.push(surface).map(drop))?;
        if let Err(fault) = check_upgrade(&head) {
            return Err(pass.fail(fault));
        }
        Ok(Self { head, target, pass })
    }

    /// What crossings of the response must know of it.
    pub(crate) fn asked(&self) -> Asked {
        self.pass.asked()
    }

    /// Connects, sends, and opens the response's crossing.
    pub(crate) async fn cross(
        mut self,
        gate: &Arc<Gate>,
        body: Option<ClientBody>,
    ) -> Result<Response<Body>, Refused> {
        let permit = self.pass.connect().await?;
        if gate.is_own(&permit) {
            let fault = Fault::Unsupported("a request to the gate itself".into());
            return Err(self.pass.fail(fault));
        }
        let (content, streamed, exchange) = match body {
            None => match Exchange::listen(gate, &mut self.head, &self.target) {
                Ok(exchange) => (Body::default(), None, exchange),
                Err(fault) => return Err(self.pass.fail(fault)),
            },
            Some((body, state)) => match whole::take(gate, &mut self, body, &state).await? {
                Ready::Goes(taken, exchange) => {
                    // A body that says nothing does not make its answer another.
                    let exchange = match exchange {
                        Some(exchange) => Ok(Some(exchange)),
                        None => Exchange::listen(gate, &mut self.head, &self.target),
                    };
                    let exchange = match exchange {
                        Ok(exchange) => exchange,
                        Err(fault) => return Err(self.pass.fail(fault)),
                    };
                    match taken {
                        Taken::Whole(content) => (content, None, exchange),
                        Taken::Streamed(begun, body) => {
                            (Body::default(), Some((begun, body, state)), exchange)
                        }
                    }
                }
                Ready::Answered(response) => return Ok(response),
            },
        };
        let form = Form::of(&self.head);
        let path = self.head.uri.path().to_owned();
        let lease = match gate.upstream().lease(&permit, form.protocol).await {
            Ok(lease) => lease,
            Err(fault) => return Err(self.pass.fail(fault)),
        };
        if let Err(fault) = upstream_head(&mut self.head, &self.target, lease.protocol()) {
            return Err(self.pass.fail(fault));
        }
        self.pass.dialled(lease.address());
        let asked = self.pass.asked();
        let sent = match streamed {
            None => {
                self.pass.close()?;
                send_whole(gate, &permit, lease, self.head, content).await
            }
            Some(streamed) => {
                let sending = send_with_body(gate, &permit, lease, self.head, self.pass, streamed);
                Box::pin(sending).await
            }
        };
        match sent {
            Ok((response, came)) => {
                let hearing = (form, &*path, exchange);
                Box::pin(answer(gate, &asked, hearing, response, came)).await
            }
            Err(Unsent::Refused(refused)) => Err(refused),
            Err(Unsent::Fault(fault)) => Err(gate.refuse_answer(&asked, fault)),
        }
    }
}

/// Why a request got no response.
enum Unsent {
    /// Its own crossing was refused.
    Refused(Refused),
    /// It crossed, but the upstream failed.
    Fault(Fault),
}

type Sent = Result<(Response<Incoming>, Came), Unsent>;

/// Sends a request whose crossing is over, with all of its body. A kept connection may have been closed by the upstream just
/// now: then it is sent once more on a new one, if that can do no harm (RFC 9110, section 9.2.2).
async fn send_whole(
    gate: &Arc<Gate>,
    permit: &Permit,
    mut lease: Lease,
    head: request::Parts,
    content: Body,
) -> Sent {
    let may_repeat = lease.is_reused() && head.method.is_idempotent();
    let again = may_repeat.then(|| Some((head.clone(), content.again()?)));
    let request = Request::from_parts(head, content);
    let error = match lease.send(request).await {
        Ok(response) => return Ok((response, Came::by(lease))),
        Err(error) => error,
    };
    let retry = match (again.flatten(), error) {
        (Some((head, content)), SendError::Broken(_)) => Request::from_parts(head, content),
        (_, SendError::Unsent(request, _)) if lease.is_reused() => *request,
        (_, error) => return Err(Unsent::Fault(error.into_fault(permit))),
    };
    let mut lease = redial(gate, permit, lease).await?;
    match lease.send(retry).await {
        Ok(response) => Ok((response, Came::by(lease))),
        Err(error) => Err(Unsent::Fault(error.into_fault(permit))),
    }
}

/// A new connection in place of a kept one that broke. The head is made for one protocol, so
/// another will not do.
async fn redial(gate: &Gate, permit: &Permit, broken: Lease) -> Result<Lease, Unsent> {
    let protocol = broken.protocol();
    drop(broken);
    let lease = gate.upstream().dial_http(permit, protocol).await;
    let lease = lease.map_err(Unsent::Fault)?;
    if lease.protocol() == protocol {
        return Ok(lease);
    }
    let target = permit.target();
    let changed = format!("{target} broke off, and then spoke another version of HTTP");
    Err(Unsent::Fault(Fault::Upstream(changed)))
}

/// Sends a request with a body, whose crossing ends with the body.
async fn send_with_body(
    gate: &Arc<Gate>,
    permit: &Permit,
    mut lease: Lease,
    mut head: request::Parts,
    pass: Box<Pass>,
    (begun, body, state): StreamedBody,
) -> Sent {
    let outcome = Arc::<Outcome>::default();
    let source = Source::Client {
        outcome: Arc::clone(&outcome),
        state,
    };
    let mut body = Body::inspected(body, pass, source, &mut head.headers);
    body.begin_with(begun).map_err(Unsent::Refused)?;
    let (body, mut hold) = body.held(lease.stuck());
    let mut request = Request::from_parts(head, body);
    loop {
        let error = match lease.send(request).await {
            Ok(response) => {
                let came = Came {
                    lease: Some(lease),
                    request: Some(outcome),
                    _hold: hold,
                };
                return Ok((response, came));
            }
            Err(error) => error,
        };
        if let Some(refused) = outcome.refused() {
            return Err(Unsent::Refused(refused.clone()));
        }
        match error {
            SendError::Unsent(unsent, _) if lease.is_reused() => {
                request = *unsent;
                lease = redial(gate, permit, lease).await?;
                if let Some(hold) = &mut hold {
                    hold.move_to(lease.stuck());
                }
            }
            error => return Err(Unsent::Fault(error.into_fault(permit))),
        }
    }
}

/// Opens the response's crossing and inspects it as far as it can be before its head is sent on.
pub(super) async fn answer(
    gate: &Arc<Gate>,
    asked: &Asked,
    (form, path, exchange): (Form, &str, Option<Exchange>),
    response: Response<Incoming>,
    came: Came,
) -> Result<Response<Body>, Refused> {
    let (mut head, body) = response.into_parts();
    let mut pass = gate.open_answer(asked)?;
    if let Err(fault) = check_response(&head) {
        return Err(pass.fail(fault));
    }
    if pass.redacts()
        && let Err(fault) = redact_response(&mut head, path, |surface| pass.redact(surface))
    {
        return Err(pass.fail(fault));
    }
    response_surfaces(&head, path, |surface| pass.push(surface).map(drop))?;
    downstream_head(&mut head);
    let body = match exchange {
        None => body,
        Some(exchange) => match exchange.hear(&mut head, &mut pass, body).await? {
            Flow::Incoming(body) => body,
            flow => return tell(form, head, flow, (pass, came)).await,
        },
    };
    if body.is_end_stream() || form.has_no_body(&head) {
        pass.close()?;
        came.give_back();
        return Ok(Response::from_parts(head, Body::default()));
    }
    let is_unframed = form.is_unframed && body.size_hint().exact().is_none();
    let (begun, body) = match whole::take_answer(&mut head, body, &mut pass).await? {
        Taken::Whole(body) => {
            pass.close()?;
            came.give_back();
            return Ok(Response::from_parts(head, body));
        }
        Taken::Streamed(begun, body) => (begun, body),
    };
    let mut body = Body::inspected(body, pass, Source::Upstream(came), &mut head.headers);
    body.begin_with(begun)?;
    if is_unframed {
        body.take_whole().await?;
    } else {
        body.prime().await?;
    }
    Ok(Response::from_parts(head, body))
}

/// Sends an answer on whose messages were read.
async fn tell(
    form: Form,
    mut head: response::Parts,
    flow: Flow,
    (mut pass, came): (Box<Pass>, Came),
) -> Result<Response<Body>, Refused> {
    if flow.is_end_stream() || form.has_no_body(&head) {
        pass.close()?;
        came.give_back();
        return Ok(Response::from_parts(head, Body::default()));
    }
    let mut body = Body::inspected(flow, pass, Source::Upstream(came), &mut head.headers);
    if form.is_unframed {
        body.take_whole().await?;
    } else {
        body.prime().await?;
    }
    Ok(Response::from_parts(head, body))
}

/// What the client can be sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    is_head: bool,
    /// HTTP/1.0: without a length, the connection's end is the body's.
    is_unframed: bool,
    /// What the client speaks.
    protocol: Protocol,
}

impl Form {
    pub(super) fn of(head: &request::Parts) -> Self {
        Self {
            is_head: head.method == Method::HEAD,
            is_unframed: head.version <= ::http::Version::HTTP_10,
            protocol: match head.version {
                ::http::Version::HTTP_2 => Protocol::Http2,
                _ => Protocol::Http1,
            },
        }
    }

    fn has_no_body(self, head: &response::Parts) -> bool {
        self.is_head
            || head.status == StatusCode::NO_CONTENT
            || head.status == StatusCode::NOT_MODIFIED
    }
}

/// The refusal of what the guard found malformed.
fn malformed(client: &Client, request: &Request<Incoming>) -> Option<Refused> {
    let violation = client.state.violation()?;
    (request.method().as_str() == MALFORMED_METHOD).then(|| refuse(client, None, violation.into()))
}

/// Opens and refuses a crossing whose target may not be known.
pub(crate) fn refuse(client: &Client, method: Option<&Method>, fault: Fault) -> Refused {
    let target = match &client.origin {
        Origin::Forward | Origin::Reverse { .. } => &Target::UNKNOWN,
        Origin::Fixed(target) => target,
    };
    let crossing = Crossing {
        kind: CrossingKind::HttpRequest,
        target,
        method: method.map(Method::as_str),
    };
    client.gate.refuse(crossing, fault)
}

pub(crate) fn refusal_response(
    refused: &Refused,
    accept: Option<&HeaderValue>,
    is_head: bool,
) -> Response<Body> {
    let page = refusal::render(&refused.refusal, &refused.id.to_string(), accept);
    let (mut head, bytes) = page.into_parts();
    if refused.refusal.reason == carboy_engine::Reason::Malformed {
        head.headers
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let bytes = if is_head { Bytes::new() } else { bytes };
    Response::from_parts(head, Body::own(bytes))
}

impl SendError {
    pub(crate) fn into_fault(self, permit: &Permit) -> Fault {
        let target = permit.target();
        match self {
            Self::Unsent(_, error) | Self::Broken(error) => {
                Fault::Upstream(format!("{target} broke off: {}", cause(&error)))
            }
            Self::ProxyLogin => wants_login(),
            Self::TimedOut => Fault::UpstreamTimeout(format!(
                "{target} did not answer in {RESPONSE_HEAD_TIMEOUT:?}"
            )),
        }
    }
}
