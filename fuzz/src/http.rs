//! Invariants of HTTP targets and heads.

use ::http::Request;
use ::http::header::HOST;
use ::http::request::Parts;
use carboy_engine::{Host, Scheme, Surface, Target};
use carboy_wire::http::{
    Origin, Protocol, absolute_url, connect_target, request_surfaces, request_target, upstream_head,
};
use carboy_wire::http1::{Framing, Violation};

/// A target means the same wherever it is read: to Carboy again, to the upstream, and to a URL
/// parser of another make.
pub fn url_target(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(host) = Host::parse(text) {
        assert_eq!(
            Host::parse(&host.to_string()).as_ref(),
            Ok(&host),
            "display and parse differ"
        );
    }
    if let Some(head) = head("CONNECT", text)
        && let Ok(target) = connect_target(&head)
    {
        let again = self::head("CONNECT", &format!("{}:{}", target.host, target.port));
        assert_eq!(again.map(|head| connect_target(&head)), Some(Ok(target)));
    }
    let Some(head) = head("GET", text) else {
        return;
    };
    if let Ok(target) = request_target(&head, &Origin::Forward) {
        same_elsewhere(&absolute_url(&head, &target), &target);
        same_upstream(head, &target);
    }
}

fn head(method: &str, uri: &str) -> Option<Parts> {
    let request = Request::builder().method(method).uri(uri).body(()).ok()?;
    Some(request.into_parts().0)
}

fn same_elsewhere(text: &str, target: &Target) {
    let again = head("GET", text).expect("an absolute URL is a URI");
    assert_eq!(
        request_target(&again, &Origin::Forward).as_ref(),
        Ok(target)
    );
    assert_eq!(absolute_url(&again, target), text);
    let url = url::Url::parse(text).expect("an absolute URL is a URL");
    let host = url.host().map(|host| match host {
        url::Host::Domain(name) => Host::Name(name.into()),
        url::Host::Ipv4(addr) => Host::Addr(addr.into()),
        url::Host::Ipv6(addr) => Host::Addr(addr.into()),
    });
    assert_eq!(host.as_ref(), Some(&target.host));
    assert_eq!(url.port_or_known_default(), Some(target.port));
    assert_eq!((url.username(), url.password()), ("", None));
}

fn same_upstream(mut head: Parts, target: &Target) {
    let path = absolute_url(&head, target);
    upstream_head(&mut head, target, Protocol::Http1).expect("a judged target makes a head");
    assert!(
        head.uri.authority().is_none(),
        "{:?} is not in origin form",
        head.uri
    );
    let known = Origin::Fixed(target.clone());
    assert_eq!(request_target(&head, &known).as_ref(), Ok(target));
    assert_eq!(absolute_url(&head, target), path);
}

/// How much was handed on, and how it ended.
type Walk = (usize, Option<Violation>);

/// Bytes get the same verdict however they are cut; an accepted head has one reading; and what
/// is sent on of it names the target once.
pub fn http_head(data: &[u8]) {
    let whole = walk(data.chunks(data.len().max(1)));
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(walk(data.chunks(size)), whole, "pieces of {size}");
    }
    if let Some(parts) = first_head(data) {
        forwarded(parts);
    }
}

fn walk<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Walk {
    let mut framing = Framing::new();
    let (mut held, mut passed) = (Vec::new(), 0);
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            match framing.advance(&held) {
                Ok(0) => break,
                Ok(count) => {
                    held.drain(..count);
                    passed += count;
                }
                Err(violation) => return (passed, Some(violation)),
            }
        }
    }
    (passed, None)
}

/// The first head, if it is vetted. `httparse` must read the same one.
fn first_head(data: &[u8]) -> Option<Parts> {
    let vetted = Framing::new()
        .advance(data)
        .ok()
        .filter(|vetted| *vetted > 0)?;
    let mut fields = [httparse::EMPTY_HEADER; carboy_wire::http1::FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let end = request.parse(data).expect("a vetted head parses");
    assert!(
        end.is_complete() && end.unwrap() <= vetted,
        "{end:?} of {vetted}"
    );
    let lines = data[..end.unwrap()].split(|byte| *byte == b'\n').count();
    assert_eq!(request.headers.len() + 3, lines, "a line is a field");
    let mut builder = Request::builder();
    builder = builder.method(request.method?).uri(request.path?);
    for field in request.headers {
        builder = builder.header(field.name, field.value);
    }
    Some(builder.body(()).ok()?.into_parts().0)
}

fn forwarded(mut parts: Parts) {
    let known = Target {
        scheme: Scheme::Https,
        host: Host::parse("a.example").expect("a name"),
        port: 443,
    };
    let target = request_target(&parts, &Origin::Forward)
        .or_else(|_| request_target(&parts, &Origin::Fixed(known)));
    let Ok(target) = target else {
        return;
    };
    let mut seen = Vec::new();
    let visit = |surface: Surface<'_>| -> Result<(), ()> {
        seen.push((surface.name.to_owned(), surface.bytes.to_vec()));
        Ok(())
    };
    assert_eq!(request_surfaces(&parts, &target, visit), Ok(()));
    upstream_head(&mut parts, &target, Protocol::Http1).expect("a judged target makes a head");
    assert_eq!(parts.headers.get_all(HOST).iter().count(), 1);
    for (name, value) in &parts.headers {
        let rebuilt = ["host", "accept-encoding", "content-length", "cookie"];
        let surface = (name.as_str().to_owned(), value.as_bytes().to_vec());
        assert!(
            rebuilt.contains(&name.as_str()) || seen.contains(&surface),
            "{name} is sent on unseen"
        );
    }
    for name in [
        "connection",
        "transfer-encoding",
        "upgrade",
        "proxy-authorization",
        "te",
    ] {
        assert!(!parts.headers.contains_key(name), "{name} is sent on");
    }
}
