//! One open crossing, and its one receipt.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

use carboy_engine::{
    Answer, Conversation, Crossing, CrossingKind, Decision, EventForm, Fault, Inspection,
    Objection, Permit, Question, Reason, Refusal, Retry, Step, Surface, SurfaceKind, Target, Time,
    Verdict,
};
use carboy_receipt::{HostCut, Withhold};

use super::clock::micros;
use super::{CrossingId, Gate, Notice, Refused};
use crate::evidence::EvidenceError;
use crate::record;

/// One open crossing. It closes with exactly one receipt, whatever exit it takes; dropped
/// half-way, it is recorded as blocked.
pub struct Pass {
    pub(super) gate: Arc<Gate>,
    pub(super) id: CrossingId,
    kind: CrossingKind,
    target: Target,
    method: Option<Cow<'static, str>>,
    opened: Time,
    /// The time as far as the crossing knows it; see [`Pass::push`].
    pub(super) now: Time,
    bytes: u64,
    path: Option<Box<str>>,
    upstream: Option<SocketAddr>,
    protocol: Option<&'static str>,
    answers: Option<Asked>,
    withheld: Arc<OnceLock<Withhold>>,
    pub(super) state: State,
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
pub(super) enum State {
    Open(Inspection),
    Closed,
    Refused(Refused),
}

impl Pass {
    pub(super) fn new(
        gate: &Arc<Gate>,
        id: CrossingId,
        crossing: Crossing<'_>,
        inspection: Inspection,
        opened: Time,
    ) -> Self {
        Self {
            gate: Arc::clone(gate),
            id,
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
        }
    }

    /// Says which request it answers.
    pub(super) fn answer_to(&mut self, asked: &Asked) {
        self.answers = Some(asked.clone());
    }

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

    pub(super) fn inspection(&mut self) -> Result<(&Gate, &mut Inspection), Refused> {
        match &mut self.state {
            State::Open(inspection) => Ok((&self.gate, inspection)),
            State::Refused(refused) => Err(refused.clone()),
            State::Closed => Err(Refused {
                id: self.id,
                refusal: Box::new(closed_refusal()),
            }),
        }
    }

    pub(super) fn take_step(&mut self, step: Step) -> Result<usize, Refused> {
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

    pub(super) fn crossing(&self) -> Crossing<'_> {
        Crossing {
            kind: self.kind,
            target: &self.target,
            method: self.method.as_deref(),
        }
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
