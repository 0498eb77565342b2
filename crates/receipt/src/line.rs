//! The lines of a log, as they are written.
//!
//! Each struct lists its fields in the order of their names, so that plain `serde_json` writes
//! the canonical form of RFC 8785: all names are ASCII, all numbers are integers below 2^53, and
//! both escape strings alike. A test compares every kind of line with a canonicalizer.

mod crossing;

use std::borrow::Cow;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize, Serializer};

use crate::hex::{Digest, KeyId, PublicKey, Signature};
use crate::record::{Decision, Direction, Finding, Record, Shadow, Target};
use crate::time::Time;
use crate::verify::What;

/// The version of the format that this crate writes and reads.
pub(crate) const FORMAT: u64 = 1;

/// The longest line that is written or read, in bytes without its end. The longest that a record
/// can make, with every text at its limit and every character escaped, is just below it.
pub const LINE_BYTES_MAX: usize = 192 * 1024;

/// The largest integer that RFC 8785 keeps exact (section 3.2.2.3: IEEE 754 doubles).
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// What kind of line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Open,
    Crossing,
    Head,
    Close,
}

/// What every line has, read first to know how to read the rest.
#[derive(Debug, Deserialize)]
struct Probe<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    v: u64,
}

/// The first line of a log, signed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenLine<'a> {
    pub(crate) key: PublicKey,
    pub(crate) kind: Kind,
    pub(crate) policy: Digest,
    pub(crate) prev: Digest,
    pub(crate) seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sig: Option<Signature>,
    pub(crate) time: Time,
    pub(crate) v: u64,
    #[serde(borrow)]
    pub(crate) version: Cow<'a, str>,
}

/// One crossing.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CrossingLine<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bottle: Option<Cow<'a, str>>,
    #[serde(serialize_with = "exact")]
    bytes: u64,
    #[serde(borrow)]
    crossing: Cow<'a, str>,
    pub(crate) decision: Decision,
    direction: Direction,
    #[serde(serialize_with = "exact")]
    duration_us: u64,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding<'a>>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    policy: Digest,
    pub(crate) prev: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ruling: Option<Cow<'a, str>>,
    #[serde(serialize_with = "exact")]
    pub(crate) seq: u64,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    shadow: Option<Shadow<'a>>,
    #[serde(borrow)]
    target: Target<'a>,
    pub(crate) time: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<SocketAddr>,
    v: u64,
}

/// A signed head of the chain. The signature covers `head`, a line before this one; this line's
/// own place is covered by the chain.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadLine {
    pub(crate) head: HeadClaim,
    pub(crate) key: KeyId,
    pub(crate) kind: Kind,
    pub(crate) prev: Digest,
    #[serde(serialize_with = "exact")]
    pub(crate) seq: u64,
    pub(crate) sig: Signature,
    pub(crate) v: u64,
}

/// What a head's signature says: at this time, the log's line `seq` had this hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadClaim {
    pub(crate) hash: Digest,
    #[serde(serialize_with = "exact")]
    pub(crate) seq: u64,
    pub(crate) time: Time,
}

/// The last line of a log, signed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloseLine {
    #[serde(serialize_with = "exact")]
    pub(crate) crossings: u64,
    pub(crate) key: KeyId,
    pub(crate) kind: Kind,
    pub(crate) prev: Digest,
    #[serde(serialize_with = "exact")]
    pub(crate) refusals: u64,
    #[serde(serialize_with = "exact")]
    pub(crate) seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sig: Option<Signature>,
    pub(crate) time: Time,
    pub(crate) v: u64,
}

impl<'a> CrossingLine<'a> {
    /// The line of a record that has been redacted, at its place in the chain.
    pub(crate) fn new(record: Record<'a>, seq: u64, prev: Digest) -> Self {
        Self {
            agent: record.agent,
            answers: record.answers,
            bottle: record.bottle,
            bytes: record.bytes,
            crossing: record.crossing,
            decision: record.decision,
            direction: record.direction,
            duration_us: record.duration_us,
            findings: record.findings,
            id: record.id,
            kind: Kind::Crossing,
            method: record.method,
            protocol: record.protocol,
            path: record.path,
            policy: record.policy,
            prev,
            reason: record.reason,
            rule: record.rule,
            ruling: record.ruling,
            seq,
            shadow: record.shadow,
            target: record.target,
            time: record.time,
            upstream: record.upstream,
            v: FORMAT,
        }
    }
}

/// Appends the canonical form of `line` to `out`, without a line end.
pub(crate) fn encode<T: Serialize>(line: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, line)
        .expect("writing to memory does not fail, nor does any field's serializer");
}

/// Writes an integer, at most [`INTEGER_MAX`].
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(crate) fn exact<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64((*number).min(INTEGER_MAX))
}

/// Any line, as read.
#[derive(Debug)]
pub(crate) enum Line<'a> {
    Open(OpenLine<'a>),
    Crossing(Box<CrossingLine<'a>>),
    Head(HeadLine),
    Close(CloseLine),
}

impl<'a> Line<'a> {
    /// Reads a line, which must be in the very bytes that are written for it.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, What> {
        if bytes.len() > LINE_BYTES_MAX {
            return Err(What::TooLong);
        }
        let probe: Probe<'_> = parse(bytes)?;
        if probe.v != FORMAT {
            return Err(What::Version(probe.v));
        }
        match &*probe.kind {
            "open" => canonical(bytes).map(Self::Open),
            "crossing" => canonical(bytes).map(|line| Self::Crossing(Box::new(line))),
            "head" => canonical(bytes).map(Self::Head),
            "close" => canonical(bytes).map(Self::Close),
            _ => Err(What::Kind),
        }
    }

    /// Its number in the log.
    pub(crate) fn seq(&self) -> u64 {
        match self {
            Self::Open(line) => line.seq,
            Self::Crossing(line) => line.seq,
            Self::Head(line) => line.seq,
            Self::Close(line) => line.seq,
        }
    }

    /// The hash of the line before it.
    pub(crate) fn prev(&self) -> Digest {
        match self {
            Self::Open(line) => line.prev,
            Self::Crossing(line) => line.prev,
            Self::Head(line) => line.prev,
            Self::Close(line) => line.prev,
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, What> {
    serde_json::from_slice(bytes).map_err(|error| What::Unreadable(error.column()))
}

/// Reads an object, which must be in the very bytes that are written for it.
pub(crate) fn canonical<'a, T: Deserialize<'a> + Serialize>(bytes: &'a [u8]) -> Result<T, What> {
    let line: T = parse(bytes)?;
    let mut written = Vec::with_capacity(bytes.len());
    encode(&line, &mut written);
    if written == bytes {
        Ok(line)
    } else {
        Err(What::NotCanonical)
    }
}
