use carboy_engine::SurfaceKind;

use super::*;

fn refusal(reason: Reason, retry: Retry) -> Refusal {
    Refusal {
        reason,
        message: "a token that belongs to another host\u{1b}[2J".into(),
        rule: "a-rule".into(),
        locus: Some(Locus {
            surface: SurfaceKind::Header,
            name: "x-a".into(),
            offset: 7,
            via: vec!["base64"],
        }),
        remedy: "inspect:\n  exempt: ...".into(),
        retry,
    }
}

fn rendered(accept: Option<&str>) -> (String, String) {
    let accept = accept.map(|accept| HeaderValue::from_str(accept).unwrap());
    let secret = refusal(Reason::Secret, Retry::Never);
    let response = render(&secret, "c-1", accept.as_ref());
    let kind = response.headers()[CONTENT_TYPE]
        .to_str()
        .unwrap()
        .to_owned();
    (
        kind,
        String::from_utf8(response.into_body().to_vec()).unwrap(),
    )
}

#[test]
fn a_body_takes_the_clients_form() {
    let json = "application/json";
    let text = "text/plain; charset=utf-8";
    let cases = [
        (None, json, 1),
        (Some("application/json"), json, 1),
        (Some("application/json, text/event-stream"), json, 1),
        (Some("application/vnd.api+json"), json, 1),
        (Some("application/json, text/plain, */*"), json, 1),
        (Some("*/*"), json, 17),
        (Some("image/png"), json, 17),
        (Some("text/html,application/xhtml+xml,*/*;q=0.8"), text, 8),
        (Some("Text/Plain"), text, 8),
    ];
    for (accept, kind, lines) in cases {
        let (found, body) = rendered(accept);
        assert_eq!(
            (found.as_str(), body.lines().count()),
            (kind, lines),
            "{accept:?}: {body}"
        );
    }
}

#[test]
fn json_has_every_field() {
    let body: serde_json::Value = serde_json::from_str(&rendered(None).1).unwrap();
    let expect = serde_json::json!({
        "crossing": "c-1",
        "decision": "block",
        "reason": "secret",
        "rule": "a-rule",
        "surface": "header",
        "locus": {"name": "x-a", "offset": 7, "via": ["base64"]},
        "message": "a token that belongs to another host\u{1b}[2J",
        "remedy": "inspect:\n  exempt: ...",
        "retry": "never",
    });
    assert_eq!(body, expect);
}

#[test]
fn text_is_fit_for_a_terminal() {
    let expect = "\
Carboy refused this: a token that belongs to another host[2J

reason    secret
rule      a-rule
where     header x-a, byte 7, base64
remedy    inspect:
            exempt: ...
crossing  c-1
";
    assert_eq!(rendered(Some("text/html")).1, expect);
}

#[test]
fn headers_say_what_a_program_needs() {
    let budget = refusal(Reason::Budget, Retry::After(30));
    let response = render(&budget, "c-1", None);
    assert_eq!(response.status(), 429);
    let cases = [
        ("carboy-decision", "block"),
        ("carboy-reason", "budget"),
        ("carboy-crossing", "c-1"),
        ("retry-after", "30"),
        ("cache-control", "no-store"),
    ];
    for (name, value) in cases {
        assert_eq!(response.headers()[name], value);
    }
    let odd = render(&budget, "c\r\n1", None);
    assert!(!odd.headers().contains_key("carboy-crossing"));
}

#[test]
fn statuses() {
    let cases = [
        (Reason::HostNotAllowed, 403),
        (Reason::Injection, 403),
        (Reason::Budget, 429),
        (Reason::Malformed, 400),
        (Reason::TargetMismatch, 421),
        (Reason::Unsupported, 501),
        (Reason::UpstreamCertificate, 502),
        (Reason::Evidence, 503),
        (Reason::UpstreamTimeout, 504),
    ];
    for (reason, expect) in cases {
        assert_eq!(status(reason).as_u16(), expect, "{reason:?}");
    }
}

#[test]
fn raw_bytes_parse_as_an_answer() {
    let malformed = refusal(Reason::Malformed, Retry::Never);
    let bytes = render_http1(&malformed, "c-1");
    let mut fields = [httparse::EMPTY_HEADER; 16];
    let mut response = httparse::Response::new(&mut fields);
    let end = response.parse(&bytes).unwrap().unwrap();
    assert_eq!(response.code, Some(400));
    let length = response
        .headers
        .iter()
        .find(|field| field.name == "content-length")
        .unwrap();
    assert_eq!(length.value, (bytes.len() - end).to_string().as_bytes());
}

#[test]
fn a_grpc_client_gets_a_status_and_a_message() {
    let secret = refusal(Reason::Secret, Retry::Never);
    let response = super::render_grpc(&secret, "c-1");
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["grpc-status"], "7");
    assert_eq!(headers["carboy-reason"], "secret");
    let message = headers["grpc-message"].to_str().unwrap();
    assert!(message.starts_with("Carboy refused this: "), "{message}");
    assert!(message.ends_with("; crossing: c-1"), "{message}");

    let mut long = refusal(Reason::Budget, Retry::After(3));
    long.message = "100 % \u{e9}\n".repeat(1000);
    let response = super::render_grpc(&long, "c-1");
    assert_eq!(response.headers()["grpc-status"], "8");
    assert_eq!(response.headers()["retry-after"], "3");
    let message = response.headers()["grpc-message"].to_str().unwrap();
    assert!(message.contains("100 %25 %C3%A9%0A100"), "{message}");
    assert!(message.len() <= 2048);
}
