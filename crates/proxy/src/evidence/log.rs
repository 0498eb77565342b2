//! One log: lines are chained under a short lock, handed to the kernel and synced in groups, and
//! signed by a thread of its own.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use carboy_engine::Durability;
use carboy_receipt::{
    Batch, Chain, Digest, Entry, Event, Head, Opening, Record, SignedHead, Signer, Time,
};
use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::files::file_error;
use super::ledger::Ledger;
use super::{EvidenceConfig, EvidenceError, now};

/// A log being written.
pub(super) struct Log {
    state: Mutex<State>,
    /// Told when the first line waits for its signature, when a batch is full, and at the end.
    due: Condvar,
    /// What the kernel has. Whoever holds it writes for all that wait.
    written: Mutex<Written>,
    /// The last line known to be on the disk. Whoever holds it syncs for all that wait.
    synced: Mutex<u64>,
    file: File,
    path: PathBuf,
    signer: Signer,
    durability: Durability,
}

struct State {
    chain: Option<Chain>,
    /// The last line of the chain.
    last: u64,
    /// Lines that nobody hands to the kernel yet.
    buffer: Vec<u8>,
    given_up: Option<Arc<str>>,
    /// Since when a line waits for its signature.
    waiting: Option<Instant>,
    closed: bool,
}

struct Written {
    /// The last line that the kernel has; none before the first.
    last: Option<u64>,
    /// What is being written.
    lines: Vec<u8>,
}

impl Log {
    pub(super) fn open(
        file: File,
        path: &Path,
        signer: Signer,
        config: &EvidenceConfig<'_>,
        previous: Option<Digest>,
    ) -> Result<(Self, Head), EvidenceError> {
        let mut buffer = Vec::new();
        let opening = Opening {
            time: now(),
            policy: Digest::new(config.policy.0),
            previous,
            version: config.version,
        };
        let chain = Chain::open(&opening, &signer, &mut buffer);
        let head = chain.head();
        let log = Self {
            state: Mutex::new(State {
                last: head.seq,
                chain: Some(chain),
                buffer,
                given_up: None,
                waiting: None,
                closed: false,
            }),
            due: Condvar::new(),
            written: Mutex::new(Written {
                last: None,
                lines: Vec::new(),
            }),
            synced: Mutex::new(0),
            file,
            path: path.to_owned(),
            signer,
            durability: config.durability,
        };
        log.write(head.seq)?;
        Ok((log, head))
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    /// Where it and its ledger are.
    pub(super) fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    /// Lists what happened to the log, whose last line is `head`, in the ledger.
    pub(super) fn list(
        &self,
        ledger: &mut Ledger,
        event: Event,
        head: Head,
    ) -> Result<(), EvidenceError> {
        let name = self.path.file_name().unwrap_or_default();
        let entry = Entry {
            event,
            log: &name.to_string_lossy(),
            hash: head.hash,
            time: now(),
        };
        ledger.append(&entry, &self.signer, self.durability == Durability::Synced)
    }

    /// Appends a line. When it returns, the line is as safe as the durability says.
    pub(super) fn append(&self, record: Record<'_>) -> Result<(), EvidenceError> {
        let (line, buffered) = self.chain(record)?;
        match self.durability {
            Durability::Buffered if buffered < BUFFER_BYTES_MAX => Ok(()),
            Durability::Buffered | Durability::Written => self.write(line),
            Durability::Synced => {
                self.write(line)?;
                blocking(|| self.sync(line))
            }
        }
    }

    /// Ends the log: its last line is signed and all of it synced. Returns that line, once.
    pub(super) fn close(&self, time: Time) -> Result<Option<Head>, EvidenceError> {
        let mut state = self.state.lock();
        state.closed = true;
        self.due.notify_one();
        let Some(chain) = state.chain.take() else {
            return Ok(None);
        };
        let last = chain.close(time, &self.signer, &mut state.buffer);
        state.last = last.seq;
        drop(state);
        self.write(last.seq)?;
        self.sync(last.seq)?;
        Ok(Some(last))
    }

    /// Chains a record's line. Returns its number, and how many bytes nobody has written yet.
    fn chain(&self, record: Record<'_>) -> Result<(u64, usize), EvidenceError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(why) = &state.given_up {
            return Err(EvidenceError::GivenUp(Arc::clone(why)));
        }
        let chain = state.chain.as_mut().ok_or(EvidenceError::Closed)?;
        state.last = chain.append(record, &mut state.buffer).seq;
        let is_full = chain.unsigned() == Batch::default().crossings_max;
        if state.waiting.is_none() || is_full {
            state.waiting.get_or_insert_with(Instant::now);
            self.due.notify_one();
        }
        Ok((state.last, state.buffer.len()))
    }

    /// Signs and writes until the log is closed. Runs on a thread of its own.
    pub(super) fn keep_signed(&self) {
        let batch = Batch::default();
        let mut state = self.state.lock();
        while !state.closed {
            let Some(since) = state.waiting else {
                self.due.wait(&mut state);
                continue;
            };
            let unsigned = state.chain.as_ref().map_or(0, Chain::unsigned);
            let waited = since.elapsed();
            if !batch.is_due(unsigned, waited) {
                let left = batch.wait_max.saturating_sub(waited).max(WAIT_MIN);
                self.due.wait_for(&mut state, left);
                continue;
            }
            let Some(head) = state.chain.as_ref().map(Chain::head) else {
                return;
            };
            state.waiting = None;
            drop(state);
            if let Err(error) = self.seal(self.signer.sign(head, now())) {
                // It shows at the next receipt.
                tracing::error!(%error, "the receipts' log failed");
            }
            state = self.state.lock();
        }
    }

    /// Appends a signed head.
    fn seal(&self, signed: SignedHead) -> Result<(), EvidenceError> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(chain) = state.chain.as_mut() else {
            return Ok(());
        };
        state.last = chain.seal(signed, &mut state.buffer).seq;
        if chain.unsigned() > 0 {
            state.waiting.get_or_insert_with(Instant::now);
        }
        let line = state.last;
        drop(guard);
        self.write(line)
    }

    /// Waits until the kernel has a line. The first that comes writes for all behind it.
    fn write(&self, line: u64) -> Result<(), EvidenceError> {
        let mut written = self.written.lock();
        let Written { last, lines } = &mut *written;
        if last.is_some_and(|last| last >= line) {
            return Ok(());
        }
        let newest = {
            let mut state = self.state.lock();
            if let Some(why) = &state.given_up {
                return Err(EvidenceError::GivenUp(Arc::clone(why)));
            }
            std::mem::swap(&mut state.buffer, lines);
            state.last
        };
        let outcome = (&self.file).write_all(lines);
        lines.clear();
        outcome.map_err(|source| self.give_up(source))?;
        *last = Some(newest);
        Ok(())
    }

    /// After a failure the log may end in half a line, so that nothing may follow.
    fn give_up(&self, source: std::io::Error) -> EvidenceError {
        self.state.lock().given_up = Some(source.to_string().into());
        file_error(&self.path, source)
    }

    /// Waits until a line is on the disk. The first that comes syncs for all behind it.
    fn sync(&self, line: u64) -> Result<(), EvidenceError> {
        let mut synced = self.synced.lock();
        if *synced >= line {
            return Ok(());
        }
        let newest = self.written.lock().last.unwrap_or(line);
        self.file
            .sync_data()
            .map_err(|source| self.give_up(source))?;
        *synced = newest;
        Ok(())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.path.display())
    }
}

/// Runs what blocks for a disk's time, without stopping the runtime's other tasks where it can: the
/// workers' runtime can where receipts are synced.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        Ok(_) | Err(_) => work(),
    }
}

/// What a buffered log keeps in memory at most: some 250 lines.
const BUFFER_BYTES_MAX: usize = 128 * 1024;

/// The shortest wait for a batch, so that a clock's rounding does not spin.
const WAIT_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests;
