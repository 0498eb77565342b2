//! The writer's side: records in, lines out.

use std::time::Duration;

use crate::hex::Digest;
use crate::line::{self, CloseLine, CrossingLine, FORMAT, HeadLine, Kind, OpenLine};
use crate::record::{Decision, Record};
use crate::sign::{Domain, SignedHead, Signer};
use crate::time::Time;

/// What the first line of a log says.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// When the log is opened.
    pub time: Time,
    /// The digest of the policy in force; each crossing names its own too.
    pub policy: Digest,
    /// The ledger's last line, or the head of the log that this one continues, if any.
    pub previous: Option<Digest>,
    /// The version of the program that writes.
    pub version: &'a str,
}

/// The last line of a chain so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number; the first line's is 0.
    pub seq: u64,
    /// The SHA-256 of its bytes, without the line end.
    pub hash: Digest,
}

/// A log being written. It keeps only its head and totals; the caller writes the bytes, in order.
#[derive(Debug)]
pub struct Chain {
    head: Head,
    /// Crossings that no signature covers yet.
    unsigned: u64,
    crossings: u64,
    refusals: u64,
}

impl Chain {
    /// Starts a log: appends its first line, signed, to `out`.
    pub fn open(opening: &Opening<'_>, signer: &Signer, out: &mut Vec<u8>) -> Self {
        let mut open = OpenLine {
            key: signer.public_key(),
            kind: Kind::Open,
            policy: opening.policy,
            prev: opening.previous.unwrap_or(Digest::ZERO),
            seq: 0,
            sig: None,
            time: opening.time,
            v: FORMAT,
            version: opening.version.into(),
        };
        open.sig = Some(signer.sign_statement(Domain::Open, &open));
        let hash = write(out, |out| line::encode(&open, out));
        Self {
            head: Head { seq: 0, hash },
            unsigned: 0,
            crossings: 0,
            refusals: 0,
        }
    }

    /// Redacts a record and appends its line to `out`.
    pub fn append(&mut self, mut record: Record<'_>, out: &mut Vec<u8>) -> Head {
        record.redact();
        self.crossings += 1;
        self.refusals += u64::from(record.decision == Decision::Block);
        self.unsigned += 1;
        let line = CrossingLine::new(record, self.head.seq + 1, self.head.hash);
        self.advance(out, |out| line.write(out))
    }

    /// The last line so far, for [`Signer::sign`].
    pub fn head(&self) -> Head {
        self.head
    }

    /// Crossings since the last signature, for [`Batch::is_due`].
    pub fn unsigned(&self) -> u64 {
        self.unsigned
    }

    /// Appends a signed head to `out`. Crossings appended since [`Chain::head`] was read stay
    /// unsigned until the next one.
    pub fn seal(&mut self, signed: SignedHead, out: &mut Vec<u8>) -> Head {
        let newer = self.head.seq.saturating_sub(signed.claim.seq);
        let line = HeadLine {
            head: signed.claim,
            key: signed.key,
            kind: Kind::Head,
            prev: self.head.hash,
            seq: self.head.seq + 1,
            sig: signed.sig,
            v: FORMAT,
        };
        self.unsigned = newer.min(self.unsigned);
        self.advance(out, |out| line::encode(&line, out))
    }

    /// Ends the log: appends its last line, signed, with the totals. The head that it returns is
    /// what the next log names as its previous one.
    pub fn close(mut self, time: Time, signer: &Signer, out: &mut Vec<u8>) -> Head {
        let mut close = CloseLine {
            crossings: self.crossings,
            key: signer.key_id(),
            kind: Kind::Close,
            prev: self.head.hash,
            refusals: self.refusals,
            seq: self.head.seq + 1,
            sig: None,
            time,
            v: FORMAT,
        };
        close.sig = Some(signer.sign_statement(Domain::Close, &close));
        self.advance(out, |out| line::encode(&close, out))
    }

    fn advance(&mut self, out: &mut Vec<u8>, line: impl FnOnce(&mut Vec<u8>)) -> Head {
        self.head = Head {
            seq: self.head.seq + 1,
            hash: write(out, line),
        };
        self.head
    }
}

/// Appends a line and its end, and returns the line's hash.
fn write(out: &mut Vec<u8>, line: impl FnOnce(&mut Vec<u8>)) -> Digest {
    let start = out.len();
    line(out);
    let hash = Digest::of(&out[start..]);
    out.push(b'\n');
    hash
}

/// When the chain's head is signed: often enough that little is unsigned when the machine stops,
/// and rarely enough that signing costs nothing. No crossing waits for it.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    /// The most crossings that wait for one signature.
    pub crossings_max: u64,
    /// The longest that a crossing waits for a signature.
    pub wait_max: Duration,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            crossings_max: 256,
            wait_max: Duration::from_millis(100),
        }
    }
}

impl Batch {
    /// Whether it is time to sign, with this many crossings unsigned, the oldest for `waited`.
    pub fn is_due(&self, unsigned: u64, waited: Duration) -> bool {
        unsigned > 0 && (unsigned >= self.crossings_max || waited >= self.wait_max)
    }
}
