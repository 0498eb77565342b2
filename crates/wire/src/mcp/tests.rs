//! Messages, good and bad, and what is seen of them.

use carboy_engine::{Reason, Refusal, Retry, Surface, SurfaceKind};

use super::{Flaw, Frame, Id, Kind, Message, json, redacted, refused, surfaces};

fn parse(text: &str) -> Result<Message<'_>, Flaw> {
    let mut frame = Frame::parse(text.as_bytes())?;
    assert_eq!(frame.messages.len(), 1, "{text}");
    frame.messages.remove(0).map_err(|flawed| flawed.flaw)
}

#[test]
fn messages_are_told_apart() {
    let cases: &[(&str, &str)] = &[
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
            "request 1 ping",
        ),
        (
            r#"{"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"a"}}"#,
            "request \"1\" tools/call",
        ),
        (
            r#"{"jsonrpc":"2.0","id":-3,"method":"x/own","params":[]}"#,
            "request -3 ?",
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            "notification notifications/initialized",
        ),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":null}"#,
            "notification notifications/progress",
        ),
        (r#"{"jsonrpc":"2.0","id":2,"result":{}}"#, "result 2"),
        (r#"{"jsonrpc":"2.0","id":2,"result":null}"#, "result 2"),
        (
            r#"{"jsonrpc":"2.0","id":2,"error":{"code":1,"message":"m"}}"#,
            "error 2",
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}"#,
            "error none",
        ),
        (
            r#"{"jsonrpc":"2.0","error":{"code":1,"message":"m"}}"#,
            "error none",
        ),
    ];
    for (text, expected) in cases {
        let told = match parse(text).expect(text).kind {
            Kind::Request { id, method } => format!("request {id} {}", method.known.unwrap_or("?")),
            Kind::Notification { method } => {
                format!("notification {}", method.known.unwrap_or("?"))
            }
            Kind::Result { id } => format!("result {id}"),
            Kind::Error { id } => {
                format!("error {}", id.map_or("none".into(), |id| id.to_string()))
            }
        };
        assert_eq!(told, *expected, "{text}");
    }
}

#[test]
fn messages_that_are_none_are_refused() {
    let cases: &[(&str, Flaw)] = &[
        ("1", Flaw::NotObject),
        (r#"{"id":1,"method":"ping"}"#, Flaw::Version),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, Flaw::Version),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, Flaw::Version),
        (r#"{"jsonrpc":"2.0","id":1}"#, Flaw::Ambiguous),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            Flaw::Ambiguous,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
            Flaw::Ambiguous,
        ),
        (r#"{"jsonrpc":"2.0","result":{}}"#, Flaw::NoId),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, Flaw::Id),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, Flaw::Id),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, Flaw::Id),
        (r#"{"jsonrpc":"2.0","id":1e0,"method":"ping"}"#, Flaw::Id),
        (r#"{"jsonrpc":"2.0","id":-0,"method":"ping"}"#, Flaw::Id),
        (
            r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}"#,
            Flaw::Id,
        ),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, Flaw::Id),
        (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, Flaw::Method),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#,
            Flaw::Shape,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"error":"x"}"#, Flaw::Shape),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
            Flaw::Case,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","PARAMS":{}}"#,
            Flaw::Case,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{},"re\u017fult":{}}"#,
            Flaw::Case,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#,
            Flaw::Call,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}"#,
            Flaw::Call,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["a"]}"#,
            Flaw::Call,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":"x"}}"#,
            Flaw::Call,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
            Flaw::Case,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"a"}}"#,
            Flaw::NoId,
        ),
        ("[]", Flaw::EmptyBatch),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            Flaw::Json(json::Flaw::Duplicate(24)),
        ),
    ];
    for (text, flaw) in cases {
        assert_eq!(parse(text).map(|_| ()), Err(*flaw), "{text}");
    }
}

#[test]
fn a_flawed_request_is_answered_under_its_id_where_it_has_one() {
    let seven = || Some(Id::Number(7));
    let cases: &[(&str, Option<Id>, Option<Id>)] = &[
        (
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call"}"#,
            seven(),
            None,
        ),
        (r#"{"id":7,"method":"ping"}"#, seven(), None),
        (r#"{"jsonrpc":"2.0","id":7}"#, None, seven()),
        (
            r#"{"jsonrpc":"2.0","id":7,"result":1,"error":{}}"#,
            None,
            seven(),
        ),
        (r#"{"jsonrpc":"2.0","id":7.5,"result":1}"#, None, None),
    ];
    for (text, asks, answers) in cases {
        let mut frame = Frame::parse(text.as_bytes()).expect(text);
        let flawed = frame.messages.remove(0).expect_err(text);
        assert_eq!(
            (flawed.asks, flawed.answers),
            (asks.clone(), answers.clone()),
            "{text}"
        );
    }
}

#[test]
fn each_message_of_a_batch_is_read_by_itself() {
    let text = r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}, 2 ,{"jsonrpc":"2.0","method":"x"}]"#;
    let frame = Frame::parse(text.as_bytes()).expect("JSON");
    assert!(frame.is_batch);
    let raw = frame
        .messages
        .iter()
        .map(|message| message.as_ref().map(|own| own.node.raw).ok());
    let expected = [
        Some(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#),
        None,
        Some(r#"{"jsonrpc":"2.0","method":"x"}"#),
    ];
    assert!(raw.eq(expected));
}

fn seen(text: &str, method: Option<&str>) -> Vec<String> {
    let message = parse(text).expect(text);
    let mut seen = Vec::new();
    let visit = |surface: Surface<'_>| -> Result<(), ()> {
        let bytes = String::from_utf8_lossy(surface.bytes).into_owned();
        seen.push(format!(
            "{} {} {bytes}",
            surface.kind.as_str(),
            surface.name
        ));
        Ok(())
    };
    surfaces(&message, method, visit).expect("no visit fails");
    seen
}

#[test]
fn all_content_is_seen() {
    let call = r#"{"jsonrpc":"2.0","id":"i","method":"tools/call","params":{"name":"run","arguments":
        {"command":"ls","env":["A=1",2.50],"on":true},"_meta":{"progressToken":5}},"extra":"x"}"#;
    let arguments = "{\"command\":\"ls\",\"env\":[\"A=1\",2.50],\"on\":true}";
    let expected = [
        "tool  run",
        "argument  command",
        "argument /command ls",
        "argument  env",
        "argument /env/0 A=1",
        "argument /env/1 2.50",
        "argument  on",
        &format!("call run {arguments}"),
        "message /id i",
        "message /params name",
        "message /params arguments",
        "message /params _meta",
        "message /params/_meta progressToken",
        "message /params/_meta/progressToken 5",
        "message  extra",
        "message /extra x",
    ];
    assert_eq!(seen(call, None), expected);

    let unknown = r#"{"jsonrpc":"2.0","method":"own/thing","params":{"sk_4f9a81":{"k":"v"}}}"#;
    let expected = [
        "message /method own/thing",
        "message /params sk_4f9a81",
        "message /params/* k",
        "message /params/*/k v",
    ];
    assert_eq!(seen(unknown, None), expected);

    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-3,"message":"no","data":["d"]}}"#;
    let told = seen(error, Some("tools/list"));
    assert!(
        told.contains(&"message /error/message no".to_owned()),
        "{told:?}"
    );
    assert!(
        told.contains(&"message /error/data/0 d".to_owned()),
        "{told:?}"
    );

    let list = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a","title":"t"}],"nextCursor":"c"}}"#;
    let told = seen(list, Some("tools/list"));
    assert!(
        told.contains(&"definition /result/tools/0/title t".to_owned()),
        "{told:?}"
    );
    assert!(
        told.contains(&"message /result/nextCursor c".to_owned()),
        "{told:?}"
    );
    assert!(
        !seen(list, Some("tools/call"))
            .iter()
            .any(|own| own.starts_with("definition"))
    );
}

#[test]
fn the_first_error_ends_the_visit() {
    let text = r#"{"jsonrpc":"2.0","id":1,"result":{"a":"b","c":"d"}}"#;
    let message = parse(text).expect(text);
    let mut visits = 0;
    let ended = surfaces(&message, None, |surface| {
        visits += 1;
        match surface.kind == SurfaceKind::Message && surface.bytes == b"b" {
            true => Err(()),
            false => Ok(()),
        }
    });
    assert_eq!((ended, visits), (Err(()), 3));
}

#[test]
fn a_refusal_is_an_error_under_the_same_id() {
    let refusal = Refusal {
        reason: Reason::Secret,
        message: "a token in argument /text, byte 0".into(),
        rule: "github-token".into(),
        locus: None,
        remedy: "add to the policy:\ninspect: {}".into(),
        retry: Retry::Never,
    };
    for id in [
        Some(Id::Text("a\"\u{7}b".into())),
        Some(Id::Number(3)),
        None,
    ] {
        let answer = refused(id.as_ref(), &refusal, "c1");
        let message = parse(std::str::from_utf8(&answer).expect("UTF-8")).expect("a message");
        assert_eq!(message.kind, Kind::Error { id });
        let error = message.node.member("error").expect("an error");
        let text = error
            .member("message")
            .and_then(|node| node.text())
            .expect("a message");
        assert!(text.contains("a token in argument /text") && text.contains("inspect: {}"));
        let data = error.member("data").expect("data");
        let field = |name| data.member(name).and_then(|node| node.text());
        assert_eq!(field("crossing"), Some("c1"));
        assert_eq!(field("rule"), Some("github-token"));
        assert_eq!(field("reason"), Some("secret"));
    }
}

#[test]
fn only_values_are_replaced_and_all_else_stays() {
    let call = r#"{ "jsonrpc":"2.0","id":"S","method":"tools/call","params":{"name":"S","arguments":
        {"S":1, "a":["x S", 2.50, "\u0053"]},"_meta":{"b":"S"}}}"#;
    let mut places = Vec::new();
    let replaced = redacted(&parse(call).expect(call), |surface| {
        places.push(format!("{} {}", surface.kind.as_str(), surface.name));
        let text = std::str::from_utf8(surface.bytes).expect("a string");
        text.contains('S')
            .then(|| text.replace('S', "<\"1\">").into_bytes())
    });
    let expected = r#"{ "jsonrpc":"2.0","id":"S","method":"tools/call","params":{"name":"S","arguments":
        {"S":1, "a":["x <\"1\">", 2.50, "<\"1\">"]},"_meta":{"b":"<\"1\">"}}}"#;
    assert_eq!(replaced.as_deref(), Some(expected));
    assert_eq!(
        places,
        ["argument /a/0", "argument /a/2", "message /params/_meta/b"]
    );
    let message = parse(call).expect(call);
    assert_eq!(redacted(&message, |_| None), None);
}
