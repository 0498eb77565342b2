//! The walk along the chain, line by line.

use std::collections::VecDeque;

use super::{Fault, Report, Trust, Verify, What};
use crate::hex::{Digest, KeyId, PublicKey, key_id};
use crate::line::{CloseLine, HeadLine, Line, OpenLine};
use crate::record::Decision;
use crate::sign::{Domain, is_signed};
use crate::time::Time;

/// The most lines that may go without a signature: a writer signs every 256, and a reader keeps
/// 32 bytes for each until then.
pub const UNSIGNED_LINES_MAX: usize = 65_536;

/// What has been seen of a log.
#[derive(Debug)]
pub(super) struct Walk {
    options: Verify,
    open: Option<Opened>,
    lines: u64,
    /// The last line's hash.
    head: Digest,
    crossings: u64,
    refusals: u64,
    closed: bool,
    last: Time,
    /// The hashes of the lines from the last signed one on.
    unsigned: VecDeque<Digest>,
    signed_lines: u64,
    /// Set when the last line did not link to the one before: the next line tells which of
    /// the two was changed.
    broken: bool,
}

/// What the open line said.
#[derive(Debug)]
struct Opened {
    key: PublicKey,
    hash: Digest,
    time: Time,
    previous: Option<Digest>,
}

impl Walk {
    pub(super) fn new(options: Verify) -> Self {
        Self {
            options,
            open: None,
            lines: 0,
            head: Digest::ZERO,
            crossings: 0,
            refusals: 0,
            closed: false,
            last: Time::default(),
            unsigned: VecDeque::new(),
            signed_lines: 0,
            broken: false,
        }
    }

    /// A fault of the line that comes next, unless the link before it is already known broken.
    pub(super) fn fault(&self, what: What) -> Fault {
        if self.broken {
            return self.fault_at(self.lines, What::Link);
        }
        self.fault_at(self.lines + 1, what)
    }

    pub(super) fn step(&mut self, line: Line<'_>, hash: Digest) -> Result<(), Fault> {
        if self.broken {
            return Err(self.blame(self.closed || line.prev() == self.head));
        }
        self.check(line, hash).map_err(|what| self.fault(what))?;
        self.lines += 1;
        self.head = hash;
        self.unsigned.push_back(hash);
        if self.unsigned.len() > UNSIGNED_LINES_MAX {
            return Err(self.fault_at(self.lines, What::Unsigned));
        }
        Ok(())
    }

    pub(super) fn finish(self, cut: bool) -> Result<Report, Fault> {
        if cut {
            return Err(self.fault(What::Cut));
        }
        if self.broken {
            return Err(self.blame(self.closed));
        }
        let Some(open) = &self.open else {
            return Err(self.fault(What::Empty));
        };
        if !self.closed && !self.options.allow_open {
            let signed_lines = self.signed_lines;
            return Err(self.fault_at(self.lines, What::NotClosed { signed_lines }));
        }
        Ok(self.report(open))
    }

    fn report(&self, open: &Opened) -> Report {
        Report {
            lines: self.lines,
            crossings: self.crossings,
            refusals: self.refusals,
            first: open.time,
            last: self.last,
            key: open.key,
            trust: self.options.key.map_or(Trust::OnFile, |_| Trust::Pinned),
            closed: self.closed,
            signed_lines: self.signed_lines,
            opened: open.hash,
            previous: open.previous,
            head: self.head,
        }
    }

    fn fault_at(&self, line: u64, what: What) -> Fault {
        Fault { line, what }
    }

    /// Which of two lines that do not link was changed. The second is known to be intact if the
    /// line after it links to it, or if it is the signed close.
    fn blame(&self, second_is_intact: bool) -> Fault {
        if second_is_intact {
            self.fault_at(self.lines - 1, What::Changed)
        } else {
            self.fault_at(self.lines, What::Link)
        }
    }

    fn check(&mut self, line: Line<'_>, hash: Digest) -> Result<(), What> {
        if self.closed {
            return Err(What::AfterClose);
        }
        let Some(key) = self.open.as_ref().map(|open| open.key) else {
            return self.check_open(line, hash);
        };
        let (due, found) = (self.lines, line.seq());
        if due != found {
            return Err(What::Sequence { due, found });
        }
        let linked = line.prev() == self.head;
        match line {
            Line::Open(_) => return Err(What::Reopened),
            Line::Crossing(line) => {
                self.crossings += 1;
                self.refusals += u64::from(line.decision == Decision::Block);
                self.last = line.time;
            }
            Line::Head(line) if linked => self.check_head(&line, &key)?,
            Line::Head(_) => {}
            Line::Close(line) => self.check_close(line, &key, linked)?,
        }
        self.broken = !linked;
        Ok(())
    }

    fn check_open(&mut self, line: Line<'_>, hash: Digest) -> Result<(), What> {
        let Line::Open(mut line) = line else {
            return Err(What::NotOpen);
        };
        if line.seq != 0 {
            return Err(What::Sequence {
                due: 0,
                found: line.seq,
            });
        }
        if let Some(pinned) = self.options.key.filter(|pinned| *pinned != line.key) {
            return Err(What::key(&pinned, key_id(&line.key)));
        }
        let sig = line.sig.take().ok_or(What::Signature)?;
        if !is_signed(&line.key, Domain::Open, &line, &sig) {
            return Err(What::Signature);
        }
        self.opened(&line, hash);
        Ok(())
    }

    fn opened(&mut self, line: &OpenLine<'_>, hash: Digest) {
        self.open = Some(Opened {
            key: line.key,
            hash,
            time: line.time,
            previous: Some(line.prev).filter(|prev| *prev != Digest::ZERO),
        });
        self.last = line.time;
        self.signed_lines = 1;
    }

    fn check_head(&mut self, line: &HeadLine, key: &PublicKey) -> Result<(), What> {
        check_key(key, line.key)?;
        if !is_signed(key, Domain::Head, &line.head, &line.sig) {
            return Err(What::Signature);
        }
        let first = self.lines - self.unsigned.len() as u64;
        let behind = line.head.seq.checked_sub(first).ok_or(What::Head)? as usize;
        if self.unsigned.get(behind) != Some(&line.head.hash) {
            return Err(What::Head);
        }
        self.unsigned.drain(..behind);
        self.signed_lines = line.head.seq + 1;
        self.last = line.head.time;
        Ok(())
    }

    fn check_close(
        &mut self,
        mut line: CloseLine,
        key: &PublicKey,
        linked: bool,
    ) -> Result<(), What> {
        check_key(key, line.key)?;
        let sig = line.sig.take().ok_or(What::Signature)?;
        if !is_signed(key, Domain::Close, &line, &sig) {
            return Err(What::Signature);
        }
        if linked && (line.crossings, line.refusals) != (self.crossings, self.refusals) {
            return Err(What::Totals);
        }
        self.closed = true;
        self.signed_lines = self.lines + 1;
        self.last = line.time;
        Ok(())
    }
}

fn check_key(expected: &PublicKey, found: KeyId) -> Result<(), What> {
    if key_id(expected) == found {
        Ok(())
    } else {
        Err(What::key(expected, found))
    }
}
