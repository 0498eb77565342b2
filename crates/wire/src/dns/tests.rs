use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::*;
use proptest::prelude::*;

fn ask(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    message.add_query(Query::query(name, kind));
    message.metadata.recursion_desired = true;
    message
}

fn question_of(message: &Message) -> Box<Question> {
    match read(&message.to_vec().unwrap()) {
        Received::Question(question) => question,
        other => panic!("not a question: {other:?}"),
    }
}

fn code_of(received: Received) -> ResponseCode {
    match received {
        Received::Reject(bytes) => Message::from_vec(&bytes).unwrap().metadata.response_code,
        other => panic!("not rejected: {other:?}"),
    }
}

#[test]
fn an_address_question_is_answered_with_the_address() {
    let asked = ask("Api.Example.com", RecordType::A);
    let question = question_of(&asked);
    assert_eq!(
        (question.name(), question.kind()),
        ("Api.Example.com", QuestionKind::A)
    );

    let address = Ipv4Addr::new(198, 18, 0, 1);
    let answer = Message::from_vec(&question.answer_address(address.into())).unwrap();
    assert_eq!(answer.metadata.id, asked.metadata.id);
    assert!(answer.metadata.recursion_desired && answer.metadata.recursion_available);
    assert_eq!(
        answer.queries[0].name.to_ascii(),
        "Api.Example.com.",
        "case is kept"
    );
    assert_eq!(answer.answers[0].data, RData::A(A(address)));
    assert_eq!(answer.answers[0].ttl, TTL_SECONDS);
    assert!(answer.edns.is_none(), "no EDNS to a client that sent none");
}

#[test]
fn the_other_family_is_answered_with_nothing() {
    let question = question_of(&ask("example.com", RecordType::AAAA));
    let empty = Message::from_vec(&question.answer_address(Ipv4Addr::LOCALHOST.into())).unwrap();
    assert_eq!(empty.metadata.response_code, ResponseCode::NoError);
    assert!(empty.answers.is_empty());
    let full = Message::from_vec(&question.answer_address(Ipv6Addr::LOCALHOST.into())).unwrap();
    assert_eq!(full.answers[0].data, RData::AAAA(AAAA(Ipv6Addr::LOCALHOST)));
}

#[test]
fn kinds_are_told_apart() {
    for (name, kind, expect) in [
        ("a.example", RecordType::HTTPS, QuestionKind::ServiceBinding),
        ("a.example", RecordType::SVCB, QuestionKind::ServiceBinding),
        ("a.example", RecordType::TXT, QuestionKind::Other(16)),
        ("a.example", RecordType::ANY, QuestionKind::Other(255)),
        ("2.0.18.198.in-addr.arpa", RecordType::PTR, {
            QuestionKind::Reverse(Ipv4Addr::new(198, 18, 0, 2).into())
        }),
        (
            "18.198.in-addr.arpa",
            RecordType::PTR,
            QuestionKind::Other(12),
        ),
        (
            "b._dns-sd._udp.example",
            RecordType::PTR,
            QuestionKind::Other(12),
        ),
    ] {
        assert_eq!(question_of(&ask(name, kind)).kind(), expect, "{name}");
    }
}

#[test]
fn a_reverse_answer_names_the_address() {
    let question = question_of(&ask("2.0.18.198.in-addr.arpa", RecordType::PTR));
    let answer = Message::from_vec(&question.answer_name("api.example.com")).unwrap();
    let name = Name::from_str("api.example.com.").unwrap();
    assert_eq!(answer.answers[0].data, RData::PTR(PTR(name)));
}

#[test]
fn localhost_names_are_known() {
    for (name, expect) in [
        ("localhost", true),
        ("LOCALHOST", true),
        ("app.localhost", true),
        ("localhost.example", false),
        ("notlocalhost", false),
    ] {
        assert_eq!(
            question_of(&ask(name, RecordType::A)).is_localhost(),
            expect,
            "{name}"
        );
    }
}

#[test]
fn a_refusal_says_why_to_clients_with_edns() {
    let mut asked = ask("example.com", RecordType::A);
    asked.set_edns(Edns::new());
    let question = question_of(&asked);
    let bytes = question.answer_error(Rcode::NameError, "host_not_allowed");
    let answer = Message::from_vec(&bytes).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    let edns = answer.edns.unwrap();
    let (_, option) = &edns.options().as_ref()[0];
    assert_eq!(*option, extended_error("host_not_allowed"));
}

#[test]
fn answers_fit_every_client() {
    let label = "a".repeat(63);
    let name = [&*label, &*label, &*label, &"b".repeat(61)].join(".");
    let mut asked = ask(&name, RecordType::AAAA);
    asked.set_edns(Edns::new());
    let question = question_of(&asked);
    let why = "\u{e9}".repeat(200);
    assert!(question.answer_error(Rcode::NameError, &why).len() <= 512);
    assert!(question.answer_address(Ipv6Addr::LOCALHOST.into()).len() <= 512);
    assert!(question.answer_name(&name).len() <= 512);
}

#[test]
fn what_is_not_one_question_is_rejected() {
    let mut two = ask("a.example", RecordType::A);
    two.add_query(Query::query(
        Name::from_str("b.example.").unwrap(),
        RecordType::A,
    ));
    let mut none = ask("a.example", RecordType::A);
    none.queries.clear();
    let mut class = ask("a.example", RecordType::A);
    class.queries[0].query_class = DNSClass::CH;
    let mut update = ask("a.example", RecordType::SOA);
    update.metadata.op_code = OpCode::Update;
    let mut version = ask("a.example", RecordType::A);
    version.set_edns(Edns::new().set_version(1).clone());
    for (message, expect) in [
        (two, ResponseCode::FormErr),
        (none, ResponseCode::FormErr),
        (class, ResponseCode::Refused),
        (update, ResponseCode::NotImp),
        // The code 16 has two names: BADVERS in an OPT record, BADSIG elsewhere.
        (version, ResponseCode::BADSIG),
    ] {
        assert_eq!(code_of(read(&message.to_vec().unwrap())), expect);
    }
}

#[test]
fn a_question_with_records_is_rejected() {
    let mut message = ask("a.example", RecordType::A);
    let data = RData::A(A(Ipv4Addr::LOCALHOST));
    message.add_answer(Record::from_rdata(
        Name::from_str("a.example.").unwrap(),
        1,
        data,
    ));
    assert_eq!(
        code_of(read(&message.to_vec().unwrap())),
        ResponseCode::FormErr
    );
}

#[test]
fn a_name_that_points_at_itself_is_rejected() {
    let mut bytes = ask("a.example", RecordType::A).to_vec().unwrap();
    bytes.truncate(HEADER);
    bytes.extend_from_slice(&[0xc0, 0x0c, 0, 1, 0, 1]);
    assert_eq!(code_of(read(&bytes)), ResponseCode::FormErr);
}

#[test]
fn answers_and_fragments_are_ignored() {
    let answer = Message::response(7, OpCode::Query).to_vec().unwrap();
    assert!(matches!(read(&answer), Received::Ignore));
    assert!(matches!(read(&answer[..HEADER - 1]), Received::Ignore));
    assert!(matches!(read(b""), Received::Ignore));
}

#[test]
fn a_dot_inside_a_label_cannot_pass_for_a_dot() {
    let mut message = ask("example", RecordType::A);
    let name = Name::from_labels([&b"evil.example"[..], b"com"]).unwrap();
    message.queries[0].name = name;
    assert_eq!(question_of(&message).name(), "evil\\.example.com");
}

proptest! {
    #[test]
    fn nothing_panics_and_answers_keep_the_id(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        match read(&bytes) {
            Received::Ignore => {}
            Received::Reject(answer) => prop_assert_eq!(&answer[..2], &bytes[..2]),
            Received::Question(question) => {
                let answer = question.answer_error(Rcode::Refused, "x");
                prop_assert_eq!(&answer[..2], &bytes[..2]);
            }
        }
    }
}
