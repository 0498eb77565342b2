//! Names of far ends, and patterns over them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// Longest DNS name in presentation form, without the trailing dot (RFC 1035, section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// Longest DNS label (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;
/// Longest spelling that is looked at: an internationalised name may be longer than its A-labels.
const SPELLING_BYTES_MAX: usize = 1024;

/// The reserved name of the machine that the bottle runs on: its own loopback.
pub(crate) const HOST_INTERNAL: &str = "host.internal";

/// A host: a canonical DNS name, or an address.
///
/// Names are lower-case ASCII (IDNA A-labels) without a trailing dot. Every spelling of an IPv4
/// address that clients accept (hexadecimal, octal, decimal, short forms; WHATWG URL, section 3.5)
/// is an [`Host::Addr`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name. It is shared: a crossing's target is known to many, and told to each.
    Name(Arc<str>),
    /// An address.
    Addr(IpAddr),
}

/// Why a text is not a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing stands there.
    #[error("the host is empty")]
    Empty,
    /// Longer than 253 octets, or a label longer than 63 (RFC 1035, section 2.3.4).
    #[error("a host name has at most 253 octets, and each label at most 63")]
    Long,
    /// Two dots in a row, or a leading one.
    #[error("a label of the host name is empty")]
    EmptyLabel,
    /// A percent sign, space, control or other character that no host name holds.
    #[error("the host holds a character that no host name has")]
    Character,
    /// A spelling that is neither a name nor an address, such as `1.2.3.4.5`.
    #[error("not a host name or an IP address")]
    Invalid,
}

impl Host {
    /// Parses a host as it stands in a URL, a `Host` header, an SNI or a DNS question. IPv6
    /// addresses may be bracketed. Underscores pass, as real DNS names have them.
    ///
    /// # Errors
    /// When the text is neither a DNS name of at most 253 octets nor an address, or hides one
    /// behind percent escapes.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if is_plain_name(text) {
            return check_labels(text).map(|()| Self::Name(text.into()));
        }
        Self::parse_unusual(text)
    }

    /// Everything but a lower-case ASCII name.
    fn parse_unusual(text: &str) -> Result<Self, HostError> {
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.len() > SPELLING_BYTES_MAX {
            return Err(HostError::Long);
        }
        if text.bytes().any(|b| b == b'%' || b <= b' ' || b == 0x7f) {
            return Err(HostError::Character);
        }
        if let Ok(addr) = text.parse::<IpAddr>() {
            return Ok(Self::Addr(addr));
        }
        match url::Host::parse(text).map_err(|_| HostError::Invalid)? {
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                check_labels(name).map(|()| Self::Name(name.into()))
            }
            url::Host::Ipv4(addr) => Ok(Self::Addr(addr.into())),
            url::Host::Ipv6(addr) => Ok(Self::Addr(addr.into())),
        }
    }

    /// Whether this is the reserved name of the host's own loopback, `host.internal`.
    pub fn is_host_internal(&self) -> bool {
        matches!(self, Self::Name(name) if **name == *HOST_INTERNAL)
    }

    /// The site: the registrable domain (public suffix list, both sections) or, where there is
    /// none, the host itself. Rates and budgets count by site.
    pub fn site(&self) -> Box<str> {
        match self {
            Self::Name(name) => psl::domain_str(name).unwrap_or(name).into(),
            Self::Addr(addr) => addr.to_string().into(),
        }
    }
}

/// Whether the text is lower-case ASCII letters, digits, `-`, `_` and `.`, has no A-label that
/// would have to be validated, and ends in a label that cannot be read as a number.
fn is_plain_name(text: &str) -> bool {
    let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
    let last = text.rsplit('.').next().unwrap_or_default();
    last.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(plain)
        && !text.contains("xn--")
}

fn check_labels(name: &str) -> Result<(), HostError> {
    if name.is_empty() {
        return Err(HostError::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(HostError::Long);
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(HostError::EmptyLabel);
        }
        if label.len() > LABEL_BYTES_MAX {
            return Err(HostError::Long);
        }
    }
    Ok(())
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

/// A pattern over hosts and ports.
///
/// `example.com` covers that name alone, `*.example.com` every name below it and not itself,
/// `192.0.2.1` and `192.0.2.0/24` (also IPv6) addresses. Each may end in `:port`, an IPv6 address
/// then in brackets; without it every port is covered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    hosts: Hosts,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Hosts {
    Name(Arc<str>),
    Below(Box<str>),
    Net(IpNet),
}

/// Why a text is not a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// The host part is none.
    #[error("{0}")]
    Host(#[from] HostError),
    /// `*` alone.
    #[error("`*` covers every host")]
    Everything,
    /// A star that is not a whole first label.
    #[error("a `*` may only be the whole first label, as in `*.example.com`")]
    Star,
    /// A scheme or a path.
    #[error("a host pattern has no scheme and no path")]
    Url,
    /// A port that is not 1 to 65535.
    #[error("`{0}` is not a port from 1 to 65535")]
    Port(String),
    /// A network that does not parse, or whose host bits are not zero.
    #[error(
        "`{0}` is not a network: write the address, a slash and the prefix length, host bits zero"
    )]
    Network(String),
}

impl HostPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// When the text is no pattern; the error says which part.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (host, port) = split_port(text)?;
        let hosts = if host == "*" {
            return Err(PatternError::Everything);
        } else if host.contains("://") {
            return Err(PatternError::Url);
        } else if host.contains('/') {
            Hosts::Net(parse_network(host)?)
        } else if let Some(below) = host.strip_prefix("*.") {
            Hosts::Below(parse_name(below)?)
        } else if host.contains('*') {
            return Err(PatternError::Star);
        } else {
            match Host::parse(host)? {
                Host::Name(name) => Hosts::Name(name),
                Host::Addr(addr) => Hosts::Net(addr.into()),
            }
        };
        Ok(Self { hosts, port })
    }

    /// Whether a host and port are covered.
    pub fn covers(&self, host: &Host, port: u16) -> bool {
        if self.port.is_some_and(|own| own != port) {
            return false;
        }
        match (&self.hosts, host) {
            (Hosts::Name(own), Host::Name(name)) => own == name,
            (Hosts::Below(own), Host::Name(name)) => is_below(name, own),
            (Hosts::Net(net), Host::Addr(addr)) => net.contains(&addr.to_canonical()),
            (Hosts::Name(_) | Hosts::Below(_), Host::Addr(_)) => false,
            (Hosts::Net(_), Host::Name(_)) => false,
        }
    }

    /// Whether a host is covered at some port.
    pub(crate) fn covers_host(&self, host: &Host) -> bool {
        self.covers(host, self.port.unwrap_or_default())
    }

    /// Whether an address and port are covered, by a pattern of addresses.
    pub(crate) fn covers_addr(&self, addr: IpAddr, port: u16) -> bool {
        self.covers(&Host::Addr(addr), port)
    }

    /// The port, where the pattern names one.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    /// The host, where the pattern covers one alone.
    pub(crate) fn single(&self) -> Option<Host> {
        match &self.hosts {
            Hosts::Name(name) => Some(Host::Name(Arc::clone(name))),
            Hosts::Net(net) => {
                (net.prefix_len() == net.max_prefix_len()).then(|| Host::Addr(net.addr()))
            }
            Hosts::Below(_) => None,
        }
    }

    /// The pattern of all names below that of this one.
    pub(crate) fn below(&self) -> Option<Self> {
        match &self.hosts {
            Hosts::Name(name) => Some(Self {
                hosts: Hosts::Below((**name).into()),
                port: self.port,
            }),
            Hosts::Below(_) | Hosts::Net(_) => None,
        }
    }

    /// The network, where the pattern is one of addresses.
    pub(crate) fn network(&self) -> Option<IpNet> {
        match &self.hosts {
            Hosts::Net(net) => Some(*net),
            Hosts::Name(_) | Hosts::Below(_) => None,
        }
    }

    /// Whether this is `host.internal`, with or without a port.
    pub(crate) fn is_host_internal(&self) -> bool {
        matches!(&self.hosts, Hosts::Name(name) if **name == *HOST_INTERNAL)
    }

    /// The ICANN public suffix that a wildcard would cover whole, as in `*.com`.
    pub(crate) fn public_suffix(&self) -> Option<&str> {
        let Hosts::Below(below) = &self.hosts else {
            return None;
        };
        let suffix = psl::suffix(below.as_bytes())?;
        let whole = suffix.as_bytes().len() == below.len();
        (whole && suffix.typ() == Some(psl::Type::Icann)).then_some(&**below)
    }
}

/// In the spelling that [`HostPattern::parse`] reads back.
impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Name(name) => f.write_str(name)?,
            Hosts::Below(name) => write!(f, "*.{name}")?,
            Hosts::Net(net) => fmt_net(*net, self.port.is_some(), f)?,
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

fn fmt_net(net: IpNet, bracketed: bool, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let single = net.prefix_len() == net.max_prefix_len();
    match (net, single, bracketed) {
        (IpNet::V6(net), true, true) => write!(f, "[{}]", net.addr()),
        (IpNet::V6(net), false, true) => write!(f, "[{net}]"),
        (net, true, _) => write!(f, "{}", net.addr()),
        (net, false, _) => write!(f, "{net}"),
    }
}

/// Splits `host:port`, `[v6]:port`, a bare IPv6 address, and each without a port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), PatternError> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or(HostError::Invalid)?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(parse_port(port)?))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(HostError::Invalid.into()),
        };
    }
    if text.contains("://") {
        return Err(PatternError::Url);
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(parse_port(port)?))),
        None => Ok((text, None)),
    }
}

fn parse_port(text: &str) -> Result<u16, PatternError> {
    match text.parse() {
        Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        Ok(_) | Err(_) => Err(PatternError::Port(text.to_owned())),
    }
}

fn parse_network(text: &str) -> Result<IpNet, PatternError> {
    let (addr, _) = text.split_once('/').unwrap_or((text, ""));
    if addr.parse::<IpAddr>().is_err()
        && addr.contains(|c: char| c.is_ascii_alphabetic())
        && !addr.contains(':')
    {
        return Err(PatternError::Url);
    }
    let net: IpNet = text
        .parse()
        .map_err(|_| PatternError::Network(text.to_owned()))?;
    if net.trunc() != net {
        return Err(PatternError::Network(text.to_owned()));
    }
    Ok(net)
}

fn parse_name(text: &str) -> Result<Box<str>, PatternError> {
    if text.contains('*') {
        return Err(PatternError::Star);
    }
    match Host::parse(text)? {
        Host::Name(name) => Ok((*name).into()),
        Host::Addr(_) => Err(PatternError::Star),
    }
}

fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}
