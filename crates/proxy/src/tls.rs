//! TLS from a client: intercepted, or passed through unread.
//!
//! An intercepted handshake is completed with a leaf for the target that is judged afterwards, and
//! what comes out of it is served like any other stream. A passed-through one is a tunnel: one
//! crossing, judged when it opens. Its receipt is written before the first byte goes on, so it tells
//! where the tunnel led and when, and not how much went through it. The budgets count that all the
//! same: a tunnel that spends one is cut, with a receipt that says so.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carboy_engine::{
    Crossing, CrossingKind, Fault, Host, Scheme, Surface, SurfaceKind, Target, TlsAction,
};
use carboy_wire::opening::Opening;
use carboy_wire::tls::ClientHello;
use rustls::{AlertDescription, Error as TlsError};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::gate::{Gate, Refused};
use crate::http::{self, Origin, Version};
use crate::limits::{CLIENT_HANDSHAKE_TIMEOUT, TLS_HANDSHAKE_TIMEOUT};
use crate::peek::peek;
use crate::relay::relay;
use crate::stream::{ClientIo, Destination, Learnt, is_idle, silence_of};
use crate::tcp;
use crate::upstream::Far;

/// Serves a stream that opens with a `ClientHello`.
pub(crate) async fn serve<IO: ClientIo>(
    gate: Arc<Gate>,
    io: IO,
    hello: &ClientHello,
    to: Destination,
) {
    let host = match agreed_host(hello, &to) {
        Ok(host) => host,
        Err(fault) => {
            refuse(&gate, &to, fault);
            return say(io, AlertDescription::UnrecognisedName).await;
        }
    };
    // What is judged and dialled from here on is the agreed name: an address that a client dialled
    // on its own, with a name in its hello, is not trusted to be that name's.
    let to = Destination { host, ..to };
    match gate.tls(&to.host, to.port) {
        TlsAction::Intercept => intercept(gate, io, to).await,
        TlsAction::Passthrough => pass_through(&gate, io, &to, hello).await,
    }
}

/// Refuses a stream that begins like TLS and goes on like something else.
pub(crate) async fn refuse_hello<IO: ClientIo>(
    gate: &Arc<Gate>,
    io: IO,
    to: &Destination,
    why: &str,
) {
    refuse(
        gate,
        to,
        Fault::Malformed(format!("bad ClientHello: {why}")),
    );
    say(io, AlertDescription::DecodeError).await;
}

/// The one name that everything agrees on.
fn agreed_host(hello: &ClientHello, to: &Destination) -> Result<Host, Fault> {
    let Some(name) = &hello.server_name else {
        return Ok(to.host.clone());
    };
    let host =
        Host::parse(name).map_err(|_| Fault::Malformed("the SNI is not a host name".into()))?;
    if host == to.host || to.learnt == Learnt::Address {
        return Ok(host);
    }
    Err(Fault::TargetMismatch {
        first: to.to_string(),
        // Not quoted: an unverified name may carry content.
        second: "an SNI that names another host".into(),
    })
}

async fn intercept<IO: ClientIo>(gate: Arc<Gate>, io: IO, to: Destination) {
    let Some(stream) = terminate(&gate, io, &to).await else {
        return;
    };
    let origin = Origin::Fixed(to.target(Scheme::Https));
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => http::serve(gate, stream, origin, Version::Http2).await,
        Some(_) => http::serve(gate, stream, origin, Version::Http1).await,
        None => serve_unnamed(gate, stream, to, origin).await,
    }
}

/// Ends a client's TLS with a leaf for where it goes. A handshake that does not come about is told
/// and recorded.
pub(crate) async fn terminate<IO: ClientIo>(
    gate: &Arc<Gate>,
    io: IO,
    to: &Destination,
) -> Option<TlsStream<IO>> {
    let config = match gate.interceptor().config(&to.host) {
        Ok(config) => config,
        Err(error) => {
            refuse(gate, to, Fault::Unsupported(error.to_string()));
            say(io, AlertDescription::InternalError).await;
            return None;
        }
    };
    let handshake = TlsAcceptor::from(config).accept(io);
    match timeout(CLIENT_HANDSHAKE_TIMEOUT, handshake).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            refuse(gate, to, handshake_fault(&to.host, &error));
            None
        }
        Err(_) => {
            let limit = CLIENT_HANDSHAKE_TIMEOUT;
            let why = format!("the client did not finish its TLS handshake in {limit:?}");
            refuse(gate, to, Fault::Malformed(why));
            None
        }
    }
}

/// Serves an intercepted stream whose client named no protocol: HTTP/1, or what the policy lists as
/// raw TCP.
async fn serve_unnamed<IO: ClientIo>(
    gate: Arc<Gate>,
    stream: TlsStream<IO>,
    to: Destination,
    origin: Origin,
) {
    let Ok(peeked) = peek(stream, silence_of(&gate, &to)).await else {
        return;
    };
    if is_idle(&gate, &to, &peeked) {
        return;
    }
    match peeked.opening {
        Opening::Http1 => http::serve(gate, peeked.io, origin, Version::Http1).await,
        Opening::Http2 => http::serve(gate, peeked.io, origin, Version::Http2).await,
        Opening::Undecided | Opening::Other | Opening::Tls(_) | Opening::BadTls(_) => {
            tcp::serve(gate, peeked.io, &to, tcp::Upstream::Tls).await;
        }
    }
}

async fn pass_through<IO: ClientIo>(
    gate: &Arc<Gate>,
    io: IO,
    to: &Destination,
    hello: &ClientHello,
) {
    match open_tunnel(gate, to, hello).await {
        Ok(upstream) => {
            let target = to.target(Scheme::Tls);
            let is_over = AtomicBool::new(false);
            let count = |direction, bytes| {
                if !is_over.load(Ordering::Relaxed) {
                    let has_room = gate.count(&target, direction, bytes);
                    let has_room = has_room.map_err(|_| io::ErrorKind::QuotaExceeded)?;
                    is_over.store(!has_room, Ordering::Relaxed);
                }
                Ok(())
            };
            let moved = relay(io, upstream, count).await;
            tracing::debug!(target = %to.host, ?moved, "tunnel closed");
        }
        Err(refused) => {
            tracing::debug!(crossing = %refused.id, "tunnel refused");
            say(io, AlertDescription::AccessDenied).await;
        }
    }
}

async fn open_tunnel(
    gate: &Arc<Gate>,
    to: &Destination,
    hello: &ClientHello,
) -> Result<Far, Refused> {
    let target = to.target(Scheme::Tls);
    let mut pass = gate.open(tunnel(&target))?;
    let spelt = hello
        .server_name
        .clone()
        .unwrap_or_else(|| to.host.to_string());
    pass.push(Surface {
        kind: SurfaceKind::Host,
        name: "",
        bytes: spelt.as_bytes(),
    })?;
    let permit = pass.connect().await?;
    match gate.upstream().tcp(&permit).await {
        Ok(upstream) => {
            pass.close()?;
            Ok(upstream)
        }
        Err(fault) => Err(pass.fail(fault)),
    }
}

fn tunnel(target: &Target) -> Crossing<'_> {
    Crossing {
        kind: CrossingKind::Tunnel,
        target,
        method: None,
    }
}

/// Refuses a hello whose name leads nowhere.
pub(crate) async fn refuse_name<IO: ClientIo>(gate: &Arc<Gate>, io: IO, fault: Fault) {
    let refused = gate.refuse(tunnel(&Target::UNKNOWN), fault);
    tracing::debug!(crossing = %refused.id, "TLS refused");
    say(io, AlertDescription::UnrecognisedName).await;
}

/// Records that no TLS came about.
fn refuse(gate: &Arc<Gate>, to: &Destination, fault: Fault) {
    let refused = gate.refuse(tunnel(&to.target(Scheme::Tls)), fault);
    tracing::debug!(crossing = %refused.id, "TLS refused");
}

/// Says why in the only words that a client without a session understands: a fatal alert
/// (RFC 8446, section 6).
async fn say<IO: ClientIo>(mut io: IO, alert: AlertDescription) {
    const FATAL: u8 = 2;
    let record = [0x15, 3, 3, 0, 2, FATAL, u8::from(alert)];
    let said = async {
        io.write_all(&record).await?;
        io.shutdown().await
    };
    if let Ok(Err(error)) = timeout(TLS_HANDSHAKE_TIMEOUT, said).await {
        tracing::debug!(%error, "a client did not wait for its alert");
    }
}

/// What a failed handshake with a client means.
fn handshake_fault(host: &Host, error: &io::Error) -> Fault {
    let cause = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<TlsError>());
    match cause {
        Some(TlsError::AlertReceived(alert)) => distrusted(host, *alert),
        Some(TlsError::NoApplicationProtocol) => {
            Fault::Unsupported("TLS that speaks neither HTTP/2 nor HTTP/1.1".into())
        }
        Some(TlsError::PeerIncompatible(why)) => {
            Fault::Unsupported(format!("TLS that Carboy does not speak: {why:?}"))
        }
        Some(other) => Fault::Malformed(format!("TLS handshake with the client: {other}")),
        None => Fault::Unsupported(format!(
            "a TLS handshake for {host} that the client broke off; it may not trust the bottle's CA"
        )),
    }
}

/// A client that objects to the leaf pins another certificate, or does not read the trust store that
/// the bottle gave it.
fn distrusted(host: &Host, alert: AlertDescription) -> Fault {
    Fault::Unsupported(format!(
        "a client that does not accept Carboy's certificate for {host} (it sent {alert:?}); it pins \
         another, or does not read the bottle's trust store"
    ))
}
