//! What an IP address is good for.

use std::net::IpAddr;

/// The class of an address, as far as letting a bottle reach it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressClass {
    /// Globally reachable.
    Public,
    /// Anything else: private, loopback, link-local, metadata, multicast, reserved, or a form
    /// that embeds one of those.
    Special,
}

impl AddressClass {
    /// The class of `addr`.
    pub fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(a) if a.is_private() || a.is_loopback() => Self::Special,
            IpAddr::V6(a) if a.is_loopback() => Self::Special,
            _ => Self::Public,
        }
    }
}
