//! The content of HTTP heads, place by place.
//!
//! Whatever a peer is free to choose is pushed: values, but also extension methods, the names of
//! headers outside the common set, and query keys that are not plain identifiers. What is
//! stripped or rebuilt before the head is sent on is not.

use ::http::header::{self, HeaderName, HeaderValue};
use ::http::uri::PathAndQuery;
use ::http::{HeaderMap, Method, Uri, request, response};
use carboy_engine::{Fault, Surface, SurfaceKind, Target};

use super::forward::is_hop_by_hop;
use super::target::{absolute_url, host_text, path_and_query};

/// The longest query key that is taken for a name. Longer ones are content: they could hold a
/// credential, and a surface's name is printed in findings.
const QUERY_NAME_BYTES_MAX: usize = 24;

/// Header names from this length on are pushed in upper case too, since HTTP folds their case
/// and credentials made of capitals and digits survive that.
const FOLDED_NAME_BYTES_MIN: usize = 16;

/// The name of the surface that holds an extension method, as HTTP/2 spells it.
const METHOD: &str = ":method";

/// The name of the surface that holds uncommon header names, one a line.
const NAMES: &str = ":names";

/// Visits the content of a request's head: host, URL, path, query items, method, headers.
///
/// # Errors
/// The first one that `visit` returns; nothing is visited after it.
pub fn request_surfaces<E>(
    head: &request::Parts,
    target: &Target,
    mut visit: impl FnMut(Surface<'_>) -> Result<(), E>,
) -> Result<(), E> {
    visit(surface(SurfaceKind::Host, "", host_text(head).as_bytes()))?;
    let url = absolute_url(head, target);
    visit(surface(SurfaceKind::Url, "", url.as_bytes()))?;
    let text = path_and_query(head);
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    visit(surface(SurfaceKind::Path, "", path.as_bytes()))?;
    query_surfaces(query, &mut visit)?;
    if !is_common_method(&head.method) {
        let method = head.method.as_str().as_bytes();
        visit(surface(SurfaceKind::Header, METHOD, method))?;
    }
    field_surfaces(SurfaceKind::Header, &head.headers, is_rebuilt, &mut visit)
}

/// Replaces content of a request's head before it is visited: what `redact` returns for a query item's
/// or a header's value stands in its place. It is shown the path first, which stays.
///
/// # Errors
/// [`Fault::Malformed`] when what it returns cannot stand there.
pub fn redact_request(
    head: &mut request::Parts,
    mut redact: impl FnMut(Surface<'_>) -> Option<Vec<u8>>,
) -> Result<(), Fault> {
    let text = path_and_query(head).to_owned();
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    redact(surface(SurfaceKind::Path, "", path.as_bytes()));
    if let Some(query) = redacted_query(query, &mut redact) {
        let mut uri = std::mem::take(&mut head.uri).into_parts();
        let text = [path.as_bytes(), b"?", &query].concat();
        uri.path_and_query = Some(PathAndQuery::try_from(text).map_err(|_| unfit())?);
        head.uri = Uri::from_parts(uri).map_err(|_| unfit())?;
    }
    redact_fields(&mut head.headers, is_rebuilt, &mut redact)
}

/// The same of a response's head, whose headers are visited after the path that was asked for.
///
/// # Errors
/// As [`redact_request`].
pub fn redact_response(
    head: &mut response::Parts,
    path: &str,
    mut redact: impl FnMut(Surface<'_>) -> Option<Vec<u8>>,
) -> Result<(), Fault> {
    redact(surface(SurfaceKind::Path, "", path.as_bytes()));
    redact_fields(&mut head.headers, is_hop_by_hop, &mut redact)
}

fn redact_fields(
    fields: &mut HeaderMap,
    skipped: impl Fn(&HeaderName) -> bool,
    redact: &mut impl FnMut(Surface<'_>) -> Option<Vec<u8>>,
) -> Result<(), Fault> {
    for (name, value) in fields {
        if skipped(name) || is_length(name, value) {
            continue;
        }
        let own = surface(SurfaceKind::Header, name.as_str(), value.as_bytes());
        if let Some(redacted) = redact(own) {
            *value = HeaderValue::from_bytes(&redacted).map_err(|_| unfit())?;
        }
    }
    Ok(())
}

/// The query with its values replaced, if any is.
fn redacted_query(
    query: &str,
    redact: &mut impl FnMut(Surface<'_>) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut is_redacted = false;
    let items = query.split('&').map(|item| {
        let (key, value) = match item.split_once('=') {
            Some((key, value)) if is_query_name(key) => (key, value),
            _ => ("", item),
        };
        match redact(surface(SurfaceKind::Query, key, value.as_bytes())) {
            Some(redacted) => {
                is_redacted = true;
                let kept = &item[..item.len() - value.len()];
                [kept.as_bytes(), &redacted].concat()
            }
            None => item.as_bytes().to_vec(),
        }
    });
    let items: Vec<_> = items.collect();
    is_redacted.then(|| items.join(&b'&'))
}

fn unfit() -> Fault {
    Fault::Malformed("a placeholder does not fit where the secret was".into())
}

/// Fields that are stripped or made anew before a request is sent on.
fn is_rebuilt(name: &HeaderName) -> bool {
    *name == header::HOST || *name == header::ACCEPT_ENCODING || is_hop_by_hop(name)
}

/// Visits the content of a response's head: its headers, after the path that was asked for, by which
/// exemptions know it.
///
/// # Errors
/// As [`request_surfaces`].
pub fn response_surfaces<E>(
    head: &response::Parts,
    path: &str,
    mut visit: impl FnMut(Surface<'_>) -> Result<(), E>,
) -> Result<(), E> {
    visit(surface(SurfaceKind::Path, "", path.as_bytes()))?;
    field_surfaces(
        SurfaceKind::Header,
        &head.headers,
        is_hop_by_hop,
        &mut visit,
    )
}

/// Visits the content of a message's trailers, every field of them.
///
/// # Errors
/// As [`request_surfaces`].
pub fn trailer_surfaces<E>(
    trailers: &HeaderMap,
    mut visit: impl FnMut(Surface<'_>) -> Result<(), E>,
) -> Result<(), E> {
    field_surfaces(SurfaceKind::Trailer, trailers, |_| false, &mut visit)
}

fn surface<'a>(kind: SurfaceKind, name: &'a str, bytes: &'a [u8]) -> Surface<'a> {
    Surface { kind, name, bytes }
}

fn query_surfaces<E>(
    query: &str,
    visit: &mut impl FnMut(Surface<'_>) -> Result<(), E>,
) -> Result<(), E> {
    for item in query.split('&').filter(|item| !item.is_empty()) {
        let (key, value) = item.split_once('=').unwrap_or(("", item));
        if is_query_name(key) {
            visit(surface(SurfaceKind::Query, key, value.as_bytes()))?;
            continue;
        }
        for content in [key, value].into_iter().filter(|text| !text.is_empty()) {
            visit(surface(SurfaceKind::Query, "", content.as_bytes()))?;
        }
    }
    Ok(())
}

/// Whether a key reads as a parameter's name rather than as content.
fn is_query_name(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$[]".contains(&byte);
    key.len() <= QUERY_NAME_BYTES_MAX && key.bytes().all(plain)
}

fn field_surfaces<E>(
    kind: SurfaceKind,
    fields: &HeaderMap,
    skipped: impl Fn(&HeaderName) -> bool,
    visit: &mut impl FnMut(Surface<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut uncommon = Vec::new();
    for name in fields.keys().filter(|name| !is_common_field(name)) {
        push_name(&mut uncommon, name.as_str());
    }
    if !uncommon.is_empty() {
        visit(surface(kind, NAMES, &uncommon))?;
    }
    for (name, value) in fields {
        if skipped(name) || is_length(name, value) {
            continue;
        }
        visit(surface(kind, name.as_str(), value.as_bytes()))?;
    }
    Ok(())
}

fn push_name(names: &mut Vec<u8>, name: &str) {
    names.extend_from_slice(name.as_bytes());
    names.push(b'\n');
    if name.len() >= FOLDED_NAME_BYTES_MIN {
        names.extend(name.bytes().map(|byte| byte.to_ascii_uppercase()));
        names.push(b'\n');
    }
}

/// Whether a field is a length, which the body bears out.
fn is_length(name: &HeaderName, value: &HeaderValue) -> bool {
    *name == header::CONTENT_LENGTH && value.as_bytes().iter().all(u8::is_ascii_digit)
}

fn is_common_method(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::DELETE
            | Method::OPTIONS
            | Method::PATCH
            | Method::TRACE
            | Method::CONNECT
    )
}

/// Whether a name is in such common use that it says nothing.
fn is_common_field(name: &HeaderName) -> bool {
    COMMON_FIELDS.binary_search(&name.as_str()).is_ok()
}

/// Names of fields that ordinary clients and servers send, sorted.
const COMMON_FIELDS: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "age",
    "alt-svc",
    "anthropic-beta",
    "anthropic-version",
    "authorization",
    "cache-control",
    "cf-cache-status",
    "cf-ray",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-range",
    "content-security-policy",
    "content-type",
    "cookie",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "etag",
    "expect",
    "expires",
    "git-protocol",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "origin",
    "permissions-policy",
    "pragma",
    "priority",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "referer",
    "referrer-policy",
    "request-id",
    "retry-after",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "server",
    "server-timing",
    "set-cookie",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
    "x-api-key",
    "x-cache",
    "x-content-type-options",
    "x-frame-options",
    "x-request-id",
    "x-requested-with",
    "x-xss-protection",
];

#[cfg(test)]
mod tests {
    use super::COMMON_FIELDS;

    #[test]
    fn common_fields_can_be_searched() {
        assert!(COMMON_FIELDS.is_sorted());
    }
}
