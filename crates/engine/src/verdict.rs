//! What was decided, why, and what to do about it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::crossing::Target;
use crate::finding::{Finding, Locus};
use crate::policy::UpstreamProxy;

/// The outcome of one crossing.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Whether it may pass.
    pub decision: Decision,
    /// What the detectors saw, blocking or not.
    pub findings: Vec<Finding>,
    /// In audit mode, the refusal that would have been.
    pub shadow: Option<Refusal>,
    /// The digest of the policy that decided.
    pub policy: Digest,
    /// What a person who was asked said, or why none did; none where nobody had to be asked.
    pub ruling: Option<Ruling>,
}

/// What a person is asked before a call goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plea {
    /// The server that would be called.
    pub server: String,
    /// The tool; empty where its name could be content.
    pub tool: String,
    /// The rules that ask, and what each is about.
    pub rules: Vec<(Box<str>, String)>,
    /// The call's arguments as JSON, cut to [`PLEA_BYTES_MAX`]. None where something secret or personal
    /// was seen in the crossing. For the person's eyes alone.
    pub arguments: Option<String>,
    /// How long the call may wait for the answer.
    pub wait: Duration,
}

/// How much of a call's arguments a person is shown: more than a screen is not read.
pub const PLEA_BYTES_MAX: usize = 2048;

/// What became of a [`Plea`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// A person let it pass; the text says who.
    Allowed(Box<str>),
    /// A person did not; the text says who.
    Denied(Box<str>),
    /// Nobody answered in time.
    Late,
    /// Too many calls wait already.
    Crowded,
    /// Whoever called does not want it any more.
    Withdrawn,
    /// Nobody could be asked; the text says why.
    Unasked(Box<str>),
}

/// As receipts tell it.
impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(by) => write!(f, "allowed by {by}"),
            Self::Denied(by) => write!(f, "denied by {by}"),
            Self::Late => f.write_str("not answered in time"),
            Self::Crowded => f.write_str("not asked: too many calls wait"),
            Self::Withdrawn => f.write_str("withdrawn by the client"),
            Self::Unasked(why) => write!(f, "not asked: {why}"),
        }
    }
}

/// Whether a crossing may pass.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It may.
    Allow,
    /// It may not.
    Block(Refusal),
}

/// Why a crossing was refused, in words for a person and fields for a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The stable reason.
    pub reason: Reason,
    /// One sentence that says what was seen. Never the secret.
    pub message: String,
    /// The rule's id, or the policy key, that decided; empty where the reason says it all.
    pub rule: Box<str>,
    /// Where it was seen, if in content.
    pub locus: Option<Locus>,
    /// How to allow it: the exact policy lines, or what to do instead.
    pub remedy: String,
    /// Whether trying again can help.
    pub retry: Retry,
}

/// The stable reasons for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The host is on the deny list.
    HostDenied,
    /// The mode allows listed hosts only, or raw TCP to an unlisted `name:port`.
    HostNotAllowed,
    /// The name resolves to an address that a bottle may not reach.
    AddressRefused,
    /// A credential on its way to where it does not belong.
    Secret,
    /// Personal data on its way out.
    Personal,
    /// Instructions aimed at the agent.
    Injection,
    /// Content whose shape says that it carries hidden data.
    Entropy,
    /// A malformed or deceptive target.
    Shape,
    /// Content that could not be decoded within bounds.
    Opaque,
    /// A tool that may not be called, or a call that would do what it may not.
    Tool,
    /// Content of a kind or a length that the policy does not want, or that is not what it says.
    Media,
    /// A rate or byte budget is spent.
    Budget,
    /// Inspection ran out of its work budget.
    InspectionBudget,
    /// The protocol was violated: smuggling shapes, bad framing, bad names.
    Malformed,
    /// `CONNECT` authority, SNI, `Host` and DNS name disagree.
    TargetMismatch,
    /// A feature that Carboy does not carry, such as an upgrade.
    Unsupported,
    /// The name could not be resolved.
    Unresolved,
    /// The upstream could not be reached, broke off, or gave a broken answer.
    Upstream,
    /// The upstream's certificate could not be verified.
    UpstreamCertificate,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// The crossing was dropped half-way.
    Dropped,
    /// The receipt could not be written.
    Evidence,
    /// What is kept over sessions could not be read or written.
    State,
    /// An answer that nobody asked for.
    Unsolicited,
    /// A call of a tool that its server never offered.
    ToolUnlisted,
    /// A tool that is no longer what it was when it was first seen.
    ToolChanged,
    /// A tool whose name passes for another's.
    ToolLookalike,
}

impl Reason {
    /// The stable name that refusals and receipts use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostDenied => "host_denied",
            Self::HostNotAllowed => "host_not_allowed",
            Self::AddressRefused => "address_refused",
            Self::Secret => "secret",
            Self::Personal => "personal",
            Self::Injection => "injection",
            Self::Entropy => "entropy",
            Self::Shape => "shape",
            Self::Opaque => "opaque",
            Self::Tool => "tool",
            Self::Media => "media",
            Self::Budget => "budget",
            Self::InspectionBudget => "inspection_budget",
            Self::Malformed => "malformed",
            Self::TargetMismatch => "target_mismatch",
            Self::Unsupported => "unsupported",
            Self::Unresolved => "unresolved",
            Self::Upstream => "upstream",
            Self::UpstreamCertificate => "upstream_certificate",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::Dropped => "dropped",
            Self::Evidence => "evidence",
            Self::State => "state",
            Self::Unsolicited => "unsolicited",
            Self::ToolUnlisted => "tool_unlisted",
            Self::ToolChanged => "tool_changed",
            Self::ToolLookalike => "tool_lookalike",
        }
    }
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same crossing will be refused again.
    Never,
    /// It may pass after this many seconds.
    After(u64),
    /// It may pass at once; the fault was the upstream's or the network's.
    Maybe,
}

/// What went wrong outside the engine: the shell reports it and gets a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The peer broke its protocol; the text says how, and never quotes content.
    Malformed(String),
    /// Two names for one target disagree.
    TargetMismatch {
        /// Where each came from and what it said, such as `SNI a.example` and `Host b.example`.
        first: String,
        /// The other one.
        second: String,
    },
    /// Something that Carboy does not carry.
    Unsupported(String),
    /// The name did not resolve.
    Unresolved(String),
    /// The upstream could not be reached, broke off, or gave a broken answer.
    Upstream(String),
    /// The upstream's certificate could not be verified.
    UpstreamCertificate(String),
    /// The upstream did not answer in time.
    UpstreamTimeout(String),
    /// The crossing was dropped half-way, by either end or by the gate's end.
    Dropped,
    /// The receipt could not be written.
    Evidence(String),
    /// What is kept over sessions could not be read or written.
    State(String),
}

/// What a protocol's own state tells against content that is well formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Objection {
    /// An answer to what was never asked, or was answered before.
    Unsolicited,
    /// A call of a tool that the server does not offer.
    ToolUnlisted {
        /// The tool's name.
        tool: Box<str>,
    },
    /// A tool's definition is not the one that was first seen, or was accepted since.
    ToolChanged {
        /// The tool's name.
        tool: Box<str>,
        /// The name that the server's tools are kept under.
        server: Box<str>,
    },
    /// A tool's name is another's, or reads like it.
    ToolLookalike {
        /// The tool's name.
        tool: Box<str>,
        /// The other's.
        like: Box<str>,
        /// The server that offers the other, where it is not this one.
        server: Option<Box<str>>,
    },
}

/// Proof of an allowing judgement, carrying the pinned addresses.
///
/// Only an [`crate::Inspection`] makes one, and only a permit opens an upstream connection.
#[derive(Debug, Clone)]
pub struct Permit {
    target: Target,
    addresses: Vec<SocketAddr>,
    proxy: Option<Arc<UpstreamProxy>>,
}

impl Permit {
    pub(crate) fn new(
        target: Target,
        addresses: Vec<SocketAddr>,
        proxy: Option<Arc<UpstreamProxy>>,
    ) -> Self {
        Self {
            target,
            addresses,
            proxy,
        }
    }

    /// The target that was judged.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The addresses that may be dialled, in the order in which they were resolved. Empty only where
    /// a proxy resolves the name.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The proxy that is dialled in their stead, and asked for the target.
    pub fn proxy(&self) -> Option<&Arc<UpstreamProxy>> {
        self.proxy.as_ref()
    }
}

/// The SHA-256 of a policy's canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// 64 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}
