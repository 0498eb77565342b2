//! How a command ended, as an exit code.

use std::process::ExitCode;

/// The exit code of a usage or set-up error. The command line's parser uses the same.
pub(crate) const SETUP_ERROR: u8 = 2;

/// How a command ended that did what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to report: 0.
    Clean,
    /// A finding, a refusal or a failed check: 1.
    Found,
    /// The code of the command that ran in the bottle.
    Command(u8),
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Clean => Self::SUCCESS,
            Outcome::Found => Self::from(1),
            Outcome::Command(code) => Self::from(code),
        }
    }
}
