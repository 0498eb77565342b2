//! A reverse proxy's clients: they take the gate for the far ends that its hosts stand for.

use std::sync::Arc;

use carboy_engine::{Fault, Host, Scheme};
use carboy_wire::opening::Opening;
use carboy_wire::tls::ClientHello;
use tokio::net::TcpStream;

use crate::gate::Gate;
use crate::http::{self, Backends, Origin, Version};
use crate::limits::CLIENT_IDLE_TIMEOUT;
use crate::peek::{Peeked, peek};
use crate::stream::{ClientIo, Destination, Learnt};
use crate::tls;

/// Serves one client to its end: HTTP, in clear or in TLS for a host that is served.
pub(crate) async fn serve(gate: Arc<Gate>, stream: TcpStream, backends: Arc<Backends>) {
    let local = stream.local_addr().ok().map(|address| address.ip());
    let peeked = tokio::select! {
        peeked = peek(stream, CLIENT_IDLE_TIMEOUT) => peeked,
        () = gate.stopping() => return,
    };
    let Ok(Peeked { opening, io, .. }) = peeked else {
        return;
    };
    let origin = |scheme| Origin::Reverse {
        backends: Arc::clone(&backends),
        scheme,
    };
    match opening {
        Opening::Http2 => http::serve(gate, io, origin(Scheme::Http), Version::Http2).await,
        Opening::Tls(hello) => match host(&backends, &hello, local.map(Host::Addr)) {
            Ok(to) => over_tls(gate, io, to, origin(Scheme::Https)).await,
            Err(fault) => tls::refuse_name(&gate, io, fault).await,
        },
        // What is no HTTP is told so, in HTTP.
        Opening::Http1 | Opening::Undecided | Opening::Other | Opening::BadTls(_) => {
            http::serve(gate, io, origin(Scheme::Http), Version::Http1).await;
        }
    }
}

async fn over_tls<IO: ClientIo>(gate: Arc<Gate>, io: IO, to: Destination, origin: Origin) {
    let Some(stream) = tls::terminate(&gate, io, &to).await else {
        return;
    };
    let version = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Version::Http2,
        Some(_) | None => Version::Http1,
    };
    http::serve(gate, stream, origin, version).await;
}

/// The host for which a client's TLS is ended: the one that its hello names, or without a name the
/// address that it came to. The far end is told by each request.
fn host(
    backends: &Backends,
    hello: &ClientHello,
    local: Option<Host>,
) -> Result<Destination, Fault> {
    let host = match &hello.server_name {
        Some(name) => Host::parse(name).ok(),
        None => local,
    };
    let host = host.filter(|host| backends.target(host).is_some());
    let host = host.ok_or_else(|| Fault::TargetMismatch {
        first: "the hosts that --reverse names".into(),
        second: "the TLS hello's, which is not among them".into(),
    })?;
    Ok(Destination {
        host,
        port: 0,
        learnt: Learnt::Address,
    })
}
