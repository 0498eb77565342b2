//! Raw TCP, to a `name:port` that the policy lists.
//!
//! One connection is one crossing. What the client sends is inspected as it flows, and let go at the
//! latest when it pauses for an answer; what the server sends is relayed as it comes. The receipt is written when the client's side has ended, before
//! the last held bytes go on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use carboy_engine::{Crossing, CrossingKind, Fault, Permit, Scheme, Surface, SurfaceKind};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::gate::{Gate, Pass, Refused};
use crate::limits::BODY_HOLD_BYTES_MAX;
use crate::relay::{Activity, RELAY_BUFFER_BYTES, copy};
use crate::stream::{ClientIo, Destination};

/// How long a client may pause within what it says. Longer than the gap between two segments of
/// one write, and short enough not to be felt in a dialogue.
const SENDER_PAUSE: Duration = Duration::from_millis(10);

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
    match dial(gate, &permit, over).await {
        Ok(Connected::Clear(server)) => inspect(pass, io, server).await,
        Ok(Connected::Tls(server)) => inspect(pass, io, server).await,
        Err(fault) => Err(pass.fail(fault)),
    }
}

enum Connected<C, T> {
    Clear(C),
    Tls(T),
}

async fn dial(
    gate: &Gate,
    permit: &Permit,
    over: Upstream,
) -> Result<Connected<impl ClientIo, impl ClientIo>, Fault> {
    match over {
        Upstream::Clear => gate.upstream().tcp(permit).await.map(Connected::Clear),
        Upstream::Tls => gate.upstream().tls(permit).await.map(Connected::Tls),
    }
}

/// Relays both ways until both have ended, one has broken, or the crossing is refused.
async fn inspect<C, S>(mut pass: Pass, client: C, server: S) -> Result<(), Refused>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (mut server_read, mut server_write) = tokio::io::split(server);
    let activity = Activity::new();
    let mut received = 0;
    let ended = {
        let outbound = send(&mut pass, &mut client_read, &mut server_write, &activity);
        let inbound = copy(
            &mut server_read,
            &mut client_write,
            &activity,
            &mut received,
        );
        tokio::try_join!(outbound, async { inbound.await.map_err(Ended::Broken) })
    };
    match ended {
        Ok(_) => Ok(()),
        Err(Ended::Refused(refused)) => Err(refused),
        Err(Ended::Broken(error)) => {
            // All that was let go has been judged; what is still held is judged here and lost.
            tracing::debug!(%error, "a TCP connection broke off");
            pass.close()
        }
    }
}

enum Ended {
    Broken(io::Error),
    Refused(Refused),
}

/// Sends on what the client says, as far as the engine lets it go.
async fn send<R, W>(
    pass: &mut Pass,
    client: &mut R,
    server: &mut W,
    activity: &Activity,
) -> Result<(), Ended>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; RELAY_BUFFER_BYTES];
    let mut held = BytesMut::new();
    loop {
        let read = match next(client, &mut buffer, activity, !held.is_empty()).await? {
            Next::Said(read) => read,
            Next::Waits => {
                let released = pass.pause().map_err(Ended::Refused)?;
                forward(server, &mut held, released).await?;
                // What a pause does not let go, only more words can.
                activity
                    .read(client, &mut buffer)
                    .await
                    .map_err(Ended::Broken)?
            }
        };
        if read == 0 {
            pass.close().map_err(Ended::Refused)?;
            server.write_all(&held).await.map_err(Ended::Broken)?;
            return server.shutdown().await.map_err(Ended::Broken);
        }
        let surface = Surface {
            kind: SurfaceKind::Stream,
            name: "",
            bytes: &buffer[..read],
        };
        let released = pass.push(surface).map_err(Ended::Refused)?;
        held.extend_from_slice(&buffer[..read]);
        forward(server, &mut held, released).await?;
        if held.len() > BODY_HOLD_BYTES_MAX {
            let fault = Fault::Unsupported("more undecided bytes than may be held".into());
            return Err(Ended::Refused(pass.end_with(fault)));
        }
    }
}

enum Next {
    /// So many bytes; none at the end.
    Said(usize),
    /// It said nothing for so long that it must be waiting for an answer.
    Waits,
}

async fn next<R>(
    client: &mut R,
    buffer: &mut [u8],
    activity: &Activity,
    is_holding: bool,
) -> Result<Next, Ended>
where
    R: AsyncRead + Unpin,
{
    let reading = activity.read(client, buffer);
    let read = match is_holding {
        true => timeout(SENDER_PAUSE, reading).await,
        false => Ok(reading.await),
    };
    match read {
        Ok(read) => read.map(Next::Said).map_err(Ended::Broken),
        Err(_) => Ok(Next::Waits),
    }
}

async fn forward<W>(server: &mut W, held: &mut BytesMut, released: usize) -> Result<(), Ended>
where
    W: AsyncWrite + Unpin,
{
    let released = held.split_to(released.min(held.len()));
    server.write_all(&released).await.map_err(Ended::Broken)?;
    server.flush().await.map_err(Ended::Broken)
}
