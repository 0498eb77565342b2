//! The order of checks, once for every adapter.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::address::AddressClass;
use crate::crossing::{Crossing, Surface, SurfaceKind, Target, Time};
use crate::host::Host;
use crate::policy::Policy;
use crate::session::Session;
use crate::verdict::{Decision, Fault, Permit, Reason, Refusal, Retry, Verdict};

/// A compiled policy and its rules: what judges. Immutable; a reload makes a new one.
#[derive(Debug)]
pub struct Engine {
    policy: Policy,
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
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The addresses, in the resolver's order.
    Addresses(Vec<IpAddr>),
}

/// One crossing being judged. Every inspection ends in [`Inspection::finish`] or
/// [`Inspection::fail`].
#[derive(Debug)]
pub struct Inspection {
    engine: Arc<Engine>,
    target: Target,
    refusal: Option<Refusal>,
}

impl Engine {
    /// Compiles a policy. `key` keys the fingerprints of findings.
    pub fn new(policy: Policy, _key: [u8; 32]) -> Self {
        Self { policy }
    }

    /// The policy that judges.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Opens an inspection of one crossing: host lists, shape of the target and budgets are
    /// judged at once.
    pub fn open(
        self: &Arc<Self>,
        head: Crossing<'_>,
        _session: &Session,
        _now: Time,
    ) -> (Inspection, Step) {
        let target = head.target.clone();
        let inspection = Inspection {
            engine: Arc::clone(self),
            target,
            refusal: None,
        };
        (inspection, Step::Release(0))
    }
}

impl Inspection {
    /// Judges the next piece of content.
    ///
    /// For a stream ([`SurfaceKind::Body`], [`SurfaceKind::Stream`]) the shell holds the bytes and
    /// sends on only what [`Step::Release`] names, oldest first.
    pub fn push(&mut self, next: Surface<'_>, _session: &Session, _now: Time) -> Step {
        match next.kind {
            SurfaceKind::Body | SurfaceKind::Stream => Step::Release(next.bytes.len()),
            _ => Step::Release(0),
        }
    }

    /// Says that everything that decides where the crossing goes has been pushed, and asks for
    /// leave to connect: [`Step::Ask`], [`Step::Connect`] or [`Step::Stop`].
    pub fn connect(&mut self, _session: &Session, _now: Time) -> Step {
        match &self.target.host {
            Host::Name(_) => Step::Ask(Question::Resolve(self.target.host.clone())),
            Host::Addr(addr) => self.pin(&[*addr]),
        }
    }

    /// Takes the answer to a [`Step::Ask`].
    pub fn answer(&mut self, answer: Answer, _session: &Session, _now: Time) -> Step {
        let Answer::Addresses(addresses) = answer;
        self.pin(&addresses)
    }

    /// Ends the inspection: after it, and after the receipt, the last held bytes may go on.
    pub fn finish(self, _session: &Session, _now: Time) -> Verdict {
        let decision = self.refusal.map_or(Decision::Allow, Decision::Block);
        let policy = self.engine.policy.digest();
        Verdict {
            decision,
            findings: Vec::new(),
            shadow: None,
            policy,
        }
    }

    /// Ends the inspection with a fault that the shell met. Always a block.
    pub fn fail(self, _fault: Fault, session: &Session, now: Time) -> Verdict {
        self.finish(session, now)
    }

    fn pin(&mut self, addresses: &[IpAddr]) -> Step {
        let pinned: Vec<_> = addresses
            .iter()
            .filter(|addr| AddressClass::of(**addr) == AddressClass::Public)
            .map(|addr| SocketAddr::new(*addr, self.target.port))
            .collect();
        if pinned.is_empty() {
            self.refusal = Some(Refusal {
                reason: Reason::AddressRefused,
                message: format!("{} is not at a public address", self.target.host),
                rule: "egress.private".into(),
                locus: None,
                remedy: String::new(),
                retry: Retry::Never,
            });
            return Step::Stop;
        }
        Step::Connect(Permit::new(self.target.clone(), pinned))
    }
}
