//! One log: lines are chained under a short lock, signed by a thread of its own, and synced in
//! groups.

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
    /// The last line known to be on the disk. Whoever holds it syncs for all that wait.
    synced: Mutex<u64>,
    file: File,
    path: PathBuf,
    signer: Signer,
    durability: Durability,
}

struct State {
    chain: Option<Chain>,
    /// Lines that the kernel does not have yet.
    buffer: Vec<u8>,
    given_up: Option<Arc<str>>,
    /// Since when a line waits for its signature.
    waiting: Option<Instant>,
    closed: bool,
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
                chain: Some(chain),
                buffer,
                given_up: None,
                waiting: None,
                closed: false,
            }),
            due: Condvar::new(),
            synced: Mutex::new(0),
            file,
            path: path.to_owned(),
            signer,
            durability: config.durability,
        };
        log.flush(&mut log.state.lock())?;
        Ok((log, head))
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

    pub(super) fn append(&self, record: Record<'_>) -> Result<(), EvidenceError> {
        let line = self.write(record)?;
        match self.durability {
            Durability::Buffered | Durability::Written => Ok(()),
            Durability::Synced => blocking(|| self.sync(line)),
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
        self.flush(&mut state)?;
        drop(state);
        self.sync(last.seq)?;
        Ok(Some(last))
    }

    /// Chains a record's line, and hands it to the kernel unless buffered. Returns its number.
    fn write(&self, record: Record<'_>) -> Result<u64, EvidenceError> {
        let mut state = self.state.lock();
        let state = &mut *state;
        if let Some(why) = &state.given_up {
            return Err(EvidenceError::GivenUp(Arc::clone(why)));
        }
        let chain = state.chain.as_mut().ok_or(EvidenceError::Closed)?;
        let line = chain.append(record, &mut state.buffer).seq;
        let is_full = chain.unsigned() == Batch::default().crossings_max;
        if state.waiting.is_none() || is_full {
            state.waiting.get_or_insert_with(Instant::now);
            self.due.notify_one();
        }
        let may_wait = self.durability == Durability::Buffered;
        if !may_wait || state.buffer.len() >= BUFFER_BYTES_MAX {
            self.flush(state)?;
        }
        Ok(line)
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
            let signed = self.signer.sign(head, now());
            state = self.state.lock();
            self.seal(&mut state, signed);
        }
    }

    /// Appends a signed head. A failed write shows at the next receipt.
    fn seal(&self, state: &mut State, signed: SignedHead) {
        let Some(chain) = state.chain.as_mut() else {
            return;
        };
        chain.seal(signed, &mut state.buffer);
        if chain.unsigned() > 0 {
            state.waiting.get_or_insert_with(Instant::now);
        }
        if let Err(error) = self.flush(state) {
            tracing::error!(%error, "the receipts' log failed");
        }
    }

    /// Hands the buffer to the kernel. After a failure the log may end in half a line, so that
    /// nothing may follow.
    fn flush(&self, state: &mut State) -> Result<(), EvidenceError> {
        let written = (&self.file).write_all(&state.buffer);
        state.buffer.clear();
        written.map_err(|source| {
            state.given_up = Some(source.to_string().into());
            file_error(&self.path, source)
        })
    }

    /// Waits until a line is on the disk. The first that comes syncs for all behind it.
    fn sync(&self, line: u64) -> Result<(), EvidenceError> {
        let mut synced = self.synced.lock();
        if *synced >= line {
            return Ok(());
        }
        let newest = {
            let state = self.state.lock();
            state.chain.as_ref().map_or(line, |chain| chain.head().seq)
        };
        self.file.sync_data().map_err(|source| {
            self.state.lock().given_up = Some(source.to_string().into());
            file_error(&self.path, source)
        })?;
        *synced = newest;
        Ok(())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log({})", self.path.display())
    }
}

/// Runs what blocks for a disk's time, without stopping the runtime's other tasks where it can.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        Ok(_) | Err(_) => work(),
    }
}

/// What a buffered log keeps in memory at most: some 250 lines.
const BUFFER_BYTES_MAX: usize = 128 * 1024;

/// The shortest wait for a batch, so that a clock's rounding does not spin.
const WAIT_MIN: Duration = Duration::from_millis(1);
