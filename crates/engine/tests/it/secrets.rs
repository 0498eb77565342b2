//! Every rule's own examples, in the places where credentials travel.

use std::sync::LazyLock;

use carboy_engine::{Direction, Probe};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use url::form_urlencoded::byte_serialize;

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// Without the rules that judge what comes in: those see nothing on the way out.
fn outbound() -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = EXAMPLES.iter();
    rows.flat_map(|(id, matches, _)| matches.iter().map(|text| (*id, *text)))
        .filter(|(id, text)| sees(id, text))
}

fn sees(id: &str, content: &str) -> bool {
    static PROBE: LazyLock<Probe> = LazyLock::new(Probe::default);
    let seen = PROBE.scan(Direction::Outbound, content.as_bytes());
    seen.expect("the budget covers it")
        .iter()
        .any(|(rule, ..)| *rule == id)
}

/// Each example is seen when `carry` has put it somewhere.
fn all_seen(carry: impl Fn(&str) -> String) {
    let missed: Vec<String> = outbound()
        .filter(|(id, text)| !sees(id, &carry(text)))
        .map(|(id, text)| format!("{id} misses {}", carry(text)))
        .collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn in_json() {
    all_seen(|text| serde_json::json!({"id": 7, "note": text, "ok": true}).to_string());
}

#[test]
fn in_json_within_json() {
    all_seen(|text| {
        let inner = serde_json::json!({ "content": text }).to_string();
        serde_json::json!({ "body": inner }).to_string()
    });
}

#[test]
fn in_settings() {
    all_seen(|text| format!("FIRST=1\n{text}\nLAST=2\n"));
}

#[test]
fn in_a_query() {
    all_seen(|text| {
        let value: String = byte_serialize(text.as_bytes()).collect();
        format!("https://sink.example/?a=1&q={value}&z=9")
    });
    all_seen(|text| format!("https://sink.example/x?q={}&z=9", percent(text)));
}

#[test]
fn in_a_header() {
    all_seen(|text| format!("accept: */*\r\n{text}\r\nx-end: 1\r\n"));
}

#[test]
fn in_encodings() {
    all_seen(|text| format!("{{\"data\":\"{}\"}}", BASE64.encode(text.as_bytes())));
    all_seen(|text| {
        format!(
            "?d={}",
            BASE64URL_NOPAD.encode(format!("a {text}").as_bytes())
        )
    });
    all_seen(|text| format!("d: {}", HEXLOWER.encode(text.as_bytes())));
}
