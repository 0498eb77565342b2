//! What one confined process gets, as data: the parent writes it, the init process carries it out.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// TCP port, inside the confinement, of the listener that serves redirected connections and
/// clients that use it as an explicit HTTP proxy. 3128 is the port that proxies customarily use.
pub const GATE_PORT: u16 = 3128;

/// UDP and TCP port, inside the confinement, of the listeners that serve redirected DNS queries.
pub const DNS_PORT: u16 = 5354;

/// Everything the init process needs to confine and start one command.
///
/// It travels over an inherited anonymous file, never through argv or the environment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Host name inside (at most 64 bytes, the kernel's limit).
    pub hostname: String,
    /// The new root, built from nothing in this order.
    pub mounts: Vec<Mount>,
    /// Directory to start the command in, as seen inside.
    pub directory: PathBuf,
    /// The command and its arguments. Without a slash, the first is looked up in `PATH` of `env`.
    pub command: Vec<OsString>,
    /// The whole environment of the command; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Paths (inside) below which the command may write; all else is read-only to it.
    pub writable: Vec<PathBuf>,
    /// Whether a layer that the kernel lacks is reported as lost instead of refusing to start.
    pub best_effort: bool,
}

impl fmt::Debug for Confinement {
    /// Shows the environment's names only: its values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("Confinement")
            .field("hostname", &self.hostname)
            .field("mounts", &self.mounts)
            .field("directory", &self.directory)
            .field("command", &self.command)
            .field("env", &names)
            .field("writable", &self.writable)
            .field("best_effort", &self.best_effort)
            .finish()
    }
}

/// One step in building the confined root. Targets are absolute paths as seen inside; missing
/// parents are made as plain directories.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mount {
    /// A directory of the root itself.
    Directory {
        /// Where.
        target: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link of the root itself.
    Symlink {
        /// Where.
        target: PathBuf,
        /// What it says.
        text: PathBuf,
    },
    /// A file of the root itself with these contents, or one that covers a file below a mount.
    File {
        /// Where.
        target: PathBuf,
        /// What it says.
        #[serde(with = "serde_bytes")]
        contents: Vec<u8>,
        /// Permission bits.
        mode: u32,
    },
    /// A file or directory of the host, with whatever is mounted below it.
    Bind {
        /// On the host.
        source: PathBuf,
        /// Where.
        target: PathBuf,
        /// Whether the command may write to it.
        writable: bool,
        /// Whether device nodes below it work.
        devices: bool,
    },
    /// A host directory seen through a read-only layer: some files replaced, some not there.
    Layered {
        /// On the host; also where it appears.
        directory: PathBuf,
        /// Replaced files, as paths below `directory`, with their contents.
        replaced: Vec<Replaced>,
        /// Files replaced by a symbolic link: the path below `directory`, and what it says.
        links: Vec<(PathBuf, PathBuf)>,
        /// Paths below `directory` that do not exist inside.
        hidden: Vec<PathBuf>,
    },
    /// A writable view of a host directory whose changes land in `upper`.
    Overlay {
        /// The host directory that is seen, and never changed.
        lower: PathBuf,
        /// The host directory that takes the changes.
        upper: PathBuf,
        /// The file system's scratch directory, next to `upper`.
        work: PathBuf,
        /// Where.
        target: PathBuf,
    },
    /// An empty private directory in memory.
    Tmpfs {
        /// Where.
        target: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// A private directory in memory with these files, which anyone may run.
    Copy {
        /// Where.
        target: PathBuf,
        /// The files, as paths below `target`, with their contents.
        files: Vec<Replaced>,
    },
    /// A process file system of the confinement's own processes, its global controls read-only.
    Proc {
        /// Where.
        target: PathBuf,
    },
    /// A private set of pseudo-terminals.
    Devpts {
        /// Where.
        target: PathBuf,
    },
}

/// A file put in the place of a host's, or a copy of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// Relative to the directory.
    pub path: PathBuf,
    /// What it says.
    #[serde(with = "serde_bytes")]
    pub contents: Vec<u8>,
}

impl fmt::Debug for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.path.display(), self.contents.len())
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mount::Directory { target, .. } => write!(f, "{} directory", target.display()),
            Mount::Symlink { target, text } => {
                write!(f, "{} link to {}", target.display(), text.display())
            }
            Mount::File {
                target, contents, ..
            } => {
                write!(
                    f,
                    "{} private file, {} bytes",
                    target.display(),
                    contents.len()
                )
            }
            Mount::Bind {
                source,
                target,
                writable,
                ..
            } => {
                let access = if *writable { "writable" } else { "read-only" };
                write!(f, "{} {access}", target.display())?;
                if source != target {
                    write!(f, ", the host's {}", source.display())?;
                }
                Ok(())
            }
            Mount::Layered {
                directory,
                replaced,
                links,
                hidden,
            } => write!(
                f,
                "{} read-only, {} files replaced, {} hidden",
                directory.display(),
                replaced.len() + links.len(),
                hidden.len()
            ),
            Mount::Overlay { target, upper, .. } => {
                write!(
                    f,
                    "{} writable, changes kept in {}",
                    target.display(),
                    upper.display()
                )
            }
            Mount::Tmpfs { target, .. } => write!(f, "{} private, in memory", target.display()),
            Mount::Copy { target, files } => {
                write!(
                    f,
                    "{} private copy, {} files",
                    target.display(),
                    files.len()
                )
            }
            Mount::Proc { target } => write!(f, "{} own processes only", target.display()),
            Mount::Devpts { target } => write!(f, "{} own terminals only", target.display()),
        }
    }
}

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It returned this status.
    Code(u8),
    /// This signal ended it.
    Signal(i32),
}

impl Exit {
    /// The status a shell would report: the code, or 128 and the signal's number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128_u8.saturating_add(u8::try_from(signal).unwrap_or(127)),
        }
    }
}
