//! Every rule's own examples, in the places where credentials travel.

use std::collections::BTreeSet;
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

static SCANNER: LazyLock<Probe> = LazyLock::new(Probe::default);

fn sees(id: &str, content: &str) -> bool {
    let seen = SCANNER.scan(Direction::Outbound, content.as_bytes());
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

/// The longest run of an example is its secret, by and large.
fn secret_of(text: &str) -> Option<&str> {
    let runs = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_-+".contains(c));
    runs.max_by_key(|run| run.len())
        .filter(|run| run.len() >= 12)
}

#[test]
fn no_placeholder_is_taken() {
    let stand_ins: [fn(&str) -> String; 7] = [
        |_| "YOUR_API_KEY_HERE".into(),
        |_| "<your-token>".into(),
        |_| "${SECRET_TOKEN}".into(),
        |_| "{{ secrets.API_TOKEN }}".into(),
        |_| "process.env.API_TOKEN".into(),
        |secret| "x".repeat(secret.len()),
        |secret| format!("{}{}", &secret[..6], "*".repeat(secret.len() - 6)),
    ];
    let mut taken = Vec::new();
    for (id, text) in outbound() {
        let Some(secret) = secret_of(text) else {
            continue;
        };
        for stand_in in stand_ins {
            let template = text.replace(secret, &stand_in(secret));
            if template != text && sees(id, &template) {
                taken.push(format!("{id} takes {template}"));
            }
        }
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
}

/// The first part of a rule's id, as a rule.
fn provider(id: &str) -> &str {
    id.split('-').next().unwrap_or(id)
}

/// Hashes, identifiers and versions beside the name of each provider.
#[test]
fn no_hash_beside_a_name_is_taken() {
    const HONEST: [&str; 12] = [
        "NAME-client-3.2.1.tgz 4c0883a69102937d6231471b5dbb6204fe512961",
        "\"NAME\": {\"version\": \"3.2.1\", \"integrity\": \"sha512-Zk8vXw2LmT5nRb7YcKd4HsJf9GpAe1Uo3Ci6QwErTyUiOpAsDfGhJkLzXcVbNm12Zk8vXw2LmT5nRb7YcKd4Hw==\"}",
        "name = \"NAME-api\"\nversion = \"0.3.1\"\nchecksum = \"4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318\"",
        "github.com/NAME/NAME-go v1.2.3 h1:Zk8vXw2LmT5nRb7YcKd4HsJf9GpAe1Uo3Ci6QwErTyU=",
        "NAME@sha256:4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318",
        "commit 4c0883a69102937d6231471b5dbb6204fe512961 NAME: rotate the keys",
        "https://cdn.NAME.example/assets/index-4c0883a69102937d.js",
        "{\"service\": \"NAME\", \"request_id\": \"4c0883a6-9102-437d-8231-471b5dbb6204\", \"path\": \"/v1\"}",
        "GET /v1/NAME/authors/4c0883a6-9102-437d-8231-471b5dbb6204",
        "NAME_SECRET_NAME=projects/acme/secrets/NAME/versions/latest",
        "const NAMEToken = await vault.read('NAME/token');",
        "the NAME API key is created on the settings page and has 32 characters",
    ];
    let mut taken = Vec::new();
    let names = EXAMPLES.iter().map(|(id, ..)| provider(id));
    for name in names.collect::<BTreeSet<_>>() {
        for honest in HONEST {
            let text = honest.replace("NAME", name);
            let seen = SCANNER.scan(Direction::Outbound, text.as_bytes());
            for (rule, ..) in seen.expect("the budget covers it") {
                taken.push(format!("{rule} takes {text}"));
            }
        }
    }
    assert!(taken.is_empty(), "{}", taken.join("\n"));
}
