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
