use ::http::Request;
use ::http::request::Parts;
use carboy_engine::{Fault, Host, Scheme, Target};

use super::*;

fn head(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn target(scheme: Scheme, host: &str, port: u16) -> Target {
    Target {
        scheme,
        host: Host::parse(host).unwrap(),
        port,
    }
}

/// A fault's kind, as the tables name it.
fn kind(fault: &Fault) -> &'static str {
    match fault {
        Fault::Malformed(_) => "malformed",
        Fault::TargetMismatch { .. } => "mismatch",
        Fault::Unsupported(_) => "unsupported",
        Fault::Upstream(_) => "upstream",
        other => panic!("{other:?} is not the wire's to report"),
    }
}

#[test]
fn forward_targets() {
    let cases = [
        ("http://example.com/a", &[][..], "http://example.com:80"),
        (
            "http://EXAMPLE.com:8080/a",
            &["example.com:8080"],
            "http://example.com:8080",
        ),
        (
            "https://example.com/",
            &["example.com"],
            "https://example.com:443",
        ),
        ("http://[2001:db8::1]:81/", &[], "http://[2001:db8::1]:81"),
        ("http://0x7f.1/", &[], "http://127.0.0.1:80"),
        ("http://example.com/", &["other.example"], "mismatch"),
        ("http://example.com/", &["example.com:81"], "mismatch"),
        (
            "http://example.com/",
            &["example.com", "example.com"],
            "malformed",
        ),
        ("http://user@example.com/", &[], "malformed"),
        ("http://example.com:0/", &[], "malformed"),
        ("http://example.com:/", &[], "malformed"),
        ("/a", &["example.com"], "malformed"),
        ("*", &["example.com"], "malformed"),
        ("ftp://example.com/", &[], "unsupported"),
    ];
    for (uri, hosts, expect) in cases {
        let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let found = request_target(&head("GET", uri, &headers), &Origin::Forward);
        let found = found.map_or_else(|fault| kind(&fault).into(), |target| target.to_string());
        assert_eq!(found, expect, "{uri} with {hosts:?}");
    }
}

#[test]
fn fixed_targets() {
    let known = Origin::Fixed(target(Scheme::Https, "example.com", 443));
    let cases = [
        ("/a", &["example.com"][..], "ok"),
        ("/a", &["Example.COM."], "ok"),
        ("/a", &["example.com:443"], "ok"),
        ("*", &["example.com"], "ok"),
        ("https://example.com/a", &["example.com"], "ok"),
        ("http://example.com/a", &["example.com"], "mismatch"),
        ("https://other.example/a", &["example.com"], "mismatch"),
        ("https://example.com/a", &["other.example"], "mismatch"),
        ("/a", &["example.com:80"], "mismatch"),
        ("/a", &["sub.example.com"], "mismatch"),
        ("/a", &["example.com", "example.com"], "malformed"),
        ("/a", &[], "malformed"),
        ("/a", &["a@example.com"], "malformed"),
        ("/a", &["ex%61mple.com"], "malformed"),
        ("/a", &["example.com:+443"], "malformed"),
        ("/a", &["example.com:443:1"], "malformed"),
        ("/a", &[""], "malformed"),
    ];
    for (uri, hosts, expect) in cases {
        let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let found = request_target(&head("GET", uri, &headers), &known);
        let found = found.as_ref().map_or_else(kind, |_| "ok");
        assert_eq!(found, expect, "{uri} with {hosts:?}");
    }
}

#[test]
fn http2_targets() {
    let known = Origin::Fixed(target(Scheme::Https, "example.com", 8443));
    let cases = [
        ("https://example.com:8443/a", &[][..], "ok"),
        ("https://example.com:8443/a", &["example.com:8443"], "ok"),
        ("https://example.com:8443/a", &["example.com"], "mismatch"),
        ("https://example.com/a", &[], "mismatch"),
        ("/a", &[], "malformed"),
    ];
    for (uri, hosts, expect) in cases {
        let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let mut head = head("GET", uri, &headers);
        head.version = ::http::Version::HTTP_2;
        let found = request_target(&head, &known);
        let found = found.as_ref().map_or_else(kind, |_| "ok");
        assert_eq!(found, expect, "{uri} with {hosts:?}");
    }
}

#[test]
fn connect_targets() {
    let cases = [
        (
            "example.com:443",
            &["example.com:443"][..],
            "tls://example.com:443",
        ),
        ("example.com:443", &["example.com"], "tls://example.com:443"),
        ("example.com:443", &[], "tls://example.com:443"),
        ("[::1]:443", &["[::1]:443"], "tls://[::1]:443"),
        ("example.com:443", &["example.com:80"], "mismatch"),
        ("example.com:443", &["other.example:443"], "mismatch"),
        (
            "example.com:443",
            &["example.com", "example.com"],
            "malformed",
        ),
        ("example.com", &[], "malformed"),
        ("example.com:99999", &[], "malformed"),
        ("http://example.com:443/", &[], "malformed"),
        ("/", &[], "malformed"),
    ];
    for (uri, hosts, expect) in cases {
        let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let found = connect_target(&head("CONNECT", uri, &headers));
        let found = found.map_or_else(|fault| kind(&fault).into(), |target| target.to_string());
        assert_eq!(found, expect, "{uri} with {hosts:?}");
    }
    let inner = request_target(&head("CONNECT", "example.com:443", &[]), &Origin::Forward);
    assert_eq!(kind(&inner.unwrap_err()), "unsupported");
}

#[test]
fn a_mismatch_does_not_quote_what_it_was_sent() {
    let known = Origin::Fixed(target(Scheme::Https, "example.com", 443));
    let head = head("GET", "/", &[("host", "hidden-content.other.example")]);
    let fault = request_target(&head, &known).unwrap_err();
    assert!(
        !format!("{fault:?}").contains("hidden-content"),
        "{fault:?}"
    );
}

/// What `visit` was given, as `kind name=bytes` lines.
fn seen(head: &Parts) -> Vec<String> {
    let target = target(Scheme::Http, "example.com", 80);
    let mut seen = Vec::new();
    let done: Result<(), ()> = request_surfaces(head, &target, |surface| {
        let text = String::from_utf8_lossy(surface.bytes);
        seen.push(format!("{} {}={text}", surface.kind.as_str(), surface.name));
        Ok(())
    });
    assert_eq!(done, Ok(()));
    seen
}

#[test]
fn all_that_is_sent_on_is_a_surface() {
    let found = seen(&head(
        "GET",
        "http://Example.COM/p%20q?a=1&b=&=c&d&e=2=3&&f%21=4&a-key-that-is-far-too-long-for-a-name=5",
        &[("x-odd", "one"), ("x-odd", "two"), ("user-agent", "t")],
    ));
    let expect = [
        "host =Example.COM",
        "url =http://example.com/p%20q?a=1&b=&=c&d&e=2=3&&f%21=4&a-key-that-is-far-too-long-for-a-name=5",
        "path =/p%20q",
        "query a=1",
        "query b=",
        "query =c",
        "query =d",
        "query e=2=3",
        "query =f%21",
        "query =4",
        "query =a-key-that-is-far-too-long-for-a-name",
        "query =5",
        "header :names=x-odd\n",
        "header x-odd=one",
        "header x-odd=two",
        "header user-agent=t",
    ];
    assert_eq!(found, expect);
}

#[test]
fn methods_and_header_names_are_content() {
    let found = seen(&head(
        "STOLEN",
        "/",
        &[("host", "example.com"), ("x-stolen-credential", "")],
    ));
    assert!(found.contains(&"header :method=STOLEN".into()), "{found:?}");
    let names = "header :names=x-stolen-credential\nX-STOLEN-CREDENTIAL\n";
    assert!(found.contains(&names.into()), "{found:?}");
}

#[test]
fn what_is_not_sent_on_is_no_surface() {
    let found = seen(&head(
        "GET",
        "/",
        &[
            ("host", "example.com"),
            ("proxy-authorization", "Basic eA=="),
            ("connection", "close"),
            ("accept-encoding", "gzip"),
            ("content-length", "12"),
        ],
    ));
    let expect = ["host =example.com", "url =http://example.com/", "path =/"];
    assert_eq!(found, expect);
}

#[test]
fn a_visit_ends_at_the_first_error() {
    let target = target(Scheme::Http, "example.com", 80);
    let mut visits = 0;
    let done = request_surfaces(&head("GET", "/a?b=c", &[]), &target, |_| {
        visits += 1;
        if visits == 2 { Err("stop") } else { Ok(()) }
    });
    assert_eq!((done, visits), (Err("stop"), 2));
}

fn fields(head: &::http::HeaderMap) -> Vec<String> {
    let text = |value: &::http::HeaderValue| value.to_str().unwrap().to_owned();
    let mut lines: Vec<_> = head
        .iter()
        .map(|(name, value)| format!("{name}: {}", text(value)))
        .collect();
    lines.sort();
    lines
}

#[test]
fn an_upstream_head_is_made_anew() {
    let arrived = [
        ("host", "EXAMPLE.com:80"),
        ("connection", "keep-alive, X-Hop, content-length"),
        ("x-hop", "1"),
        ("content-length", "3"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic eA=="),
        ("keep-alive", "timeout=5"),
        ("te", "gzip, trailers"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABk"),
        ("expect", "100-continue"),
        ("accept-encoding", "GZIP;q=0.8, sdch, br;q=0, *;q=0.1"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x-end", "2"),
    ];
    let to = target(Scheme::Http, "example.com", 80);
    let mut sent = head("POST", "http://EXAMPLE.com:80/a?b", &arrived);
    upstream_head(&mut sent, &to, Protocol::Http1).unwrap();
    assert_eq!(
        (sent.uri.to_string(), sent.version),
        ("/a?b".into(), ::http::Version::HTTP_11)
    );
    let kept = [
        "accept-encoding: gzip, deflate, br, zstd, identity",
        "content-length: 3",
        "cookie: a=1; b=2",
        "host: example.com",
        "x-end: 2",
    ];
    assert_eq!(fields(&sent.headers), kept);

    let to = target(Scheme::Https, "example.com", 8443);
    let mut sent = head("POST", "/a?b", &arrived);
    upstream_head(&mut sent, &to, Protocol::Http2).unwrap();
    assert_eq!(sent.uri.to_string(), "https://example.com:8443/a?b");
    assert_eq!(sent.headers["te"], "trailers");
    assert!(!sent.headers.contains_key("host"));
}

#[test]
fn an_upstream_uri_keeps_its_form() {
    let cases = [
        ("*", "*"),
        ("http://example.com", "/"),
        ("http://example.com?q", "/?q"),
        ("/a/../b?c=%0d", "/a/../b?c=%0d"),
    ];
    for (uri, expect) in cases {
        let mut sent = head("OPTIONS", uri, &[("host", "example.com")]);
        let to = target(Scheme::Http, "example.com", 80);
        upstream_head(&mut sent, &to, Protocol::Http1).unwrap();
        assert_eq!(sent.uri.to_string(), expect);
    }
}

#[test]
fn accept_encoding_keeps_what_can_be_inspected() {
    let cases = [
        (&["gzip, deflate, br, zstd"][..], "gzip, deflate, br, zstd"),
        (&["gzip", "br"], "gzip, br"),
        (&["x-gzip;q=1, compress"], "gzip"),
        (&["compress, dcb"], "identity"),
        (&["gzip;q=0, identity"], "identity"),
        (&["gzip;q=0.000"], "identity"),
        (&[""], "identity"),
    ];
    for (values, expect) in cases {
        let headers: Vec<_> = values
            .iter()
            .map(|value| ("accept-encoding", *value))
            .collect();
        let mut head = head("GET", "/", &headers);
        filter_accept_encoding(&mut head.headers);
        assert_eq!(
            fields(&head.headers),
            [format!("accept-encoding: {expect}")],
            "{values:?}"
        );
    }
    let mut head = head("GET", "/", &[]);
    filter_accept_encoding(&mut head.headers);
    assert!(head.headers.is_empty());
}

#[test]
fn upgrades_are_refused() {
    let cases = [
        (
            &[("upgrade", "websocket"), ("connection", "upgrade")][..],
            true,
        ),
        (&[("upgrade", "h2c, websocket")], true),
        (&[("upgrade", "h2c")], false),
        (
            &[
                ("connection", "upgrade, http2-settings"),
                ("http2-settings", "AAMAAABk"),
            ],
            false,
        ),
        (&[], false),
    ];
    for (headers, refused) in cases {
        assert_eq!(
            check_upgrade(&head("GET", "/", headers)).is_err(),
            refused,
            "{headers:?}"
        );
    }
}

#[test]
fn broken_answers_are_refused() {
    let cases = [
        (200, &[("content-length", "3")][..], "ok"),
        (200, &[("transfer-encoding", "chunked")], "ok"),
        (200, &[], "ok"),
        (101, &[], "unsupported"),
        (
            200,
            &[("content-length", "3"), ("content-length", "3")],
            "upstream",
        ),
        (
            200,
            &[("content-length", "3"), ("transfer-encoding", "chunked")],
            "upstream",
        ),
        (200, &[("content-length", "+3")], "upstream"),
        (200, &[("content-length", "")], "upstream"),
        (200, &[("transfer-encoding", "gzip, chunked")], "upstream"),
    ];
    for (status, headers, expect) in cases {
        let mut response = ::http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let found = check_response(&response.body(()).unwrap().into_parts().0);
        assert_eq!(
            found.as_ref().map_or_else(kind, |()| "ok"),
            expect,
            "{status} {headers:?}"
        );
    }
}

#[test]
fn an_answer_leads_nowhere_else() {
    let response = ::http::Response::builder()
        .header("alt-svc", "h3=\":443\"")
        .header("connection", "close, x-hop")
        .header("x-hop", "1")
        .header("proxy-authenticate", "Basic")
        .header("x-end", "2");
    let mut head = response.body(()).unwrap().into_parts().0;
    downstream_head(&mut head);
    assert_eq!(fields(&head.headers), ["x-end: 2"]);
    let mut names = Vec::new();
    let done: Result<(), ()> = response_surfaces(&head, "/", |surface| {
        names.push(surface.name.to_owned());
        Ok(())
    });
    assert_eq!(
        (done, names.as_slice()),
        (Ok(()), &["".into(), ":names".into(), "x-end".into()][..])
    );
}
