//! The ledger of an installation: which logs there have been, in what order, and how each ended.
//!
//! A log shows that none of its own lines is missing; the ledger shows that no log is. Each of its
//! lines is signed and names the line before it. A log's first line names the ledger's last line at
//! that time, and the ledger's next line names the log's first, so that neither can be replaced alone.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::hex::{Digest, PublicKey, Signature, key_id};
use crate::line::{self, FORMAT};
use crate::sign::{Domain, Signer, is_signed};
use crate::time::Time;
use crate::verify::{Fault, Report, What};

/// The longest line of a ledger that is written or read, in bytes without its end: a log's name of
/// [`NAME_BYTES_MAX`], every byte escaped, and hashes.
pub const LEDGER_LINE_BYTES_MAX: usize = 4096;

/// The longest name of a log: what file systems take.
pub const NAME_BYTES_MAX: usize = 255;

/// What a ledger's line tells of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It was opened; the hash is its first line's.
    Opened,
    /// It was closed; the hash is its last line's.
    Closed,
}

/// The last line of a ledger, which the next one follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerHead {
    seq: u64,
    hash: Digest,
}

/// One line of a ledger, signed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LedgerLine<'a> {
    hash: Digest,
    key: PublicKey,
    kind: Event,
    #[serde(borrow)]
    log: Cow<'a, str>,
    prev: Digest,
    #[serde(serialize_with = "crate::line::exact")]
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sig: Option<Signature>,
    time: Time,
    v: u64,
}

impl LedgerHead {
    /// The hash of the line: what a log that is opened now names as its previous one.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// Reads a ledger's last line, without its end.
    ///
    /// # Errors
    /// When it is not a line of a ledger.
    pub fn of(line: &[u8]) -> Result<Self, What> {
        let seq = decode(line)?.seq;
        let hash = Digest::of(line);
        Ok(Self { seq, hash })
    }

    /// Appends a line and its end to `out`, behind `after` if the ledger is not new.
    pub fn append(
        after: Option<Self>,
        entry: &Entry<'_>,
        signer: &Signer,
        out: &mut Vec<u8>,
    ) -> Self {
        let mut line = LedgerLine {
            hash: entry.hash,
            key: signer.public_key(),
            kind: entry.event,
            log: entry.log.into(),
            prev: after.map_or(Digest::ZERO, |head| head.hash),
            seq: after.map_or(0, |head| head.seq + 1),
            sig: None,
            time: entry.time,
            v: FORMAT,
        };
        line.sig = Some(signer.sign_statement(Domain::Ledger, &line));
        let start = out.len();
        line::encode(&line, out);
        let hash = Digest::of(&out[start..]);
        out.push(b'\n');
        Self {
            seq: line.seq,
            hash,
        }
    }
}

/// What is to be written about a log.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// What happened to it.
    pub event: Event,
    /// Its name: at most [`NAME_BYTES_MAX`] bytes.
    pub log: &'a str,
    /// The hash of the line that was written last.
    pub hash: Digest,
    /// When.
    pub time: Time,
}

/// A log as the ledger tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub log: String,
    /// When it was opened.
    pub time: Time,
    /// What its first line must name as the line before it; none for the first log.
    previous: Option<Digest>,
    opened: Digest,
    closed: Option<Digest>,
}

/// How a log differs from what the ledger tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// It begins otherwise.
    #[error("does not begin as the ledger says: it was replaced")]
    Replaced,
    /// It ends otherwise.
    #[error("does not end as the ledger says: lines at its end were cut away or added")]
    Ended,
}

impl Listed {
    /// Whether a verified log is the one that is listed.
    ///
    /// # Errors
    /// How it differs.
    pub fn check(&self, log: &Report) -> Result<(), Mismatch> {
        if log.opened != self.opened || log.previous != self.previous {
            return Err(Mismatch::Replaced);
        }
        match self.closed {
            Some(head) if head != log.head => Err(Mismatch::Ended),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the log was closed.
    pub fn is_closed(&self) -> bool {
        self.closed.is_some()
    }
}

/// Reads a whole ledger and tells the logs in the order in which they were opened. With a key, each
/// line must be signed by it; without one, each line's own is believed.
///
/// # Errors
/// The first bad line.
pub fn read_ledger(ledger: &[u8], key: Option<PublicKey>) -> Result<Vec<Listed>, Fault> {
    let (mut listed, mut head) = (Vec::new(), None);
    for (number, bytes) in (1..).zip(ledger.split_inclusive(|byte| *byte == b'\n')) {
        let fault = |what| Fault { line: number, what };
        let bytes = bytes.strip_suffix(b"\n").ok_or(fault(What::Cut))?;
        let line = decode(bytes).map_err(fault)?;
        line.check(head, key).map_err(fault)?;
        line.note(&mut listed).map_err(fault)?;
        head = Some(LedgerHead {
            seq: line.seq,
            hash: Digest::of(bytes),
        });
    }
    Ok(listed)
}

fn decode(bytes: &[u8]) -> Result<LedgerLine<'_>, What> {
    if bytes.len() > LEDGER_LINE_BYTES_MAX {
        return Err(What::TooLong);
    }
    let line: LedgerLine<'_> = line::canonical(bytes)?;
    match line.v {
        FORMAT => Ok(line),
        other => Err(What::Version(other)),
    }
}

impl LedgerLine<'_> {
    fn check(&self, after: Option<LedgerHead>, key: Option<PublicKey>) -> Result<(), What> {
        let due = after.map_or(0, |head| head.seq + 1);
        if self.seq != due {
            let found = self.seq;
            return Err(What::Sequence { due, found });
        }
        if self.prev != after.map_or(Digest::ZERO, |head| head.hash) {
            return Err(What::Link);
        }
        if let Some(pinned) = key.filter(|pinned| *pinned != self.key) {
            return Err(What::key(&pinned, key_id(&self.key)));
        }
        let sig = self.sig.as_ref().ok_or(What::Signature)?;
        let unsigned = LedgerLine {
            log: Cow::Borrowed(&self.log),
            sig: None,
            ..*self
        };
        match is_signed(&self.key, Domain::Ledger, &unsigned, sig) {
            true => Ok(()),
            false => Err(What::Signature),
        }
    }

    fn note(&self, listed: &mut Vec<Listed>) -> Result<(), What> {
        // The newest are the likeliest to be closed next.
        let own = listed.iter_mut().rev().find(|own| own.log == *self.log);
        match (self.kind, own) {
            (Event::Opened, None) => {
                listed.push(Listed {
                    log: self.log.clone().into_owned(),
                    time: self.time,
                    previous: Some(self.prev).filter(|prev| *prev != Digest::ZERO),
                    opened: self.hash,
                    closed: None,
                });
                Ok(())
            }
            (Event::Closed, Some(own)) if own.closed.is_none() => {
                own.closed = Some(self.hash);
                Ok(())
            }
            (Event::Opened, Some(_)) | (Event::Closed, _) => Err(What::Listed),
        }
    }
}
