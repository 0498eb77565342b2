//! The one place where engine, session, resolver, metrics and receipts meet.

mod ask;
mod clock;
mod id;
mod notice;
mod pass;
mod rewriting;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use carboy_engine::{
    Crossing, CrossingKind, Direction, Engine, Fault, Host, Permit, Session, Step, Target,
    TlsAction,
};
use tokio::sync::watch;

use crate::approvals::Approvals;
use crate::evidence::Evidence;
use crate::interceptor::Interceptor;
use crate::limits::{SETTLE_PAUSE, SETTLE_TIMEOUT};
use crate::mcp::Within;
use crate::names::Names;
use crate::resolve::Resolver;
use crate::upstream::Upstream;
pub use ask::Asking;
use clock::Clock;
pub use id::CrossingId;
use id::Run;
pub use notice::{Notice, Observer, Refused};
pub(crate) use pass::Asked;
pub use pass::Pass;
pub(crate) use rewriting::Restoring;

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

/// What has happened at a gate so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Crossings opened.
    pub crossings: u64,
    /// Crossings refused.
    pub refusals: u64,
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
        pass.answer_to(asked);
        pass.take_step(step)?;
        Ok(pass)
    }

    /// Refuses the crossing of a response that never came.
    pub(crate) fn refuse_answer(self: &Arc<Self>, asked: &Asked, fault: Fault) -> Refused {
        let mut pass = self.admit(asked.crossing()).0;
        pass.answer_to(asked);
        pass.fail(fault)
    }

    fn admit(self: &Arc<Self>, crossing: Crossing<'_>) -> (Box<Pass>, Step) {
        let opened = self.clock.now();
        let sequence = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let engine = self.engine.load_full();
        let (inspection, step) = engine.open(crossing, &self.session, opened);
        let id = self.run.crossing(sequence);
        let pass = Box::new(Pass::new(self, id, crossing, inspection, opened));
        (pass, step)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("agent", &self.agent)
            .finish_non_exhaustive()
    }
}
