//! What a client of another proxy says and hears (RFC 9110, section 9.3.6; RFC 9112, section 3.2.2).

use ::http::header::{HeaderValue, PROXY_AUTHORIZATION};
use ::http::uri::{Authority, PathAndQuery, Scheme as UriScheme};
use ::http::{Request, Uri};
use carboy_engine::Target;
use data_encoding::BASE64;

use super::target::{write_authority, write_host_and_port};

/// How a proxy answered a `CONNECT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Not to its end yet.
    Incomplete,
    /// With this status, in so many bytes; what follows is the far end's.
    Status(u16, usize),
    /// With something that is no answer.
    Malformed,
}

/// The value of `Proxy-Authorization` for `user:password` (RFC 7617). It is marked sensitive.
pub fn basic_login(login: &str) -> Option<HeaderValue> {
    let text = format!("Basic {}", BASE64.encode(login.as_bytes()));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// A `CONNECT` to a far end.
pub fn connect_request(target: &Target, login: Option<&HeaderValue>) -> Vec<u8> {
    let mut authority = String::new();
    write_host_and_port(&mut authority, target);
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
    if let Some(login) = login {
        request.extend_from_slice(b"proxy-authorization: ");
        request.extend_from_slice(login.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}

/// Reads the answer to a `CONNECT` out of everything that the proxy has said. A 2xx has no body.
pub fn connect_answer(said: &[u8]) -> Answered {
    const START: &[u8] = b"HTTP/1.";
    const STATUS: std::ops::Range<usize> = 9..12;
    if !said.starts_with(START) && !START.starts_with(said) {
        return Answered::Malformed;
    }
    let Some(end) = memchr::memmem::find(said, b"\r\n\r\n") else {
        return Answered::Incomplete;
    };
    let digits = said.get(STATUS).filter(|_| said.get(8) == Some(&b' '));
    let status = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
    match status {
        Some(status @ 100..=599) => Answered::Status(status, end + 4),
        Some(_) | None => Answered::Malformed,
    }
}

/// Turns a request to a far end into one that a proxy takes: in absolute form, with the login.
pub fn for_proxy<B>(request: &mut Request<B>, target: &Target, login: Option<&HeaderValue>) {
    let mut authority = String::new();
    write_authority(&mut authority, target);
    let path = request.uri().path_and_query().cloned();
    let mut uri = ::http::uri::Parts::default();
    uri.scheme = Some(UriScheme::HTTP);
    // A judged target always makes an authority; otherwise the proxy refuses what is left.
    uri.authority = Authority::try_from(authority).ok();
    uri.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    if let Ok(uri) = Uri::from_parts(uri) {
        *request.uri_mut() = uri;
    }
    if let Some(login) = login {
        request
            .headers_mut()
            .insert(PROXY_AUTHORIZATION, login.clone());
    }
}

#[cfg(test)]
mod tests {
    use carboy_engine::{Host, Scheme};

    use super::*;

    fn target(host: &str, port: u16) -> Target {
        Target {
            scheme: Scheme::Http,
            host: Host::parse(host).unwrap(),
            port,
        }
    }

    #[test]
    fn a_connect_names_host_port_and_login() {
        let login = basic_login("user:pass word").unwrap();
        assert!(login.is_sensitive());
        let request = connect_request(&target("up.example", 80), Some(&login));
        let expect = "CONNECT up.example:80 HTTP/1.1\r\nhost: up.example:80\r\n\
                      proxy-authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n\r\n";
        assert_eq!(String::from_utf8(request).unwrap(), expect);
        let bare = connect_request(&target("[2001:db8::1]", 443), None);
        assert!(bare.starts_with(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n"));
    }

    #[test]
    fn answers_are_read_to_their_end_and_not_further() {
        for (said, expect) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], Answered::Status(200, 19)),
            (
                b"HTTP/1.0 200 \r\nvia: x\r\n\r\n220 hi",
                Answered::Status(200, 25),
            ),
            (b"HTTP/1.1 407 Login\r\n\r\n", Answered::Status(407, 22)),
            (b"HTTP/1.1 200 OK\r\n", Answered::Incomplete),
            (b"HTT", Answered::Incomplete),
            (b"", Answered::Incomplete),
            (b"SSH-2.0\r\n\r\n", Answered::Malformed),
            (b"HTTP/1.1 2x0 OK\r\n\r\n", Answered::Malformed),
            (b"HTTP/1.1\r\n\r\n", Answered::Malformed),
        ] {
            assert_eq!(connect_answer(said), expect, "{said:?}");
        }
    }

    #[test]
    fn a_request_for_a_proxy_is_in_absolute_form() {
        let mut request = Request::get("/a?b").body(()).unwrap();
        for_proxy(
            &mut request,
            &target("up.example", 8080),
            basic_login("u:p").as_ref(),
        );
        assert_eq!(request.uri(), "http://up.example:8080/a?b");
        assert!(request.headers().contains_key(PROXY_AUTHORIZATION));
    }
}
