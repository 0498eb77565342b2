//! What the plan needs to know of this machine, gathered once so that planning stays pure.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Error;

/// Facts about the machine and its user.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// The user's home directory, absolute.
    pub home: PathBuf,
    /// System directories that exist (`/usr`, `/opt` ...).
    pub system_dirs: Vec<PathBuf>,
    /// Symbolic links of the root directory and what they say (`/bin` to `usr/bin`).
    pub root_links: Vec<(PathBuf, PathBuf)>,
    /// Entries of `/etc`, relative to it, that not everyone may read.
    pub private_etc: Vec<PathBuf>,
    /// Known places of certificate bundles in `/etc`, relative to it, that exist.
    pub bundles: Vec<PathBuf>,
    /// The system's certificate bundle, PEM.
    pub system_roots_pem: Vec<u8>,
    /// The directories of `PATH`.
    pub search: Vec<SearchDir>,
}

/// One directory of `PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchDir {
    /// As `PATH` says it.
    pub dir: PathBuf,
    /// Without symbolic links.
    pub real: PathBuf,
    /// Where symbolic links in it lead, without symbolic links.
    pub targets: Vec<PathBuf>,
}

impl HostFacts {
    /// Reads the facts of this machine.
    ///
    /// # Errors
    /// [`Error::NoHome`] when the environment names no home directory.
    pub fn gather(env: &BTreeMap<OsString, OsString>) -> Result<HostFacts, Error> {
        let home = env
            .get(std::ffi::OsStr::new("HOME"))
            .map(PathBuf::from)
            .ok_or(Error::NoHome)?;
        if !home.is_absolute() || home == Path::new("/") {
            return Err(Error::NoHome);
        }
        Ok(HostFacts {
            home,
            system_dirs: Vec::new(),
            root_links: Vec::new(),
            private_etc: Vec::new(),
            bundles: Vec::new(),
            system_roots_pem: Vec::new(),
            search: Vec::new(),
        })
    }
}
