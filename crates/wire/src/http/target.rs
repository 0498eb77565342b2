//! Where a request goes, and whether all that name it agree (RFC 9112, section 3; RFC 9113,
//! section 8.3.1).

use std::fmt::Write as _;
use std::sync::Arc;

use ::http::header::HOST;
use ::http::request::Parts;
use ::http::{Method, Version};
use carboy_engine::{Fault, Host, Scheme, Target};

use super::Backends;

/// How the target of a request is learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// From the request itself, which must be in absolute form: a forward proxy's client.
    Forward,
    /// From before the request: a `CONNECT`, an SNI or an original destination. `Host` or
    /// `:authority` must name the same host and port.
    Fixed(Target),
    /// By the host that the request names, which stands for a far end: a reverse proxy's client.
    Reverse {
        /// Which host leads where.
        backends: Arc<Backends>,
        /// What the client speaks.
        scheme: Scheme,
    },
}

/// The target of a request other than `CONNECT`.
///
/// # Errors
/// [`Fault::Malformed`] when the target has a form that `origin` does not allow, holds userinfo
/// or a bad host or port, or when `Host` is missing or not single; [`Fault::TargetMismatch`] when
/// two of the names disagree; [`Fault::Unsupported`] for a scheme other than `http` and `https`,
/// and for `CONNECT`. No text quotes what an unverified name says, since it may carry content.
pub fn request_target(head: &Parts, origin: &Origin) -> Result<Target, Fault> {
    if head.method == Method::CONNECT {
        return Err(Fault::Unsupported("CONNECT within a connection".into()));
    }
    match origin {
        Origin::Forward => {
            let target = absolute_target(head)?.ok_or_else(|| {
                malformed("a proxy takes absolute-form targets, such as http://example.com/")
            })?;
            if let Some(host) = host_header(head)? {
                agree("Host", host, &target)?;
            }
            Ok(target)
        }
        Origin::Fixed(known) => {
            check_fixed(head, known)?;
            Ok(known.clone())
        }
        Origin::Reverse { backends, .. } => backends.route(head),
    }
}

/// The target of a `CONNECT`, whose scheme is [`Scheme::Tls`] until its content is known.
///
/// `Host` may be missing or lack the port, as many clients send it; where it speaks, it must agree.
///
/// # Errors
/// As [`request_target`].
pub fn connect_target(head: &Parts) -> Result<Target, Fault> {
    let bare = head.uri.scheme().is_none()
        && head
            .uri
            .path_and_query()
            .is_none_or(|path| path.as_str() == "/");
    let authority = head.uri.authority().filter(|_| bare);
    let authority = authority.ok_or_else(|| malformed("CONNECT needs host:port as its target"))?;
    let (host, port) = split_authority(authority.as_str())?;
    let port = port.ok_or_else(|| malformed("CONNECT needs a port, such as example.com:443"))?;
    let target = Target {
        scheme: Scheme::Tls,
        host: parse_host(host)?,
        port,
    };
    if let Some(text) = host_header(head)? {
        let (name, port) = split_authority(text)?;
        same_host("Host", name, &target)?;
        same_port("Host", port.unwrap_or(target.port), &target)?;
    }
    Ok(target)
}

/// The request's URL in absolute form: the target's canonical authority, and the path and query
/// as the peer sent them.
pub fn absolute_url(head: &Parts, target: &Target) -> String {
    let path = path_and_query(head);
    let mut url = String::with_capacity(path.len() + 64);
    url.push_str(target.scheme.as_str());
    url.push_str("://");
    write_authority(&mut url, target);
    if path != "*" {
        url.push_str(path);
    }
    url
}

/// The path and query as the peer sent them; `/` where the URL has neither.
pub(super) fn path_and_query(head: &Parts) -> &str {
    head.uri.path_and_query().map_or("/", |path| path.as_str())
}

/// Appends `host:port`.
pub(super) fn write_host_and_port(out: &mut String, target: &Target) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{}:{}", target.host, target.port);
}

/// Appends `host` or `host:port`, the port only where it is not the scheme's own.
pub(super) fn write_authority(out: &mut String, target: &Target) {
    // Writing to a string cannot fail.
    match &target.host {
        Host::Name(name) => out.push_str(name),
        Host::Addr(_) => {
            let _ = write!(out, "{}", target.host);
        }
    }
    if default_port(target.scheme) != Some(target.port) {
        let _ = write!(out, ":{}", target.port);
    }
}

/// The host as the peer spelt it, from the URI or else from `Host`; empty where neither has one.
pub(super) fn host_text(head: &Parts) -> &str {
    if let Some(authority) = head.uri.authority() {
        return split_authority(authority.as_str()).map_or(authority.as_str(), |(host, _)| host);
    }
    let text = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    text.map_or("", |text| {
        split_authority(text).map_or(text, |(host, _)| host)
    })
}

/// The target in the request line, or in `:scheme` and `:authority`, if it is in absolute form.
pub(super) fn absolute_target(head: &Parts) -> Result<Option<Target>, Fault> {
    let (scheme, authority) = match (head.uri.scheme_str(), head.uri.authority()) {
        (Some(scheme), Some(authority)) => (scheme, authority),
        (None, None) => return Ok(None),
        _ => return Err(malformed("the request target lacks a scheme or a host")),
    };
    // Some clients name a WebSocket by its own scheme, although its request is one of HTTP's (RFC 6455,
    // section 4.1).
    let is_one_of = |names: [&str; 2]| names.iter().any(|name| scheme.eq_ignore_ascii_case(name));
    let scheme = if is_one_of(["http", "ws"]) {
        Scheme::Http
    } else if is_one_of(["https", "wss"]) {
        Scheme::Https
    } else {
        return Err(Fault::Unsupported(
            "a URL scheme other than http and https".into(),
        ));
    };
    let (host, port) = split_authority(authority.as_str())?;
    Ok(Some(Target {
        scheme,
        host: parse_host(host)?,
        port: port.or(default_port(scheme)).unwrap_or_default(),
    }))
}

fn check_fixed(head: &Parts, known: &Target) -> Result<(), Fault> {
    let named = absolute_target(head)?;
    if let Some(named) = &named {
        let source = if head.version == Version::HTTP_2 {
            ":authority"
        } else {
            "the URL"
        };
        if named.scheme != known.scheme {
            return Err(mismatch(known, source, "another scheme"));
        }
        if named.host != known.host {
            return Err(mismatch(known, source, "another host"));
        }
        same_port(source, named.port, known)?;
    } else if !head.uri.path().starts_with('/') && head.uri.path() != "*" {
        return Err(malformed("the request target is not in origin form"));
    }
    match host_header(head)? {
        Some(host) => agree("Host", host, known),
        // RFC 9113, section 8.3.1: HTTP/2 names the host in `:authority` instead.
        None if head.version == Version::HTTP_2 && named.is_some() => Ok(()),
        None => Err(malformed("no Host header")),
    }
}

/// The one `Host` header's text, if there is one.
pub(super) fn host_header(head: &Parts) -> Result<Option<&str>, Fault> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else {
        return Ok(None);
    };
    if hosts.next().is_some() {
        return Err(malformed("more than one Host header"));
    }
    let text = host.to_str().map_err(|_| malformed("Host is not ASCII"))?;
    Ok(Some(text))
}

/// Checks that an authority text, with the scheme's port where it has none, names `target`.
fn agree(source: &str, text: &str, target: &Target) -> Result<(), Fault> {
    let (host, port) = split_authority(text)?;
    same_host(source, host, target)?;
    let port = port.or(default_port(target.scheme)).unwrap_or(target.port);
    same_port(source, port, target)
}

fn same_host(source: &str, host: &str, target: &Target) -> Result<(), Fault> {
    // Mostly it is spelt as names are kept, and need not be parsed to be the same.
    let is_spelt_alike = matches!(&target.host, Host::Name(name) if **name == *host);
    if is_spelt_alike || parse_host(host)? == target.host {
        return Ok(());
    }
    Err(mismatch(target, source, "another host"))
}

fn same_port(source: &str, port: u16, target: &Target) -> Result<(), Fault> {
    if port == target.port {
        return Ok(());
    }
    Err(mismatch(target, source, &format!("port {port}")))
}

fn mismatch(known: &Target, source: &str, says: &str) -> Fault {
    Fault::TargetMismatch {
        first: format!("the connection is for {known}"),
        second: format!("{source} names {says}"),
    }
}

pub(super) fn malformed(what: &str) -> Fault {
    Fault::Malformed(what.into())
}

pub(crate) fn parse_host(text: &str) -> Result<Host, Fault> {
    // `Host::parse` decodes percent escapes, as a browser does; no client sends them here.
    if text.contains('%') {
        return Err(malformed("a percent sign in the host"));
    }
    Host::parse(text).map_err(|_| malformed("the host is neither a name nor an address"))
}

/// Splits `host`, `host:port` or `[v6]:port` (RFC 3986, section 3.2), refusing userinfo.
pub(super) fn split_authority(text: &str) -> Result<(&str, Option<u16>), Fault> {
    if text.contains('@') {
        return Err(malformed("userinfo in the target"));
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.find(']')) {
        Some(end) => text.split_at(end + 2),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if host.is_empty() {
        return Err(malformed("no host in the target"));
    }
    if port.is_empty() {
        return Ok((host, None));
    }
    let digits = port
        .strip_prefix(':')
        .filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    let number = digits
        .filter(|port| port.len() <= 5)
        .and_then(|port| port.parse().ok());
    match number {
        Some(number) if number > 0 => Ok((host, Some(number))),
        _ => Err(malformed("the port is not a number from 1 to 65535")),
    }
}

pub(super) fn default_port(scheme: Scheme) -> Option<u16> {
    match scheme {
        Scheme::Http => Some(80),
        Scheme::Https => Some(443),
        Scheme::Tls | Scheme::Tcp | Scheme::Dns | Scheme::Mcp => None,
    }
}
