//! What can go wrong, named by the layer that refused.

use std::fmt;
#[cfg(target_os = "linux")]
use std::io;

use serde::{Deserialize, Serialize};

/// One part of the confinement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// This operating system: the native bottle is made of Linux namespaces.
    Platform,
    /// The user namespace that lets an ordinary user build the rest.
    UserNamespace,
    /// The mount, pid, ipc, uts, cgroup and network namespaces.
    Namespaces,
    /// The private file system.
    Files,
    /// The overlay that keeps the workspace's changes aside.
    Overlay,
    /// The private process file system.
    Proc,
    /// The private terminal.
    Terminal,
    /// The loopback interface and its routes.
    Routes,
    /// The nftables rules that lead every connection to the gate.
    Redirect,
    /// The sockets that are handed to the gate.
    Sockets,
    /// Capabilities, `no_new_privs` and resource limits.
    Privileges,
    /// Landlock.
    Landlock,
    /// The system call filter.
    Seccomp,
    /// The command itself: it could not be started.
    Command,
    /// The process that builds the confinement, or the channel to it.
    Init,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layer::Platform => "platform",
            Layer::UserNamespace => "user namespace",
            Layer::Namespaces => "namespaces",
            Layer::Files => "file system",
            Layer::Overlay => "workspace overlay",
            Layer::Proc => "process file system",
            Layer::Terminal => "terminal",
            Layer::Routes => "loopback routes",
            Layer::Redirect => "network redirect",
            Layer::Sockets => "gate sockets",
            Layer::Privileges => "privileges",
            Layer::Landlock => "Landlock",
            Layer::Seccomp => "system call filter",
            Layer::Command => "command",
            Layer::Init => "init process",
        })
    }
}

/// A layer that could not be built: what was tried, why it failed, what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Error {
    /// Which layer.
    pub layer: Layer,
    /// What was tried.
    pub step: String,
    /// The kernel's error number, if the kernel refused.
    pub errno: Option<i32>,
    /// What the reader can do about it, if that is known.
    pub remedy: Option<String>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Layer::Command => write!(f, "cannot {}", self.step)?,
            layer => write!(f, "{layer}: {}", self.step)?,
        }
        if let Some(errno) = self.errno {
            write!(f, ": {}", std::io::Error::from_raw_os_error(errno))?;
        }
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl Error {
    pub(crate) fn new(layer: Layer, step: impl Into<String>) -> Error {
        Error {
            layer,
            step: step.into(),
            errno: None,
            remedy: None,
        }
    }

    #[cfg(target_os = "linux")]
    pub(crate) fn os(layer: Layer, step: impl Into<String>, cause: &io::Error) -> Error {
        let mut error = Error::new(layer, step);
        error.errno = cause.raw_os_error();
        if error.errno.is_none() {
            error.step = format!("{}: {cause}", error.step);
        }
        error
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Error {
        self.remedy = Some(remedy.into());
        self
    }
}

/// A layer that was given up under best effort, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// Which layer.
    pub layer: Layer,
    /// Why, in one sentence.
    pub reason: String,
}
