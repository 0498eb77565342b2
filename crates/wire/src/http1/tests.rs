use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;

/// How a connection's bytes end up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All vetted, between requests.
    Whole,
    /// Half-way through a request.
    Partial,
    /// Refused after this many vetted bytes.
    Refused(usize, Violation),
}
use End::{Partial, Refused, Whole};

/// Feeds pieces as a socket would, handing on what is vetted.
fn walk<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> End {
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
                Err(violation) => return Refused(passed, violation),
            }
        }
    }
    if held.is_empty() && framing.is_between_requests() {
        Whole
    } else {
        Partial
    }
}

fn check(bytes: &[u8], expect: End) {
    let shown = String::from_utf8_lossy(bytes);
    assert_eq!(walk([bytes]), expect, "whole: {shown:?}");
    assert_eq!(walk(bytes.chunks(1)), expect, "bytewise: {shown:?}");
    for at in 1..bytes.len().min(2000) {
        let (head, tail) = bytes.split_at(at);
        assert_eq!(walk([head, tail]), expect, "cut at {at}: {shown:?}");
    }
}

/// A request with this body framing, then `rest`.
fn post(fields: &str, rest: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n{rest}").into_bytes()
}

/// Checks where, after the head of [`post`], a body's verdict falls.
fn check_body(fields: &str, rest: &str, expect: End) {
    let head = post(fields, "").len();
    let expect = match expect {
        Refused(at, violation) => Refused(head + at, violation),
        other => other,
    };
    check(&post(fields, rest), expect);
}

#[test]
fn request_lines() {
    let refused = |violation| Refused(0, violation);
    let cases: &[(&[u8], End)] = &[
        (b"GET / HTTP/1.1\r\n\r\n", Whole),
        (b"GET / HTTP/1.0\r\n\r\n", Whole),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", Whole),
        (b"M-SEARCH http://a.example/?a={b} HTTP/1.1\r\n\r\n", Whole),
        (b"GET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", Whole),
        (b"", Whole),
        (b"GET / HTTP/1.1\r\n", Partial),
        (b"GET / HTTP/1.1\r\n\r", Partial),
        (b"GET / HTTP/1.1\n\r\n", refused(Violation::LineEnd)),
        (b"GET / HTTP/1.1\r\n\n", refused(Violation::LineEnd)),
        (b"GET / HTTP/1.1\r\r\n\r\n", refused(Violation::Version)),
        (b"GET /\r HTTP/1.1\r\n\r\n", refused(Violation::Target)),
        (b"\r\nGET / HTTP/1.1\r\n\r\n", refused(Violation::BlankLine)),
        (b"\nGET / HTTP/1.1\r\n\r\n", refused(Violation::LineEnd)),
        (b"GET  / HTTP/1.1\r\n\r\n", refused(Violation::Target)),
        (b" GET / HTTP/1.1\r\n\r\n", refused(Violation::Method)),
        (b"GET\t/ HTTP/1.1\r\n\r\n", refused(Violation::Method)),
        (b"G(T / HTTP/1.1\r\n\r\n", refused(Violation::Method)),
        (b"GET / \r\n\r\n", refused(Violation::Version)),
        (b"GET /\r\n\r\n", refused(Violation::Version)),
        (b"GET / HTTP/1.1 \r\n\r\n", refused(Violation::Version)),
        (b"GET / x HTTP/1.1\r\n\r\n", refused(Violation::Version)),
        (b"GET / HTTP/1.2\r\n\r\n", refused(Violation::Version)),
        (b"GET / http/1.1\r\n\r\n", refused(Violation::Version)),
        (
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            refused(Violation::Version),
        ),
        (b"GET /#x HTTP/1.1\r\n\r\n", refused(Violation::Target)),
        (b"GET /\x80 HTTP/1.1\r\n\r\n", refused(Violation::Target)),
        (b"GET /\0 HTTP/1.1\r\n\r\n", refused(Violation::Target)),
        (b"GET /a\tb HTTP/1.1\r\n\r\n", refused(Violation::Target)),
    ];
    for (bytes, expect) in cases {
        check(bytes, *expect);
    }
    let long = [
        &b"G".repeat(METHOD_BYTES_MAX + 1)[..],
        b" / HTTP/1.1\r\n\r\n",
    ]
    .concat();
    check(&long, refused(Violation::Method));
}

#[test]
fn fields() {
    let cases: &[(&[u8], Result<(), Violation>)] = &[
        (b"A: b\r\n", Ok(())),
        (b"A:\r\n", Ok(())),
        (b"A:\t b \t\r\n", Ok(())),
        (b"A: \xE9t\xE9\r\n", Ok(())),
        (b"!#$%&'*+-.^_`|~9: x\r\n", Ok(())),
        (b"A : b\r\n", Err(Violation::FieldName)),
        (b"A\t: b\r\n", Err(Violation::FieldName)),
        (b": b\r\n", Err(Violation::FieldName)),
        (b"A\r\n", Err(Violation::FieldName)),
        (b"A\x80: b\r\n", Err(Violation::FieldName)),
        (b"A(: b\r\n", Err(Violation::FieldName)),
        (b"A\0: b\r\n", Err(Violation::FieldName)),
        (b"A: b\r\n c\r\n", Err(Violation::Folded)),
        (b"A: b\r\n\tc\r\n", Err(Violation::Folded)),
        (b" A: b\r\n", Err(Violation::Folded)),
        (b"A: b\n", Err(Violation::LineEnd)),
        (b"A: b\rC: d\r\n", Err(Violation::LineEnd)),
        (b"A: b\r\r\n", Err(Violation::LineEnd)),
        (b"A: b\0\r\n", Err(Violation::FieldValue)),
        (b"A: b\x7F\r\n", Err(Violation::FieldValue)),
        (b"A: b\x0Bc\r\n", Err(Violation::FieldValue)),
        (b"Content-Length: 0\r\n", Ok(())),
        (b"content-length:0\r\n", Ok(())),
        (b"Content-Length: +0\r\n", Err(Violation::Length)),
        (b"Content-Length: -0\r\n", Err(Violation::Length)),
        (b"Content-Length: 0, 0\r\n", Err(Violation::Length)),
        (b"Content-Length: 0x0\r\n", Err(Violation::Length)),
        (b"Content-Length: \r\n", Err(Violation::Length)),
        (b"Content-Length: 0 0\r\n", Err(Violation::Length)),
        (
            b"Content-Length: 00000000000000000000\r\n",
            Err(Violation::Length),
        ),
        (
            b"Content-Length: 0\r\nContent-Length: 0\r\n",
            Err(Violation::Length),
        ),
        (
            b"Content-Length: 0\r\nContent-Length: 1\r\n",
            Err(Violation::Length),
        ),
        (b"Content_Length: 0\r\n", Err(Violation::Lookalike)),
        (b"TRANSFER_ENCODING: chunked\r\n", Err(Violation::Lookalike)),
        (
            b"Transfer-Encoding: gzip, chunked\r\n",
            Err(Violation::Encoding),
        ),
        (
            b"Transfer-Encoding: chunked, identity\r\n",
            Err(Violation::Encoding),
        ),
        (b"Transfer-Encoding: identity\r\n", Err(Violation::Encoding)),
        (b"Transfer-Encoding: xchunked\r\n", Err(Violation::Encoding)),
        (
            b"Transfer-Encoding: \x0Bchunked\r\n",
            Err(Violation::FieldValue),
        ),
        (
            b"Transfer-Encoding: chunked;a=b\r\n",
            Err(Violation::Encoding),
        ),
        (b"Transfer-Encoding:\r\n", Err(Violation::Encoding)),
        (
            b"Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            Err(Violation::Encoding),
        ),
        (
            b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            Err(Violation::BothFramings),
        ),
        (
            b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            Err(Violation::BothFramings),
        ),
    ];
    for (fields, expect) in cases {
        let bytes = [b"POST / HTTP/1.1\r\n", *fields, b"\r\n"].concat();
        check(
            &bytes,
            expect.map_or_else(|violation| Refused(0, violation), |()| Whole),
        );
    }
    let old = b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    check(old, Refused(0, Violation::Encoding));
}

#[test]
fn sized_bodies() {
    let next = "12345GET / HTTP/1.1\r\n\r\n";
    check_body("Content-Length: 5\r\n", "12345", Whole);
    check_body("Content-Length: 5\r\n", "1234", Partial);
    check_body("Content-Length: 5\r\n", next, Whole);
    check_body("Content-Length: 4\r\n", next, Whole);
    check_body("Content-Length: 6\r\n", next, Whole);
    check_body(
        "Content-Length: 3\r\n",
        "123\r\n",
        Refused(3, Violation::BlankLine),
    );
    check_body("Content-Length: 9999999999999999999\r\n", "12345", Partial);
    check_body("", "12345 \r\n", Refused(0, Violation::Version));
}

#[test]
fn chunked_bodies() {
    let cases = [
        ("0\r\n\r\n", Whole),
        ("5\r\n12345\r\n0\r\n\r\n", Whole),
        ("5;a=b\r\n12345\r\n000\r\n\r\n", Whole),
        (
            "a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\nDigest: x\r\n\r\n",
            Whole,
        ),
        ("0\r\n\r\nGET / HTTP/1.1\r\n\r\n", Whole),
        ("ffffffffffffffff\r\nabc", Partial),
        ("5\r\n12345\r\n0\r\n", Partial),
        ("\r\n", Refused(0, Violation::ChunkSize)),
        (" 5\r\n", Refused(0, Violation::ChunkSize)),
        ("+5\r\n", Refused(0, Violation::ChunkSize)),
        ("-5\r\n", Refused(0, Violation::ChunkSize)),
        (";a\r\n", Refused(0, Violation::ChunkSize)),
        ("0x5\r\n", Refused(1, Violation::ChunkSize)),
        ("5 \r\n", Refused(1, Violation::ChunkSize)),
        ("5 ;a\r\n", Refused(1, Violation::ChunkSize)),
        ("5\n12345\r\n", Refused(1, Violation::ChunkSize)),
        ("5_0\r\n", Refused(1, Violation::ChunkSize)),
        ("00000000000000005\r\n", Refused(16, Violation::ChunkSize)),
        ("5\r\r\n", Refused(2, Violation::LineEnd)),
        ("5;a\n12345", Refused(3, Violation::ChunkExtension)),
        ("5;\x01\r\n", Refused(2, Violation::ChunkExtension)),
        ("5\r\n123456\r\n", Refused(8, Violation::ChunkEnd)),
        ("5\r\n12345\n0\r\n\r\n", Refused(8, Violation::ChunkEnd)),
        ("5\r\n12345\r0\r\n\r\n", Refused(9, Violation::ChunkEnd)),
        ("0\r\nA : b\r\n\r\n", Refused(3, Violation::FieldName)),
        ("0\r\nA: b\r\n c\r\n\r\n", Refused(3, Violation::Folded)),
        ("0\r\nA: b\n\r\n", Refused(3, Violation::LineEnd)),
        (
            "0\r\nContent-Length: 3\r\n\r\n",
            Refused(3, Violation::Trailer),
        ),
        (
            "0\r\ntransfer-encoding: chunked\r\n\r\n",
            Refused(3, Violation::Trailer),
        ),
        (
            "0\r\nHost: b.example\r\n\r\n",
            Refused(3, Violation::Trailer),
        ),
    ];
    for (rest, expect) in cases {
        check_body("Transfer-Encoding: Chunked\r\n", rest, expect);
    }
}

#[test]
fn limits() {
    let fill = |size: usize| "a".repeat(size);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let extension = format!("1;{}\r\n", fill(CHUNK_EXTENSION_BYTES_MAX));
    check_body(chunked, &extension, Partial);
    let extension = format!("1;{}\r\n", fill(CHUNK_EXTENSION_BYTES_MAX + 1));
    let at = 2 + CHUNK_EXTENSION_BYTES_MAX;
    check_body(chunked, &extension, Refused(at, Violation::ChunkExtension));

    let many = "1;aaa\r\nx\r\n".repeat(BODY_EXTENSION_BYTES_MAX);
    let expect = walk([&post(chunked, &many)[..]]);
    assert!(
        matches!(expect, Refused(_, Violation::ChunkExtension)),
        "{expect:?}"
    );
    assert_eq!(walk(post(chunked, &many).chunks(7)), expect);

    let trailers = format!("0\r\nA: {}\r\n\r\n", fill(TRAILER_BYTES_MAX));
    check_body(chunked, &trailers, Refused(3, Violation::TooLong));

    let longest = HEAD_BYTES_MAX - "GET / HTTP/1.1\r\nA: \r\n\r\n".len();
    for (size, expect) in [
        (longest, Whole),
        (longest + 1, Refused(0, Violation::TooLong)),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", fill(size)).into_bytes();
        assert_eq!(walk([&bytes[..]]), expect);
        assert_eq!(walk(bytes.chunks(1000)), expect);
    }
    assert_eq!(
        walk([&vec![b'a'; HEAD_BYTES_MAX][..]]),
        Refused(0, Violation::TooLong)
    );

    for (count, expect) in [
        (FIELDS_MAX, Whole),
        (FIELDS_MAX + 1, Refused(0, Violation::TooManyFields)),
    ] {
        let bytes = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count)).into_bytes();
        assert_eq!(walk([&bytes[..]]), expect);
    }
}

#[test]
fn a_tunnel_waits_and_then_passes_through() {
    let head = b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n";
    let mut framing = Framing::new();
    let bytes = [&head[..], b"\x16\x03\x01"].concat();
    assert_eq!(framing.advance(&bytes), Ok(head.len()));
    assert!(framing.is_awaiting_tunnel());
    assert_eq!(framing.advance(b"\x16\x03\x01"), Ok(0));
    framing.pass_through();
    assert_eq!(framing.advance(b"\x16\x03\x01"), Ok(3));
    let body = b"CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
    check(body, Refused(0, Violation::ConnectBody));
}

/// The grammar of RFC 9112, sections 3 and 5, for the heads that Carboy takes, written another
/// way than the code.
fn grammar() -> Regex {
    let token = "[!#$%&'*+.^_`|~0-9A-Za-z-]";
    let line = format!(r#"{token}{{1,32}} [!"$-~]+ HTTP/1\.[01]\r\n"#);
    let field = format!(r"{token}+:[\t -~\x80-\xFF]*\r\n");
    Regex::new(&format!(r"(?-u)\A{line}(?:{field})*\r\n\z")).unwrap()
}

/// Pieces from which heads with more than one reading are made.
fn piece() -> impl Strategy<Value = &'static [u8]> {
    let pieces: &[&[u8]] = &[
        b"GET",
        b"POST",
        b" ",
        b"\t",
        b"/",
        b"/a?b=c",
        b"HTTP/1.1",
        b"HTTP/1.0",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b":",
        b": ",
        b" :",
        b"A",
        b"Host: a.example\r\n",
        b"\x80",
        b"#",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b" folded\r\n",
        b"\x7F",
        b"(",
        b"GET / HTTP/1.1\r\n",
        b"POST /x HTTP/1.1\r\n",
        b"X-Y: z\r\n",
        b"\r\n\r\n",
    ];
    prop::sample::select(pieces)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn an_accepted_head_has_one_reading(
        start in prop::sample::select(vec![&b""[..], b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.0\r\n"]),
        pieces in prop::collection::vec(piece(), 0..12),
    ) {
        let bytes = [start, &pieces.concat()].concat();
        let mut framing = Framing::new();
        if let Ok(Some(end)) = framing.block.scan(Section::Head, &bytes, HEAD_BYTES_MAX) {
            prop_assert!(grammar().is_match(&bytes[..end]));
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut request = httparse::Request::new(&mut fields);
            prop_assert_eq!(request.parse(&bytes), Ok(httparse::Status::Complete(end)));
            let lines = bytes[..end].split(|byte| *byte == b'\n').count();
            prop_assert_eq!(request.headers.len(), lines - 3);
        }
    }

    #[test]
    fn a_verdict_does_not_depend_on_cuts(
        pieces in prop::collection::vec(piece(), 0..12),
        body in prop::collection::vec(prop::sample::select(&b"05a;\r\n x"[..]), 0..24),
    ) {
        let bytes = [&b"POST / HTTP/1.1\r\n"[..], &pieces.concat(), &body].concat();
        let whole = walk([&bytes[..]]);
        prop_assert_eq!(walk(bytes.chunks(1)), whole);
        prop_assert_eq!(walk(bytes.chunks(3)), whole);
    }
}
