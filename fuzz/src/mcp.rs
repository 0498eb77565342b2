//! Invariants of messages of the model context protocol.

use carboy_engine::Surface;
use carboy_wire::mcp::json::{self, Node, Value};
use carboy_wire::mcp::{Card, Events, Frame, Kind, Line, Lines, holds_messages, surfaces};

/// Bytes are cut into the same lines and events however they come; what is read as JSON means the same
/// to a parser of another make; and every string of a message is seen.
pub fn mcp_message(data: &[u8]) {
    let (lines, events) = (cut_lines(data, data.len()), cut_events(data, data.len()));
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(cut_lines(data, size), lines, "pieces of {size}");
        assert_eq!(cut_events(data, size), events, "pieces of {size}");
    }
    for line in &lines {
        if let Line::Message(bytes) = line {
            assert!(!bytes.contains(&b'\n') && !bytes.contains(&b'\r'));
        }
    }
    same_elsewhere(data);
    all_of_a_card_is_seen(data);
    if let Ok(frame) = Frame::parse(data) {
        let asks_known = frame.messages.iter().flatten().any(|message| {
            matches!(&message.kind, Kind::Request { method, .. } if method.known.is_some())
        });
        assert!(!asks_known || holds_messages(data), "messages are not told");
        for message in frame.messages.iter().flatten() {
            let mut seen = Vec::new();
            let visit = |surface: Surface<'_>| -> Result<(), ()> {
                seen.push(surface.bytes.to_vec());
                Ok(())
            };
            assert_eq!(surfaces(message, None, visit), Ok(()));
            for name in ["params", "result", "error"] {
                let texts = message.node.member(name).map(texts).unwrap_or_default();
                for text in texts.iter().filter(|text| !text.is_empty()) {
                    assert!(
                        seen.contains(&text.as_bytes().to_vec()),
                        "{text:?} is not seen"
                    );
                }
            }
        }
    }
}

fn all_of_a_card_is_seen(data: &[u8]) {
    let Ok(card) = Card::read(data) else {
        return;
    };
    let mut seen = Vec::new();
    let visit = |surface: Surface<'_>| -> Result<(), ()> {
        seen.push(surface.bytes.to_vec());
        Ok(())
    };
    assert_eq!(card.surfaces(visit), Ok(()));
    let node = json::parse(data).expect("a card is JSON");
    for text in texts(&node).iter().filter(|text| !text.is_empty()) {
        assert!(
            seen.contains(&text.as_bytes().to_vec()),
            "{text:?} is not seen"
        );
    }
}

fn cut_lines(data: &[u8], size: usize) -> Vec<Line> {
    let mut lines = Lines::default();
    let mut found = Vec::new();
    for piece in data.chunks(size.max(1)) {
        lines.push(piece);
        found.extend(std::iter::from_fn(|| lines.next_line()));
    }
    found.extend(lines.finish());
    found
}

fn cut_events(data: &[u8], size: usize) -> Vec<carboy_wire::mcp::Event> {
    let mut events = Events::default();
    let mut found = Vec::new();
    for piece in data.chunks(size.max(1)) {
        events.push(piece).expect("shorter than the longest event");
        found.extend(std::iter::from_fn(|| events.next_event()));
    }
    found
}

/// Whatever is taken for JSON is JSON to `serde_json`, with the same content.
fn same_elsewhere(data: &[u8]) {
    let Ok(node) = json::parse(data) else {
        return;
    };
    match serde_json::from_slice::<serde_json::Value>(data) {
        Ok(other) => assert!(is_same(&node, &other), "{other}"),
        // It reads no half of a surrogate pair, and no number that a double cannot hold.
        Err(error) => assert!(error.is_syntax() && is_odd(&node), "{error}"),
    }
}

fn is_same(node: &Node<'_>, other: &serde_json::Value) -> bool {
    use serde_json::Value as Other;
    match (&node.value, other) {
        (Value::Null, Other::Null) => true,
        (Value::Bool(own), Other::Bool(other)) => own == other,
        (Value::Number(own), Other::Number(other)) => {
            serde_json::from_str::<serde_json::Number>(own)
                .ok()
                .as_ref()
                == Some(other)
        }
        (Value::Text(own), Other::String(other)) => own == other,
        (Value::List(own), Other::Array(other)) => {
            own.len() == other.len()
                && own
                    .iter()
                    .zip(other)
                    .all(|(own, other)| is_same(own, other))
        }
        (Value::Object(own), Other::Object(other)) => {
            let is_in = |(name, node): &(std::borrow::Cow<'_, str>, Node<'_>)| {
                other.get(&**name).is_some_and(|other| is_same(node, other))
            };
            own.len() == other.len() && own.iter().all(is_in)
        }
        _ => false,
    }
}

fn is_odd(node: &Node<'_>) -> bool {
    let is_large = |text: &&str| serde_json::from_str::<f64>(text).is_err();
    match &node.value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(text) => is_large(text),
        Value::Text(text) => text.contains(char::REPLACEMENT_CHARACTER),
        Value::List(items) => items.iter().any(is_odd) || node.raw.len() > json::DEPTH_MAX,
        Value::Object(members) => {
            members.iter().any(|(_, node)| is_odd(node)) || node.raw.len() > json::DEPTH_MAX
        }
    }
}

/// Every string, name and number of a value.
fn texts(node: &Node<'_>) -> Vec<String> {
    match &node.value {
        Value::Null | Value::Bool(_) => Vec::new(),
        Value::Number(text) => vec![(*text).to_owned()],
        Value::Text(text) => vec![text.to_string()],
        Value::List(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, node)| {
                let mut texts = texts(node);
                texts.push(name.to_string());
                texts
            })
            .collect(),
    }
}
