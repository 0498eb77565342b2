//! A WebSocket to a remote server, by the listener.

use std::sync::Arc;

use ::http::header::SEC_WEBSOCKET_PROTOCOL;
use ::http::{Method, Request, Response, request};
use carboy_engine::{Crossing, CrossingKind, Fault};
use carboy_wire::websocket::Opening;
use hyper::body::{Body as _, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;

use super::Front;
use super::far::{client_fields, socket_fields};
use super::reply::Reply;
use crate::gate::{Gate, Refused};
use crate::http::Switched;
use crate::mcp::serve_socket;
use crate::mcp::talk::Talk;

/// What a client's connection becomes once its last answer is sent.
pub(super) type Next = Arc<Mutex<Option<Socket>>>;

/// A WebSocket whose handshake was allowed.
pub(super) struct Socket {
    client: OnUpgrade,
    server: OnUpgrade,
    talk: Arc<Talk>,
}

/// Judges a request for a WebSocket, asks the server, and judges its answer.
pub(super) async fn open(
    front: &Arc<Front>,
    mut request: Request<Incoming>,
    next: &Next,
) -> Result<Response<Reply>, Refused> {
    let client = hyper::upgrade::on(&mut request);
    let has_body = !request.body().is_end_stream();
    let (mut head, _) = request.into_parts();
    let remote = &front.remote;
    let (gate, target) = (remote.server.gate(), remote.server.target());
    let opening = take(&mut head, has_body).map_err(|fault| {
        let crossing = Crossing {
            kind: CrossingKind::HttpRequest,
            target,
            method: Some(head.method.as_str()),
        };
        gate.refuse(crossing, fault)
    })?;
    let mut fields = client_fields(&head.headers);
    for offered in head.headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
        fields.append(SEC_WEBSOCKET_PROTOCOL, offered.clone());
    }
    let call = remote.call(Method::GET, &remote.endpoint, fields).await?;
    let answered = remote.open_socket(call, &opening).await?;
    let (switched, _) = answered.judge(gate, &opening)?;
    let Switched {
        mut head,
        server,
        agreement,
    } = switched;
    head.headers = socket_fields(&head.headers);
    opening.answer(&mut head, agreement);
    let talk = front.sessions.lock().begin();
    *next.lock() = Some(Socket {
        client,
        server,
        talk,
    });
    Ok(Response::from_parts(head, Reply::Whole(None)))
}

fn take(head: &mut request::Parts, has_body: bool) -> Result<Opening, Fault> {
    if has_body {
        return Err(Fault::Malformed("a WebSocket's request with a body".into()));
    }
    // What can be read must be read: nothing is to be compressed.
    Opening::take(head).map(Opening::plain)
}

impl Socket {
    /// Serves the messages of both sides to the connection's end.
    pub(super) async fn serve(self, gate: &Gate) {
        match tokio::try_join!(self.client, self.server) {
            Ok((client, server)) => {
                let (client, server) = (TokioIo::new(client), TokioIo::new(server));
                serve_socket(gate, &self.talk, client, server).await;
            }
            Err(error) => tracing::debug!(%error, "a client's WebSocket was not opened"),
        }
    }
}
