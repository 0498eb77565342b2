//! One crossing, as its receipt tells it.

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::hex::{Digest, Fingerprint};
use crate::redact::Withhold;
use crate::time::Time;

/// What was decided about one crossing. The gate fills it; [`crate::Chain::append`] redacts,
/// cuts to length and writes it.
///
/// Numbers above 2^53 - 1 are written as that, the largest integer that RFC 8785 keeps exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// The agent's name, where the gate serves a named one.
    pub agent: Option<Cow<'a, str>>,
    /// The bottle instance's id, where the gate serves a bottle.
    pub bottle: Option<Cow<'a, str>>,
    /// The crossing's id; a refusal shows the same.
    pub id: Cow<'a, str>,
    /// The id of the request that this response answers.
    pub answers: Option<Cow<'a, str>>,
    /// When it was decided.
    pub time: Time,
    /// The kind of crossing, such as `http-request`.
    pub crossing: Cow<'a, str>,
    /// Which way it went.
    pub direction: Direction,
    /// The far end, outside the bottle.
    pub target: Target<'a>,
    /// The HTTP method.
    pub method: Option<Cow<'a, str>>,
    /// What was spoken over raw TCP, where it was recognised, such as `ssh` or `smtp+starttls`.
    pub protocol: Option<Cow<'a, str>>,
    /// The path, without the query. Left out when a finding touches the URL.
    pub path: Option<Cow<'a, str>>,
    /// Whether it passed.
    pub decision: Decision,
    /// Why not, as a stable name such as `host_denied`.
    pub reason: Option<Cow<'a, str>>,
    /// The rule's id or the policy's key that decided.
    pub rule: Option<Cow<'a, str>>,
    /// What the detectors saw, blocking or not.
    pub findings: Vec<Finding<'a>>,
    /// What a person who was asked said, as `allowed by uid 1000`, or why none did.
    pub ruling: Option<Cow<'a, str>>,
    /// In audit mode, the refusal that would have been.
    pub shadow: Option<Shadow<'a>>,
    /// Bytes of body or stream that were inspected.
    pub bytes: u64,
    /// The digest of the policy that decided.
    pub policy: Digest,
    /// The pinned address that was dialled.
    pub upstream: Option<SocketAddr>,
    /// Microseconds from the crossing's opening to its decision.
    pub duration_us: u64,
    /// What else must be left out: for a response, what its request's findings touched.
    /// See [`Record::withhold`].
    pub withhold: Withhold,
}

/// Which way content moved through the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the bottle to the world.
    Outbound,
    /// From the world into the bottle.
    Inbound,
}

/// Whether a crossing passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It passed.
    Allow,
    /// It did not.
    Block,
}

/// The far end of a crossing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target<'a> {
    /// Its name or address. Cut down when a finding touches the host.
    #[serde(borrow)]
    pub host: Cow<'a, str>,
    /// Its port.
    pub port: u16,
    /// The protocol spoken to it.
    #[serde(borrow)]
    pub scheme: Cow<'a, str>,
}

/// What a detector saw, without the content that it saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding<'a> {
    /// What the policy made of it: `warn`, `redact`, `rewrite` or `block`.
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    /// The rule's class.
    #[serde(borrow)]
    pub class: Cow<'a, str>,
    /// A keyed hash of the matched bytes.
    pub fingerprint: Fingerprint,
    /// The surface's name, such as a header's; empty where the kind has none.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Byte offset in the surface.
    #[serde(serialize_with = "crate::line::exact")]
    pub offset: u64,
    /// The rule's id.
    #[serde(borrow)]
    pub rule: Cow<'a, str>,
    /// What the signals add up to, where a finding is by weak signals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<u32>,
    /// How bad a true match is.
    #[serde(borrow)]
    pub severity: Cow<'a, str>,
    /// The signals' names, the weightiest first.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<Cow<'a, str>>,
    /// The kind of surface.
    #[serde(borrow)]
    pub surface: Cow<'a, str>,
    /// The decodings that led to the match, outermost first.
    #[serde(borrow)]
    pub via: Vec<Cow<'a, str>>,
}

/// A refusal that audit mode turned into an allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow<'a> {
    /// Why it would have been refused.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    /// The rule's id or the policy's key.
    #[serde(borrow)]
    pub rule: Cow<'a, str>,
}

/// A blocked crossing with nothing known about it: a start for struct update syntax.
impl Default for Record<'_> {
    fn default() -> Self {
        Self {
            agent: None,
            bottle: None,
            id: Cow::Borrowed(""),
            answers: None,
            time: Time::default(),
            crossing: Cow::Borrowed(""),
            direction: Direction::Outbound,
            target: Target {
                host: Cow::Borrowed(""),
                port: 0,
                scheme: Cow::Borrowed(""),
            },
            method: None,
            protocol: None,
            path: None,
            decision: Decision::Block,
            reason: None,
            rule: None,
            findings: Vec::new(),
            ruling: None,
            shadow: None,
            bytes: 0,
            policy: Digest::ZERO,
            upstream: None,
            duration_us: 0,
            withhold: Withhold::default(),
        }
    }
}
