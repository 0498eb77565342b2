//! Invariants of TLS hellos, DNS messages and SOCKS messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use carboy_wire::dns::{self, Question, Rcode, Received};
use carboy_wire::socks::{self, Parsed};
use carboy_wire::tls::{self, Peek};
use hickory_proto::op::{Message, MessageType};

/// More than any answer needs (RFC 1035, section 4.2.1).
const ANSWER_BYTES_MAX: usize = 512;

/// A verdict on a stream's start, once given, stands whatever follows and however it is cut.
pub fn client_hello(data: &[u8]) {
    let whole = tls::client_hello(data);
    let not_tls = data.first().is_some_and(|byte| *byte != 0x16);
    assert_eq!(whole == Peek::NotTls, not_tls);
    // Every cut of a long input would take too long, and its records are the same as a short one's.
    let step = 1 + data.len() / 256;
    for cut in (0..data.len()).step_by(step) {
        let early = tls::client_hello(&data[..cut]);
        assert!(
            early == Peek::Incomplete || early == whole,
            "{early:?}, then {whole:?}"
        );
    }
    if let Peek::Hello(hello) = whole {
        let name = hello.server_name.unwrap_or_default();
        assert!(name.is_ascii() && name.len() <= 255, "{name:?}");
        assert!(
            !name.bytes().any(|byte| byte.is_ascii_uppercase()),
            "{name:?}"
        );
    }
}

/// Each answer parses, answers the question that was asked, fits a datagram and, sent back, is
/// not answered again.
pub fn dns_message(data: &[u8]) {
    match dns::read(data) {
        Received::Ignore => {}
        Received::Reject(answer) => {
            answered(data, &answer);
        }
        Received::Question(question) => questioned(data, &question),
    }
}

fn questioned(data: &[u8], question: &Question) {
    let asked = Message::from_vec(data).expect("a question parses");
    let v4 = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
    let v6 = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
    let answers = [
        question.answer_address(v4),
        question.answer_address(v6),
        question.answer_name("a.example"),
        question.answer_empty(),
        question.answer_error(Rcode::NameError, &"why ".repeat(100)),
        question.answer_error(Rcode::Refused, ""),
        question.answer_error(Rcode::ServerFailure, "why"),
    ];
    for answer in answers {
        let parsed = answered(data, &answer);
        assert_eq!(
            parsed.queries, asked.queries,
            "another question is answered"
        );
        assert!(parsed.answers.len() <= 1);
    }
}

fn answered(data: &[u8], answer: &[u8]) -> Message {
    let parsed = Message::from_vec(answer).expect("an answer parses");
    assert_eq!(
        parsed.metadata.id.to_be_bytes(),
        data[..2],
        "another message is answered"
    );
    assert_eq!(parsed.metadata.message_type, MessageType::Response);
    assert!(answer.len() <= ANSWER_BYTES_MAX, "{} bytes", answer.len());
    assert!(
        matches!(dns::read(answer), Received::Ignore),
        "answers would loop"
    );
    parsed
}

/// A message, once it is one, stays that message whatever follows and however it is cut, and is as
/// long as it says.
pub fn socks(data: &[u8]) {
    settled(data, |sent| socks::greeting(sent, false));
    settled(data, |sent| socks::greeting(sent, true));
    settled(data, socks::login);
    settled(data, socks::request);
}

fn settled<T: PartialEq + std::fmt::Debug>(data: &[u8], parse: fn(&[u8]) -> Parsed<T>) {
    let whole = parse(data);
    for cut in 0..data.len().min(socks::MESSAGE_BYTES_MAX) {
        let early = parse(&data[..cut]);
        assert!(
            early == Ok(None) || early == whole,
            "{early:?}, then {whole:?}"
        );
    }
    match whole {
        Ok(Some((message, length))) => {
            assert!(length <= data.len().min(socks::MESSAGE_BYTES_MAX));
            assert_eq!(parse(&data[..length]), Ok(Some((message, length))));
        }
        Ok(None) => assert!(data.len() < socks::MESSAGE_BYTES_MAX, "no end"),
        Err(_) => {}
    }
}
