//! Raw TCP, to a `name:port` that the policy lists.
//!
//! One connection is two crossings: what the client says, and what the server says. Each is inspected
//! as it flows, and let go at the latest when its sender pauses for an answer. Its receipt is written
//! when its sender has ended, before the last held bytes go on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use carboy_engine::{Crossing, CrossingKind, Fault, Scheme, Surface, SurfaceKind};
use carboy_wire::protocol::{Heard, Listener, Side};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::gate::{Gate, Pass, Refused};
use crate::limits::BODY_HOLD_BYTES_MAX;
use crate::relay::{Activity, RELAY_BUFFER_BYTES};
use crate::stream::{ClientIo, Destination};
use crate::upstream::Far;

/// How long a client may pause within what it says. Longer than the gap between two segments of
/// one write, and short enough not to be felt in a dialogue.
const CLIENT_PAUSE: Duration = Duration::from_millis(10);

/// How long a server may. Shorter, as each answer of a database waits for it: the first part of an
/// instruction that has come in does nothing without the rest, and a credential's does.
const SERVER_PAUSE: Duration = Duration::from_millis(2);

/// What is spoken to the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// TCP as it is.
    Clear,
    /// TLS: the client's was intercepted.
    Tls,
}

/// Serves a stream that is neither TLS nor HTTP. A refused one is closed: there is no telling
/// which words its client would understand.
pub(crate) async fn serve<IO: ClientIo>(gate: Arc<Gate>, io: IO, to: &Destination, over: Upstream) {
    if let Err(refused) = connect_and_relay(&gate, io, to, over).await {
        tracing::debug!(crossing = %refused.id, "TCP connection refused");
    }
}

async fn connect_and_relay<IO: ClientIo>(
    gate: &Arc<Gate>,
    io: IO,
    to: &Destination,
    over: Upstream,
) -> Result<(), Refused> {
    let target = to.target(Scheme::Tcp);
    let mut pass = gate.open(Crossing {
        kind: CrossingKind::TcpConnection,
        target: &target,
        method: None,
    })?;
    pass.push(Surface {
        kind: SurfaceKind::Host,
        name: "",
        bytes: to.host.to_string().as_bytes(),
    })?;
    let permit = pass.connect().await?;
    match over {
        Upstream::Clear => match gate.upstream().tcp(&permit).await {
            Ok(server) => {
                note(&mut pass, &server);
                inspect(gate, pass, io, server).await
            }
            Err(fault) => Err(pass.fail(fault)),
        },
        Upstream::Tls => match gate.upstream().tls(&permit).await {
            Ok(server) => {
                note(&mut pass, server.get_ref().0);
                inspect(gate, pass, io, server).await
            }
            Err(fault) => Err(pass.fail(fault)),
        },
    }
}

fn note(pass: &mut Pass, server: &Far) {
    if let Ok(address) = server.peer_addr() {
        pass.dialled(address);
    }
}

/// Relays both ways until both have ended, one has broken, or one is refused.
async fn inspect<C, S>(
    gate: &Arc<Gate>,
    mut asking: Box<Pass>,
    client: C,
    server: S,
) -> Result<(), Refused>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut answering = gate.open_answer(&asking.asked())?;
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (mut server_read, mut server_write) = tokio::io::split(server);
    let activity = Activity::new();
    let heard = Mutex::default();
    let ended = {
        let outbound = Way {
            pass: &mut asking,
            pause: CLIENT_PAUSE,
            activity: &activity,
            listener: Listener::new(Side::Client),
            heard: &heard,
        };
        let inbound = Way {
            pass: &mut answering,
            pause: SERVER_PAUSE,
            activity: &activity,
            listener: Listener::new(Side::Server),
            heard: &heard,
        };
        tokio::try_join!(
            outbound.carry(&mut client_read, &mut server_write),
            inbound.carry(&mut server_read, &mut client_write)
        )
    };
    if let Err(Ended::Broken(error)) = ended {
        tracing::debug!(%error, "a TCP connection broke off");
    }
    for pass in [&mut asking, &mut answering] {
        tell(pass, &heard);
    }
    // All that was let go has been judged; what is still held is judged here and lost.
    let (asked, answered) = (asking.close(), answering.close());
    asked.and(answered)
}

/// Says what is spoken, for the receipt.
fn tell(pass: &mut Pass, heard: &Mutex<Heard>) {
    let Heard { protocol, starttls } = *heard.lock();
    if let Some(protocol) = protocol {
        pass.speaks(protocol.as_str(starttls));
    }
}

enum Ended {
    Broken(io::Error),
    /// The pass knows why.
    Refused,
}

impl From<Refused> for Ended {
    fn from(_: Refused) -> Self {
        Self::Refused
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

enum Next {
    /// So many bytes; none at the end.
    Said(usize),
    /// It said nothing for so long that it must be waiting for an answer.
    Waits,
}

/// One way of a connection.
struct Way<'a> {
    pass: &'a mut Pass,
    /// How long its sender may pause within what it says.
    pause: Duration,
    activity: &'a Activity,
    listener: Listener,
    /// What either side made known.
    heard: &'a Mutex<Heard>,
}

impl Way<'_> {
    /// Sends on what is said, as far as the engine lets it go.
    async fn carry<R, W>(mut self, from: &mut R, to: &mut W) -> Result<(), Ended>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut buffer = vec![0; RELAY_BUFFER_BYTES];
        let mut held = BytesMut::new();
        loop {
            let read = match self.next(from, &mut buffer, !held.is_empty()).await? {
                Next::Said(read) => read,
                Next::Waits => {
                    let released = self.pass.pause()?;
                    forward(to, &mut held, released).await?;
                    // What a pause does not let go, only more words can.
                    self.activity.read(from, &mut buffer).await?
                }
            };
            self.listen(&buffer[..read]);
            if read == 0 {
                self.pass.close()?;
                to.write_all(&held).await?;
                return Ok(to.shutdown().await?);
            }
            let released = self.pass.push(Surface {
                kind: SurfaceKind::Stream,
                name: "",
                bytes: &buffer[..read],
            })?;
            held.extend_from_slice(&buffer[..read]);
            forward(to, &mut held, released).await?;
            if held.len() > BODY_HOLD_BYTES_MAX {
                let fault = Fault::Unsupported("more undecided bytes than may be held".into());
                return Err(self.pass.end_with(fault).into());
            }
        }
    }

    fn listen(&mut self, said: &[u8]) {
        if let Some(news) = self.listener.hear(said) {
            let mut heard = self.heard.lock();
            heard.protocol = heard.protocol.or(news.protocol);
            heard.starttls |= news.starttls;
        }
        tell(self.pass, self.heard);
    }

    async fn next<R>(
        &self,
        from: &mut R,
        buffer: &mut [u8],
        is_holding: bool,
    ) -> Result<Next, Ended>
    where
        R: AsyncRead + Unpin,
    {
        let reading = self.activity.read(from, buffer);
        match is_holding {
            false => Ok(Next::Said(reading.await?)),
            true => match timeout(self.pause, reading).await {
                Ok(read) => Ok(Next::Said(read?)),
                Err(_) => Ok(Next::Waits),
            },
        }
    }
}

async fn forward<W>(to: &mut W, held: &mut BytesMut, released: usize) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let released = held.split_to(released.min(held.len()));
    to.write_all(&released).await?;
    to.flush().await
}
