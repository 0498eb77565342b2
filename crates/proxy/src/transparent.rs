//! Connections that were redirected to the gate: where they were going tells what to do.
//!
//! - To the gate itself: the client uses it as a proxy.
//! - To a synthetic address: the name that it stands for is the far end.
//! - To any other address: that address is the far end. If the client then names one, in a TLS
//!   hello, the name is judged in the address's stead and resolved by the gate, so a true name
//!   cannot lend its permission to another's address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use carboy_engine::Host;
use tokio::net::TcpStream;

use crate::forward;
use crate::gate::Gate;
use crate::names::Names;
use crate::stream::{Destination, Learnt, serve_client_stream};

/// Tells where a redirected connection was going: `None` for one that was made to the gate itself.
pub type OriginalDestination =
    Arc<dyn Fn(&TcpStream) -> io::Result<Option<SocketAddr>> + Send + Sync>;

/// Serves one redirected connection to its end.
///
/// # Errors
/// When the original destination cannot be told; the connection is then closed unserved.
pub(crate) async fn serve(
    gate: Arc<Gate>,
    stream: TcpStream,
    original: &OriginalDestination,
) -> io::Result<()> {
    match original(&stream)? {
        None => forward::serve(gate, stream, None).await,
        Some(address) => {
            let to = destination(gate.names(), address, Instant::now());
            serve_client_stream(gate, stream, to).await;
        }
    }
    Ok(())
}

/// Where a connection to an address leads.
pub(crate) fn destination(names: &Names, address: SocketAddr, now: Instant) -> Destination {
    let (host, learnt) = match names.name(address.ip(), now) {
        Some(name) => (Host::Name((*name).into()), Learnt::Dns),
        None => (Host::Addr(address.ip().to_canonical()), Learnt::Address),
    };
    Destination {
        host,
        port: address.port(),
        learnt,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_its_name_or_stands_for_itself() {
        let names = Names::default();
        let now = Instant::now();
        let synthetic = names.address("db.example", now).unwrap();
        let db = Host::parse("db.example").unwrap();
        for (address, host, learnt) in [
            (
                SocketAddr::from((synthetic.v4, 5432)),
                db.clone(),
                Learnt::Dns,
            ),
            (SocketAddr::from((synthetic.v6, 5432)), db, Learnt::Dns),
            (
                "192.0.2.7:5432".parse().unwrap(),
                Host::parse("192.0.2.7").unwrap(),
                Learnt::Address,
            ),
            (
                "198.18.9.9:5432".parse().unwrap(),
                Host::parse("198.18.9.9").unwrap(),
                Learnt::Address,
            ),
            (
                "[::ffff:192.0.2.7]:5432".parse().unwrap(),
                Host::parse("192.0.2.7").unwrap(),
                Learnt::Address,
            ),
        ] {
            let expect = Destination {
                host,
                port: 5432,
                learnt,
            };
            assert_eq!(destination(&names, address, now), expect, "{address}");
        }
    }
}
