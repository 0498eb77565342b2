//! The key that signs this installation's receipts.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use carboy_receipt::{PublicKey, Signer};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

/// The secret half: 64 hexadecimal digits, mode 0600.
const SECRET_FILE: &str = "receipt.key";
/// The public half, for whoever verifies: 64 hexadecimal digits.
const PUBLIC_FILE: &str = "receipt.pub";

/// The installation's signer. The first call makes its key.
///
/// # Errors
/// When the state directory cannot be written, or the key's file is not private or not a key.
pub(crate) fn signer(state: &Path) -> Result<Signer> {
    let path = state.join(SECRET_FILE);
    let secret = match read_secret(&path)? {
        Some(secret) => secret,
        None => make_secret(&path)?,
    };
    let signer = Signer::new(&secret);
    publish(&state.join(PUBLIC_FILE), signer.public_key())?;
    Ok(signer)
}

/// The installation's public key, if it has one yet.
///
/// # Errors
/// When the file is there and is not a key.
pub(crate) fn public_key(state: &Path) -> Result<Option<PublicKey>> {
    let path = state.join(PUBLIC_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(parse_public(text.trim(), &path)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// A public key as a user names it: its digits, or a file that holds them.
///
/// # Errors
/// When it is neither.
pub(crate) fn named_public_key(text: &str) -> Result<PublicKey> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let path = PathBuf::from(text);
    let digits = fs::read_to_string(&path)
        .with_context(|| format!("{text} is neither 64 hexadecimal digits nor a readable file"))?;
    parse_public(digits.trim(), &path)
}

fn parse_public(digits: &str, path: &Path) -> Result<PublicKey> {
    match digits.parse() {
        Ok(key) => Ok(key),
        Err(_) => bail!(
            "{} does not hold a public key: 64 hexadecimal digits",
            path.display()
        ),
    }
}

fn read_secret(path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mode = file.metadata()?.mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "{0} can be read by others (mode {mode:03o}); run `chmod 600 {0}`, or remove it to make a \
         new key",
        path.display()
    );
    let mut digits = Zeroizing::new([0; 64]);
    let mut secret = Zeroizing::new([0; 32]);
    let read = file.read_exact(digits.as_mut()).is_ok();
    let decoded = read
        && HEXLOWER
            .decode_mut(digits.as_ref(), secret.as_mut())
            .is_ok();
    ensure!(
        decoded,
        "{} does not hold a key; remove it to make a new one",
        path.display()
    );
    Ok(Some(secret))
}

fn make_secret(path: &Path) -> Result<Zeroizing<[u8; 32]>> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut()).context("the system has no randomness")?;
    let mut digits = Zeroizing::new([0; 64]);
    HEXLOWER.encode_mut(secret.as_ref(), digits.as_mut());
    let created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let mut file = match created {
        Ok(file) => file,
        // Another carboy of the same user made it in this instant.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            return read_secret(path)?.with_context(|| format!("{} came and went", path.display()));
        }
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
    };
    file.write_all(digits.as_ref())
        .and_then(|()| file.sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(secret)
}

fn publish(path: &Path, key: PublicKey) -> Result<()> {
    let digits = format!("{key}\n");
    if fs::read_to_string(path).is_ok_and(|there| there == digits) {
        return Ok(());
    }
    fs::write(path, digits).with_context(|| format!("cannot write {}", path.display()))
}
