//! The one place where engine, session, resolver, metrics and receipts meet.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use carboy_engine::{
    Answer, Crossing, CrossingKind, Decision, Engine, Fault, Host, Inspection, Permit, Question,
    Reason, Refusal, Retry, Session, Step, Surface, Target, Time, TlsAction, Verdict,
};

use crate::evidence::{Evidence, EvidenceError, Record};
use crate::interceptor::Interceptor;
use crate::resolve::Resolver;
use crate::upstream::Upstream;

/// What a gate is made of.
pub struct GateConfig {
    /// What judges.
    pub engine: Arc<Engine>,
    /// The agent whose crossings these are, as receipts name it.
    pub agent: Box<str>,
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
}

/// One bottle's gate. Content passes the wall here and nowhere else.
pub struct Gate {
    engine: ArcSwap<Engine>,
    session: Session,
    agent: Box<str>,
    evidence: Evidence,
    resolver: Resolver,
    upstream: Upstream,
    interceptor: Interceptor,
    observer: Arc<dyn Observer>,
    clock: Clock,
    run: [u8; RUN_CHARS],
    opened: AtomicU64,
    refused: AtomicU64,
}

/// Told of every refusal as it happens, after its receipt.
pub trait Observer: Send + Sync {
    /// One crossing was refused, or in audit mode would have been. It must not block.
    fn refused(&self, notice: &Notice<'_>);
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
    /// The HTTP method, where there is one.
    pub method: Option<&'a str>,
    /// Why not, and how to allow it.
    pub refusal: &'a Refusal,
    /// Whether audit mode let it pass all the same.
    pub shadow: bool,
}

/// A crossing's id: unique, short enough to read aloud, and in one run ordered by its opening.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrossingId {
    run: [u8; RUN_CHARS],
    sequence: u64,
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
    method: Option<Box<str>>,
    opened: Time,
    bytes: u64,
    state: State,
}

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
            evidence: config.evidence,
            resolver: config.resolver,
            upstream: config.upstream,
            interceptor: config.interceptor,
            observer: config.observer,
            clock: Clock::start(),
            run: run_name()?,
            opened: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }))
    }

    /// Opens a crossing: its target, host lists and budgets are judged at once.
    ///
    /// # Errors
    /// The refusal, whose receipt is written.
    pub fn open(self: &Arc<Self>, crossing: Crossing<'_>) -> Result<Pass, Refused> {
        let (mut pass, step) = self.admit(crossing);
        pass.take_step(step)?;
        Ok(pass)
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

    fn admit(self: &Arc<Self>, crossing: Crossing<'_>) -> (Pass, Step) {
        let opened = self.clock.now();
        let sequence = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let engine = self.engine.load_full();
        let (inspection, step) = engine.open(crossing, &self.session, opened);
        let pass = Pass {
            gate: Arc::clone(self),
            id: CrossingId {
                run: self.run,
                sequence,
            },
            kind: crossing.kind,
            target: crossing.target.clone(),
            method: crossing.method.map(Into::into),
            opened,
            bytes: 0,
            state: State::Open(inspection),
        };
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

    /// Judges the next piece of content. Returns how many held bytes of a stream may go on, oldest
    /// first; zero for surfaces that are not streams.
    ///
    /// # Errors
    /// The refusal; nothing held may leave.
    pub fn push(&mut self, next: Surface<'_>) -> Result<usize, Refused> {
        self.bytes += next.bytes.len() as u64;
        let gate = Arc::clone(&self.gate);
        let inspection = self.inspection()?;
        let step = inspection.push(next, &gate.session, gate.clock.now());
        self.take_step(step)
    }

    /// Asks for leave to connect, once everything that decides where the crossing goes has been
    /// pushed. The name is resolved only if the engine asks for it.
    ///
    /// # Errors
    /// The refusal: by the policy, by an address, or because the name did not resolve.
    pub async fn connect(&mut self) -> Result<Permit, Refused> {
        let gate = Arc::clone(&self.gate);
        let mut step = self.inspection()?.connect(&gate.session, gate.clock.now());
        loop {
            match step {
                Step::Connect(permit) => return Ok(permit),
                Step::Ask(Question::Resolve(host)) => {
                    let found = gate.resolver.resolve(&host).await;
                    let addresses = found.map_err(|fault| self.end_with(fault))?;
                    let answer = Answer::Addresses(addresses);
                    let inspection = self.inspection()?;
                    step = inspection.answer(answer, &gate.session, gate.clock.now());
                }
                Step::Stop => return Err(self.end()),
                Step::Release(_) | Step::Hold => {
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
                let now = self.gate.clock.now();
                let verdict = inspection.finish(&self.gate.session, now);
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

    /// As [`Pass::fail`], where the pass is kept.
    pub(crate) fn end_with(&mut self, fault: Fault) -> Refused {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(inspection) => {
                let now = self.gate.clock.now();
                let verdict = inspection.fail(fault, &self.gate.session, now);
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

    fn inspection(&mut self) -> Result<&mut Inspection, Refused> {
        match &mut self.state {
            State::Open(inspection) => Ok(inspection),
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
        let written = self.gate.evidence.append(&self.receipt(verdict));
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

    fn receipt<'a>(&'a self, verdict: &'a Verdict) -> Record<'a> {
        let now = self.gate.clock.now();
        Record {
            id: self.id,
            agent: &self.gate.agent,
            kind: self.kind,
            target: &self.target,
            method: self.method.as_deref(),
            opened: self.opened,
            closed: now,
            bytes: self.bytes,
            verdict,
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

impl fmt::Display for CrossingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let run = std::str::from_utf8(&self.run).unwrap_or_default();
        write!(f, "c{run}-{:06}", self.sequence)
    }
}

impl fmt::Debug for CrossingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}

/// The gate's clock: monotonic from its start, with the wall's beside it.
struct Clock {
    start: Instant,
}

impl Clock {
    fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    fn now(&self) -> Time {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Time {
            elapsed: self.start.elapsed(),
            unix_seconds: wall.map_or(0, |since| since.as_secs()),
        }
    }
}

fn run_name() -> Result<[u8; RUN_CHARS], getrandom::Error> {
    let mut random = [0; RUN_CHARS];
    getrandom::fill(&mut random)?;
    Ok(random.map(|byte| RUN_ALPHABET[usize::from(byte) % RUN_ALPHABET.len()]))
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

/// The characters that name a run: 32^6 runs is a billion.
const RUN_CHARS: usize = 6;

/// Crockford's base32: no letters that are mistaken for digits.
const RUN_ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
