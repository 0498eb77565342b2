//! The handshake with a WebSocket's server.

use std::sync::Arc;

use ::http::{Request, Response, StatusCode, request, response};
use carboy_engine::{Fault, Permit};
use carboy_wire::http::{Protocol, downstream_head, response_surfaces, upstream_head};
use carboy_wire::websocket::{Agreement, KEY_BYTES, Opening};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::upgrade::OnUpgrade;

use crate::gate::{Asked, Gate, Pass, Refused};
use crate::http::Body;

/// A server that was asked for a WebSocket, and its answer.
pub(crate) struct Answered {
    pub(crate) asked: Asked,
    pub(crate) path: Box<str>,
    pub(crate) response: Response<Incoming>,
    key: [u8; KEY_BYTES],
}

/// A server's 101 that was let pass.
pub(crate) struct Switched {
    pub(crate) head: response::Parts,
    pub(crate) server: OnUpgrade,
    pub(crate) agreement: Agreement,
}

/// Asks the permit's server. `finish` sees the fields last, after their inspection.
pub(crate) async fn ask(
    gate: &Arc<Gate>,
    mut pass: Box<Pass>,
    permit: &Permit,
    mut head: request::Parts,
    opening: &Opening,
    finish: impl FnOnce(&mut HeaderMap),
) -> Result<Answered, Refused> {
    let path = head.uri.path().into();
    let made = upstream_head(&mut head, permit.target(), Protocol::Http1);
    let key = match made.and_then(|()| own_key()) {
        Ok(key) => key,
        Err(fault) => return Err(pass.fail(fault)),
    };
    opening.ask(&mut head.headers, key);
    finish(&mut head.headers);
    let line = match gate.upstream().line(permit).await {
        Ok(line) => line,
        Err(fault) => return Err(pass.fail(fault)),
    };
    pass.dialled(line.address());
    let asked = pass.asked();
    pass.close()?;
    let request = Request::from_parts(head, Body::default());
    let response = line
        .ask(permit, request)
        .await
        .map_err(|fault| gate.refuse_answer(&asked, fault))?;
    Ok(Answered {
        asked,
        path,
        response,
        key,
    })
}

impl Answered {
    /// Whether the server switches, or answers as to any request.
    pub(crate) fn is_switched(&self) -> bool {
        self.response.status() == StatusCode::SWITCHING_PROTOCOLS
    }

    /// Judges the server's 101.
    pub(crate) fn judge(
        mut self,
        gate: &Arc<Gate>,
        opening: &Opening,
    ) -> Result<(Switched, Asked), Refused> {
        let server = hyper::upgrade::on(&mut self.response);
        let (mut head, _) = self.response.into_parts();
        let mut pass = gate.open_answer(&self.asked)?;
        let agreement = match opening.agree(&mut head, self.key) {
            Ok(agreement) => agreement,
            Err(fault) => return Err(pass.fail(fault)),
        };
        response_surfaces(&head, &self.path, |surface| pass.push(surface).map(drop))?;
        downstream_head(&mut head);
        pass.close()?;
        let switched = Switched {
            head,
            server,
            agreement,
        };
        Ok((switched, self.asked))
    }
}

fn own_key() -> Result<[u8; KEY_BYTES], Fault> {
    let mut key = [0; KEY_BYTES];
    match getrandom::fill(&mut key) {
        Ok(()) => Ok(key),
        Err(error) => Err(Fault::Upstream(format!(
            "the system has no randomness: {error}"
        ))),
    }
}
