//! A WebSocket to either side: a message a text message.
//!
//! Each side's connection is the gate's own: it answers pings itself, and of the other side's it only
//! passes on that there was one, so that what keeps a connection alive keeps both.

use std::io;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use carboy_wire::mcp::LINE_BYTES_MAX;
use carboy_wire::websocket::{
    Close, Code, Control, Event, Frame, Kind, Opcode, Reader, Sender, close_payload,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::carry::{Said, Sink, Source, carry};
use super::pipes::{LinesIn, LinesOut};
use super::talk::Talk;
use crate::gate::Gate;
use crate::http::{Outlet, UpgradedIo, drain};
use crate::limits::{
    BODY_IDLE_TIMEOUT, MCP_END_TIMEOUT, MCP_READ_BYTES, WS_CLOSE_TIMEOUT, WS_IDLE_TIMEOUT,
};

/// Frames of the gate's own that wait for a peer to take them. One that takes none needs no more pongs
/// (RFC 6455, section 5.5.3).
const NOTES_MAX: usize = 8;

/// Carries messages between a client and a server until one of them closes.
pub(crate) async fn serve_socket(gate: &Gate, talk: &Talk, client: UpgradedIo, server: UpgradedIo) {
    let (client_read, client_write) = tokio::io::split(client);
    let (server_read, server_write) = tokio::io::split(server);
    let (mut to_client, for_client) = SocketOut::new(client_write, Sender::Client);
    let (mut to_server, for_server) = SocketOut::new(server_write, Sender::Server);
    let across = Some(for_server.clone());
    let mut of_client = SocketIn::new(
        talk,
        (client_read, Sender::Client),
        for_client.clone(),
        across,
    );
    let across = Some(for_client.clone());
    let mut of_server = SocketIn::new(
        talk,
        (server_read, Sender::Server),
        for_server.clone(),
        across,
    );
    let talking = carry(
        talk,
        (&mut of_client, &mut to_client),
        (&mut of_server, &mut to_server),
        WS_CLOSE_TIMEOUT,
    );
    tokio::select! {
        ended = talking => if let Err(error) = ended {
            tracing::debug!(%error, "a client's WebSocket ended");
        },
        () = gate.stopping() => for line in [&for_client, &for_server] {
            line.will_say(close_payload(Code::GOING_AWAY, "the gate is stopped"));
        },
    }
    tokio::join!(to_client.end(), to_server.end());
    tokio::join!(drain(&mut of_client.from), drain(&mut of_server.from));
}

/// Carries messages between a client behind pipes and a server until one of them ends.
///
/// # Errors
/// When the client cannot be written to any more.
pub(super) async fn serve_lines<R, W>(
    talk: &Talk,
    client: (R, W),
    server: UpgradedIo,
) -> io::Result<()>
where
    R: AsyncRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let (read, write) = tokio::io::split(server);
    let (mut to_server, for_server) = SocketOut::new(write, Sender::Server);
    for_server.will_say(close_payload(Code::NORMAL, ""));
    let mut of_server = SocketIn::new(talk, (read, Sender::Server), for_server, None);
    let mut of_client = Lingering {
        lines: LinesIn::new(client.0),
        talk,
    };
    let mut to_client = LinesOut::new(client.1);
    let ended = carry(
        talk,
        (&mut of_client, &mut to_client),
        (&mut of_server, &mut to_server),
        WS_CLOSE_TIMEOUT,
    )
    .await;
    to_server.end().await;
    drain(&mut of_server.from).await;
    ended
}

/// A client behind pipes that ends only when all that it asked is answered: a server that is closed to
/// answers nothing any more.
struct Lingering<'a, R> {
    lines: LinesIn<R>,
    talk: &'a Talk,
}

impl<R: AsyncRead + Unpin + Send> Source for Lingering<'_, R> {
    async fn next(&mut self) -> io::Result<Option<Said>> {
        let said = self.lines.next().await?;
        if said.is_none() && timeout(MCP_END_TIMEOUT, self.talk.settled()).await.is_err() {
            tracing::debug!("a server has not answered all that it was asked");
        }
        Ok(said)
    }
}

/// What is said to a peer beside messages.
#[derive(Debug)]
enum Note {
    Ping,
    Pong(Bytes),
    /// With this payload.
    Close(Bytes),
}

/// A way to say it, and what the peer is told at the end.
#[derive(Clone)]
struct Line {
    notes: mpsc::Sender<Note>,
    last: Arc<OnceLock<Bytes>>,
}

impl Line {
    /// Says it if there is room: what is lost is no message.
    fn say(&self, note: Note) {
        let _ = self.notes.try_send(note);
    }

    /// Takes what the peer is told at the end; what came first stands.
    fn will_say(&self, payload: Bytes) {
        let _ = self.last.set(payload);
    }
}

/// A peer's messages.
struct SocketIn<'a> {
    talk: &'a Talk,
    from: ReadHalf<UpgradedIo>,
    sender: Sender,
    reader: Reader,
    input: BytesMut,
    /// What came of the message that is not whole yet; none within one that is not read.
    message: Option<Vec<u8>>,
    is_over: bool,
    back: Line,
    across: Option<Line>,
}

impl<'a> SocketIn<'a> {
    /// Reads what a sender says by a connection. `back` leads to it, `across` to the other side if that
    /// is one of these too.
    fn new(
        talk: &'a Talk,
        (from, sender): (ReadHalf<UpgradedIo>, Sender),
        back: Line,
        across: Option<Line>,
    ) -> Self {
        Self {
            talk,
            from,
            sender,
            // Nothing is compressed: the gate makes and takes no such offer.
            reader: Reader::new(sender, false),
            input: BytesMut::new(),
            message: None,
            is_over: false,
            back,
            across,
        }
    }

    fn take(&mut self, event: Event) -> Option<Said> {
        match event {
            Event::Start { kind, .. } => {
                self.message = (kind == Kind::Text).then(Vec::new);
                None
            }
            Event::Data(bytes) => {
                let message = self.message.as_mut()?;
                if message.len() + bytes.len() > LINE_BYTES_MAX {
                    let why = format!("a message of more than {LINE_BYTES_MAX} bytes");
                    return Some(self.stop(Code::TOO_BIG, why));
                }
                message.extend_from_slice(&bytes);
                None
            }
            Event::End => Some(match self.message.take() {
                Some(message) => Said::Message(message),
                None => Said::Unreadable("a binary message: the protocol's are text".to_owned()),
            }),
            Event::Control(Control::Ping(payload)) => {
                self.back.say(Note::Pong(payload));
                if let Some(across) = &self.across {
                    across.say(Note::Ping);
                }
                None
            }
            Event::Control(Control::Pong(_)) => None,
            Event::Control(Control::Close(close)) => {
                self.close(&close);
                None
            }
        }
    }

    /// The peer closes: it is answered with its code, and the other side is told what it said.
    fn close(&mut self, close: &Close) {
        self.is_over = true;
        let payload = close.payload();
        let code = payload.slice(..payload.len().min(2));
        let judged = match (self.sender, close.reason()) {
            (_, []) => Ok(()),
            (Sender::Client, reason) => self.talk.client_notes("close", reason),
            (Sender::Server, reason) => self.talk.server_notes("close", reason),
        };
        if let Some(across) = &self.across {
            across.will_say(match judged {
                Ok(()) => payload.clone(),
                Err(_) => code.clone(),
            });
        }
        self.back.say(Note::Close(code));
    }

    /// Ends both connections for the peer's fault.
    fn stop(&mut self, code: Code, why: String) -> Said {
        self.is_over = true;
        self.message = None;
        for line in std::iter::once(&self.back).chain(&self.across) {
            line.will_say(close_payload(code, &why));
        }
        Said::Unreadable(why)
    }

    /// Waits for more. Returns what is wrong where no more comes.
    async fn read(&mut self) -> Option<Said> {
        let is_within = self.reader.is_within() || !self.input.is_empty();
        let patience = match is_within {
            true => BODY_IDLE_TIMEOUT,
            false => WS_IDLE_TIMEOUT,
        };
        if !is_within {
            // An idle connection holds no large buffer.
            self.input = BytesMut::new();
        }
        self.input.reserve(match is_within {
            true => MCP_READ_BYTES,
            false => ROOM_BYTES,
        });
        match timeout(patience, self.from.read_buf(&mut self.input)).await {
            Ok(Ok(1..)) => None,
            Ok(Ok(0) | Err(_)) => {
                self.is_over = true;
                is_within.then(|| Said::Unreadable("it broke off within a message".to_owned()))
            }
            Err(_) => {
                let why = "nothing came for too long".to_owned();
                Some(self.stop(Code::GOING_AWAY, why))
            }
        }
    }
}

impl Source for SocketIn<'_> {
    async fn next(&mut self) -> io::Result<Option<Said>> {
        while !self.is_over {
            let said = match self.reader.next(&mut self.input) {
                Ok(Some(event)) => self.take(event),
                Ok(None) => self.read().await,
                Err(violation) => Some(self.stop(violation.code(), violation.to_string())),
            };
            if said.is_some() {
                return Ok(said);
            }
        }
        Ok(None)
    }
}

/// What goes to a peer.
struct SocketOut {
    outlet: Outlet,
    notes: mpsc::Receiver<Note>,
    last: Arc<OnceLock<Bytes>>,
    /// Who is told.
    to: Sender,
}

impl SocketOut {
    fn new(io: WriteHalf<UpgradedIo>, to: Sender) -> (Self, Line) {
        let (line, notes) = mpsc::channel(NOTES_MAX);
        let last = Arc::default();
        let from = match to {
            Sender::Client => Sender::Server,
            Sender::Server => Sender::Client,
        };
        let line = Line {
            notes: line,
            last: Arc::clone(&last),
        };
        let out = Self {
            outlet: Outlet::new(io, from),
            notes,
            last,
            to,
        };
        (out, line)
    }

    /// Ends the connection, with a close frame if there was none.
    async fn end(&mut self) {
        if let Err(error) = self.say_last() {
            tracing::debug!(%error, "a WebSocket was closed without a word");
        }
        self.outlet.end(None).await;
    }

    fn say_last(&mut self) -> io::Result<()> {
        let last = self.last.get().cloned();
        let last = last.unwrap_or_else(|| match self.to {
            Sender::Client => close_payload(Code::FAILED, "the server broke off"),
            Sender::Server => close_payload(Code::GOING_AWAY, "the client went away"),
        });
        self.outlet.add_control(Opcode::Close, &last)
    }

    /// Whether it is the last that is said.
    fn note(&mut self, note: Note) -> io::Result<bool> {
        let (opcode, payload) = match note {
            Note::Ping => (Opcode::Ping, Bytes::new()),
            Note::Pong(payload) => (Opcode::Pong, payload),
            Note::Close(payload) => (Opcode::Close, payload),
        };
        self.outlet.add_control(opcode, &payload)?;
        Ok(opcode == Opcode::Close)
    }
}

impl Sink for SocketOut {
    async fn write(&mut self, mut messages: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        loop {
            let mut is_closed = false;
            tokio::select! {
                biased;
                Some(note) = self.notes.recv() => is_closed = self.note(note)?,
                message = messages.recv() => match message {
                    Some(message) => self.outlet.add(TEXT, &message)?,
                    None => {
                        self.say_last()?;
                        is_closed = true;
                    }
                },
            }
            self.outlet.flush().await?;
            if is_closed {
                return Ok(());
            }
        }
    }
}

/// A message, whose mask and length are its own.
const TEXT: Frame = Frame {
    is_final: true,
    is_compressed: false,
    opcode: Opcode::Message(Kind::Text),
    mask: None,
    length: 0,
};

/// What an idle connection has room to read.
const ROOM_BYTES: usize = 1024;
