//! `CONNECT`: a tunnel is a crossing of its own, and so is all that is found inside it.

use std::sync::Arc;

use ::http::{Request, Response};
use carboy_engine::{Crossing, CrossingKind, Surface, SurfaceKind, Target};
use carboy_wire::http::connect_target;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::exchange::refuse;
use super::{Body, Client, Next};
use crate::gate::{Gate, Refused};
use crate::stream::{Destination, Learnt, serve_client_stream};

/// A tunnel that was allowed and waits for its answer to be sent.
pub(crate) struct Tunnel {
    upgrade: OnUpgrade,
    target: Target,
}

/// Judges a `CONNECT`. Nothing is dialled yet: what comes through the tunnel is judged first.
pub(crate) fn open(
    client: &Client,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Refused> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (head, _) = request.into_parts();
    let target =
        connect_target(&head).map_err(|fault| refuse(client, Some(&head.method), fault))?;
    let mut pass = client.gate.open(Crossing {
        kind: CrossingKind::Tunnel,
        target: &target,
        method: Some(head.method.as_str()),
    })?;
    let host = head.uri.host().unwrap_or_default();
    pass.push(Surface {
        kind: SurfaceKind::Host,
        name: "",
        bytes: host.as_bytes(),
    })?;
    pass.close()?;
    client.become_next(Next::Tunnel(Tunnel { upgrade, target }));
    Ok(Response::new(Body::default()))
}

impl Tunnel {
    /// Serves what the client sends through the tunnel.
    pub(crate) async fn serve(self, gate: Arc<Gate>) {
        let stream = match self.upgrade.await {
            Ok(stream) => TokioIo::new(stream),
            Err(error) => {
                tracing::debug!(%error, "the tunnel was not opened");
                return;
            }
        };
        let to = Destination {
            host: self.target.host,
            port: self.target.port,
            learnt: Learnt::Connect,
        };
        serve_client_stream(gate, stream, to).await;
    }
}
