//! One connection between a client and a server: every message judged, each answer held to its question.

mod held;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use carboy_engine::{
    Crossing, CrossingKind, Fault, Host, HostError, Objection, Reason, Scheme, Surface,
    SurfaceKind, Target,
};
use carboy_wire::mcp::{
    Baseline, Card, Catalogue, Fingerprint, Flaw, Flawed, Frame, Id, Kind, Message, Method, Page,
    Pending, TOOLS_LIST, Tool, failed_call, is_card_path, list_tools, redacted, refused, surfaces,
};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::held::{HeldId, HeldIds, Ruled, Waiting};
use super::shelf::{Shelf, ShelfError, neighbours};
use crate::gate::{Asked, Gate, Pass, Refused};
use crate::limits::{MCP_ANSWERED_MAX, MCP_LISTING_TIMEOUT, MCP_PAGES_MAX};

/// What the gate's own requests are called; their answers go to no one else.
const OWN_ID: &str = "carboy";

/// A server, as all who talk to it know it.
pub struct Server {
    gate: Arc<Gate>,
    target: Target,
    /// Where its tools are kept; none where they are remembered for as long as the gate runs.
    shelf: Option<Shelf>,
    catalogue: Mutex<Catalogue>,
    /// Whoever asks the server for its tools, and how often it was asked.
    listing: tokio::sync::Mutex<u64>,
    /// Whether it answers where nobody listens, so that what it lists is not heard.
    is_elsewhere: AtomicBool,
}

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

/// What becomes of a frame: what goes on to the other side, and what is said to its sender.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) on: Option<Vec<u8>>,
    pub(super) back: Vec<Vec<u8>>,
}

impl Server {
    /// The server `name` behind a pipe, with what the state directory keeps of it.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn piped(
        gate: Arc<Gate>,
        state: &Path,
        name: &ServerName,
    ) -> Result<Arc<Self>, ShelfError> {
        let target = Target {
            scheme: Scheme::Mcp,
            host: name.0.clone(),
            port: 0,
        };
        Self::within(gate, Some(state), name, target)
    }

    /// The server `name` at a far end.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub fn remote(
        gate: Arc<Gate>,
        state: &Path,
        name: &ServerName,
        target: Target,
    ) -> Result<Arc<Self>, ShelfError> {
        Self::within(gate, Some(state), name, target)
    }

    /// The same, whose tools may not be kept anywhere.
    pub(super) fn within(
        gate: Arc<Gate>,
        state: Option<&Path>,
        name: &ServerName,
        target: Target,
    ) -> Result<Arc<Self>, ShelfError> {
        let name = name.0.to_string();
        let shelf = state.map(|state| Shelf::new(state, &name));
        let catalogue = match (&shelf, state) {
            (Some(shelf), Some(state)) => {
                Catalogue::new(&name, shelf.read()?, &neighbours(state, &name)?)
            }
            (Some(_) | None, _) => Catalogue::new(&name, Baseline::default(), &[]),
        };
        Ok(Arc::new(Self {
            gate,
            target,
            shelf,
            catalogue: Mutex::new(catalogue),
            listing: tokio::sync::Mutex::new(0),
            is_elsewhere: AtomicBool::new(false),
        }))
    }

    /// What is wrong with a page of tools, if anything. Tools that were not known are kept from now on,
    /// and so is what changed, for a person to look at.
    fn judge_tools(&self, tools: &[Tool]) -> Result<Option<Objection>, ShelfError> {
        let mut catalogue = self.catalogue.lock();
        if let Some(Objection::ToolChanged { .. }) = catalogue.judge(tools) {
            // A person may have accepted it since.
            if let Some(shelf) = &self.shelf {
                catalogue.refresh(shelf.read()?);
            }
        }
        let objection = catalogue.judge(tools);
        match &objection {
            None => {
                let is_known = |tool: &Tool| catalogue.baseline().tools.contains_key(&*tool.name);
                if !tools.iter().all(is_known) {
                    self.keep(&mut catalogue, |kept| {
                        kept.pin(tools);
                    })?;
                    return Ok(catalogue.judge(tools));
                }
            }
            Some(Objection::ToolChanged { .. }) => {
                self.keep(&mut catalogue, |kept| kept.note_changes(tools))?;
                catalogue.disown(tools);
            }
            Some(
                Objection::ToolLookalike { .. }
                | Objection::ToolUnlisted { .. }
                | Objection::Unsolicited,
            ) => {}
        }
        Ok(objection)
    }

    fn keep(
        &self,
        catalogue: &mut Catalogue,
        change: impl FnOnce(&mut Baseline),
    ) -> Result<(), ShelfError> {
        let kept = match &self.shelf {
            Some(shelf) => shelf.update(change)?,
            None => {
                let mut kept = catalogue.baseline().clone();
                change(&mut kept);
                kept
            }
        };
        catalogue.refresh(kept);
        Ok(())
    }

    /// Judges an agent's card, which comes as the answer of `pass`: what it says, and whether it is what
    /// it was.
    ///
    /// # Errors
    /// The refusal.
    pub(super) fn hear_card(&self, pass: &mut Pass, bytes: &[u8]) -> Result<(), Refused> {
        let card = match Card::read(bytes) {
            Ok(card) => card,
            Err(flaw) => return Err(pass.end_with(Fault::Malformed(flaw.to_string()))),
        };
        pass.speaks(match card.is_signed {
            true => "a2a-card-signed",
            false => "a2a-card",
        });
        card.surfaces(|surface| pass.push(surface).map(drop))?;
        match self.judge_tools(&card.parts) {
            Ok(None) => Ok(()),
            Ok(Some(objection)) => pass.object(&objection),
            Err(error) => Err(pass.end_with(Fault::State(error.to_string()))),
        }
    }

    fn is_elsewhere(&self) -> bool {
        self.is_elsewhere.load(Ordering::Relaxed)
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }
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

    /// Takes it that the server answers where nobody listens: whoever waits for it to list its tools
    /// waits no more, and calls are judged without.
    pub(super) fn is_answered_elsewhere(&self) {
        self.server.is_elsewhere.store(true, Ordering::Relaxed);
        self.by_client.lock().forget(|asking| asking.own.is_some());
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
                return Reply {
                    back: vec![answer(None, &refused)],
                    ..Reply::default()
                };
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
    pub(super) fn server_says(&self, bytes: &[u8], heard: Heard) -> Judged {
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
                Ok(message) => self.server_message(message, heard, &mut reply),
                Err(flawed) => {
                    let refused = self.malformed(CrossingKind::McpResponse, flawed.flaw);
                    self.server_flawed(flawed, &refused, &mut reply);
                }
            }
        }
        reply.finish()
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

/// What the client says.
impl Talk {
    fn client_message(&self, message: &Message<'_>, reply: &mut Reply) {
        let raw = message.node.raw;
        match &message.kind {
            Kind::Request { id, method } => match self.ask(message, id, method, None) {
                Ok(Passed::On(redacted)) => reply.pass(redacted.as_deref().unwrap_or(raw)),
                Ok(Passed::Held(waiting)) => reply.waiting.push(*waiting),
                Err(refused) => reply.back.push(answer_to_request(id, &refused)),
            },
            Kind::Notification { method } => {
                let passed = self.pass_on(CrossingKind::McpRequest, message, method.known, None);
                if let Ok(redacted) = passed {
                    if let Some(id) = message.cancels() {
                        self.by_client.lock().cancel(&id);
                        self.held.lock().forget(&id);
                    }
                    reply.pass(redacted.as_deref().unwrap_or(raw));
                }
            }
            Kind::Result { id } | Kind::Error { id: Some(id) } => {
                let asked = self.by_server.lock().answer(id);
                let objection = asked.is_none().then_some(Objection::Unsolicited);
                let method = asked.flatten();
                let passed = self.pass_on(CrossingKind::McpRequest, message, method, objection);
                match (passed, asked) {
                    (Ok(redacted), _) => reply.pass(redacted.as_deref().unwrap_or(raw)),
                    // The server must not wait for what will not come.
                    (Err(refused), Some(_)) => reply.pass_bytes(answer(Some(id), &refused)),
                    (Err(_), None) => {}
                }
            }
            Kind::Error { id: None } => {
                let passed = self.pass_on(CrossingKind::McpRequest, message, None, None);
                if let Ok(redacted) = passed {
                    reply.pass(redacted.as_deref().unwrap_or(raw));
                }
            }
        }
    }

    /// Judges a request and remembers it.
    fn ask(
        &self,
        message: &Message<'_>,
        id: &Id,
        method: &Method<'_>,
        own: Option<oneshot::Sender<Option<Box<str>>>>,
    ) -> Result<Passed, Refused> {
        let kind = CrossingKind::McpRequest;
        let mut pass = self.server.gate.open(self.crossing(kind, method.known))?;
        let redacted = see(&mut pass, message, None)?;
        let call = message.call();
        let free = self.by_client.lock().check(id);
        if self.held.lock().holds(id) {
            let why = "a request whose id is that of one that waits for a person";
            return Err(pass.fail(Fault::Malformed(why.to_owned())));
        }
        let objection = call
            .filter(|_| !self.server.is_elsewhere())
            .and_then(|call| self.server.catalogue.lock().judge_call(call.tool));
        if let Err(why) = free {
            return Err(pass.fail(Fault::Malformed(why.to_string())));
        }
        if let Some(objection) = objection {
            pass.object(&objection)?;
        }
        let asking = Asking {
            asked: pass.asked(),
            method: method.known,
            tool: call.map(|call| call.tool.into()),
            own,
        };
        if let Some(plea) = pass.plead()? {
            return Ok(Passed::Held(Box::new(Waiting {
                pass,
                plea,
                asking,
                message: redacted.unwrap_or_else(|| message.node.raw.to_owned()),
                place: HeldId::new(&self.held, id),
            })));
        }
        pass.close()?;
        // Nobody else asks between the check and this: a client's messages come one by one, and
        // the gate's own ids are its own.
        let _ = self.by_client.lock().ask(id.clone(), asking);
        Ok(Passed::On(redacted))
    }

    /// Sends a call on that a person let pass, as long as its tool is still what it was.
    fn settle(&self, ruled: Ruled, reply: &mut Reply) {
        let Waiting {
            mut pass,
            asking,
            message,
            place,
            ..
        } = ruled.waiting;
        let id = &place.id;
        let passed = ruled.outcome.and_then(|()| {
            let tool = asking.tool.as_deref();
            let tool = tool.filter(|_| !self.server.is_elsewhere());
            let objection = tool.and_then(|tool| self.server.catalogue.lock().judge_call(tool));
            if let Some(objection) = objection {
                pass.object(&objection)?;
            }
            pass.close()
        });
        match passed {
            Ok(()) => {
                // No other request could take its id while it waited.
                let _ = self.by_client.lock().ask(id.clone(), asking);
                reply.pass(&message);
            }
            // Who has cancelled a request wants no answer.
            Err(refused) if place.is_held() => reply.back.push(answer(Some(id), &refused)),
            Err(_) => {}
        }
    }

    fn client_flawed(&self, flawed: &Flawed, refused: &Refused, reply: &mut Reply) {
        match &flawed.answers {
            Some(id) => {
                if self.by_server.lock().answer(id).is_some() {
                    reply.pass_bytes(answer(Some(id), refused));
                }
            }
            None => reply.back.push(answer(flawed.asks.as_ref(), refused)),
        }
    }

    /// Asks the server for its tools if a message calls one that it has not listed yet.
    async fn list_for(&self, message: &Message<'_>, to_server: &mpsc::Sender<Vec<u8>>) {
        let Some(call) = message.call() else {
            return;
        };
        if self.server.is_elsewhere() || self.server.catalogue.lock().is_listed(call.tool) {
            return;
        }
        let mut count = self.server.listing.lock().await;
        let mut cursor: Option<Box<str>> = None;
        for _ in 0..MCP_PAGES_MAX {
            *count += 1;
            let id = Id::Text(format!("{OWN_ID}-{count}").into());
            match self.list_page(id, cursor.as_deref(), to_server).await {
                Some(next @ Some(_)) => cursor = next,
                Some(None) | None => return,
            }
        }
    }

    /// One page of the server's tools; tells where the next is. None where there is no answer, or it
    /// was refused.
    async fn list_page(
        &self,
        id: Id,
        cursor: Option<&str>,
        to_server: &mpsc::Sender<Vec<u8>>,
    ) -> Option<Option<Box<str>>> {
        let bytes = list_tools(&id, cursor);
        let frame = Frame::parse(&bytes).ok()?;
        let message = frame.messages.first()?.as_ref().ok()?;
        let Kind::Request { method, .. } = &message.kind else {
            return None;
        };
        let (own, answered) = oneshot::channel();
        self.ask(message, &id, method, Some(own)).ok()?;
        to_server.send(bytes.clone()).await.ok()?;
        let next = timeout(MCP_LISTING_TIMEOUT, answered).await;
        self.by_client.lock().cancel(&id);
        next.ok()?.ok()
    }
}

/// What an answer was found to be.
struct Answered {
    /// Where the next page of tools is, if it is a page.
    next: Option<Box<str>>,
    /// The answer anew, where the policy had some of it replaced.
    rewritten: Option<String>,
}

/// What the server says.
impl Talk {
    fn server_message(&self, message: &Message<'_>, heard: Heard, reply: &mut Reply) {
        let raw = message.node.raw;
        match &message.kind {
            Kind::Request { id, method } => match self.server_asks(message, id, method) {
                Ok(rewritten) => reply.pass(rewritten.as_deref().unwrap_or(raw)),
                Err(refused) => reply.back.push(answer(Some(id), &refused)),
            },
            Kind::Notification { method } => {
                let passed = self.pass_on(CrossingKind::McpResponse, message, method.known, None);
                if let Ok(rewritten) = passed {
                    if let Some(id) = message.cancels() {
                        self.by_server.lock().cancel(&id);
                    }
                    reply.pass(rewritten.as_deref().unwrap_or(raw));
                }
            }
            Kind::Result { id } | Kind::Error { id: Some(id) } => {
                self.server_answers(message, id, heard, reply);
            }
            Kind::Error { id: None } => {
                let passed = self.pass_on(CrossingKind::McpResponse, message, None, None);
                if let Ok(rewritten) = passed {
                    reply.pass(rewritten.as_deref().unwrap_or(raw));
                }
            }
        }
    }

    fn server_asks(
        &self,
        message: &Message<'_>,
        id: &Id,
        method: &Method<'_>,
    ) -> Result<Option<String>, Refused> {
        let kind = CrossingKind::McpResponse;
        let mut pass = self.server.gate.open(self.crossing(kind, method.known))?;
        let rewritten = see(&mut pass, message, None)?;
        let free = self.by_server.lock().check(id);
        if let Err(why) = free {
            return Err(pass.fail(Fault::Malformed(why.to_string())));
        }
        pass.close()?;
        // Only this side asks under these ids.
        let _ = self.by_server.lock().ask(id.clone(), method.known);
        Ok(rewritten)
    }

    fn server_answers(&self, message: &Message<'_>, id: &Id, heard: Heard, reply: &mut Reply) {
        let raw = message.node.raw;
        let print = Fingerprint::of_bytes(raw.as_bytes());
        let asking = self.by_client.lock().answer(id);
        let Some(mut asking) = asking else {
            let is_again = heard == Heard::Again && self.has_answered(id, print);
            let objection = (!is_again).then_some(Objection::Unsolicited);
            let passed = self.pass_on(CrossingKind::McpResponse, message, None, objection);
            if let Ok(rewritten) = passed {
                reply.pass(rewritten.as_deref().unwrap_or(raw));
            }
            return;
        };
        let own = asking.own.take();
        let heard = self.hear(message, &asking);
        let is_part = Method::is_answered_in_parts(asking.method) && heard.is_ok();
        match (heard, own) {
            // Whoever asked may have given up waiting.
            (Ok(heard), Some(own)) => drop(own.send(heard.next)),
            (Ok(heard), None) => {
                self.note_answered(id, print);
                reply.pass(heard.rewritten.as_deref().unwrap_or(raw));
            }
            (Err(_), Some(_)) => {}
            (Err(refused), None) => reply.pass_bytes(answer(Some(id), &refused)),
        }
        if is_part && matches!(message.kind, Kind::Result { .. }) {
            // More may come under the same id, or none: then another request may have its place.
            let mut by_client = self.by_client.lock();
            if by_client.ask(id.clone(), asking).is_ok() {
                by_client.cancel(id);
            }
        }
    }

    fn has_answered(&self, id: &Id, print: Fingerprint) -> bool {
        let answered = self.answered.lock();
        answered.iter().any(|own| own.0 == *id && own.1 == print)
    }

    fn note_answered(&self, id: &Id, print: Fingerprint) {
        let mut answered = self.answered.lock();
        if answered.len() >= MCP_ANSWERED_MAX {
            answered.pop_front();
        }
        answered.push_back((id.clone(), print));
    }

    /// Judges the answer to a request.
    fn hear(&self, message: &Message<'_>, asking: &Asking) -> Result<Answered, Refused> {
        let mut pass = self.server.gate.open_answer(&asking.asked)?;
        if let Some(tool) = &asking.tool {
            pass.push(Surface {
                kind: SurfaceKind::Tool,
                name: "",
                bytes: tool.as_bytes(),
            })?;
        }
        let rewritten = see(&mut pass, message, asking.method)?;
        let mut answered = Answered {
            next: None,
            rewritten,
        };
        let lists_tools = asking.method == Some(TOOLS_LIST);
        if !lists_tools || matches!(message.kind, Kind::Error { .. }) {
            return pass.close().map(|()| answered);
        }
        let page = match Page::read(message) {
            Ok(page) => page,
            Err(flaw) => return Err(pass.fail(Fault::Malformed(flaw.to_string()))),
        };
        match self.server.judge_tools(&page.tools) {
            Ok(None) => {}
            Ok(Some(objection)) => pass.object(&objection)?,
            Err(error) => return Err(pass.fail(Fault::State(error.to_string()))),
        }
        pass.close()?;
        self.server.catalogue.lock().adopt(&page.tools);
        answered.next = page.next;
        Ok(answered)
    }

    fn server_flawed(&self, flawed: &Flawed, refused: &Refused, reply: &mut Reply) {
        if let Some(id) = &flawed.answers {
            let asking = self.by_client.lock().answer(id);
            if asking.is_some_and(|asking| asking.own.is_none()) {
                reply.pass_bytes(answer(Some(id), refused));
            }
        }
        if let Some(id) = &flawed.asks {
            reply.back.push(answer(Some(id), refused));
        }
    }
}

impl Talk {
    /// Judges a message that nothing need be remembered of. Returns it anew where the policy had some
    /// of it replaced.
    fn pass_on(
        &self,
        kind: CrossingKind,
        message: &Message<'_>,
        method: Option<&'static str>,
        objection: Option<Objection>,
    ) -> Result<Option<String>, Refused> {
        let mut pass = self.server.gate.open(self.crossing(kind, method))?;
        let redacted = see(&mut pass, message, None)?;
        if let Some(objection) = objection {
            pass.object(&objection)?;
        }
        pass.close()?;
        Ok(redacted)
    }
}

/// The name of a server behind a pipe, in the form of a host's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerName(Host);

impl ServerName {
    /// Takes a name: lower-case letters, digits, `-`, `_` and `.`, beginning with a letter.
    ///
    /// # Errors
    /// When it is no such name.
    pub fn parse(name: &str) -> Result<Self, HostError> {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.bytes().all(is_plain) {
            return Err(HostError::Character);
        }
        match Host::parse(name)? {
            host @ Host::Name(_) => Ok(Self(host)),
            Host::Addr(_) => Err(HostError::Invalid),
        }
    }
}

impl ServerName {
    /// The name of a server that nobody named, by where it is. A path may hold a key, so it is not
    /// shown.
    pub(super) fn of_place(target: &Target, path: &str) -> Self {
        let host = target.host.to_string().replace(':', "-");
        let digest = Fingerprint::of_bytes(format!("{target}{path}").as_bytes()).to_string();
        let is_plain = matches!(path, "/" | "/mcp" | "/sse") && matches!(target.port, 80 | 443);
        let is_card = is_card_path(path);
        let name = match (is_plain, is_card) {
            (true, _) => host.clone(),
            (false, true) => format!("{host}-agent-{}", &digest[..8]),
            (false, false) => format!("{host}-{}", &digest[..8]),
        };
        let named = [name.clone(), format!("at-{name}")];
        let made = named.iter().find_map(|name| Self::parse(name).ok());
        made.unwrap_or_else(|| {
            Self::parse(&format!("server-{}", &digest[..32])).expect("a plain name")
        })
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Judges all that a message holds. Returns it anew where the policy had some of it replaced.
fn see(
    pass: &mut Pass,
    message: &Message<'_>,
    method: Option<&str>,
) -> Result<Option<String>, Refused> {
    // What tools are is never changed: it is what a person accepted, or refused.
    let lists_tools = method == Some(TOOLS_LIST) && matches!(message.kind, Kind::Result { .. });
    if !pass.redacts() || lists_tools {
        surfaces(message, method, |surface| pass.push(surface).map(drop))?;
        return Ok(None);
    }
    if let Some(call) = message.call() {
        // Exemptions may name it.
        pass.push(Surface {
            kind: SurfaceKind::Tool,
            name: "",
            bytes: call.tool.as_bytes(),
        })?;
    }
    let redacted = redacted(message, |surface| pass.redact(surface));
    let again = redacted
        .as_deref()
        .map(|text| Frame::parse(text.as_bytes()));
    let message = match &again {
        None => message,
        Some(frame) => match frame.as_ref().map(|frame| &frame.messages[..]) {
            Ok([Ok(message)]) => message,
            Ok(_) | Err(_) => {
                let fault = "a message that cannot be rewritten";
                return Err(pass.end_with(Fault::Unsupported(fault.into())));
            }
        },
    };
    surfaces(message, method, |surface| match surface.kind {
        SurfaceKind::Tool => Ok(()),
        _ => pass.push(surface).map(drop),
    })?;
    Ok(redacted)
}

/// Servers answer a call of a tool that they do not have with a result, and so does the gate.
fn answer_to_request(id: &Id, refused: &Refused) -> Vec<u8> {
    match refused.refusal.reason == Reason::ToolUnlisted {
        true => failed_call(id, &refused.refusal, &refused.id.to_string()),
        false => answer(Some(id), refused),
    }
}

fn answer(id: Option<&Id>, refused: &Refused) -> Vec<u8> {
    self::refused(id, &refused.refusal, &refused.id.to_string())
}

/// What became of a request.
enum Passed {
    /// It may go on, anew where the policy had some of it replaced.
    On(Option<String>),
    /// A person must let it pass first.
    Held(Box<Waiting>),
}

/// Gathers what becomes of a frame's messages.
#[derive(Default)]
struct Reply {
    is_batch: bool,
    on: Vec<Vec<u8>>,
    back: Vec<Vec<u8>>,
    waiting: Vec<Waiting>,
}

impl Reply {
    fn new(frame: &Frame<'_>) -> Self {
        Self {
            is_batch: frame.is_batch,
            on: Vec::new(),
            back: Vec::new(),
            waiting: Vec::new(),
        }
    }

    fn pass(&mut self, raw: &str) {
        self.pass_bytes(raw.as_bytes().to_vec());
    }

    fn pass_bytes(&mut self, bytes: Vec<u8>) {
        self.on.push(bytes);
    }

    fn finish(mut self) -> Judged {
        let on = match (self.is_batch, self.on.len()) {
            (_, 0) => None,
            (true, _) => Some([b"[", &*self.on.join(&b","[..]), b"]"].concat()),
            (false, _) => self.on.pop(),
        };
        Judged {
            on,
            back: self.back,
        }
    }
}
