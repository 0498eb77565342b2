//! A client's stream whose far end is known: what is spoken on it, and who serves it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use carboy_engine::{Host, Scheme, Target};
use carboy_wire::opening::Opening;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::gate::Gate;
use crate::http::{self, Origin, Version};
use crate::peek::{Peeked, peek};
use crate::{tcp, tls};

/// How long a client of a listed raw TCP far end may be silent before its server is let speak
/// first (MySQL, SMTP, FTP, SSH do). Every protocol in which the client speaks first has spoken by then.
const SERVER_FIRST_WAIT: Duration = Duration::from_millis(300);

/// Ports whose clients open connections ahead of their use.
const WEB_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// How long a client of a web port may be silent.
const WEB_SILENCE_MAX: Duration = Duration::from_secs(60);

/// How long any other client may. Nothing but HTTP and TLS can come of it, whose clients speak at once;
/// but the last of hundreds that begin together on a busy machine takes tens of seconds to.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Ports of protocols in which the server speaks first: FTP, SSH, SMTP, POP3, NNTP, IMAP, submission, rsync,
/// MySQL, `ManageSieve`, VNC, and where they are moved to. Their clients are told soon that the policy does
/// not list them.
const SERVER_FIRST_PORTS: [u16; 17] = [
    21, 22, 25, 110, 119, 143, 587, 873, 2121, 2222, 2525, 3306, 3307, 4190, 5900, 5901, 5902,
];

/// How long a client on one of these may be silent.
const SERVER_FIRST_SILENCE_MAX: Duration = Duration::from_secs(2);

/// Where a stream goes, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The far end's name, or its address where no name is known.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// How it is known.
    pub learnt: Learnt,
}

/// How a stream's far end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Learnt {
    /// From a `CONNECT`'s authority.
    Connect,
    /// From the name in a SOCKS request.
    Socks,
    /// From the synthetic address that stands for a name.
    Dns,
    /// The client dialled an address that stands for no name.
    Address,
}

/// Something that a client can be reached by.
pub trait ClientIo: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send + 'static> ClientIo for IO {}

impl Destination {
    pub(crate) fn target(&self, scheme: Scheme) -> Target {
        Target {
            scheme,
            host: self.host.clone(),
            port: self.port,
        }
    }
}

/// Where the name came from and what it is, as a mismatch shows it.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.learnt {
            Learnt::Connect => "CONNECT",
            Learnt::Socks => "SOCKS",
            Learnt::Dns => "DNS",
            Learnt::Address => "address",
        };
        write!(f, "{source} {}", self.host)
    }
}

/// Serves one client's stream to its end, by what it opens with: TLS is intercepted or passed
/// through, HTTP is served, and anything else is raw TCP, which the policy must list.
///
/// A stream on which nothing is ever said is no crossing, and leaves no receipt: racing clients open
/// such connections all the time, and nothing outside learns of them.
///
/// The future is boxed: what is found inside TLS may be HTTP with a tunnel in it, so the types are
/// recursive.
pub fn serve_client_stream<IO: ClientIo>(
    gate: Arc<Gate>,
    io: IO,
    to: Destination,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(serve(gate, io, to))
}

async fn serve<IO: ClientIo>(gate: Arc<Gate>, io: IO, to: Destination) {
    let Ok(peeked) = peek(io, silence_of(&gate, &to)).await else {
        return;
    };
    if is_idle(&gate, &to, &peeked) {
        return;
    }
    let origin = || Origin::Fixed(to.target(Scheme::Http));
    match peeked.opening {
        Opening::Tls(hello) => tls::serve(gate, peeked.io, &hello, to).await,
        Opening::BadTls(why) => tls::refuse_hello(&gate, peeked.io, &to, &why).await,
        Opening::Http1 => http::serve(gate, peeked.io, origin(), Version::Http1).await,
        Opening::Http2 => http::serve(gate, peeked.io, origin(), Version::Http2).await,
        Opening::Undecided | Opening::Other => {
            tcp::serve(gate, peeked.io, &to, tcp::Upstream::Clear).await;
        }
    }
}

/// How long to wait for a client's first word.
pub(crate) fn silence_of(gate: &Gate, to: &Destination) -> Duration {
    silence(gate.allows_tcp(&to.host, to.port), to.port)
}

fn silence(is_listed: bool, port: u16) -> Duration {
    if is_listed {
        SERVER_FIRST_WAIT
    } else if WEB_PORTS.contains(&port) {
        WEB_SILENCE_MAX
    } else if SERVER_FIRST_PORTS.contains(&port) {
        SERVER_FIRST_SILENCE_MAX
    } else {
        SILENCE_MAX
    }
}

/// Whether nothing has come of a stream, nor can: its client has closed it, or has opened it ahead
/// of an HTTP request that it never made.
pub(crate) fn is_idle<IO>(gate: &Gate, to: &Destination, peeked: &Peeked<IO>) -> bool {
    let is_web = WEB_PORTS.contains(&to.port) && !gate.allows_tcp(&to.host, to.port);
    peeked.is_silent() && (peeked.ended || is_web)
}

#[cfg(test)]
mod tests {
    use super::silence;

    #[test]
    fn a_client_that_waits_for_a_server_which_is_not_listed_is_told_soon() {
        for (is_listed, port, millis) in [
            (true, 3306, 300),
            (true, 443, 300),
            (false, 443, 60_000),
            (false, 8080, 60_000),
            (false, 22, 2000),
            (false, 2222, 2000),
            (false, 4840, 30_000),
        ] {
            let is = silence(is_listed, port).as_millis();
            assert_eq!(is, millis, "{port}");
        }
    }
}
