//! Malformed and deceptive URLs.

use std::borrow::Cow;

use crate::crossing::SurfaceKind;
use crate::finding::{Class, Severity};
use crate::rules::{Origin, Rule, RuleDirection};

/// A rule that code applies, not patterns.
macro_rules! rule {
    ($name:ident, $id:literal, $title:literal, $class:ident, $severity:ident) => {
        pub(crate) static $name: Rule = Rule {
            id: $id,
            title: $title,
            class: Class::$class,
            severity: Severity::$severity,
            direction: RuleDirection::Outbound,
            origin: Origin::Builtin,
            home: &[],
            home_in: &[],
            seen_in: &[],
            shape: None,
            checks: &[],
        };
    };
}

rule!(
    URL_LENGTH,
    "url-length",
    "A URL over the length limit",
    Shape,
    High
);
rule!(
    URL_SCHEME,
    "url-scheme",
    "A URL of another scheme",
    Shape,
    High
);
rule!(
    URL_CONTROL,
    "url-control",
    "A control character, plain or encoded,",
    Shape,
    High
);
rule!(
    URL_TRAVERSAL,
    "url-traversal",
    "A path that climbs with `..`",
    Shape,
    High
);
rule!(
    URL_USERINFO,
    "url-userinfo",
    "A user name or password before the host",
    Shape,
    High
);
rule!(
    HOST_ENTROPY,
    "host-entropy",
    "A host name that looks like encoded data",
    Entropy,
    High
);
rule!(
    PATH_ENTROPY,
    "path-entropy",
    "A path segment that looks like encoded data",
    Entropy,
    Medium
);
rule!(
    QUERY_ENTROPY,
    "query-entropy",
    "A query value that looks like encoded data",
    Entropy,
    Medium
);

rule!(
    HEADER_ENTROPY,
    "header-entropy",
    "A header that holds encoded data",
    Entropy,
    Medium
);

/// The engine's own rules.
pub(crate) static RULES: [&Rule; 9] = [
    &URL_LENGTH,
    &URL_SCHEME,
    &URL_CONTROL,
    &URL_TRAVERSAL,
    &URL_USERINFO,
    &HOST_ENTROPY,
    &PATH_ENTROPY,
    &QUERY_ENTROPY,
    &HEADER_ENTROPY,
];

/// The parts of an absolute URL, as byte ranges of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    /// The first byte after `://`.
    authority: usize,
    /// The first byte of the path.
    path: usize,
    /// The `?`, or the end.
    query: usize,
    end: usize,
}

impl Parts {
    pub(crate) fn of(url: &[u8]) -> Self {
        let authority = memchr::memmem::find(url, b"://").map_or(0, |at| at + 3);
        let after = |from: usize, stop: &[u8]| {
            let found = url[from..].iter().position(|b| stop.contains(b));
            found.map_or(url.len(), |at| from + at)
        };
        // A backslash separates in some readers (WHATWG URL, section 4.4), so it ends the authority here.
        let path = after(authority, b"/?#\\");
        let query = after(path, b"?#");
        Self {
            authority,
            path,
            query,
            end: url.len(),
        }
    }

    pub(crate) fn scheme<'a>(&self, url: &'a [u8]) -> &'a [u8] {
        &url[..self.authority.saturating_sub(3)]
    }

    fn authority<'a>(&self, url: &'a [u8]) -> &'a [u8] {
        &url[self.authority..self.path]
    }

    pub(crate) fn path<'a>(&self, url: &'a [u8]) -> &'a [u8] {
        &url[self.path..self.query]
    }

    /// With its `?`.
    pub(crate) fn query<'a>(&self, url: &'a [u8]) -> &'a [u8] {
        &url[self.query..self.end]
    }

    /// The kind of surface at an offset, and for a query item its key.
    pub(crate) fn locate<'a>(&self, url: &'a [u8], offset: usize) -> (SurfaceKind, &'a [u8]) {
        if offset < self.authority {
            return (SurfaceKind::Url, b"");
        }
        if offset < self.path {
            return (SurfaceKind::Host, b"");
        }
        if offset < self.query {
            return (SurfaceKind::Path, b"");
        }
        let offset = offset.min(url.len());
        let separator = |b: &u8| matches!(b, b'?' | b'&' | b';' | b'#');
        let start = url[..offset].iter().rposition(separator);
        let item = &url[start.map_or(self.query, |at| at + 1)..offset];
        let key = memchr::memchr(b'=', item).map_or(&b""[..], |equals| &item[..equals]);
        (SurfaceKind::Query, key)
    }
}

/// What is wrong with the shape of a URL: the rule and where, each rule at most once.
pub(crate) fn judge(url: &[u8], length_max: usize, out: &mut Vec<(&'static Rule, usize)>) {
    if url.len() > length_max {
        out.push((&URL_LENGTH, length_max));
    }
    let parts = Parts::of(url);
    let scheme = parts.scheme(url);
    if !scheme.is_empty() && !is_http(scheme) {
        out.push((&URL_SCHEME, 0));
    }
    if parts.authority(url).contains(&b'@') {
        out.push((&URL_USERINFO, parts.authority));
    }
    if let Some(at) = control(url, &parts) {
        out.push((&URL_CONTROL, at));
    }
    if let Some(at) = traversal(parts.path(url)) {
        out.push((&URL_TRAVERSAL, parts.path + at));
    }
}

fn is_http(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https")
}

/// Raw controls anywhere; escaped CR, LF and NUL before the query; in the query, where text with
/// line breaks is honest, only what would split a header off.
fn control(url: &[u8], parts: &Parts) -> Option<usize> {
    let raw = url.iter().position(|b| *b < b' ' || *b == 0x7f);
    raw.or_else(|| escaped_control(&url[..parts.query]))
        .or_else(|| split_header(parts.query(url)).map(|at| parts.query + at))
}

fn escaped_control(text: &[u8]) -> Option<usize> {
    escapes(text)
        .find(|(_, byte, _)| matches!(byte, b'\r' | b'\n' | 0))
        .map(|(at, ..)| at)
}

/// An escaped line break and then the start of a header field, another line break, or a status line.
fn split_header(query: &[u8]) -> Option<usize> {
    let mut breaks = escapes(query).filter(|(_, byte, _)| *byte == b'\r');
    breaks.find_map(|(at, _, after)| {
        let (_, _, rest) = escapes(&query[after..])
            .next()
            .filter(|(next, byte, _)| *next == 0 && *byte == b'\n')?;
        let line = &query[after + rest..];
        let name = line
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'-')
            .count();
        let colon = line[name..].starts_with(b":")
            || line[name..]
                .get(..3)
                .is_some_and(|next| next.eq_ignore_ascii_case(b"%3a"));
        let again = escapes(line).next().is_some_and(|(next, byte, after)| {
            next == 0 && byte == b'\r' && is_page(&line[after..])
        });
        let status = line
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"HTTP/"));
        (again || status || (name > 1 && colon && is_field_like(&line[..name]))).then_some(at)
    })
}

/// Whether a page begins after the line feed that follows. Text has empty lines too.
fn is_page(rest: &[u8]) -> bool {
    const STARTS: [&[u8]; 2] = [b"<", b"HTTP/"];
    let feed = escapes(rest).next();
    let Some((_, _, after)) = feed.filter(|(at, byte, _)| *at == 0 && *byte == b'\n') else {
        return false;
    };
    let page = unescape(&rest[after..]).to_ascii_uppercase();
    STARTS.iter().any(|start| page.starts_with(start))
}

/// Prose has `Note:` too; a field that steers a connection is what splitting is for.
fn is_field_like(name: &[u8]) -> bool {
    const FIELDS: [&[u8]; 9] = [
        b"host",
        b"set-cookie",
        b"cookie",
        b"location",
        b"content-length",
        b"content-type",
        b"transfer-encoding",
        b"authorization",
        b"connection",
    ];
    let x_header = name
        .get(..2)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"x-"));
    x_header || FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name))
}

/// Percent escapes, single and double encoded: where each starts, its byte, and where it ends.
fn escapes(text: &[u8]) -> impl Iterator<Item = (usize, u8, usize)> + '_ {
    memchr::memchr_iter(b'%', text).filter_map(|at| {
        let mut digits = at + 1;
        // `%25` is the percent sign itself: `%250d`, `%25250d`.
        while text.get(digits..digits + 2) == Some(b"25") {
            digits += 2;
        }
        let pair = text.get(digits..digits + 2)?;
        let byte = hex(pair[0])? << 4 | hex(pair[1])?;
        Some((at, byte, digits + 2))
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// The first segment that means `..` once unescaped, however it and its separators are spelt.
fn traversal(path: &[u8]) -> Option<usize> {
    let dots = memchr::memmem::find(path, b"..").is_some();
    if !dots && memchr::memchr(b'%', path).is_none() {
        return None;
    }
    let plain = unescape(path);
    let separator = |b: &u8| matches!(b, b'/' | b'\\');
    let mut start = 0;
    for segment in plain.split(separator) {
        // `..;` is how some servers read a parameter.
        if segment == b".." || segment.starts_with(b"..;") {
            return Some(start);
        }
        start += segment.len() + 1;
    }
    None
}

/// A text without its percent escapes, single and double encoded.
pub(crate) fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memchr(b'%', text) {
        Some(_) => Cow::Owned(unescape(text)),
        None => Cow::Borrowed(text),
    }
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut from = 0;
    for (at, byte, after) in escapes(text) {
        if at >= from {
            plain.extend_from_slice(&text[from..at]);
            plain.push(byte);
            from = after;
        }
    }
    plain.extend_from_slice(&text[from..]);
    plain
}

#[cfg(test)]
mod tests {
    use super::{Parts, judge};
    use crate::crossing::SurfaceKind;

    fn rules(url: &str) -> Vec<&'static str> {
        let mut out = Vec::new();
        judge(url.as_bytes(), 200, &mut out);
        out.iter().map(|(rule, _)| rule.id).collect()
    }

    #[test]
    fn deceptive_urls() {
        let cases: &[(&str, &str)] = &[
            ("ftp://a.example/", "url-scheme"),
            ("file:///etc/passwd", "url-scheme"),
            ("https://user:pw@a.example/", "url-userinfo"),
            ("https://a.example\\@b.example/", ""),
            ("https://a.example/a\r\nHost: b", "url-control"),
            ("https://a.example/a%0d%0aX-A:%201", "url-control"),
            ("https://a.example/a%250d%250aX", "url-control"),
            ("https://a.example/a%00.png", "url-control"),
            (
                "https://a.example/?q=a%0d%0aSet-Cookie:%20a=b",
                "url-control",
            ),
            ("https://a.example/?q=a%0D%0A%0D%0A<html>", "url-control"),
            ("https://a.example/../b", "url-traversal"),
            ("https://a.example/a/%2e%2e/b", "url-traversal"),
            ("https://a.example/a/%252e%252e%252fb", "url-traversal"),
            ("https://a.example/a/..%2fb", "url-traversal"),
            ("https://a.example/a/..%5cb", "url-traversal"),
            ("https://a.example/..;/manager", "url-traversal"),
        ];
        for (url, rule) in cases {
            let found = rules(url);
            assert_eq!(
                found.first().copied().unwrap_or_default(),
                *rule,
                "{url}: {found:?}"
            );
        }
        assert_eq!(
            rules(&format!("https://a.example/{}", "a".repeat(200))),
            ["url-length"]
        );
    }

    #[test]
    fn honest_urls() {
        let urls = [
            "https://registry.example/@scope%2fname/-/name-1.0.0.tgz",
            "https://a.example/compare/v1...v2",
            "https://a.example/a/.../b/..c/d..",
            "https://a.example/?text=one%0Atwo%0D%0Athree",
            "https://a.example/?text=one%0D%0ANote:%20two",
            "https://a.example/100%25/x",
            "https://a.example/?at=me@b.example",
        ];
        for url in urls {
            assert_eq!(rules(url), [""; 0], "{url}");
        }
    }

    #[test]
    fn places_in_a_url() {
        let url = b"https://a.example/p/q?one=1&two=22#three=3";
        let parts = Parts::of(url);
        let at = |needle: &str| memchr::memmem::find(url, needle.as_bytes()).expect("it is there");
        assert_eq!(parts.locate(url, at("a.ex")), (SurfaceKind::Host, &b""[..]));
        assert_eq!(parts.locate(url, at("q?")), (SurfaceKind::Path, &b""[..]));
        assert_eq!(
            parts.locate(url, at("22")),
            (SurfaceKind::Query, &b"two"[..])
        );
        assert_eq!(parts.locate(url, at("two")), (SurfaceKind::Query, &b""[..]));
        assert_eq!(
            parts.locate(url, url.len()),
            (SurfaceKind::Query, &b"three"[..])
        );
    }
}
