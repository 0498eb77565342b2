//! The order of checks, once for every adapter.

mod blocks;
mod call;
mod clean;
mod content;
mod conversation;
mod course;
mod hidden;
mod intake;
mod joined;
mod message;
mod pieces;
mod rewrite;
mod route;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::crossing::{
    Crossing, CrossingKind, Direction, Scheme, Surface, SurfaceKind, Target, Time,
};
use crate::decide::{Bench, Docket, Home};
use crate::finding::{Finding, Severity};
use crate::host::Host;
use crate::known::{Known, Values};
use crate::policy::{Mode, Policy};
use crate::presigned::Form;
use crate::refusal::{self, Named};
use crate::rules::Rule;
use crate::scan::{Budget, EventForm, Inflate, Scanner, Stream};
use crate::session::{Meter, Session};
use crate::verdict::{Fault, Objection, Permit, Plea, Ruling, Verdict};

use blocks::Blocks;
use call::Calling;
use clean::Clean;
pub(crate) use content::shown_name;
pub use conversation::Conversation;
use conversation::Said;
use course::Course;
use intake::Intake;
use joined::Joined;
use pieces::Held;
pub use rewrite::Restorer;

/// A compiled policy and its rules: what judges. Immutable; a reload makes a new one.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
    scanner: Scanner,
    homes: HashMap<&'static str, Home>,
    clean: Clean,
}

/// What the shell must do next.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// This many held stream bytes may go on. Zero for surfaces that are not streams.
    Release(usize),
    /// Keep what is held and give more.
    Hold,
    /// Find this out and call [`Inspection::answer`].
    Ask(Question),
    /// The upstream may be opened with this permit.
    Connect(Permit),
    /// [`Inspection::finish`] now returns a block.
    Stop,
}

/// What only the shell can find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// All addresses of this host.
    Resolve(Host),
    /// Whether a person lets a call pass.
    Leave(Plea),
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The addresses, in the resolver's order.
    Addresses(Vec<IpAddr>),
    /// They cannot be found here, and [`Inspection::may_resolve_elsewhere`].
    Elsewhere,
    /// What became of a plea.
    Ruled(Ruling),
}

/// One crossing being judged. Every inspection ends in [`Inspection::finish`] or
/// [`Inspection::fail`].
#[derive(Debug)]
pub struct Inspection {
    engine: Arc<Engine>,
    kind: CrossingKind,
    target: Target,
    site: Box<str>,
    /// The path, for exemptions.
    path: String,
    /// The URL as pushed: what it contains need not be scanned again.
    url: Vec<u8>,
    /// What refusals say instead of a host name that holds a secret.
    alias: Option<String>,
    /// How the query is signed, if it is.
    signed: Option<Form>,
    segments: Joined,
    queries: Joined,
    headers: Joined,
    texts: Joined,
    blocks: Blocks,
    calling: Calling,
    encoding: String,
    /// Set where the coding is taken off before the body is pushed.
    uncoding: Option<Box<Inflate>>,
    intake: Intake,
    /// Whether the body says that it is a form.
    is_form: bool,
    stream: Option<Stream>,
    /// Whether the body says that it is made of events.
    events: Option<EventForm>,
    course: Option<Box<Course>>,
    /// What went before, and what this crossing adds to it.
    conversation: Option<(Arc<Conversation>, Box<Said>)>,
    budget: Budget,
    /// Pieces of known values that the session has not been told of.
    pieces: Vec<Held>,
    docket: Docket,
}

impl Engine {
    /// Compiles a policy. `key` keys the fingerprints of findings.
    pub fn new(policy: Policy, key: [u8; 32]) -> Self {
        Self::knowing(policy, key, Known::default())
    }

    /// Compiles a policy, with the values of secrets and canaries that must not cross. `key` keys
    /// the fingerprints of findings and what is kept of the values.
    pub fn knowing(policy: Policy, key: [u8; 32], known: Known) -> Self {
        let mut homes = HashMap::new();
        for rule in Scanner::rules() {
            homes.insert(rule.id, Home::of(rule));
        }
        Self {
            policy,
            scanner: Scanner::knowing(key, known),
            homes,
            clean: Clean::default(),
        }
    }

    /// The policy that judges.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Opens an inspection of one crossing: host lists, the shape of the name and its content are
    /// judged at once.
    pub fn open(
        self: &Arc<Self>,
        head: Crossing<'_>,
        session: &Session,
        now: Time,
    ) -> (Inspection, Step) {
        let mut inspection = Inspection {
            engine: Arc::clone(self),
            kind: head.kind,
            target: head.target.clone(),
            site: head.target.host.site(),
            path: first_path(&head),
            url: Vec::new(),
            alias: None,
            signed: None,
            segments: Joined::default(),
            queries: Joined::default(),
            headers: Joined::default(),
            texts: Joined::default(),
            blocks: Blocks::default(),
            calling: Calling::default(),
            encoding: String::new(),
            uncoding: None,
            intake: Intake::default(),
            is_form: false,
            stream: None,
            events: None,
            course: None,
            conversation: None,
            budget: Budget::default(),
            pieces: Vec::new(),
            docket: Docket::default(),
        };
        if head.kind.direction() == Direction::Outbound {
            inspection.judge_host(session, now);
            inspection.settle_pieces(session, now);
        }
        let step = inspection.step(Step::Release(0));
        (inspection, step)
    }

    /// Spends budgets for bytes of a tunnel, which are not judged. Whether they fit; where they do not,
    /// [`Inspection::count`] says why.
    pub fn has_room(
        &self,
        target: &Target,
        direction: Direction,
        bytes: u64,
        session: &Session,
        now: Time,
    ) -> bool {
        let (site, meter) = (target.host.site(), Meter::of(direction));
        let spent = session.spend(&site, meter, bytes, self.policy.limits(), now);
        spent.is_ok()
    }

    /// The values that are known.
    pub(crate) fn known(&self) -> &Values {
        self.scanner.known()
    }

    /// The addresses, as numbers, of the memory in which the known values are kept while this engine lives: to be
    /// kept out of swap space and of core dumps. None where nothing is known.
    pub fn secret_memory(&self) -> Vec<std::ops::Range<usize>> {
        self.known()
            .memory()
            .filter(|range| !range.is_empty())
            .collect()
    }

    /// Whether credentials of some rule belong at a host.
    pub(crate) fn is_provider(&self, host: &Host, port: u16) -> bool {
        self.homes.values().any(|home| match home {
            Home::At(homes) => homes.iter().any(|home| home.covers(host, port)),
            Home::Anywhere => false,
        })
    }

    /// Where a rule's credential belongs.
    pub(crate) fn home(&self, rule: &Rule) -> Option<&Home> {
        self.homes.get(rule.id)
    }
}

impl Inspection {
    /// Judges the next piece of content.
    ///
    /// For a stream ([`SurfaceKind::Body`], [`SurfaceKind::Stream`], [`SurfaceKind::WsMessage`]) the shell holds the bytes and
    /// sends on only what [`Step::Release`] names, oldest first. A body is released a block at a
    /// time while it flows, and for the rest in a [lull](Self::lull); a raw stream as it comes.
    pub fn push(&mut self, next: Surface<'_>, session: &Session, now: Time) -> Step {
        if self.is_stopped() {
            return Step::Stop;
        }
        let mut released = 0;
        match next.kind {
            SurfaceKind::Host => self.push_host(next.bytes, now),
            SurfaceKind::Url => self.push_url(next.bytes, now),
            SurfaceKind::Path => self.push_path(next, session, now),
            SurfaceKind::Query => self.push_query(next, session, now),
            SurfaceKind::Header | SurfaceKind::Trailer => self.push_header(next, session, now),
            SurfaceKind::Tool => self.push_tool(next, session, now),
            SurfaceKind::Argument | SurfaceKind::Message | SurfaceKind::Definition => {
                self.push_text(next, session, now);
            }
            SurfaceKind::Call => self.push_call(next, session, now),
            SurfaceKind::Body | SurfaceKind::Stream | SurfaceKind::WsMessage => {
                released = self.push_stream(next, session, now);
                if next.kind == SurfaceKind::Stream && !self.is_stopped() {
                    released += self.lull_stream(now);
                }
            }
        }
        self.settle_pieces(session, now);
        self.step(Step::Release(released))
    }

    /// Whether the body, by what its head says, is a stream of events: those are released one by one,
    /// and a [pause](Self::pause) decides the last.
    pub fn events(&self) -> Option<EventForm> {
        self.events
    }

    /// Says what went before on the same connection, the same way: what this crossing says is also
    /// judged as its sequel, and remembered for the next.
    pub fn follow(&mut self, conversation: &Arc<Conversation>) {
        self.conversation = Some((Arc::clone(conversation), Box::default()));
    }

    /// Says that no more of a stream is at hand just now, so that what surely holds no part of
    /// something that would block may go on.
    pub fn lull(&mut self, now: Time) -> Step {
        if self.is_stopped() {
            return Step::Stop;
        }
        let released = self.lull_stream(now);
        self.step(Step::Release(released))
    }

    /// Says that the sender of a stream waits for an answer before it says more: what is held is
    /// judged as if the stream ended here, and released if it may go.
    ///
    /// Only for raw TCP, whose two sides talk in turns, and for whole events. What a sender cuts by pausing within it is
    /// judged too late to hold its first part.
    pub fn pause(&mut self, session: &Session, now: Time) -> Step {
        if self.is_stopped() {
            return Step::Stop;
        }
        let released = self.pause_stream(session, now);
        self.settle_pieces(session, now);
        self.step(Step::Release(released))
    }

    /// Says that everything that decides where the crossing goes has been pushed, and asks for
    /// leave to connect: [`Step::Ask`], [`Step::Connect`] or [`Step::Stop`].
    pub fn connect(&mut self, session: &Session, now: Time) -> Step {
        if self.is_stopped() {
            return Step::Stop;
        }
        self.judge_joined(now);
        self.settle_pieces(session, now);
        if !self.is_stopped() {
            self.spend(Meter::Request, 1, session, now);
        }
        if self.is_stopped() {
            return Step::Stop;
        }
        match &self.target.host {
            // A server behind a pipe has no address.
            _ if self.target.scheme == Scheme::Mcp => self.pin(&[]),
            host if host.is_host_internal() => self.pin_host_service(),
            Host::Name(_) => Step::Ask(Question::Resolve(self.target.host.clone())),
            Host::Addr(addr) => self.pin(&[*addr]),
        }
    }

    /// Spends budgets for bytes that are not judged.
    pub fn count(
        &mut self,
        direction: Direction,
        bytes: u64,
        session: &Session,
        now: Time,
    ) -> Step {
        if !self.is_stopped() {
            self.take_in(bytes);
            self.spend(Meter::of(direction), bytes, session, now);
        }
        self.step(Step::Release(0))
    }

    /// Takes the answer to a [`Step::Ask`].
    pub fn answer(&mut self, answer: Answer, session: &Session, now: Time) -> Step {
        if self.is_stopped() {
            return Step::Stop;
        }
        match answer {
            Answer::Addresses(addresses) => self.pin(&addresses),
            Answer::Elsewhere => self.leave_to_proxy(),
            Answer::Ruled(ruling) => {
                self.rule_call(ruling, session, now);
                self.step(Step::Release(0))
            }
        }
    }

    /// Says that all of a message has been pushed: where the policy wants a person asked before a call
    /// goes on, [`Step::Ask`]. A call whose plea is never answered is refused.
    pub fn plead(&mut self, session: &Session, now: Time) -> Step {
        if !self.is_stopped() {
            self.end_call(session, now);
        }
        match self.plea() {
            Some(plea) if !self.is_stopped() => Step::Ask(Question::Leave(plea)),
            Some(_) | None => self.step(Step::Release(0)),
        }
    }

    /// Whether a name that cannot be resolved here may be left to the policy's proxy.
    pub fn may_resolve_elsewhere(&self) -> bool {
        let (proxy, target) = (self.engine.policy.upstream_proxy(), &self.target);
        proxy.is_some_and(|proxy| proxy.may_resolve(&target.host, target.port))
    }

    /// Hears what the protocol's own state tells against the crossing.
    pub fn object(&mut self, objection: &Objection) -> Step {
        if !self.is_stopped() {
            let refusal = refusal::objection(objection, self.named());
            self.docket.refuse(Severity::High, refusal);
        }
        self.step(Step::Release(0))
    }

    /// What has been seen so far.
    pub fn findings(&self) -> &[Finding] {
        self.docket.findings()
    }

    /// Ends the inspection: after it, and after the receipt, the last held bytes may go on.
    pub fn finish(mut self, session: &Session, now: Time) -> Verdict {
        if !self.is_stopped() {
            self.judge_joined(now);
            self.judge_blocks(now);
            self.finish_stream(session, now);
            self.judge_sequel(now);
            self.settle_pieces(session, now);
            self.end_call(session, now);
        }
        self.refuse_unanswered();
        if !self.is_stopped() {
            self.end_list(session);
        }
        let (mode, digest) = (self.mode(), self.engine.policy.digest());
        let mut verdict = self.docket.decide(mode, digest);
        verdict.ruling = self.calling.ruling;
        verdict
    }

    /// Ends the inspection with a fault that the shell met. Always a block.
    pub fn fail(self, fault: Fault, _session: &Session, _now: Time) -> Verdict {
        let refusal = refusal::fault(&fault, self.named());
        let (mode, digest) = (self.mode(), self.engine.policy.digest());
        let mut verdict = self.docket.fail(refusal, mode, digest);
        verdict.ruling = self.calling.ruling;
        verdict
    }
}

impl Inspection {
    fn spend(&mut self, meter: Meter, amount: u64, session: &Session, now: Time) {
        let spent = session.spend(&self.site, meter, amount, self.engine.policy.limits(), now);
        self.settle_over(spent.err());
    }

    fn bench(&self, now: Time) -> Bench<'_> {
        Bench {
            engine: &self.engine,
            direction: self.kind.direction(),
            target: &self.target,
            path: &self.path,
            is_exchange: self.is_form && hidden::is_exchange(&self.path),
            now,
        }
    }

    fn named(&self) -> Named<'_> {
        Named {
            target: &self.target,
            alias: self.alias.as_deref(),
        }
    }

    fn mode(&self) -> Mode {
        self.engine.policy.mode()
    }

    fn is_audit(&self) -> bool {
        self.mode() == Mode::Audit
    }

    fn is_stopped(&self) -> bool {
        self.docket.is_stopped(self.mode())
    }

    fn step(&self, otherwise: Step) -> Step {
        match self.is_stopped() {
            true => Step::Stop,
            false => otherwise,
        }
    }
}

/// The path of a crossing before its surfaces tell one: of a JSON-RPC message, its method.
fn first_path(head: &Crossing<'_>) -> String {
    match head.kind {
        CrossingKind::McpRequest | CrossingKind::McpResponse => head
            .method
            .map_or_else(String::new, |method| format!("/{method}")),
        CrossingKind::DnsQuery
        | CrossingKind::Tunnel
        | CrossingKind::TcpConnection
        | CrossingKind::TcpResponse
        | CrossingKind::HttpRequest
        | CrossingKind::HttpResponse
        | CrossingKind::WsMessage
        | CrossingKind::WsReply => String::new(),
    }
}
