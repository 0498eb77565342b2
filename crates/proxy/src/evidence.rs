//! Where receipts go: a chained log, signed in batches off the crossings' way.

mod files;
mod ledger;
mod log;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carboy_engine::{Digest, Durability};
use carboy_receipt::{Event, PublicKey, Record, Time};
use parking_lot::Mutex;

pub use files::signing_key;
pub use ledger::LEDGER_FILE;
use ledger::Ledger;
use log::Log;
#[cfg(test)]
pub(crate) use log::blocking;

/// Where a gate's receipts go.
#[derive(Debug)]
pub struct Evidence {
    log: Option<Arc<Log>>,
    required: bool,
    path: Option<PathBuf>,
    key: Option<PublicKey>,
    signing: Mutex<Option<JoinHandle<()>>>,
}

/// How a log of receipts is kept.
#[derive(Debug, Clone)]
pub struct EvidenceConfig<'a> {
    /// The state directory: `keys/` and `receipts/` are made in it.
    pub state: &'a Path,
    /// The log's name, such as the bottle's; the start time is added.
    pub name: &'a str,
    /// How safe a receipt is before its crossing is released.
    pub durability: Durability,
    /// Whether nothing may cross when receipts cannot be written.
    pub required: bool,
    /// The digest of the policy in force.
    pub policy: Digest,
    /// The version of the program.
    pub version: &'a str,
}

/// Why a receipt could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// A file operation failed.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The key's file can be read by others, or is not a key.
    #[error("{path}: {problem}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong and how to mend it.
        problem: &'static str,
    },
    /// The ledger of logs cannot be continued.
    #[error("{path}: {problem}", path = path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What is wrong and how to mend it.
        problem: &'static str,
    },
    /// The system has no randomness for a key.
    #[error("no randomness for a key: {0}")]
    Random(getrandom::Error),
    /// An earlier write failed, so that the log may end in half a line.
    #[error("the log was given up: {0}")]
    GivenUp(Arc<str>),
    /// The log is closed.
    #[error("the log is closed")]
    Closed,
}

impl Evidence {
    /// Keeps no receipts. For gates that judge only what the caller made up.
    pub fn none() -> Self {
        Self {
            log: None,
            required: false,
            path: None,
            key: None,
            signing: Mutex::new(None),
        }
    }

    /// Opens a new log, lists it in the installation's ledger, and makes key and ledger if there is
    /// none.
    ///
    /// # Errors
    /// When a directory or file cannot be made, or the key's file is open to others.
    pub fn open(config: &EvidenceConfig<'_>) -> Result<Self, EvidenceError> {
        let signer = files::signing_key(config.state)?;
        let key = signer.public_key();
        let directory = files::logs_directory(config.state)?;
        // Held until the log is listed: what the log names as its previous line is the one before.
        let mut ledger = Ledger::lock(&directory)?;
        let (file, path) = files::new_log(&directory, config.name, now())?;
        let log = Log::open(file, &path, signer, config, ledger.head())
            .and_then(|(log, head)| log.list(&mut ledger, Event::Opened, head).map(|()| log))
            // A log that is not listed holds nothing, and would be taken for a smuggled one.
            .inspect_err(|_| drop(std::fs::remove_file(&path)))?;
        drop(ledger);
        let log = Arc::new(log);
        let signing = std::thread::Builder::new()
            .name("receipts".into())
            .spawn({
                let log = Arc::clone(&log);
                move || log.keep_signed()
            })
            .map_err(|source| EvidenceError::File {
                path: path.clone(),
                source,
            })?;
        Ok(Self {
            log: Some(log),
            required: config.required,
            path: Some(path),
            key: Some(key),
            signing: Mutex::new(Some(signing)),
        })
    }

    /// The log's file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// How safe a receipt is before its crossing is released.
    pub fn durability(&self) -> Durability {
        self.log
            .as_ref()
            .map_or(Durability::Buffered, |log| log.durability())
    }

    /// The public half of the key that signs.
    pub fn public_key(&self) -> Option<PublicKey> {
        self.key
    }

    /// Writes the log's last line. What crosses afterwards has no receipt, and does not cross if
    /// receipts are required.
    ///
    /// # Errors
    /// When the last lines could not be written.
    pub fn close(&self) -> Result<(), EvidenceError> {
        let Some(log) = &self.log else {
            return Ok(());
        };
        let closed = log.close(now()).and_then(|head| match head {
            Some(head) => log.list(&mut Ledger::lock(log.directory())?, Event::Closed, head),
            None => Ok(()),
        });
        let thread = self.signing.lock().take();
        if let Some(thread) = thread {
            // It holds no more than the log, which is closed; a panic there has nothing to add.
            let _ = thread.join();
        }
        closed
    }

    /// Appends one receipt. When it returns, the receipt is as safe as the durability says.
    ///
    /// # Errors
    /// When receipts are required and this one could not be written.
    pub(crate) fn append(&self, record: Record<'_>) -> Result<(), EvidenceError> {
        let Some(log) = &self.log else {
            return Ok(());
        };
        match log.append(record) {
            Err(error) if !self.required => {
                tracing::warn!(%error, "a receipt could not be written");
                Ok(())
            }
            outcome => outcome,
        }
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::debug!(%error, "the receipts' log was not closed");
        }
    }
}

fn now() -> Time {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    Time::from_unix_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
