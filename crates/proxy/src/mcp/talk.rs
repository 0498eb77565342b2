//! One connection between a client and a server: every message judged, each answer held to its question.

mod client;
mod held;
mod reply;
mod see;
mod server;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carboy_engine::{Conversation, Crossing, CrossingKind, Fault, Objection, Surface, SurfaceKind};
use carboy_wire::mcp::{Fingerprint, Flaw, Frame, Id, Kind, Message, Pending};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use self::held::{HeldIds, Ruled, Waiting};
use self::reply::{Reply, answer};
use self::see::see;
use super::server::Server;
use crate::gate::{Asked, Pass, Refused};

/// One connection between a client and a server.
pub struct Talk {
    server: Arc<Server>,
    /// What the client asked.
    by_client: Mutex<Pending<Asking>>,
    /// What the server asked.
    by_server: Arc<Mutex<ServerAsks>>,
    /// What the client asked that waits for a person.
    held: Arc<Mutex<HeldIds>>,
    /// What was answered last, for a client that was cut off and asks for it again.
    answered: Mutex<VecDeque<(Id, Fingerprint)>>,
    /// What either side said before.
    said: Memories,
    /// Whether a stream is heard by which the server can answer what came by another request.
    has_stream: AtomicBool,
    /// Told whenever the server has answered.
    has_answered: Notify,
}

/// What was said in earlier messages: what is cut over several is whole where they meet.
#[derive(Default)]
struct Memories {
    by_client: Arc<Conversation>,
    by_server: Arc<Conversation>,
}

/// What a server asks: the method, where it is known.
type ServerAsks = Pending<Option<&'static str>>;

/// A request of the client's, as its answer must know it.
struct Asking {
    asked: Asked,
    method: Option<&'static str>,
    tool: Option<Box<str>>,
    /// Who waits for it, where the gate itself asked: told where the next page is.
    own: Option<oneshot::Sender<Option<Box<str>>>>,
}

/// How a server's words came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// For the first time.
    Once,
    /// To a client that was cut off: some of it may have come before.
    Again,
}

/// What brought a server's words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carried<'a> {
    pub(super) heard: Heard,
    /// The id of the event that they stand in, which the client sees too; empty where there is none.
    pub(super) event: &'a str,
}

impl Carried<'_> {
    /// By nothing that says anything itself.
    pub(super) const PLAINLY: Self = Self {
        heard: Heard::Once,
        event: "",
    };
}

/// What becomes of a frame: what goes on to the other side, and what is said to its sender.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) on: Option<Vec<u8>>,
    pub(super) back: Vec<Vec<u8>>,
}

impl Talk {
    /// A connection to a server.
    pub fn new(server: Arc<Server>) -> Self {
        Self {
            server,
            by_client: Mutex::default(),
            by_server: Arc::default(),
            held: Arc::default(),
            answered: Mutex::default(),
            said: Memories::default(),
            has_stream: AtomicBool::default(),
            has_answered: Notify::new(),
        }
    }

    /// A connection of the same client, whose answers to the server may come by another.
    pub(super) fn sibling(&self) -> Self {
        Self {
            server: Arc::clone(&self.server),
            by_client: Mutex::default(),
            by_server: Arc::clone(&self.by_server),
            held: Arc::default(),
            answered: Mutex::default(),
            said: Memories::default(),
            has_stream: AtomicBool::default(),
            has_answered: Notify::new(),
        }
    }

    /// Takes it that these requests may get no answer any more.
    pub(super) fn give_up(&self, bytes: &[u8]) {
        let frame = Frame::parse(bytes);
        for message in frame.iter().flat_map(|frame| &frame.messages) {
            if let Ok(Message {
                kind: Kind::Request { id, .. },
                ..
            }) = message
            {
                self.by_client.lock().cancel(id);
            }
        }
    }

    /// Waits until the server has answered all that it was asked.
    pub(super) async fn settled(&self) {
        loop {
            // Made before the look, so that no answer falls between.
            let answered = self.has_answered.notified();
            if self.by_client.lock().is_idle() {
                return;
            }
            answered.await;
        }
    }

    /// Says that a stream of the server's is heard, on which it may answer anything.
    pub(super) fn has_stream(&self) {
        self.has_stream.store(true, Ordering::Relaxed);
    }

    /// Takes it that no answer comes to what the gate itself asked any more, unless a stream is heard on
    /// which it may: whoever waits for it waits no longer.
    pub(super) fn is_unanswered(&self, asked: &[u8]) {
        if self.has_stream.load(Ordering::Relaxed) {
            return;
        }
        let Ok(frame) = Frame::parse(asked) else {
            return;
        };
        for message in frame.messages.iter().flatten() {
            if let Kind::Request { id, .. } = &message.kind {
                // With it goes the sender that is waited for.
                self.by_client.lock().answer(id);
            }
        }
    }

    /// Judges what the client says. A tool that was not listed yet is looked for first, by a request of
    /// the gate's own to the server; a call that asks for a person's leave waits for it.
    pub(super) async fn client_says(
        &self,
        bytes: &[u8],
        to_server: &mpsc::Sender<Vec<u8>>,
    ) -> Judged {
        let mut reply = self.hear_client(bytes, to_server).await;
        for waiting in std::mem::take(&mut reply.waiting) {
            self.settle(waiting.ruled().await, &mut reply);
        }
        reply.finish()
    }

    /// The same, where calls that wait for a person are held apart, so that what comes after them goes
    /// on: each is for [`Waiting::ruled`] and then for [`Talk::ruled`].
    pub(super) async fn client_says_apart(
        &self,
        bytes: &[u8],
        to_server: &mpsc::Sender<Vec<u8>>,
    ) -> (Judged, Vec<Waiting>) {
        let mut reply = self.hear_client(bytes, to_server).await;
        let waiting = std::mem::take(&mut reply.waiting);
        (reply.finish(), waiting)
    }

    /// What becomes of a call that a person was asked about.
    pub(super) fn ruled(&self, ruled: Ruled) -> Judged {
        let mut reply = Reply::default();
        self.settle(ruled, &mut reply);
        reply.finish()
    }

    async fn hear_client(&self, bytes: &[u8], to_server: &mpsc::Sender<Vec<u8>>) -> Reply {
        let frame = match Frame::parse(bytes) {
            Ok(frame) => frame,
            Err(flaw) => {
                let refused = self.malformed(CrossingKind::McpRequest, flaw);
                let mut reply = Reply::default();
                reply.back.push(answer(None, &refused));
                return reply;
            }
        };
        let mut reply = Reply::new(&frame);
        for message in &frame.messages {
            match message {
                Ok(message) => {
                    self.list_for(message, to_server).await;
                    self.client_message(message, &mut reply);
                }
                Err(flawed) => {
                    let refused = self.malformed(CrossingKind::McpRequest, flawed.flaw);
                    self.client_flawed(flawed, &refused, &mut reply);
                }
            }
        }
        reply
    }

    /// Judges what the server says.
    pub(super) fn server_says(&self, bytes: &[u8], carried: Carried<'_>) -> Judged {
        let frame = match Frame::parse(bytes) {
            Ok(frame) => frame,
            Err(flaw) => {
                // Servers print to their output by mistake, and clients skip it.
                self.malformed(CrossingKind::McpResponse, flaw);
                return Judged::default();
            }
        };
        let mut reply = Reply::new(&frame);
        for message in &frame.messages {
            match message {
                Ok(message) => self.server_message(message, carried, &mut reply),
                Err(flawed) => {
                    let refused = self.malformed(CrossingKind::McpResponse, flawed.flaw);
                    self.server_flawed(flawed, &refused, &mut reply);
                }
            }
        }
        reply.finish()
    }

    /// Judges what the server says beside its messages, such as where to post to.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn server_notes(&self, what: &str, text: &[u8]) -> Result<(), Refused> {
        let mut pass = self.open(CrossingKind::McpResponse, None)?;
        pass.push(aside(what, text))?;
        pass.close()
    }

    /// The same of the client's.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn client_notes(&self, what: &str, text: &[u8]) -> Result<(), Refused> {
        let mut pass = self.open(CrossingKind::McpRequest, None)?;
        pass.push(aside(what, text))?;
        pass.close()
    }

    /// Refuses what the client said and could not be read as messages.
    pub(super) fn unreadable_from_client(&self, how: &str) -> Vec<u8> {
        answer(None, &self.unreadable(CrossingKind::McpRequest, how))
    }

    /// Refuses what the server said and could not be read as messages: whatever it was to answer gets
    /// no answer any more.
    pub(super) fn unreadable_from_server(&self, how: &str) -> Vec<Vec<u8>> {
        let refused = self.unreadable(CrossingKind::McpResponse, how);
        let mut by_client = self.by_client.lock();
        let waiting = by_client.drain();
        let waiting = waiting.filter(|(_, asking)| asking.own.is_none());
        waiting.map(|(id, _)| answer(Some(&id), &refused)).collect()
    }

    fn unreadable(&self, kind: CrossingKind, how: &str) -> Refused {
        self.server
            .gate
            .refuse(self.crossing(kind, None), Fault::Malformed(how.to_owned()))
    }

    fn malformed(&self, kind: CrossingKind, flaw: Flaw) -> Refused {
        self.unreadable(kind, &flaw.to_string())
    }

    fn crossing<'a>(&'a self, kind: CrossingKind, method: Option<&'a str>) -> Crossing<'a> {
        Crossing {
            kind,
            target: &self.server.target,
            method,
        }
    }
}

impl Talk {
    /// Judges a message of the client's that nothing need be remembered of. Returns it anew where the
    /// policy had some of it replaced.
    fn pass_on(
        &self,
        message: &Message<'_>,
        method: Option<&'static str>,
        objection: Option<Objection>,
    ) -> Result<Option<String>, Refused> {
        let pass = self.open(CrossingKind::McpRequest, method)?;
        self.pass_through(pass, message, objection)
    }

    /// The same of the server's.
    fn let_in(
        &self,
        message: &Message<'_>,
        method: Option<&'static str>,
        objection: Option<Objection>,
        carried: Carried<'_>,
    ) -> Result<Option<String>, Refused> {
        let mut pass = self.open(CrossingKind::McpResponse, method)?;
        hear_event(&mut pass, carried)?;
        self.pass_through(pass, message, objection)
    }

    fn pass_through(
        &self,
        mut pass: Box<Pass>,
        message: &Message<'_>,
        objection: Option<Objection>,
    ) -> Result<Option<String>, Refused> {
        let redacted = see(&mut pass, message, None)?;
        if let Some(objection) = objection {
            pass.object(&objection)?;
        }
        pass.close()?;
        Ok(redacted)
    }

    /// Opens the crossing of a message, as the sequel of those before it.
    fn open(&self, kind: CrossingKind, method: Option<&'static str>) -> Result<Box<Pass>, Refused> {
        let mut pass = self.server.gate.open(self.crossing(kind, method))?;
        pass.follow(match kind {
            CrossingKind::McpRequest => &self.said.by_client,
            _ => &self.said.by_server,
        });
        Ok(pass)
    }
}

/// Judges what an event says beside its message.
fn hear_event(pass: &mut Pass, carried: Carried<'_>) -> Result<(), Refused> {
    match carried.event {
        "" => Ok(()),
        id => pass.push(aside("event-id", id.as_bytes())).map(drop),
    }
}

fn aside<'a>(what: &'a str, text: &'a [u8]) -> Surface<'a> {
    Surface {
        kind: SurfaceKind::Message,
        name: what,
        bytes: text,
    }
}
