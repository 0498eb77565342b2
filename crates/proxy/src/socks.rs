//! SOCKS 5: what comes after the request is served as if its client had been redirected here on its
//! way to that name and port.
//!
//! A name is judged before the request is granted, as a `CONNECT`'s is. An address is not: a name
//! that comes later, in a TLS hello, is judged in its stead.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BytesMut};
use carboy_engine::{
    Crossing, CrossingKind, Fault, Host, Reason, Scheme, Surface, SurfaceKind, Target,
};
use carboy_wire::socks::{self, Command, Method, Parsed, Reply, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::gate::{Gate, Refused};
use crate::limits::HEAD_READ_TIMEOUT;
use crate::login::{Login, NOT_ADMITTED};
use crate::peek::Prefixed;
use crate::stream::{Destination, Learnt, serve_client_stream};
use crate::transparent;

/// Serves a client whose first byte is that of SOCKS 5.
pub(crate) async fn serve(gate: Arc<Gate>, stream: TcpStream, login: Option<&Login>) {
    let mut client = Client {
        login,
        stream,
        sent: BytesMut::new(),
    };
    match timeout(HEAD_READ_TIMEOUT, client.negotiate(&gate)).await {
        Ok(Ok(to)) => {
            let io = Prefixed::new(client.sent.freeze(), client.stream);
            serve_client_stream(gate, io, to).await;
        }
        Ok(Err(Ended::Broken(error))) => tracing::debug!(%error, "a SOCKS client is gone"),
        Ok(Err(Ended::Refused(refused))) => {
            tracing::debug!(crossing = %refused.id, "SOCKS request refused");
        }
        Err(_) => tracing::debug!("a SOCKS client did not say in time what it wants"),
    }
}

/// Refuses a client of SOCKS 4 or 4a, which most programs that have it can be told not to use.
pub(crate) async fn refuse_version_4(gate: &Arc<Gate>, mut stream: TcpStream) {
    let fault = Fault::Unsupported("SOCKS 4; tell the client to use socks5h".into());
    refuse(gate, &Target::UNKNOWN, fault);
    let said = async {
        // What is left unread would make the answer a reset.
        let mut asked = [0; socks::MESSAGE_BYTES_MAX];
        let _ = stream.read(&mut asked).await?;
        stream.write_all(&socks::reject_version_4()).await?;
        stream.shutdown().await
    };
    if let Ok(Err(error)) = timeout(HEAD_READ_TIMEOUT, said).await {
        tracing::debug!(%error, "a client did not wait for its answer");
    }
}

/// Why no stream came about.
enum Ended {
    Broken(io::Error),
    Refused(Refused),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// A client, and what it has sent that is not read yet.
struct Client<'a> {
    /// What it must give, if it must.
    login: Option<&'a Login>,
    stream: TcpStream,
    sent: BytesMut,
}

impl Client<'_> {
    /// Reads what the client wants, and grants it if it may be.
    async fn negotiate(&mut self, gate: &Arc<Gate>) -> Result<Destination, Ended> {
        let wants_login = self.login.is_some();
        let chosen = self
            .next(gate, |sent| socks::greeting(sent, wants_login))
            .await?;
        self.say(&socks::method(chosen)).await?;
        match chosen {
            Method::Open => {}
            Method::Password => {
                let given = self.next(gate, socks::login).await?;
                let is_admitted = self.login.is_none_or(|login| login.admits(&given));
                self.say(&socks::welcome(is_admitted)).await?;
                if !is_admitted {
                    let fault = Fault::Unsupported(NOT_ADMITTED.into());
                    return Err(Ended::Refused(refuse(gate, &Target::UNKNOWN, fault)));
                }
            }
            Method::Unacceptable => {
                let fault =
                    Fault::Unsupported("a SOCKS client that needs a login of another kind".into());
                return Err(Ended::Refused(refuse(gate, &Target::UNKNOWN, fault)));
            }
        }
        let asked = self.next(gate, socks::request).await?;
        match admit(gate, asked) {
            Ok(to) => {
                self.say(&socks::reply(Reply::Granted)).await?;
                Ok(to)
            }
            Err(refused) => {
                self.dismiss(reply_of(refused.refusal.reason)).await;
                Err(Ended::Refused(refused))
            }
        }
    }

    /// Reads one message.
    async fn next<T>(
        &mut self,
        gate: &Arc<Gate>,
        parse: impl Fn(&[u8]) -> Parsed<T>,
    ) -> Result<T, Ended> {
        loop {
            match parse(&self.sent) {
                Ok(Some((message, length))) => {
                    self.sent.advance(length);
                    return Ok(message);
                }
                // A parser that wants more has less than a message, which bounds what is kept.
                Ok(None) => self.read().await?,
                Err(fault) => {
                    let refused = refuse(gate, &Target::UNKNOWN, fault);
                    self.dismiss(reply_of(refused.refusal.reason)).await;
                    return Err(Ended::Refused(refused));
                }
            }
        }
    }

    async fn read(&mut self) -> io::Result<()> {
        self.sent.reserve(socks::MESSAGE_BYTES_MAX);
        match self.stream.read_buf(&mut self.sent).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn say(&mut self, answer: &[u8]) -> io::Result<()> {
        self.stream.write_all(answer).await
    }

    /// Says why not, and ends.
    async fn dismiss(&mut self, reply: Reply) {
        let said = self.say(&socks::reply(reply)).await;
        if let Err(error) = said.and(self.stream.shutdown().await) {
            tracing::debug!(%error, "a client did not wait for its answer");
        }
    }
}

/// Judges where a client wants to go. Nothing is dialled yet: what it says is judged first.
fn admit(gate: &Arc<Gate>, asked: Request) -> Result<Destination, Refused> {
    let target = Target {
        scheme: Scheme::Tcp,
        host: asked.host.clone(),
        port: asked.port,
    };
    match asked.command {
        Command::Connect => {}
        Command::Bind => {
            let fault = Fault::Unsupported("connections from outside (SOCKS BIND)".into());
            return Err(refuse(gate, &target, fault));
        }
        Command::UdpAssociate => {
            let fault = Fault::Unsupported("UDP (SOCKS UDP ASSOCIATE); use TCP".into());
            return Err(refuse(gate, &target, fault));
        }
    }
    match asked.host {
        Host::Addr(address) => {
            let to = SocketAddr::new(address, asked.port);
            Ok(transparent::destination(gate.names(), to, Instant::now()))
        }
        Host::Name(_) => {
            admit_name(gate, &target, &asked.spelt)?;
            Ok(Destination {
                host: asked.host,
                port: asked.port,
                learnt: Learnt::Socks,
            })
        }
    }
}

fn admit_name(gate: &Arc<Gate>, target: &Target, spelt: &str) -> Result<(), Refused> {
    let mut pass = gate.open(tunnel(target))?;
    pass.push(Surface {
        kind: SurfaceKind::Host,
        name: "",
        bytes: spelt.as_bytes(),
    })?;
    pass.close()
}

fn tunnel(target: &Target) -> Crossing<'_> {
    Crossing {
        kind: CrossingKind::Tunnel,
        target,
        method: None,
    }
}

/// Opens and refuses a crossing that could not be judged.
fn refuse(gate: &Arc<Gate>, target: &Target, fault: Fault) -> Refused {
    gate.refuse(tunnel(target), fault)
}

fn reply_of(reason: Reason) -> Reply {
    match reason {
        Reason::Unsupported => Reply::CommandUnsupported,
        Reason::Malformed
        | Reason::Unresolved
        | Reason::Upstream
        | Reason::UpstreamCertificate
        | Reason::UpstreamTimeout
        | Reason::Dropped
        | Reason::Evidence
        | Reason::State => Reply::Failed,
        Reason::HostDenied
        | Reason::HostNotAllowed
        | Reason::AddressRefused
        | Reason::Secret
        | Reason::Personal
        | Reason::Injection
        | Reason::Entropy
        | Reason::Shape
        | Reason::Opaque
        | Reason::Tool
        | Reason::Media
        | Reason::Budget
        | Reason::InspectionBudget
        | Reason::TargetMismatch
        | Reason::Unsolicited
        | Reason::ToolUnlisted
        | Reason::ToolChanged
        | Reason::ToolLookalike => Reply::NotAllowed,
    }
}
