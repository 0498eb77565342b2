//! What a server says within plain HTTP is judged as messages, and never less than the same bytes would be
//! as a page's.

use carboy_engine::{Asked, Known};
use serde_json::{Value, json};

use crate::mcp_http::{HIDDEN, call};
use crate::mcp_within::Scene;
use crate::support::{OPEN, Setup, Stand};

const VALUE: &str = "correct horse 7f3a battery staple 91";

/// An answer in which something is hidden.
struct Place {
    name: &'static str,
    kind: &'static str,
    body: String,
    /// What must not come through.
    attack: String,
}

async fn scene() -> Scene {
    let mut known = Known::default();
    assert!(known.add("DEPLOY", VALUE.as_bytes(), Asked::ByName));
    let stand = Stand::with(Setup {
        policy: OPEN,
        known,
        ..Setup::default()
    });
    Scene::with(stand.await).await
}

fn answer(result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 2, "result": result}).to_string()
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn of_json(attack: &str) -> Vec<(&'static str, String)> {
    let plain = answer(&json!({"content": [text("fine")]}));
    let notice = |data: &str| json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": data}});
    let (head, tail) = attack.split_at(attack.len() / 2);
    vec![
        ("text", answer(&json!({"content": [text(attack)]}))),
        ("key", answer(&json!({"structuredContent": {attack: 1}}))),
        ("deep", answer(&json!({"a": [{"b": {"c": [[attack]]}}]}))),
        ("meta", answer(&json!({"content": [], "_meta": {"x": attack}}))),
        (
            "blocks",
            answer(&json!({"content": [text(head), text(tail)]})),
        ),
        (
            "error",
            json!({"jsonrpc": "2.0", "id": 2, "error": {"code": -1, "message": attack}}).to_string(),
        ),
        (
            "error data",
            json!({"jsonrpc": "2.0", "id": 2, "error": {"code": -1, "message": "m", "data": [attack]}})
                .to_string(),
        ),
        (
            "envelope",
            json!({"jsonrpc": "2.0", "id": 2, "result": {}, "note": attack}).to_string(),
        ),
        ("method", json!({"jsonrpc": "2.0", "method": attack}).to_string()),
        ("id", json!({"jsonrpc": "2.0", "id": attack, "method": "ping"}).to_string()),
        ("batch", format!("[{plain},{}]", notice(attack))),
        ("before", format!("{attack}\n{plain}")),
        ("after", format!("{plain}\n{attack}")),
        ("comment", format!("/* {attack} */ {plain}")),
        ("twice", plain.replace("\"jsonrpc\"", &format!("\"jsonrpc\":\"{attack}\",\"jsonrpc\""))),
        ("no message", json!({"note": attack}).to_string()),
    ]
}

fn of_events(attack: &str) -> Vec<(&'static str, String)> {
    let plain = answer(&json!({"content": [text("fine")]}));
    let notice = |data: &str| json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": data}});
    let (head, tail) = attack.split_at(attack.len() / 2);
    let data = |message: &str| format!("data: {message}\n\n");
    vec![
        ("data", data(&answer(&json!({"content": [text(attack)]})))),
        ("id", format!("id: {attack}\n{}", data(&plain))),
        (
            "id alone",
            format!("id: {attack}\ndata:\n\n{}", data(&plain)),
        ),
        ("id only", format!("id: {attack}\n\n{}", data(&plain))),
        ("name", format!("event: {attack}\n{}", data(&plain))),
        (
            "other",
            format!("event: news\ndata: {attack}\n\n{}", data(&plain)),
        ),
        ("words", format!("data: {attack}\n\n{}", data(&plain))),
        ("comment", format!(": {attack}\n\n{}", data(&plain))),
        ("retry", format!("retry: {attack}\n{}", data(&plain))),
        ("field", format!("{attack}: 1\n{}", data(&plain))),
        (
            "endpoint",
            format!(
                "event: endpoint\ndata: /{}\n\n{}",
                attack.replace(' ', "+"),
                data(&plain)
            ),
        ),
        (
            "over events",
            data(&notice(head).to_string()) + &data(&notice(tail).to_string()),
        ),
        ("unended", format!("{}data: {attack}", data(&plain))),
    ]
}

fn places() -> Vec<Place> {
    let spelt = |text: &str| text.replace(' ', "+");
    let mut places = Vec::new();
    for attack in [HIDDEN.to_owned(), VALUE.to_owned(), spelt(HIDDEN)] {
        let kinds = [
            ("application/json", of_json(&attack)),
            ("text/event-stream", of_events(&attack)),
        ];
        for (kind, bodies) in kinds {
            places.extend(bodies.into_iter().map(|(name, body)| Place {
                name,
                kind,
                body,
                attack: attack.clone(),
            }));
        }
    }
    places
}

/// Whether an answer shows an attack, be it in two halves.
fn shows(heard: &str, attack: &str) -> bool {
    let (head, tail) = attack.split_at(attack.len() / 2);
    heard.contains(head) && heard.contains(tail)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_says_nothing_as_messages_that_a_page_may_not() {
    let mut judged = 0;
    for place in places() {
        let scene = scene().await;
        let head = format!("200 OK\r\ncontent-type: {}", place.kind);
        scene.far.will_say(&head, &place.body);
        let page = scene.ask("GET /page", "", "").await;
        if shows(&page, &place.attack) {
            // As a page it passes.
            continue;
        }
        judged += 1;
        scene.list("Adds.").await;
        scene.far.will_say(&head, &place.body);
        let heard = scene.post(&call(2, json!({}))).await;
        let what = format!("{} of {}", place.name, place.kind);
        assert!(!shows(&heard, &place.attack), "{what}: {heard}");
        assert!(heard.starts_with("HTTP/1.1 "), "{what}: {heard}");
    }
    assert!(judged > 60, "most of them are refused as pages: {judged}");
}
