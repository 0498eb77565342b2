//! One way of a WebSocket: each message is held until it is judged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use carboy_engine::{Conversation, CrossingKind, Fault, Surface, SurfaceKind};
use carboy_wire::websocket::{
    Code, Control, Deflate, Event, Frame, Inflater, Kind, Opcode, Reader, Sender, TextCheck,
    Violation, deflate, refusal_reason,
};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};
use tokio::time::timeout;

use super::outlet::Outlet;
use super::relay::{End, Io};
use crate::gate::{Asked, Gate, Pass, Refused};
use crate::limits::{
    BODY_IDLE_TIMEOUT, READ_BYTES_MAX, WS_HOLD_BYTES_MAX, WS_IDLE_TIMEOUT, WS_MESSAGE_BYTES_MAX,
    WS_PINGS_MAX,
};

/// What both ways of a connection have in common.
pub(super) struct Line {
    pub(super) gate: Arc<Gate>,
    pub(super) asked: Asked,
    pub(super) path: Box<str>,
    pub(super) deflate: Option<Deflate>,
    /// How often something was read, either way.
    pub(super) reads: AtomicU64,
}

/// The payloads of pings that were passed on, whose pongs say nothing new.
#[derive(Default)]
pub(super) struct Pings(Mutex<VecDeque<Bytes>>);

/// One way of a connection.
pub(super) struct Way<'a> {
    line: &'a Line,
    sender: Sender,
    asked: Asked,
    conversation: Arc<Conversation>,
    reader: Reader,
    inflater: Inflater,
    message: Option<Message>,
    /// Nothing goes as it was compressed any more: what was replaced in a message is not what its receiver
    /// would have to know to decompress the next (RFC 7692, section 7.2.3.2). Each is compressed anew.
    is_anew: bool,
    input: BytesMut,
    /// How much is read at once: little where little comes.
    room: usize,
    pub(super) outlet: Outlet,
    /// The pings that went this way, and those that went the other.
    pings: [&'a Pings; 2],
}

/// A message on its way.
struct Message {
    pass: Box<Pass>,
    kind: Kind,
    /// Whether it came compressed, and whether it goes so.
    came_compressed: bool,
    is_compressed: bool,
    text: TextCheck,
    /// What came and was not sent on, as it goes.
    held: BytesMut,
    /// All of it so far, where the policy wants content replaced: it is judged when it is whole.
    draft: Option<BytesMut>,
    /// Bytes taken in, as they go and as they are judged.
    taken: u64,
    judged: u64,
    /// Bytes judged that may go.
    released: u64,
    /// Bytes sent on, as they go.
    sent: u64,
    /// Of a compressed message: what was taken in, and what it came to.
    marks: VecDeque<(u64, u64)>,
}

/// Why a message stops.
enum Stop {
    Refused(Refused),
    Violation(Violation),
    TooBig,
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

enum Flow {
    On,
    Closed,
}

impl<'a> Way<'a> {
    pub(super) fn new(
        line: &'a Line,
        kind: CrossingKind,
        to: WriteHalf<Io>,
        pings: [&'a Pings; 2],
    ) -> Self {
        let deflate = line.deflate.unwrap_or_default();
        let (sender, forgets) = match kind {
            CrossingKind::WsReply => (Sender::Server, deflate.server_no_context_takeover),
            _ => (Sender::Client, deflate.client_no_context_takeover),
        };
        Self {
            line,
            sender,
            asked: line.asked.message(kind),
            conversation: Arc::default(),
            reader: Reader::new(sender, line.deflate.is_some()),
            inflater: Inflater::new(forgets),
            message: None,
            is_anew: false,
            input: BytesMut::new(),
            room: ROOM_BYTES_MIN,
            outlet: Outlet::new(to, sender),
            pings,
        }
    }

    /// Carries messages to the way's end. It can be dropped anywhere without a frame being cut.
    pub(super) async fn carry(&mut self, from: &mut ReadHalf<Io>) -> End {
        loop {
            match self.step(from).await {
                Ok(Flow::On) => {}
                Ok(Flow::Closed) => return End::Closed,
                Err(end) => return end,
            }
        }
    }

    /// Passes on what has come, and waits for more.
    async fn step(&mut self, from: &mut ReadHalf<Io>) -> Result<Flow, End> {
        loop {
            let event = match self.reader.next(&mut self.input) {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(violation) => return Err(self.stop(violation.into())),
            };
            if let Flow::Closed = self.take(event)? {
                self.flush().await?;
                return Ok(Flow::Closed);
            }
            if self.outlet.is_full() {
                self.flush().await?;
            }
        }
        self.flush().await?;
        self.read(from).await?;
        Ok(Flow::On)
    }

    async fn flush(&mut self) -> Result<(), End> {
        self.outlet
            .flush()
            .await
            .map_err(|_| End::Gone(self.receiver()))
    }

    async fn read(&mut self, from: &mut ReadHalf<Io>) -> Result<(), End> {
        if self.input.is_empty() && self.input.capacity() > ROOM_BYTES_KEPT {
            self.input = BytesMut::new();
        }
        let is_within = self.message.is_some() || !self.input.is_empty();
        let patience = match is_within {
            true => BODY_IDLE_TIMEOUT,
            false => WS_IDLE_TIMEOUT,
        };
        self.input.reserve(self.room);
        let count = match timeout(patience, from.read_buf(&mut self.input)).await {
            Ok(Ok(count @ 1..)) => count,
            Ok(Ok(0) | Err(_)) => return Err(self.gone()),
            Err(_) => {
                self.give_up();
                let why = "nothing came for too long".into();
                return Err(End::Cut(Code::GOING_AWAY, why));
            }
        };
        self.line.reads.fetch_add(1, Ordering::Relaxed);
        self.room = match count >= self.room {
            true => (self.room * 4).min(READ_BYTES_MAX),
            false if self.input.len() < ROOM_BYTES_MIN => ROOM_BYTES_MIN,
            false => self.room,
        };
        Ok(())
    }

    fn take(&mut self, event: Event) -> Result<Flow, End> {
        let taken = match event {
            Event::Start {
                kind,
                is_compressed,
            } => self.begin(kind, is_compressed),
            Event::Data(bytes) => self.add(&bytes),
            Event::End => return self.end().map(|()| Flow::On),
            Event::Control(control) => return self.control(control),
        };
        match taken {
            Ok(()) => Ok(Flow::On),
            Err(stop) => Err(self.stop(stop)),
        }
    }

    fn begin(&mut self, kind: Kind, is_compressed: bool) -> Result<(), Stop> {
        let pass = self.open()?;
        let is_rewritten = kind == Kind::Text && pass.redacts();
        self.message = Some(Message {
            pass,
            kind,
            came_compressed: is_compressed,
            is_compressed: is_compressed && !self.is_anew,
            text: TextCheck::default(),
            held: BytesMut::new(),
            draft: is_rewritten.then(BytesMut::new),
            taken: 0,
            judged: 0,
            released: 0,
            sent: 0,
            marks: VecDeque::new(),
        });
        Ok(())
    }

    /// Opens the crossing of what one frame or message says.
    fn open(&self) -> Result<Box<Pass>, Refused> {
        let mut pass = self.line.gate.open_answer(&self.asked)?;
        pass.push(Surface {
            kind: SurfaceKind::Path,
            name: "",
            bytes: self.line.path.as_bytes(),
        })?;
        pass.follow(&self.conversation);
        Ok(pass)
    }

    fn add(&mut self, bytes: &Bytes) -> Result<(), Stop> {
        let message = self.message.as_mut().expect("data comes within a message");
        match message.came_compressed {
            true => self
                .inflater
                .push(bytes, &mut |chunk| message.take_inflated(chunk))?,
            false => message.judge(bytes)?,
        }
        if message.is_compressed == message.came_compressed {
            message.hold(bytes);
        }
        if message.held.len() <= WS_HOLD_BYTES_MAX {
            return Ok(());
        }
        let ready = message.ready();
        if ready > 0 {
            let sent = message.send(&mut self.outlet, ready, false);
            return sent.map_err(|_| Stop::TooBig);
        }
        match message.held.len() > 2 * WS_HOLD_BYTES_MAX {
            true => Err(Stop::TooBig),
            false => Ok(()),
        }
    }

    /// The message is whole: its receipt is written, then it goes on.
    fn end(&mut self) -> Result<(), End> {
        let message = self.message.as_mut().expect("an end is that of a message");
        let ended = message.finish(&mut self.inflater);
        if let Err(stop) = ended {
            return Err(self.stop(stop));
        }
        let mut message = self.message.take().expect("it is there");
        self.is_anew |= message.came_compressed && !message.is_compressed;
        let deflate = self.line.deflate.unwrap_or_default();
        message.compress(deflate.window_bits(self.sender));
        let rest = message.held.len();
        let sent = message.send(&mut self.outlet, rest, true);
        sent.map_err(|_| End::Gone(self.receiver()))
    }

    fn control(&mut self, control: Control) -> Result<Flow, End> {
        let [went, awaited] = self.pings;
        let (opcode, payload, said) = match &control {
            Control::Ping(payload) => (Opcode::Ping, payload, &payload[..]),
            Control::Pong(payload) if awaited.take(payload) => (Opcode::Pong, payload, &[][..]),
            Control::Pong(payload) => (Opcode::Pong, payload, &payload[..]),
            Control::Close(close) => (Opcode::Close, close.payload(), close.reason()),
        };
        if let Err(refused) = self.judge_small(said) {
            return Err(self.stop(refused.into()));
        }
        if let Control::Ping(payload) = &control {
            went.note(payload);
        }
        let added = self.outlet.add_control(opcode, payload);
        added.map_err(|_| End::Gone(self.receiver()))?;
        match control {
            Control::Ping(_) | Control::Pong(_) => Ok(Flow::On),
            Control::Close(_) => {
                self.give_up();
                Ok(Flow::Closed)
            }
        }
    }

    /// What a control frame says is a crossing too, if it says anything.
    fn judge_small(&self, said: &[u8]) -> Result<(), Refused> {
        if said.is_empty() {
            return Ok(());
        }
        let mut pass = self.open()?;
        pass.push(surface(said))?;
        pass.close()
    }

    /// Ends the way for a reason of its own, with the receipt of the message at hand.
    fn stop(&mut self, stop: Stop) -> End {
        match stop {
            Stop::Refused(refused) => {
                let reason = refusal_reason(&refused.refusal, &refused.id.to_string());
                End::Cut(Code::POLICY, reason)
            }
            Stop::Violation(violation) => {
                self.fail(violation.into());
                End::Cut(violation.code(), violation.to_string())
            }
            Stop::TooBig => {
                let most = WS_MESSAGE_BYTES_MAX >> 20;
                let what = format!("a WebSocket message of more than {most} MiB");
                self.fail(Fault::Unsupported(what.clone()));
                End::Cut(Code::TOO_BIG, what)
            }
        }
    }

    /// The sender went away.
    fn gone(&mut self) -> End {
        self.give_up();
        End::Gone(self.sender)
    }

    /// Ends a message whose rest does not come.
    fn give_up(&mut self) {
        if let Some(message) = self.message.take() {
            message.pass.fail(match self.sender {
                Sender::Client => Fault::Dropped,
                Sender::Server => Fault::Upstream("it broke off within a message".into()),
            });
        }
    }

    fn fail(&mut self, fault: Fault) {
        match self.message.take() {
            Some(message) => message.pass.fail(fault),
            None => self.line.gate.refuse_answer(&self.asked, fault),
        };
    }

    fn receiver(&self) -> Sender {
        match self.sender {
            Sender::Client => Sender::Server,
            Sender::Server => Sender::Client,
        }
    }
}

impl Message {
    /// Judges the next of its bytes, decompressed, or keeps them until it is whole.
    fn judge(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.judged += bytes.len() as u64;
        if self.judged > WS_MESSAGE_BYTES_MAX {
            return Err(Stop::TooBig);
        }
        if self.kind == Kind::Text {
            self.text.push(bytes)?;
        }
        let Some(draft) = &mut self.draft else {
            self.released += self.pass.push(surface(bytes))? as u64;
            return Ok(());
        };
        draft.extend_from_slice(bytes);
        if draft.len() > WS_HOLD_BYTES_MAX {
            // Too long to hold: what would have been replaced in it is refused.
            let draft = self.draft.take().expect("it is there");
            self.released += self.pass.push(surface(&draft))? as u64;
        }
        Ok(())
    }

    /// The same of what came compressed, which is held here if it does not go so.
    fn take_inflated(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.judge(bytes)?;
        if !self.is_compressed {
            self.hold(bytes);
        }
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        self.taken += bytes.len() as u64;
        let last = self.marks.back().map_or(0, |(taken, _)| *taken);
        if self.is_compressed && self.taken - last >= MARK_BYTES {
            self.marks.push_back((self.taken, self.judged));
        }
    }

    fn finish(&mut self, inflater: &mut Inflater) -> Result<(), Stop> {
        if self.came_compressed {
            inflater.end(&mut |chunk| self.take_inflated(chunk))?;
        }
        if self.kind == Kind::Text {
            self.text.end()?;
        }
        if let Some(draft) = self.draft.take() {
            let rewritten = self.pass.redact(surface(&draft));
            self.pass
                .push(surface(rewritten.as_deref().unwrap_or(&draft)))?;
            if let Some(rewritten) = rewritten {
                self.held = BytesMut::from(&rewritten[..]);
                self.is_compressed = false;
            }
        }
        Ok(self.pass.close()?)
    }

    /// Compresses a message that came so and does not go as it came. One that has begun to go plain goes
    /// on so.
    fn compress(&mut self, window_bits: u8) {
        let is_open = self.came_compressed && !self.is_compressed && self.sent == 0;
        if let Some(packed) = is_open.then(|| deflate(&self.held, window_bits)).flatten() {
            self.held = BytesMut::from(&packed[..]);
            self.is_compressed = true;
        }
    }

    /// How many of the held bytes may go.
    fn ready(&mut self) -> usize {
        if !self.is_compressed {
            return (self.released - self.sent) as usize;
        }
        let mut until = self.sent;
        while let Some((taken, _)) = self.marks.front().filter(|mark| mark.1 <= self.released) {
            until = *taken;
            self.marks.pop_front();
        }
        (until - self.sent) as usize
    }

    /// Sends held bytes on, as the message's next fragment or its last.
    fn send(&mut self, outlet: &mut Outlet, bytes: usize, is_final: bool) -> std::io::Result<()> {
        let is_first = self.sent == 0;
        let frame = Frame {
            is_final,
            is_compressed: self.is_compressed && is_first,
            opcode: match is_first {
                true => Opcode::Message(self.kind),
                false => Opcode::Continuation,
            },
            mask: None,
            length: 0,
        };
        let payload = self.held.split_to(bytes);
        self.sent += bytes as u64;
        outlet.add(frame, &payload)
    }
}

impl Pings {
    fn note(&self, payload: &Bytes) {
        if payload.is_empty() {
            return;
        }
        let mut known = self.0.lock();
        if known.len() >= WS_PINGS_MAX {
            known.pop_front();
        }
        // A copy: what it is cut from may be far larger.
        known.push_back(Bytes::copy_from_slice(payload));
    }

    /// Whether a pong answers one of them. Those before it need no answer then (RFC 6455, section
    /// 5.5.3).
    fn take(&self, payload: &Bytes) -> bool {
        let mut known = self.0.lock();
        let place = known.iter().position(|own| own == payload);
        if let Some(place) = place {
            known.drain(..=place);
        }
        place.is_some()
    }
}

fn surface(bytes: &[u8]) -> Surface<'_> {
    Surface {
        kind: SurfaceKind::WsMessage,
        name: "",
        bytes,
    }
}

/// What an idle connection has room to read.
const ROOM_BYTES_MIN: usize = 1024;

/// A buffer that is kept for the next frame.
const ROOM_BYTES_KEPT: usize = 4096;

/// Compressed bytes between two places of which it is known what they came to.
const MARK_BYTES: u64 = 16 * 1024;
