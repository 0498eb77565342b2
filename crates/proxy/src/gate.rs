//! The one place where engine, session, resolver, metrics and receipts meet.

mod ask;
mod clock;
mod id;

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use carboy_engine::{
    Answer, Conversation, Crossing, CrossingKind, Decision, Direction, Engine, EventForm, Fault,
    Host, Inspection, Objection, Permit, Question, Reason, Refusal, Retry, Session, Step, Surface,
    SurfaceKind, Target, Time, TlsAction, Verdict,
};

use carboy_receipt::{HostCut, Withhold};
use tokio::sync::watch;

use crate::approvals::Approvals;
use crate::evidence::{Evidence, EvidenceError};
use crate::interceptor::Interceptor;
use crate::limits::{SETTLE_PAUSE, SETTLE_TIMEOUT};
use crate::mcp::Within;
use crate::names::Names;
use crate::record;
use crate::resolve::Resolver;
use crate::upstream::Upstream;
pub use ask::Asking;
use clock::{Clock, micros};
pub use id::CrossingId;
use id::Run;

/// What a gate is made of.
pub struct GateConfig {
    /// What judges.
    pub engine: Arc<Engine>,
    /// The agent whose crossings these are, as receipts name it; empty for none.
    pub agent: Box<str>,
    /// The bottle instance, where the gate serves one.
    pub bottle: Option<Box<str>>,
    /// Where receipts go.
    pub evidence: Evidence,
    /// Who answers the engine's questions about names.
    pub resolver: Resolver,
    /// Who dials, with a permit.
    pub upstream: Upstream,
    /// Who terminates the bottle's TLS.
    pub interceptor: Interceptor,
    /// Who is told of each refusal.
    pub observer: Arc<dyn Observer>,
    /// Where calls wait that a person must let pass.
    pub approvals: Approvals,
    /// The names behind the addresses that the bottle's resolver hands out.
    pub names: Arc<Names>,
    /// The version that `/health` tells; none where a gate has no such page, as in a bottle.
    pub health: Option<&'static str>,
}

/// One bottle's gate. Content passes the wall here and nowhere else.
pub struct Gate {
    engine: ArcSwap<Engine>,
    session: Session,
    agent: Box<str>,
    bottle: Option<Box<str>>,
    evidence: Evidence,
    resolver: Resolver,
    upstream: Upstream,
    interceptor: Interceptor,
    observer: Arc<dyn Observer>,
    approvals: Approvals,
    names: Arc<Names>,
    health: Option<&'static str>,
    /// The servers that are spoken to within plain HTTP.
    within: Within,
    /// The gate's own listeners, which no crossing may be connected to.
    own: OnceLock<Vec<SocketAddr>>,
    stop: watch::Sender<bool>,
    clock: Clock,
    run: Run,
    opened: AtomicU64,
    recorded: AtomicU64,
    refused: AtomicU64,
}

/// Told of every refusal as it happens, after its receipt.
pub trait Observer: Send + Sync {
    /// One crossing was refused, or in audit mode would have been. It must not block.
    fn refused(&self, notice: &Notice<'_>);

    /// One call waits for a person. It must not block.
    fn asked(&self, asking: &Asking<'_>);
}

/// A refusal, ready to show.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// The crossing's id.
    pub id: CrossingId,
    /// What wanted to cross.
    pub kind: CrossingKind,
    /// Where to, or for a response where from.
    pub target: &'a Target,
    /// The method of HTTP or JSON-RPC, where there is one.
    pub method: Option<&'a str>,
    /// Why not, and how to allow it.
    pub refusal: &'a Refusal,
    /// Whether audit mode let it pass all the same.
    pub shadow: bool,
}

/// A refused crossing. Its receipt is written.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The crossing's id.
    pub id: CrossingId,
    /// Why, and how to allow it.
    pub refusal: Box<Refusal>,
}

/// What has happened at a gate so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Crossings opened.
    pub crossings: u64,
    /// Crossings refused.
    pub refusals: u64,
}

/// One open crossing. It closes with exactly one receipt, whatever exit it takes; dropped
/// half-way, it is recorded as blocked.
pub struct Pass {
    gate: Arc<Gate>,
    id: CrossingId,
    kind: CrossingKind,
    target: Target,
    method: Option<Cow<'static, str>>,
    opened: Time,
    /// The time as far as the crossing knows it; see [`Pass::push`].
    now: Time,
    bytes: u64,
    path: Option<Box<str>>,
    upstream: Option<SocketAddr>,
    protocol: Option<&'static str>,
    answers: Option<Asked>,
    withheld: Arc<OnceLock<Withhold>>,
    state: State,
}

/// A request that crossed, as its response's crossing must know it.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    id: CrossingId,
    /// The response's kind.
    kind: CrossingKind,
    target: Target,
    method: Option<Cow<'static, str>>,
    /// What the request's receipt leaves out; empty until where it goes has been judged.
    withheld: Arc<OnceLock<Withhold>>,
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly all passes are open, and a pass is boxed as it is"
)]
enum State {
    Open(Inspection),
    Closed,
    Refused(Refused),
}

impl Gate {
    /// Sets a gate up. It opens nothing until a listener feeds it.
    ///
    /// # Errors
    /// When the system has no randomness to name the run with.
    pub fn new(config: GateConfig) -> Result<Arc<Self>, getrandom::Error> {
        Ok(Arc::new(Self {
            engine: ArcSwap::new(config.engine),
            session: Session::default(),
            agent: config.agent,
            bottle: config.bottle,
            evidence: config.evidence,
            resolver: config.resolver,
            upstream: config.upstream,
            interceptor: config.interceptor,
            observer: config.observer,
            approvals: config.approvals,
            names: config.names,
            health: config.health,
            within: Within::default(),
            own: OnceLock::new(),
            stop: watch::Sender::new(false),
            clock: Clock::start(),
            run: Run::draw()?,
            opened: AtomicU64::new(0),
            recorded: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// Opens a crossing: its target, host lists and budgets are judged at once. The pass is boxed,
    /// since it is large and goes from hand to hand.
    ///
    /// # Errors
    /// The refusal, whose receipt is written.
    pub fn open(self: &Arc<Self>, crossing: Crossing<'_>) -> Result<Box<Pass>, Refused> {
        let (mut pass, step) = self.admit(crossing);
        pass.take_step(step)?;
        Ok(pass)
    }

    /// Counts bytes of a tunnel, which nothing reads, against the budgets.
    ///
    /// # Errors
    /// The refusal of a tunnel that is to be cut, whose receipt is written; the tunnel's own was when
    /// it opened. In audit mode there is the receipt alone, and false: a budget is spent, and further
    /// counting would only repeat it.
    pub(crate) fn count(
        self: &Arc<Self>,
        target: &Target,
        direction: Direction,
        bytes: u64,
    ) -> Result<bool, Refused> {
        let (engine, now) = (self.engine.load_full(), self.clock.now());
        if engine.has_room(target, direction, bytes, &self.session, now) {
            return Ok(true);
        }
        let (mut pass, step) = self.admit(Crossing {
            kind: CrossingKind::Tunnel,
            target,
            method: None,
        });
        pass.take_step(step)?;
        let (gate, inspection) = pass.inspection()?;
        let step = inspection.count(direction, bytes, &gate.session, now);
        pass.take_step(step)?;
        pass.close()?;
        Ok(false)
    }

    /// Refuses a crossing for a fault that the shell met before it could be judged, such as a
    /// malformed head. It is opened and closed with its receipt.
    pub fn refuse(self: &Arc<Self>, crossing: Crossing<'_>, fault: Fault) -> Refused {
        self.admit(crossing).0.fail(fault)
    }

    /// What the policy says of a TLS connection to a host.
    pub fn tls(&self, host: &Host, port: u16) -> TlsAction {
        self.engine.load().policy().tls(host, port)
    }

    /// Whether the policy lists a host and port for raw TCP.
    pub fn allows_tcp(&self, host: &Host, port: u16) -> bool {
        self.engine.load().policy().allows_tcp(host, port)
    }

    /// Swaps what judges. Crossings that are open keep what they were opened with.
    pub fn reload(&self, engine: Arc<Engine>) {
        self.engine.store(engine);
    }

    /// What judges the next crossing.
    pub fn engine(&self) -> Arc<Engine> {
        self.engine.load_full()
    }

    /// The module that dials.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Who terminates the bottle's TLS.
    pub fn interceptor(&self) -> &Interceptor {
        &self.interceptor
    }

    /// The counts so far.
    pub fn totals(&self) -> Totals {
        Totals {
            crossings: self.opened.load(Ordering::Relaxed),
            refusals: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Where receipts go.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The names behind synthetic addresses.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// Says in which state directory the definitions of remote servers' tools are kept. Without one
    /// they are remembered for as long as the gate runs. Only the first call counts.
    pub fn keeps_tools_in(&self, state: &Path) {
        self.within.keep_in(state);
    }

    pub(crate) fn within(&self) -> &Within {
        &self.within
    }

    /// Tells everything that serves to end after the crossing at hand.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        self.within.end();
    }

    /// Ends when [`Gate::stop`] is called.
    pub async fn stopping(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives in the gate, which outlives this call.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Ends when every crossing that was opened has its receipt, or after [`SETTLE_TIMEOUT`].
    pub(crate) async fn settled(&self) {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        let is_settled =
            || self.recorded.load(Ordering::Acquire) == self.opened.load(Ordering::Acquire);
        while !is_settled() && Instant::now() < deadline {
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }

    /// Names the gate's own listeners. Only the first call counts.
    pub(crate) fn listens_on(&self, addresses: Vec<SocketAddr>) {
        let _ = self.own.set(addresses);
    }

    /// Whether a permit leads back to the gate, by itself or by a proxy's address.
    pub(crate) fn is_own(&self, permit: &Permit) -> bool {
        let own = self.own.get().map(Vec::as_slice).unwrap_or_default();
        let proxy = permit.proxy().and_then(|proxy| match proxy.host() {
            Host::Addr(address) => Some(SocketAddr::new(*address, proxy.port())),
            Host::Name(_) => None,
        });
        let leads_to = |listener: &SocketAddr| {
            permit.addresses().iter().chain(&proxy).any(|address| {
                let anywhere = listener.ip().is_unspecified() && address.ip().is_loopback();
                address.port() == listener.port() && (anywhere || address.ip() == listener.ip())
            })
        };
        own.iter().any(leads_to)
    }

    pub(crate) fn health_version(&self) -> Option<&'static str> {
        self.health
    }

    /// Opens the crossing of a response.
    pub(crate) fn open_answer(self: &Arc<Self>, asked: &Asked) -> Result<Box<Pass>, Refused> {
        let (mut pass, step) = self.admit(asked.crossing());
        pass.answers = Some(asked.clone());
        pass.take_step(step)?;
        Ok(pass)
    }

    /// Refuses the crossing of a response that never came.
    pub(crate) fn refuse_answer(self: &Arc<Self>, asked: &Asked, fault: Fault) -> Refused {
        let mut pass = self.admit(asked.crossing()).0;
        pass.answers = Some(asked.clone());
        pass.fail(fault)
    }

    fn admit(self: &Arc<Self>, crossing: Crossing<'_>) -> (Box<Pass>, Step) {
        let opened = self.clock.now();
        let sequence = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let engine = self.engine.load_full();
        let (inspection, step) = engine.open(crossing, &self.session, opened);
        let pass = Box::new(Pass {
            gate: Arc::clone(self),
            id: self.run.crossing(sequence),
            kind: crossing.kind,
            target: crossing.target.clone(),
            method: crossing.method.map(method_name),
            opened,
            now: opened,
            bytes: 0,
            path: None,
            upstream: None,
            protocol: None,
            answers: None,
            withheld: Arc::default(),
            state: State::Open(inspection),
        });
        (pass, step)
    }
}

impl Pass {
    /// The crossing's id.
    pub fn id(&self) -> CrossingId {
        self.id
    }

    /// The far end that was judged.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether the body that follows is a stream of events, as its head says.
    pub(crate) fn events(&self) -> Option<EventForm> {
        match &self.state {
            State::Open(inspection) => inspection.events(),
            State::Closed | State::Refused(_) => None,
        }
    }

    /// Says what went before on the same connection, the same way: this crossing is judged as its
    /// sequel too.
    pub fn follow(&mut self, conversation: &Arc<Conversation>) {
        if let State::Open(inspection) = &mut self.state {
            inspection.follow(conversation);
        }
    }

    /// Judges the next piece of content. Returns how many held bytes of a stream may go on, oldest
    /// first; zero for surfaces that are not streams.
    ///
    /// A head's surfaces come all at once, so only a stream's tell the time anew.
    ///
    /// # Errors
    /// The refusal; nothing held may leave.
    pub fn push(&mut self, next: Surface<'_>) -> Result<usize, Refused> {
        match next.kind {
            SurfaceKind::Body | SurfaceKind::Stream | SurfaceKind::WsMessage => {
                self.bytes += next.bytes.len() as u64;
                self.now = self.gate.clock.now();
            }
            SurfaceKind::Path => self.path = Some(String::from_utf8_lossy(next.bytes).into()),
            SurfaceKind::Tool => self.path = Some(self.path_of_tool(next.bytes)),
            // What defines something in an answer of HTTP is in its body, too, and is counted there.
            SurfaceKind::Definition if self.kind == CrossingKind::HttpResponse => {}
            SurfaceKind::Argument | SurfaceKind::Message | SurfaceKind::Definition => {
                self.bytes += next.bytes.len() as u64;
            }
            SurfaceKind::Host
            | SurfaceKind::Url
            | SurfaceKind::Query
            | SurfaceKind::Header
            | SurfaceKind::Trailer
            | SurfaceKind::Call => {}
        }
        let now = self.now;
        let (gate, inspection) = self.inspection()?;
        let step = inspection.push(next, &gate.session, now);
        self.take_step(step)
    }

    /// Counts content of an HTTP body against the budgets that crossings of its own were judged by.
    ///
    /// # Errors
    /// The refusal: a budget is spent.
    pub(crate) fn count(&mut self, bytes: usize) -> Result<(), Refused> {
        self.bytes += bytes as u64;
        let direction = self.kind.direction();
        let (gate, inspection) = self.inspection()?;
        let now = gate.clock.now();
        let step = inspection.count(direction, bytes as u64, &gate.session, now);
        self.take_step(step).map(drop)
    }

    /// Says what the protocol's own state tells against the crossing.
    ///
    /// # Errors
    /// The refusal, unless the policy only audits.
    pub fn object(&mut self, objection: &Objection) -> Result<(), Refused> {
        let (_, inspection) = self.inspection()?;
        let step = inspection.object(objection);
        self.take_step(step).map(|_| ())
    }

    /// Whether the policy wants content replaced: then it goes through [`Pass::redact`] before it is
    /// pushed.
    pub fn redacts(&self) -> bool {
        match &self.state {
            State::Open(inspection) => inspection.redacts(),
            State::Closed | State::Refused(_) => false,
        }
    }

    /// Whether the policy wants placeholders that come back replaced by what they stand for: then
    /// content goes through [`Pass::restore`] once it was pushed.
    pub fn restores(&self) -> bool {
        match &self.state {
            State::Open(inspection) => inspection.restores(),
            State::Closed | State::Refused(_) => false,
        }
    }

    /// A body's content as the client is to have it; `None` to leave it.
    pub fn restore(&mut self, next: Surface<'_>) -> Option<Vec<u8>> {
        let (gate, inspection) = self.inspection().ok()?;
        inspection.restore(next, &gate.session)
    }

    /// A surface's content with what the policy wants redacted replaced; `None` to leave it.
    pub fn redact(&mut self, next: Surface<'_>) -> Option<Vec<u8>> {
        let now = self.now;
        let (gate, inspection) = self.inspection().ok()?;
        inspection.redact(next, &gate.session, now)
    }

    /// Says that no more of a body is at hand just now. Returns how many held bytes may go on.
    ///
    /// # Errors
    /// The refusal; nothing held may leave.
    pub fn lull(&mut self) -> Result<usize, Refused> {
        let (gate, inspection) = self.inspection()?;
        let step = inspection.lull(gate.clock.now());
        self.take_step(step)
    }

    /// Says that the sender of a raw stream waits for an answer. Returns how many held bytes may
    /// go on.
    ///
    /// # Errors
    /// The refusal; nothing held may leave.
    pub fn pause(&mut self) -> Result<usize, Refused> {
        let (gate, inspection) = self.inspection()?;
        let step = inspection.pause(&gate.session, gate.clock.now());
        self.take_step(step)
    }

    /// Asks for leave to connect, once everything that decides where the crossing goes has been
    /// pushed. The name is resolved only if the engine asks for it.
    ///
    /// # Errors
    /// The refusal: by the policy, by an address, or because the name did not resolve.
    pub async fn connect(&mut self) -> Result<Permit, Refused> {
        let (gate, inspection) = self.inspection()?;
        let mut step = inspection.connect(&gate.session, gate.clock.now());
        loop {
            match step {
                Step::Connect(permit) => {
                    self.note_withheld();
                    return Ok(permit);
                }
                Step::Ask(Question::Resolve(host)) => {
                    let found = self.gate.resolver.resolve(&host).await;
                    let (gate, inspection) = self.inspection()?;
                    let answer = match found {
                        Ok(addresses) => Answer::Addresses(addresses),
                        Err(_) if inspection.may_resolve_elsewhere() => Answer::Elsewhere,
                        Err(fault) => return Err(self.end_with(fault)),
                    };
                    step = inspection.answer(answer, &gate.session, gate.clock.now());
                }
                Step::Stop => return Err(self.end()),
                Step::Release(_) | Step::Hold | Step::Ask(Question::Leave(_)) => {
                    let fault = Fault::Unsupported("a crossing that has no far end".into());
                    return Err(self.end_with(fault));
                }
            }
        }
    }

    /// Ends the crossing. The receipt is written before this returns, so that the last held bytes
    /// may go on after it.
    ///
    /// # Errors
    /// The refusal. A required receipt that could not be written is one.
    pub fn close(&mut self) -> Result<(), Refused> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(inspection) => {
                self.now = self.gate.clock.now();
                let verdict = inspection.finish(&self.gate.session, self.now);
                self.record(&verdict)
            }
            State::Closed => Ok(()),
            State::Refused(refused) => {
                self.state = State::Refused(refused.clone());
                Err(refused)
            }
        }
    }

    /// Ends the crossing with a fault. After [`Pass::close`] the earlier outcome stands.
    pub fn fail(mut self, fault: Fault) -> Refused {
        self.end_with(fault)
    }

    /// Says which of the permit's addresses was dialled.
    pub(crate) fn dialled(&mut self, address: SocketAddr) {
        self.upstream = Some(address);
    }

    /// Says what is spoken on a raw stream.
    pub(crate) fn speaks(&mut self, protocol: &'static str) {
        self.protocol = Some(protocol);
    }

    /// What the response's crossing must know of this one.
    pub(crate) fn asked(&self) -> Asked {
        let answer = self.kind.answer();
        Asked {
            id: self.id,
            kind: answer.expect("adapters ask this of requests and TCP connections only"),
            target: self.target.clone(),
            method: self.method.clone(),
            withheld: Arc::clone(&self.withheld),
        }
    }

    /// As [`Pass::fail`], where the pass is kept.
    pub(crate) fn end_with(&mut self, fault: Fault) -> Refused {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(inspection) => {
                self.now = self.gate.clock.now();
                let verdict = inspection.fail(fault, &self.gate.session, self.now);
                self.refused_by(&verdict)
            }
            State::Closed => Refused {
                id: self.id,
                refusal: Box::new(closed_refusal()),
            },
            State::Refused(refused) => {
                self.state = State::Refused(refused.clone());
                refused
            }
        }
    }

    /// The path of a call, as exemptions name it.
    fn path_of_tool(&self, tool: &[u8]) -> Box<str> {
        let method = self.method.as_deref().unwrap_or_default();
        format!("/{method}/{}", String::from_utf8_lossy(tool)).into()
    }

    fn inspection(&mut self) -> Result<(&Gate, &mut Inspection), Refused> {
        match &mut self.state {
            State::Open(inspection) => Ok((&self.gate, inspection)),
            State::Refused(refused) => Err(refused.clone()),
            State::Closed => Err(Refused {
                id: self.id,
                refusal: Box::new(closed_refusal()),
            }),
        }
    }

    fn take_step(&mut self, step: Step) -> Result<usize, Refused> {
        match step {
            Step::Release(bytes) => Ok(bytes),
            Step::Hold => Ok(0),
            Step::Stop => Err(self.end()),
            Step::Ask(_) | Step::Connect(_) => {
                let fault = Fault::Unsupported("a question before its time".into());
                Err(self.end_with(fault))
            }
        }
    }

    /// Ends a stopped inspection.
    fn end(&mut self) -> Refused {
        match self.close() {
            Err(refused) => refused,
            Ok(()) => Refused {
                id: self.id,
                refusal: Box::new(closed_refusal()),
            },
        }
    }

    fn refused_by(&mut self, verdict: &Verdict) -> Refused {
        match self.record(verdict) {
            Err(refused) => refused,
            Ok(()) => Refused {
                id: self.id,
                refusal: Box::new(closed_refusal()),
            },
        }
    }

    /// Writes the one receipt, tells the observer, and keeps a refusal for whoever asks again.
    fn record(&mut self, verdict: &Verdict) -> Result<(), Refused> {
        let written = self.write_receipt(verdict);
        self.gate.recorded.fetch_add(1, Ordering::Release);
        let refusal = match (&verdict.decision, written) {
            (Decision::Block(refusal), _) => refusal.clone(),
            (Decision::Allow, Err(error)) => evidence_refusal(&error),
            (Decision::Allow, Ok(())) => {
                if let Some(shadow) = &verdict.shadow {
                    self.notify(shadow, true);
                }
                return Ok(());
            }
        };
        self.gate.refused.fetch_add(1, Ordering::Relaxed);
        self.notify(&refusal, false);
        let refused = Refused {
            id: self.id,
            refusal: Box::new(refusal),
        };
        self.state = State::Refused(refused.clone());
        Err(refused)
    }

    /// Writes the receipt. Redaction is the receipt's own business.
    fn write_receipt(&self, verdict: &Verdict) -> Result<(), EvidenceError> {
        let gate = &self.gate;
        let closed = self.now;
        let id = self.id.text();
        let answers = self.answers.as_ref().map(|asked| asked.id.text());
        let record = carboy_receipt::Record {
            agent: Some((&*gate.agent).into()).filter(|_| !gate.agent.is_empty()),
            bottle: gate.bottle.as_deref().map(Into::into),
            id: id.into(),
            answers: answers.map(Into::into),
            time: gate.clock.wall(closed),
            crossing: self.kind.as_str().into(),
            direction: record::direction(self.kind.direction()),
            target: record::target(&self.target),
            method: self.method.as_deref().map(Into::into),
            path: self.path.as_deref().map(Into::into),
            protocol: self.protocol.map(Into::into),
            bytes: self.bytes,
            upstream: self.upstream,
            duration_us: micros(closed.elapsed.saturating_sub(self.opened.elapsed)),
            withhold: self.withhold(),
            ..record::of(verdict)
        };
        // It stands already where the crossing was let connect.
        let _ = self.withheld.set(record.withhold());
        gate.evidence.append(record)
    }

    /// Keeps for the response what this receipt will leave out, now that all of the target has been
    /// judged: the response of a stream may end before what it answers.
    fn note_withheld(&mut self) {
        let State::Open(inspection) = &self.state else {
            return;
        };
        let withheld = match inspection.findings() {
            [] => Withhold::default(),
            findings => record::withhold(&self.target, findings),
        };
        // Only the first connection of a crossing counts, and there is no second.
        let _ = self.withheld.set(withheld);
    }

    /// What a response's receipt leaves out for its request's sake: all, as long as the request's
    /// target is not judged.
    fn withhold(&self) -> Withhold {
        match &self.answers {
            None => Withhold::default(),
            Some(asked) => asked.withheld.get().copied().unwrap_or(Withhold {
                host: HostCut::Whole,
                path: true,
            }),
        }
    }

    fn notify(&self, refusal: &Refusal, shadow: bool) {
        self.gate.observer.refused(&Notice {
            id: self.id,
            kind: self.kind,
            target: &self.target,
            method: self.method.as_deref(),
            refusal,
            shadow,
        });
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if matches!(self.state, State::Open(_)) {
            self.end_with(Fault::Dropped);
        }
    }
}

impl Asked {
    /// The same for a message on the connection that the request opened.
    pub(crate) fn message(&self, kind: CrossingKind) -> Self {
        Self {
            kind,
            method: None,
            ..self.clone()
        }
    }

    fn crossing(&self) -> Crossing<'_> {
        Crossing {
            kind: self.kind,
            target: &self.target,
            method: self.method.as_deref(),
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

fn evidence_refusal(error: &EvidenceError) -> Refusal {
    Refusal {
        reason: Reason::Evidence,
        message: format!("the receipt could not be written: {error}"),
        rule: "evidence.required".into(),
        locus: None,
        remedy: "make room for receipts and check their directory's permissions, then start again"
            .into(),
        retry: Retry::Never,
    }
}

fn closed_refusal() -> Refusal {
    Refusal {
        reason: Reason::Dropped,
        message: "the crossing has ended".into(),
        rule: "".into(),
        locus: None,
        remedy: "try again".into(),
        retry: Retry::Maybe,
    }
}

/// A method's name, without an allocation for the common ones.
fn method_name(name: &str) -> Cow<'static, str> {
    let common = COMMON_METHODS.iter().find(|common| **common == name);
    common.map_or_else(|| name.to_owned().into(), |common| (*common).into())
}

const COMMON_METHODS: [&str; 8] = [
    "GET",
    "POST",
    "PUT",
    "HEAD",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "tools/call",
];
