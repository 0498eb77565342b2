//! What is sent on: heads without what belongs to one connection (RFC 9110, section 7.6.1).

use ::http::header::{self, HeaderName, HeaderValue};
use ::http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use ::http::{HeaderMap, StatusCode, Uri, Version, request, response};
use carboy_engine::{Fault, Scheme, Target};

use super::target::write_authority;

/// The content codings whose content can be inspected.
const CODINGS: [&str; 5] = ["gzip", "deflate", "br", "zstd", "identity"];

/// The protocol spoken to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Refuses a request that wants to switch the connection to another protocol than WebSocket's, which
/// [`Opening`](crate::websocket::Opening) has taken out of its head before.
///
/// An offer of `h2c` alone is let be: RFC 9110, section 7.8 lets a server ignore it, clients make
/// it by default, and [`strip_hop_by_hop`] removes it.
///
/// # Errors
/// [`Fault::Unsupported`].
pub fn check_upgrade(head: &request::Parts) -> Result<(), Fault> {
    let offers = head.headers.get_all(header::UPGRADE);
    let mut protocols = offers.iter().flat_map(tokens);
    if protocols.any(|protocol| !protocol.eq_ignore_ascii_case(b"h2c")) {
        return Err(Fault::Unsupported("an upgrade to another protocol".into()));
    }
    Ok(())
}

/// Refuses what an upstream's parsed answer still shows of a broken or switched protocol.
///
/// # Errors
/// [`Fault::Unsupported`] for 101; [`Fault::Upstream`] for both `Content-Length` and
/// `Transfer-Encoding`, more than one of either, a `Content-Length` that is not a number, or a
/// `Transfer-Encoding` other than `chunked` (RFC 9112, section 6.3).
pub fn check_response(head: &response::Parts) -> Result<(), Fault> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Fault::Unsupported("a switch to another protocol".into()));
    }
    let lengths = head.headers.get_all(header::CONTENT_LENGTH);
    let encodings = head.headers.get_all(header::TRANSFER_ENCODING);
    if lengths.iter().count() + encodings.iter().count() > 1 {
        return Err(Fault::Upstream("it frames its body in two ways".into()));
    }
    if lengths.iter().any(|length| !is_length(length)) {
        return Err(Fault::Upstream("its Content-Length is no number".into()));
    }
    if encodings
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(Fault::Upstream(
            "its Transfer-Encoding is not chunked".into(),
        ));
    }
    Ok(())
}

/// Turns a request's head into the one that is sent to `target`.
///
/// The URI becomes what `protocol` wants, `Host` is made anew from the target, hop-by-hop fields
/// and the proxy's own go, `Accept-Encoding` keeps what can be inspected, and an HTTP/2 client's
/// split cookies are joined (RFC 9113, section 8.2.3). `Expect: 100-continue` goes, since the
/// gate itself asks for the body. Extensions are cleared: they belong to the client's connection.
///
/// # Errors
/// [`Fault::Malformed`] when the target and path do not make a URI.
pub fn upstream_head(
    head: &mut request::Parts,
    target: &Target,
    protocol: Protocol,
) -> Result<(), Fault> {
    let trailers = wants_trailers(&head.headers);
    strip_hop_by_hop(&mut head.headers);
    head.headers.remove(header::EXPECT);
    head.headers.remove(header::HOST);
    filter_accept_encoding(&mut head.headers);
    join_cookies(&mut head.headers)?;
    let mut authority = String::new();
    write_authority(&mut authority, target);
    head.uri = upstream_uri(head, target, &authority, protocol)?;
    head.extensions.clear();
    match protocol {
        Protocol::Http1 => {
            let host = HeaderValue::from_str(&authority).map_err(|_| bad_target())?;
            head.headers.insert(header::HOST, host);
            head.version = Version::HTTP_11;
        }
        Protocol::Http2 => {
            if trailers {
                head.headers
                    .insert(header::TE, HeaderValue::from_static("trailers"));
            }
            head.version = Version::HTTP_2;
        }
    }
    Ok(())
}

/// Turns an answer's head into the one that is sent to the client. The reason phrase goes with
/// the extensions.
pub fn downstream_head(head: &mut response::Parts) {
    strip_hop_by_hop(&mut head.headers);
    // Alternative services would lead the client past the names that the gate knows.
    head.headers.remove(header::ALT_SVC);
    head.extensions.clear();
}

/// Removes the fields that belong to one connection, those that `Connection` lists, and the
/// proxy's own. `Content-Length` stays even if listed: the message's end depends on it.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let connection = headers.get_all(header::CONNECTION);
    let listed: Vec<HeaderName> = connection
        .iter()
        .flat_map(tokens)
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| *name != header::CONTENT_LENGTH)
        .collect();
    for name in &listed {
        headers.remove(name);
    }
    // Most heads have none, which the names tell sooner than a search for each that it could have.
    while let Some(name) = headers.keys().find(|name| is_hop_by_hop(name)).cloned() {
        headers.remove(name);
    }
}

/// Leaves only the content codings that can be inspected, without weights; `identity` where none
/// is left. No field stays no field.
pub fn filter_accept_encoding(headers: &mut HeaderMap) {
    let mut kept: Vec<&str> = Vec::new();
    let offers = headers.get_all(header::ACCEPT_ENCODING);
    if offers.iter().next().is_none() {
        return;
    }
    for offer in offers.iter().flat_map(tokens) {
        let wanted = accepted_codings(offer);
        let fresh: Vec<_> = wanted
            .iter()
            .filter(|coding| !kept.contains(coding))
            .collect();
        kept.extend(fresh);
    }
    if kept.is_empty() {
        kept.push("identity");
    }
    if let Ok(value) = HeaderValue::from_str(&kept.join(", ")) {
        headers.insert(header::ACCEPT_ENCODING, value);
    }
}

/// Fields that are never sent on. `Te` is put back where it is legal.
static HOP_BY_HOP: [HeaderName; 12] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authentication-info"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-features"),
    HeaderName::from_static("proxy-instruction"),
];

pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
}

/// The comma-separated items of a field's value, trimmed, the empty ones left out.
pub(crate) fn tokens(value: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let items = value.as_bytes().split(|byte| *byte == b',');
    items
        .map(<[u8]>::trim_ascii)
        .filter(|item| !item.is_empty())
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    let te = headers.get_all(header::TE);
    te.iter()
        .flat_map(tokens)
        .any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

/// The inspectable codings that one `Accept-Encoding` item asks for.
fn accepted_codings(item: &[u8]) -> &'static [&'static str] {
    let mut parts = item.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let name = parts.next().unwrap_or_default();
    let refused = parts.any(|part| {
        let weight = part.strip_prefix(b"q=").or(part.strip_prefix(b"Q="));
        weight.is_some_and(|weight| weight.iter().all(|byte| matches!(byte, b'0' | b'.')))
    });
    if refused {
        return &[];
    }
    if name == b"*" {
        return &CODINGS;
    }
    let name = if name.eq_ignore_ascii_case(b"x-gzip") {
        b"gzip"
    } else {
        name
    };
    let place = CODINGS
        .iter()
        .position(|coding| name.eq_ignore_ascii_case(coding.as_bytes()));
    place.map_or(&[], |place| &CODINGS[place..=place])
}

fn join_cookies(headers: &mut HeaderMap) -> Result<(), Fault> {
    let crumbs: Vec<_> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]));
    let joined = joined.map_err(|_| Fault::Malformed("the cookies do not join".into()))?;
    headers.insert(header::COOKIE, joined);
    Ok(())
}

fn upstream_uri(
    head: &request::Parts,
    target: &Target,
    authority: &str,
    protocol: Protocol,
) -> Result<Uri, Fault> {
    // Of a URL with a fragment and no path, an empty path is left.
    let path = head
        .uri
        .path_and_query()
        .filter(|path| path.as_str() != "/");
    let path = path
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    let mut uri = ::http::uri::Parts::default();
    uri.path_and_query = Some(path);
    if protocol == Protocol::Http2 {
        uri.scheme = Some(match target.scheme {
            Scheme::Http => UriScheme::HTTP,
            Scheme::Https | Scheme::Tls | Scheme::Tcp | Scheme::Dns | Scheme::Mcp => {
                UriScheme::HTTPS
            }
        });
        uri.authority = Some(Authority::try_from(authority).map_err(|_| bad_target())?);
    }
    Uri::from_parts(uri).map_err(|_| bad_target())
}

fn bad_target() -> Fault {
    Fault::Malformed("the target does not make a URI".into())
}

fn is_length(value: &HeaderValue) -> bool {
    let digits = value.as_bytes();
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}
