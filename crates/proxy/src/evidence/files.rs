//! The key and the log as files.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use carboy_receipt::{Signer, Time};
use zeroize::Zeroizing;

use super::EvidenceError;

/// The installation's key, made if there is none: `keys/receipt.key`, 32 bytes, mode 0600.
///
/// # Errors
/// When the file cannot be made or read, is open to others, or is not a key.
pub fn signing_key(state: &Path) -> Result<Signer, EvidenceError> {
    let directory = state.join("keys");
    private_directory(&directory)?;
    let path = directory.join("receipt.key");
    if !path
        .try_exists()
        .map_err(|source| file_error(&path, source))?
    {
        make_key(&directory, &path)?;
    }
    read_key(&path)
}

/// The directory of logs: `receipts/`, made if there is none.
pub(super) fn logs_directory(state: &Path) -> Result<PathBuf, EvidenceError> {
    let directory = state.join("receipts");
    private_directory(&directory)?;
    Ok(directory)
}

/// A new file for a log: `<name>-<start>.jsonl`, mode 0600.
pub(super) fn new_log(
    directory: &Path,
    name: &str,
    start: Time,
) -> Result<(File, PathBuf), EvidenceError> {
    let stamp: String = start
        .to_string()
        .chars()
        .filter(|c| !"-:.".contains(*c))
        .collect();
    let path = directory.join(format!("{name}-{stamp}.jsonl"));
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| file_error(&path, source))?;
    Ok((file, path))
}

pub(super) fn file_error(path: &Path, source: std::io::Error) -> EvidenceError {
    EvidenceError::File {
        path: path.to_owned(),
        source,
    }
}

fn private_directory(path: &Path) -> Result<(), EvidenceError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| file_error(path, source))
}

/// Makes the key under a name of its own and links it, so that two gates that start at once
/// agree on one whole key.
fn make_key(directory: &Path, path: &Path) -> Result<(), EvidenceError> {
    let mut secret = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *secret).map_err(EvidenceError::Random)?;
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(EvidenceError::Random)?;
    let own = directory.join(format!(".receipt.key.{:016x}", u64::from_ne_bytes(name)));
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&own)
        .and_then(|mut file| file.write_all(&*secret).and_then(|()| file.sync_all()))
        .and_then(|()| match std::fs::hard_link(&own, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let removed = std::fs::remove_file(&own);
    made.and(removed).map_err(|source| file_error(path, source))
}

fn read_key(path: &Path) -> Result<Signer, EvidenceError> {
    let wrong = |problem| EvidenceError::Key {
        path: path.to_owned(),
        problem,
    };
    let mut file = File::open(path).map_err(|source| file_error(path, source))?;
    let about = file.metadata().map_err(|source| file_error(path, source))?;
    if about.permissions().mode() & 0o077 != 0 {
        return Err(wrong("others may read this key; run chmod 600 on it"));
    }
    if about.len() != KEY_BYTES as u64 {
        return Err(wrong(
            "not a key of 32 bytes; move it away and a new one is made",
        ));
    }
    let mut secret = Zeroizing::new([0; KEY_BYTES]);
    file.read_exact(&mut *secret)
        .map_err(|source| file_error(path, source))?;
    Ok(Signer::new(&secret))
}

/// An Ed25519 secret (RFC 8032, section 5.1.5).
const KEY_BYTES: usize = 32;
