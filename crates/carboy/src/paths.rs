//! Where Carboy keeps its state and looks for its policy.

use std::env;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The state directory: `$CARBOY_STATE_DIR`, else `$XDG_STATE_HOME/carboy`, else
/// `~/.local/state/carboy`. Keys and receipts live in it; a bottle never sees it.
pub(crate) fn state_dir() -> Result<PathBuf> {
    if let Some(dir) = absolute_var("CARBOY_STATE_DIR")? {
        return Ok(dir);
    }
    let base = match absolute_var("XDG_STATE_HOME")? {
        Some(dir) => dir,
        None => home()?.join(".local/state"),
    };
    Ok(base.join("carboy"))
}

/// Where the receipts are, one file a run.
pub(crate) fn receipts_dir(state: &Path) -> PathBuf {
    state.join("receipts")
}

/// Where the kept certificate authority is.
pub(crate) fn authority_dir(state: &Path) -> PathBuf {
    state.join("ca")
}

/// The user's own policy file, which is read when no `--policy` is given. It need not exist.
pub(crate) fn user_policy() -> Result<PathBuf> {
    let base = match absolute_var("XDG_CONFIG_HOME")? {
        Some(dir) => dir,
        None => home()?.join(".config"),
    };
    Ok(base.join("carboy/carboy.yaml"))
}

/// Makes a directory, and its missing parents, that only the user can enter.
pub(crate) fn private_dir(dir: &Path) -> Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let failed = |dir: &Path| {
        let dir = dir.display();
        format!("cannot make the directory {dir}; CARBOY_STATE_DIR names another place for state")
    };
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).with_context(|| failed(parent))?;
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| failed(dir))
}

/// The user's home directory.
pub(crate) fn home() -> Result<PathBuf> {
    absolute_var("HOME")?
        .context("HOME is not set, so there is nowhere to keep state; set CARBOY_STATE_DIR")
}

fn absolute_var(name: &str) -> Result<Option<PathBuf>> {
    match env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
    {
        Some(path) if path.is_relative() => {
            bail!("{name} must be an absolute path, not {}", path.display())
        }
        other => Ok(other),
    }
}
