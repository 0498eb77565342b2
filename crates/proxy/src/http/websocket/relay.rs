//! Both ways of a WebSocket, and its end.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;

use carboy_engine::CrossingKind;
use carboy_wire::websocket::{Code, Sender};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::io::ReadHalf;
use tokio::time::timeout;

use super::way::{Line, Pings, Way};
use crate::limits::WS_CLOSE_TIMEOUT;

/// One side's connection.
pub(crate) type Io = TokioIo<Upgraded>;

/// How a way of the connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// With its sender's close frame, which was passed on.
    Closed,
    /// Its sender went away without one, or its receiver did.
    Gone(Sender),
    /// By the gate, with this code and reason for both sides.
    Cut(Code, String),
}

/// What a close frame says.
pub(crate) type Words<'a> = (Code, &'a str);

/// Carries messages both ways until the connection ends.
pub(super) async fn relay(line: &Line, client: Io, server: Io) {
    let (mut client_read, client_write) = tokio::io::split(client);
    let (mut server_read, server_write) = tokio::io::split(server);
    let (asked, answered) = (Pings::default(), Pings::default());
    let mut outbound = Way::new(
        line,
        CrossingKind::WsMessage,
        server_write,
        [&asked, &answered],
    );
    let mut inbound = Way::new(
        line,
        CrossingKind::WsReply,
        client_write,
        [&answered, &asked],
    );
    let end = {
        let mut forth = pin!(outbound.carry(&mut client_read));
        let mut back = pin!(inbound.carry(&mut server_read));
        tokio::select! {
            end = forth.as_mut() => settle(line, end, back).await,
            end = back.as_mut() => settle(line, end, forth).await,
            () = line.gate.stopping() => End::Cut(Code::GOING_AWAY, "the gate is stopped".into()),
        }
    };
    let (to_server, to_client) = end.words();
    tokio::join!(
        outbound.outlet.end(to_server),
        inbound.outlet.end(to_client)
    );
    // What a peer still sends is read, or the system would take back what it was just told.
    tokio::join!(drain(&mut client_read), drain(&mut server_read));
}

/// After the first close frame, the other side may send what it has to say, and its own, as long as
/// it does not pause for [`WS_CLOSE_TIMEOUT`].
async fn settle(line: &Line, first: End, mut other: Pin<&mut impl Future<Output = End>>) -> End {
    let End::Closed = first else {
        return first;
    };
    loop {
        let before = line.reads.load(Ordering::Relaxed);
        match timeout(WS_CLOSE_TIMEOUT, other.as_mut()).await {
            Ok(end @ End::Cut(..)) => return end,
            Ok(End::Closed | End::Gone(_)) => return End::Closed,
            Err(_) if line.reads.load(Ordering::Relaxed) == before => return End::Closed,
            Err(_) => {}
        }
    }
}

impl End {
    /// What the server and the client are told, where they have not been told by the other.
    fn words(&self) -> (Option<Words<'_>>, Option<Words<'_>>) {
        match self {
            Self::Closed => (None, None),
            Self::Gone(Sender::Client) => (Some((Code::GOING_AWAY, "the client went away")), None),
            Self::Gone(Sender::Server) => (None, Some((Code::FAILED, "the server broke off"))),
            Self::Cut(code, reason) => {
                let words = Some((*code, reason.as_str()));
                (words, words)
            }
        }
    }
}

/// Reads what a peer still sends, for a while.
pub(crate) async fn drain(from: &mut ReadHalf<Io>) {
    let draining = async {
        let mut buffer = [0; DRAIN_BUFFER_BYTES];
        while let Ok(1..) = from.read(&mut buffer).await {}
    };
    // A peer that goes on sending is cut off.
    let _ = timeout(WS_CLOSE_TIMEOUT, draining).await;
}

const DRAIN_BUFFER_BYTES: usize = 1024;
