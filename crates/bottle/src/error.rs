//! What can go wrong, the user's mistakes and the machine's apart.

use std::path::PathBuf;

/// Why a bottle could not be planned or launched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request names no command.
    #[error("no command to run; write it after `--`, as in `carboy run -- bash`")]
    NoCommand,
    /// The home directory is not known.
    #[error("the home directory is not known; set HOME to an absolute path")]
    NoHome,
    /// A directory was refused as the workspace.
    #[error("{dir} cannot be the workspace: {reason}; {remedy}")]
    Workspace {
        /// The directory.
        dir: PathBuf,
        /// Why it was refused.
        reason: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// `--env` asked for a variable in a form that means nothing.
    #[error("`{0}` is not an environment variable; write NAME or NAME=VALUE")]
    Variable(String),
    /// `--env NAME` asked for a variable that is not set here.
    #[error("the variable {0} is not set here; set it, or give its value as {0}=VALUE")]
    Unset(String),
    /// A path cannot be bound into the bottle.
    #[error("{path} cannot be shown in the bottle: {reason}")]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
    },
    /// The bottle's name is not a host name.
    #[error("`{0}` is not a bottle name; use up to 63 letters, digits and hyphens")]
    Name(String),
    /// The bottle's CA certificate could not be read as PEM.
    #[error("the bottle's CA certificate is not PEM")]
    Certificate,
    /// The machine's file system could not be read or written.
    #[error("{step} {path}: {cause}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        cause: std::io::Error,
    },
    /// A layer of the confinement could not be built.
    #[error("{}", of_layer(.0))]
    Sandbox(carboy_sandbox::Error),
    /// The gate did not start, so neither did the command.
    #[error("the gate did not start")]
    Gate(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What was not built; of the command, that it was not run.
fn of_layer(error: &carboy_sandbox::Error) -> String {
    if error.layer == carboy_sandbox::Layer::Command {
        error.to_string()
    } else {
        format!("cannot build the bottle: {error}")
    }
}

impl From<carboy_sandbox::Error> for Error {
    fn from(error: carboy_sandbox::Error) -> Self {
        Self::Sandbox(error)
    }
}

impl Error {
    /// The status that a shell would report for this failure: 127 for a command that is not
    /// found, 126 for one that cannot be run, else 125 (the launcher's own failure).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        const NOT_FOUND: i32 = 2;
        match self {
            Error::Sandbox(error) if error.layer == carboy_sandbox::Layer::Command => {
                if error.errno == Some(NOT_FOUND) {
                    127
                } else {
                    126
                }
            }
            _ => 125,
        }
    }
}
