//! The public key that receipts are verified with.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use carboy_receipt::PublicKey;

/// The installation's public key, if it has signed anything yet.
///
/// # Errors
/// When the key's file is not private or not a key.
pub(crate) fn own(state: &Path) -> Result<Option<PublicKey>> {
    // Asking for the key of a state directory that has none would make one.
    if !state.join("keys/receipt.key").exists() {
        return Ok(None);
    }
    Ok(Some(carboy_proxy::signing_key(state)?.public_key()))
}

/// A public key as a user names it: its digits, or a file that holds them.
///
/// # Errors
/// When it is neither.
pub(crate) fn named(text: &str) -> Result<PublicKey> {
    if let Ok(key) = text.parse() {
        return Ok(key);
    }
    let digits = fs::read_to_string(text)
        .with_context(|| format!("{text} is neither 64 hexadecimal digits nor a readable file"))?;
    match digits.trim().parse() {
        Ok(key) => Ok(key),
        Err(_) => bail!("{text} does not hold a public key: 64 hexadecimal digits"),
    }
}
