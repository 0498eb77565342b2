use ::http::{HeaderMap, Request, Response, StatusCode, Version, request, response};
use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress};

use super::*;

/// What one side says, in words: an event each, and what is wrong in the end.
fn read(sender: Sender, may_compress: bool, pieces: &[&[u8]]) -> Vec<String> {
    let mut reader = Reader::new(sender, may_compress);
    let (mut input, mut said) = (BytesMut::new(), Vec::<String>::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let word = match reader.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Event::Start {
                    kind,
                    is_compressed,
                })) => format!("{kind:?} {is_compressed}"),
                Ok(Some(Event::Data(bytes))) => match said.last_mut() {
                    Some(last) if last.starts_with("data ") => {
                        last.push_str(&String::from_utf8_lossy(&bytes));
                        continue;
                    }
                    _ => format!("data {}", String::from_utf8_lossy(&bytes)),
                },
                Ok(Some(Event::End)) => "end".into(),
                Ok(Some(Event::Control(Control::Ping(said)))) => format!("ping {}", said.len()),
                Ok(Some(Event::Control(Control::Pong(said)))) => format!("pong {}", said.len()),
                Ok(Some(Event::Control(Control::Close(close)))) => {
                    format!("close {}", String::from_utf8_lossy(close.reason()))
                }
                Err(violation) => {
                    said.push(format!("{violation:?}"));
                    return said;
                }
            };
            said.push(word);
        }
    }
    said
}

#[test]
fn frames_have_one_reading_however_they_are_cut() {
    let long = [&[0x82, 126, 0, 126][..], &[b'x'; 126]].concat();
    let word = format!("data {}", "x".repeat(126));
    let cases: &[(&[u8], bool, &[&str])] = &[
        (b"\x81\x02hi", false, &["Text false", "data hi", "end"]),
        (b"\x82\x00", false, &["Binary false", "end"]),
        (&long, false, &["Binary false", &word, "end"]),
        (
            b"\x01\x01a\x89\x01p\x00\x00\x80\x01b",
            false,
            &["Text false", "data a", "ping 1", "data b", "end"],
        ),
        (b"\xc1\x01a", true, &["Text true", "data a", "end"]),
        (b"\x8a\x00", false, &["pong 0"]),
        (b"\x88\x05\x03\xe8bye\x81\x01x", false, &["close bye"]),
        (b"\x88\x00", false, &["close "]),
        (b"\xc1\x01a", false, &["Reserved"]),
        (b"\xc9\x00", true, &["Reserved"]),
        (
            b"\x41\x01a\xc0\x00",
            true,
            &["Text true", "data a", "Reserved"],
        ),
        (b"\xa1\x00", true, &["Reserved"]),
        (b"\x83\x00", false, &["Opcode"]),
        (b"\x8b\x00", false, &["Opcode"]),
        (b"\x81\x81____x", false, &["Masking"]),
        (b"\x80\x00", false, &["Fragment"]),
        (b"\x01\x00\x01\x00", false, &["Text false", "Fragment"]),
        (b"\x09\x00", false, &["ControlFragment"]),
        (b"\x89\x7e\x00\x7e", false, &["ControlLength"]),
        (b"\x82\x7e\x00\x7d", false, &["Length"]),
        (b"\x82\x7f\0\0\0\0\0\0\xff\xff", false, &["Length"]),
        (b"\x82\x7f\x80\0\0\0\0\0\0\0", false, &["Length"]),
        (b"\x88\x01\x03", false, &["CloseCode"]),
        (b"\x88\x02\x03\xed", false, &["CloseCode"]),
        (b"\x88\x03\x03\xe8\xff", false, &["Text"]),
    ];
    for (bytes, may_compress, expect) in cases {
        for size in [bytes.len(), 1, 2, 3] {
            let pieces: Vec<_> = bytes.chunks(size).collect();
            let said = read(Sender::Server, *may_compress, &pieces);
            assert_eq!(said, *expect, "{bytes:02x?} by {size}");
        }
    }
}

#[test]
fn what_is_written_is_read_again() {
    for length in [0, 1, 7, 125, 126, 127, 65_535, 65_536, 100_001] {
        let payload: Vec<u8> = (0..length).map(|at| b'a' + (at % 26) as u8).collect();
        for (sender, mask) in [
            (Sender::Server, None),
            (Sender::Client, Some([1, 2, 0x83, 0xf4])),
        ] {
            let frame = Frame {
                is_final: true,
                is_compressed: false,
                opcode: Opcode::Message(Kind::Binary),
                mask,
                length: 0,
            };
            let mut bytes = BytesMut::new();
            write_frame(&mut bytes, frame, &payload);
            let said = read(sender, false, &bytes.chunks(4097).collect::<Vec<_>>());
            let text = String::from_utf8_lossy(&payload);
            let expect = match length {
                0 => vec!["Binary false".to_owned(), "end".to_owned()],
                _ => vec![
                    "Binary false".to_owned(),
                    format!("data {text}"),
                    "end".to_owned(),
                ],
            };
            assert_eq!(said, expect, "{length} from {sender:?}");
        }
    }
}

#[test]
fn close_codes_that_may_be_sent() {
    let is_valid = |code: u16| Close::parse(code.to_be_bytes().to_vec().into()).is_ok();
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1011, 1014, 3000, 3999, 4000, 4999,
    ] {
        assert!(is_valid(code), "{code}");
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        assert!(!is_valid(code), "{code}");
    }
    let payload = close_payload(Code::POLICY, &"é".repeat(100));
    assert_eq!(payload.len(), 2 + CLOSE_REASON_BYTES_MAX - 1);
    Close::parse(payload).unwrap();
}

#[test]
fn text_is_checked_across_pieces_and_early() {
    let is_text = |pieces: &[&[u8]]| {
        let mut check = TextCheck::default();
        pieces
            .iter()
            .try_for_each(|piece| check.push(piece))
            .and_then(|()| check.end())
            .is_ok()
    };
    let whole = "κόσμε \u{10ffff}".as_bytes();
    for cut in 0..=whole.len() {
        assert!(is_text(&[&whole[..cut], &whole[cut..]]), "{cut}");
    }
    assert!(!is_text(&[b"\xce"]));
    for broken in [
        &b"\xed\xa0\x80"[..],
        b"\xf4\x90\x80\x80",
        b"\xc0\xaf",
        b"\xf8",
        b"\x80",
    ] {
        assert!(!is_text(&[broken]), "{broken:02x?}");
        let bytes: Vec<_> = broken.chunks(1).collect();
        assert!(!is_text(&bytes), "{broken:02x?}");
    }
    // What no byte can mend any more is told before the message ends.
    assert!(TextCheck::default().push(b"\xf4\x90").is_err());
}

/// A message as a client compresses it.
fn compress(stream: &mut Compress, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 1024);
    stream
        .compress_vec(text, &mut out, FlushCompress::Sync)
        .unwrap();
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

fn inflate(inflater: &mut Inflater, payload: &[u8], size: usize) -> Result<Vec<u8>, Violation> {
    let mut out = Vec::new();
    let mut visit = |chunk: &[u8]| {
        out.extend_from_slice(chunk);
        Ok(())
    };
    for piece in payload.chunks(size) {
        inflater.push(piece, &mut visit)?;
    }
    inflater.end(&mut visit)?;
    Ok(out)
}

#[test]
fn compressed_messages_are_read() {
    let texts = [
        "hello hello hello",
        "",
        "hello again",
        &"word ".repeat(50_000),
    ];
    for (forgets, size) in [(false, 1), (false, 1 << 20), (true, 7)] {
        let mut stream = Compress::new(Compression::default(), false);
        let mut inflater = Inflater::new(forgets);
        for text in texts {
            if forgets {
                stream.reset();
            }
            let payload = compress(&mut stream, text.as_bytes());
            let payload = if text.is_empty() { vec![0] } else { payload };
            let read = inflate(&mut inflater, &payload, size).unwrap();
            assert_eq!(String::from_utf8(read).unwrap(), text);
        }
    }
}

#[test]
fn a_final_block_ends_a_compressed_message() {
    // RFC 7692, section 7.2.3.4.
    let hello = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
    let read = |payload: &[u8]| inflate(&mut Inflater::new(false), payload, payload.len());
    assert_eq!(read(hello), Ok(b"Hello".to_vec()));
    assert_eq!(
        read(&[&hello[..], b"more"].concat()),
        Err(Violation::Compression)
    );
    assert_eq!(read(b"\xff\xff\xff"), Err(Violation::Compression));
    // A stored block without compression (section 7.2.3.3).
    assert_eq!(
        read(b"\x00\x05\x00\xfa\xffHello\x00"),
        Ok(b"Hello".to_vec())
    );
}

fn request(headers: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::builder().uri("/chat").version(Version::HTTP_11);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

/// Names and values.
type Fields<'a> = &'a [(&'a str, &'a str)];

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The handshake of RFC 6455, section 1.3, with changes.
fn asking(changes: &[(&str, &str)]) -> request::Parts {
    let usual = [
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-key", KEY),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat, superchat"),
        ("origin", "http://example.com"),
    ];
    let is_changed = |name: &str| changes.iter().any(|(own, _)| *own == name);
    let kept = usual.iter().filter(|(name, _)| !is_changed(name));
    let added = changes.iter().filter(|(_, value)| !value.is_empty());
    request(&kept.chain(added).copied().collect::<Vec<_>>())
}

#[test]
fn a_clients_handshake_is_checked() {
    let cases: &[(&[(&str, &str)], bool)] = &[
        (&[], true),
        (&[("upgrade", "h2c, WebSocket")], true),
        (&[("connection", "close")], false),
        (&[("connection", "")], false),
        (&[("sec-websocket-key", "")], false),
        (&[("sec-websocket-key", "c2hvcnQ=")], false),
        (&[("sec-websocket-key", "not base64, but 24 long.")], false),
        (&[("sec-websocket-version", "8")], false),
        (&[("sec-websocket-version", "")], false),
    ];
    for (changes, is_good) in cases {
        let mut head = asking(changes);
        assert!(is_wanted(&head.headers));
        assert_eq!(Opening::take(&mut head).is_ok(), *is_good, "{changes:?}");
    }
    let mut post = asking(&[]);
    post.method = ::http::Method::POST;
    assert!(Opening::take(&mut post).is_err());
    assert!(!is_wanted(&request(&[("upgrade", "h2c")]).headers));
}

/// What the server is asked for, of an offer of extensions.
fn asked(extensions: &str) -> Option<String> {
    let mut head = asking(&[("sec-websocket-extensions", extensions)]);
    let opening = Opening::take(&mut head).unwrap();
    assert_eq!(head.headers["origin"], "http://example.com");
    opening.ask(&mut head.headers, [7; KEY_BYTES]);
    assert_ne!(head.headers["sec-websocket-key"], KEY);
    assert_eq!(head.headers["sec-websocket-protocol"], "chat, superchat");
    let asked = head.headers.get("sec-websocket-extensions")?;
    Some(asked.to_str().unwrap().to_owned())
}

#[test]
fn only_known_extensions_are_offered_to_the_server() {
    let cases = [
        ("permessage-deflate", Some("permessage-deflate")),
        (
            "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits",
            Some("permessage-deflate; client_max_window_bits"),
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
             server_max_window_bits=\"10\"; client_max_window_bits=12, permessage-deflate",
            Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=10; client_max_window_bits=12, permessage-deflate",
            ),
        ),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; unknown", None),
        (
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            None,
        ),
        ("bbf-usp-protocol", None),
    ];
    for (offer, expect) in cases {
        assert_eq!(asked(offer).as_deref(), expect, "{offer}");
    }
}

fn answering(changes: &[(&str, &str)]) -> response::Parts {
    let accept = {
        // Of the key of sixteen sevens.
        use sha1::{Digest, Sha1};
        let key = data_encoding::BASE64.encode(&[7; KEY_BYTES]);
        let guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        data_encoding::BASE64.encode(&Sha1::digest(format!("{key}{guid}")))
    };
    let usual = [
        ("upgrade", "WebSocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", accept.as_str()),
    ];
    let is_changed = |name: &str| changes.iter().any(|(own, _)| *own == name);
    let kept = usual.iter().filter(|(name, _)| !is_changed(name));
    let added = changes.iter().filter(|(_, value)| !value.is_empty());
    let mut response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    for (name, value) in kept.chain(added) {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

#[test]
fn a_servers_answer_is_checked_and_made_anew() {
    let offered: Fields = &[(
        "sec-websocket-extensions",
        "permessage-deflate; client_max_window_bits",
    )];
    let cases: &[(Fields, Fields, bool)] = &[
        (&[], &[], true),
        (&[], &[("sec-websocket-protocol", "superchat")], true),
        (&[], &[("sec-websocket-protocol", "other")], false),
        (&[], &[("sec-websocket-accept", "")], false),
        (
            &[],
            &[("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")],
            false,
        ),
        (&[], &[("upgrade", "h2c")], false),
        (&[], &[("connection", "keep-alive")], false),
        (
            &[],
            &[("sec-websocket-extensions", "permessage-deflate")],
            false,
        ),
        (
            offered,
            &[("sec-websocket-extensions", "permessage-deflate")],
            true,
        ),
        (
            offered,
            &[(
                "sec-websocket-extensions",
                "permessage-deflate; client_max_window_bits=9",
            )],
            true,
        ),
        (
            offered,
            &[(
                "sec-websocket-extensions",
                "permessage-deflate; client_max_window_bits",
            )],
            false,
        ),
        (offered, &[("sec-websocket-extensions", "other")], false),
        (
            offered,
            &[(
                "sec-websocket-extensions",
                "permessage-deflate, permessage-deflate",
            )],
            false,
        ),
    ];
    for (asked, changes, is_good) in cases {
        let opening = Opening::take(&mut asking(asked)).unwrap();
        let mut head = answering(changes);
        let agreement = opening.agree(&mut head, [7; KEY_BYTES]);
        assert_eq!(agreement.is_ok(), *is_good, "{changes:?}");
        if let Ok(agreement) = agreement {
            opening.answer(&mut head, agreement);
            // RFC 6455, section 1.3.
            assert_eq!(
                head.headers["sec-websocket-accept"],
                "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
            );
            assert_eq!(head.headers["upgrade"], "websocket");
        }
    }
}

#[test]
fn over_http2_there_is_no_key() {
    let mut head = request(&[("sec-websocket-version", "13")]);
    head.method = ::http::Method::CONNECT;
    head.version = Version::HTTP_2;
    let opening = Opening::take_http2(&mut head).unwrap();
    assert_eq!(head.method, ::http::Method::GET);
    let mut headers = HeaderMap::new();
    opening.ask(&mut headers, [7; KEY_BYTES]);
    assert!(headers.contains_key("sec-websocket-key"));
    let mut answer = answering(&[]);
    let agreement = opening.agree(&mut answer, [7; KEY_BYTES]).unwrap();
    opening.answer(&mut answer, agreement);
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.headers.contains_key("sec-websocket-accept"));
}

#[test]
fn a_control_frame_keeps_no_more_than_its_own_bytes() {
    let mut reader = Reader::new(Sender::Server, false);
    let mut input = BytesMut::from(&b"\x89\x02ab\x81\x01c"[..]);
    let event = reader.next(&mut input).unwrap();
    let ping = Event::Control(Control::Ping(Bytes::from_static(b"ab")));
    assert_eq!(event, Some(ping));
}

#[test]
fn a_message_compressed_by_itself_is_read_whatever_came_before() {
    let texts = [
        "the key is there, as ever",
        "x",
        &"the key is there, as ever, ".repeat(200),
    ];
    let mut inflater = Inflater::new(false);
    for text in texts.iter().cycle().take(9) {
        let packed = deflate(text.as_bytes(), 15);
        assert_eq!(packed.is_some(), text.len() > 100, "{text:.20}");
        let Some(packed) = packed else { continue };
        let mut read = Vec::new();
        let mut keep = |chunk: &[u8]| {
            read.extend_from_slice(chunk);
            Ok::<(), Violation>(())
        };
        inflater.push(&packed, &mut keep).unwrap();
        inflater.end(&mut keep).unwrap();
        assert_eq!(read, text.as_bytes());
        // It refers as far back as it is long.
        assert!(deflate(text.as_bytes(), 9).is_none());
    }
}
