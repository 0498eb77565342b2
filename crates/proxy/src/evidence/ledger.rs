//! The installation's ledger of logs, as a file that all its gates append to in turn.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use carboy_receipt::{Entry, LEDGER_LINE_BYTES_MAX, LedgerHead, Signer};

use super::EvidenceError;
use super::files::file_error;

/// The ledger's file, beside the logs.
pub const LEDGER_FILE: &str = "ledger";

/// The ledger, held by this gate alone until it is dropped.
pub(super) struct Ledger {
    file: File,
    path: PathBuf,
    head: Option<LedgerHead>,
}

impl Ledger {
    /// Waits for the ledger of a directory of logs, and makes it if there is none.
    pub(super) fn lock(directory: &Path) -> Result<Self, EvidenceError> {
        let path = directory.join(LEDGER_FILE);
        let failed = |source| file_error(&path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        take_turn(&file).map_err(failed)?;
        let last = last_line(&mut file).map_err(failed)?;
        let head = last.map(|line| LedgerHead::of(&line)).transpose();
        let head = head.map_err(|_| EvidenceError::Ledger {
            path: path.clone(),
            problem: "its last line is not one that Carboy wrote; move the directory away to keep \
                      what it shows, and a new one is made",
        })?;
        Ok(Self { file, path, head })
    }

    /// The hash of the last line.
    pub(super) fn head(&self) -> Option<carboy_receipt::Digest> {
        self.head.map(|head| head.hash())
    }

    /// Appends a line. One that cannot be written whole is taken back.
    pub(super) fn append(
        &mut self,
        entry: &Entry<'_>,
        signer: &Signer,
        is_synced: bool,
    ) -> Result<(), EvidenceError> {
        let mut line = Vec::new();
        let head = LedgerHead::append(self.head, entry, signer, &mut line);
        self.write(&line, is_synced)
            .map_err(|source| file_error(&self.path, source))?;
        self.head = Some(head);
        Ok(())
    }

    fn write(&mut self, line: &[u8], is_synced: bool) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(line) {
            self.file.set_len(before)?;
            return Err(error);
        }
        match is_synced {
            true => self.file.sync_data(),
            false => Ok(()),
        }
    }
}

impl Drop for Ledger {
    /// A process that was forked meanwhile would keep the lock.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the ledger of receipts was not let go");
        }
    }
}

/// Locks the file. The lock goes with the file's being closed, so that a killed gate holds none.
fn take_turn(file: &File) -> io::Result<()> {
    let deadline = Instant::now() + TURN_WAIT_MAX;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(TURN_PAUSE),
            Err(TryLockError::WouldBlock) => {
                let why = "another gate has held it for too long; end the one that is stopped";
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// The last whole line, without its end. What a machine that stopped left behind it was never
/// acknowledged, and is taken away.
fn last_line(file: &mut File) -> io::Result<Option<Vec<u8>>> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(2 * LEDGER_LINE_BYTES_MAX as u64);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let after_end = |bytes: &[u8]| {
        bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1)
    };
    let whole = after_end(&tail);
    if whole < tail.len() && (whole > 0 || start == 0) {
        file.set_len(start + whole as u64)?;
    }
    let lines = &tail[..whole];
    let last = lines.strip_suffix(b"\n");
    let last = last.map(|lines| lines[after_end(lines)..].to_vec());
    match last {
        None if start > 0 => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "its end is longer than any line of a ledger",
        )),
        last => Ok(last),
    }
}

/// How long a gate waits for the others: each holds the ledger for a write or two.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often it tries.
const TURN_PAUSE: Duration = Duration::from_millis(1);
