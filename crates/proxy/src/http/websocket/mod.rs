//! WebSockets: the handshake is two HTTP crossings; then each message is a crossing of its own.

mod outlet;
mod relay;
mod server;
mod way;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ::http::header::SEC_WEBSOCKET_PROTOCOL;
use ::http::{Method, Request, Response, StatusCode, Version, request};
use carboy_engine::{Crossing, CrossingKind, Fault};
use carboy_wire::http::request_target;
use carboy_wire::websocket::{Agreement, Opening, is_wanted};
use hyper::body::{Body as _, Incoming};
use hyper::ext::Protocol as ConnectProtocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::body::Came;
use super::exchange::{self, Ask, Form};
use super::guard::Busy;
use super::{Body, Client, Next};
use crate::gate::{Asked, Gate, Refused};
use crate::mcp::{SUBPROTOCOL, Talk, serve_socket};
pub(crate) use outlet::Outlet;
pub(crate) use relay::{Io, drain};
pub(crate) use server::{Answered, Switched, ask};

/// A WebSocket whose handshake was allowed, and whose answer is still to be sent.
pub(super) struct WebSocket {
    client: OnUpgrade,
    server: OnUpgrade,
    asked: Asked,
    path: Box<str>,
    agreement: Agreement,
    /// The connection of messages of the model context protocol that it is.
    talk: Option<Arc<Talk>>,
    /// Keeps the client's connection from being taken for an idle one.
    _busy: Busy,
}

/// Whether a request asks for a WebSocket, over whichever version.
pub(super) fn is_asked_for(request: &Request<Incoming>) -> bool {
    match request.version() {
        Version::HTTP_2 => {
            let protocol = request.extensions().get::<ConnectProtocol>();
            request.method() == Method::CONNECT
                && protocol.is_some_and(|own| own.as_str().eq_ignore_ascii_case("websocket"))
        }
        _ => is_wanted(request.headers()),
    }
}

/// Judges a request for a WebSocket, asks the server, and judges its answer. One that does not switch
/// is an ordinary response.
pub(super) async fn open(
    client: &Client,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Refused> {
    let upgrade = hyper::upgrade::on(&mut request);
    let has_body = request.version() != Version::HTTP_2 && !request.body().is_end_stream();
    let (mut head, _) = request.into_parts();
    let method = head.method.clone();
    let opening = take(&mut head, has_body);
    let target = request_target(&head, &client.origin)
        .map_err(|fault| exchange::refuse(client, Some(&method), fault))?;
    let opening = opening.map_err(|fault| {
        client.gate.refuse(
            Crossing {
                kind: CrossingKind::HttpRequest,
                target: &target,
                method: Some(method.as_str()),
            },
            fault,
        )
    })?;
    let facing = exchange::facing(client, &head, &target)?;
    let ask = Ask::open(&client.gate, head, target)?;
    let handshake = Handshake {
        client,
        upgrade,
        opening,
    };
    let mut response = handshake.cross(ask).await?;
    if let Some(facing) = facing {
        facing.rename(response.headers_mut());
    }
    Ok(response)
}

fn take(head: &mut request::Parts, has_body: bool) -> Result<Opening, Fault> {
    if has_body {
        return Err(Fault::Malformed("a WebSocket's request with a body".into()));
    }
    match head.version {
        Version::HTTP_2 => Opening::take_http2(head),
        _ => Opening::take(head),
    }
}

struct Handshake<'a> {
    client: &'a Client,
    upgrade: OnUpgrade,
    opening: Opening,
}

impl Handshake<'_> {
    async fn cross(mut self, ask: Ask) -> Result<Response<Body>, Refused> {
        let gate = &self.client.gate;
        let Ask {
            head,
            target,
            mut pass,
        } = ask;
        let permit = pass.connect().await?;
        if gate.is_own(&permit) {
            let fault = Fault::Unsupported("a request to the gate itself".into());
            return Err(pass.fail(fault));
        }
        let form = Form::of(&head);
        let talk = match self.opening.offers(SUBPROTOCOL) {
            true => {
                self.opening = self.opening.plain();
                match gate.within().talk(gate, &head, &target) {
                    Ok(talk) => Some(talk),
                    Err(fault) => return Err(pass.fail(fault)),
                }
            }
            false => None,
        };
        let answered = server::ask(gate, pass, &permit, head, &self.opening, |_| {}).await?;
        if answered.is_switched() {
            return self.answer(answered, talk);
        }
        let Answered {
            asked,
            path,
            response,
            ..
        } = answered;
        exchange::answer(gate, &asked, (form, &path, None), response, Came::default()).await
    }

    /// Judges the server's 101, and readies what follows the client's.
    fn answer(
        self,
        answered: Answered,
        talk: Option<Arc<Talk>>,
    ) -> Result<Response<Body>, Refused> {
        let path = answered.path.clone();
        let (switched, asked) = answered.judge(&self.client.gate, &self.opening)?;
        let Switched {
            mut head,
            server,
            agreement,
        } = switched;
        // A server that names no subprotocol may have understood the one it was offered all the same.
        let chosen = head.headers.get(SEC_WEBSOCKET_PROTOCOL);
        let is_spoken = chosen.is_none_or(|chosen| chosen == SUBPROTOCOL);
        self.opening.answer(&mut head, agreement);
        let is_http1 = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let socket = WebSocket {
            client: self.upgrade,
            server,
            asked,
            path,
            agreement,
            talk: talk.filter(|_| is_spoken),
            _busy: self.client.state.begin(),
        };
        if is_http1 {
            self.client.become_next(Next::WebSocket(Box::new(socket)));
        } else {
            // The other streams of the connection go on beside it.
            tokio::spawn(socket.serve(Arc::clone(&self.client.gate)));
        }
        Ok(Response::from_parts(head, Body::default()))
    }
}

impl WebSocket {
    /// Serves the messages of both sides to the connection's end.
    pub(super) async fn serve(self, gate: Arc<Gate>) {
        let (client, server) = match tokio::try_join!(self.client, self.server) {
            Ok((client, server)) => (TokioIo::new(client), TokioIo::new(server)),
            Err(error) => {
                tracing::debug!(%error, "the WebSocket was not opened");
                return;
            }
        };
        if let Some(talk) = &self.talk {
            return serve_socket(&gate, talk, client, server).await;
        }
        let line = way::Line {
            gate,
            asked: self.asked,
            path: self.path,
            deflate: self.agreement.deflate,
            reads: AtomicU64::default(),
        };
        relay::relay(&line, client, server).await;
    }
}
