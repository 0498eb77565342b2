//! The compiled, immutable rules of one bottle.

use crate::host::Host;
use crate::verdict::Digest;

/// How much is allowed that the policy does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Listed hosts only.
    Strict,
    /// Every public host that is not denied; content inspected.
    Balanced,
    /// Nothing is blocked; what would have been is recorded.
    Audit,
}

/// What to do with a TLS connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsAction {
    /// Terminate it and inspect the content.
    Intercept,
    /// Relay it unread.
    Passthrough,
}

/// The compiled policy of one bottle.
#[derive(Debug, Clone)]
pub struct Policy {
    mode: Mode,
}

impl Policy {
    /// The built-in `balanced` preset.
    pub fn balanced() -> Self {
        Self {
            mode: Mode::Balanced,
        }
    }

    /// The mode.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What to do with TLS to a host.
    pub fn tls(&self, _host: &Host, _port: u16) -> TlsAction {
        TlsAction::Intercept
    }

    /// The SHA-256 of the policy's canonical form.
    pub fn digest(&self) -> Digest {
        Digest([0; 32])
    }
}
