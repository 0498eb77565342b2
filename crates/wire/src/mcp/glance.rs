//! What bytes are, before anything in them is judged.

use super::json::{self, Value};
use super::message::{Frame, Kind};

/// The name that each message has.
const MARK: &[u8] = b"jsonrpc";

/// The method that matters most, as it is read out of what is no clean JSON.
const CALLS: [&[u8]; 2] = [b"tools/call", b"tools\\/call"];

/// Whether a body holds messages of the model context protocol or of agents to each other: by what they
/// are, whatever they are said to be. What looks like a call and is no clean JSON does too, so that it is
/// refused.
pub fn holds_messages(bytes: &[u8]) -> bool {
    let has = |part: &[u8]| memchr::memmem::find(bytes, part).is_some();
    // Some servers take a byte order mark off before they read.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let starts = text.iter().find(|byte| !byte.is_ascii_whitespace());
    // A name may be spelt in escapes.
    if !matches!(starts, Some(b'{' | b'[')) || !(has(MARK) || has(b"\\u")) {
        return false;
    }
    let frame = match json::parse(bytes) {
        Ok(node) => Frame::of(node),
        Err(_) => return has(MARK) && CALLS.iter().any(|call| has(call)),
    };
    frame.is_ok_and(|frame| {
        let mut messages = frame.messages.iter();
        messages.any(|message| match message {
            Ok(message) => match &message.kind {
                Kind::Request { method, .. } | Kind::Notification { method } => {
                    method.known.is_some()
                }
                // An answer to what the server asked comes in a session, which its head names.
                Kind::Result { .. } | Kind::Error { .. } => false,
            },
            Err(flawed) => flawed.is_of_known,
        })
    })
}

/// Whether a message begins a session.
pub fn begins_session(bytes: &[u8]) -> bool {
    requests(bytes, |method| method == Some("initialize"))
}

/// Whether anything in a body wants an answer.
pub fn asks_something(bytes: &[u8]) -> bool {
    requests(bytes, |_| true)
}

fn requests(bytes: &[u8], is_meant: impl Fn(Option<&'static str>) -> bool) -> bool {
    let frame = Frame::parse(bytes);
    let mut messages = frame.iter().flat_map(|frame| &frame.messages);
    messages.any(|message| match message {
        Ok(message) => {
            matches!(&message.kind, Kind::Request { method, .. } if is_meant(method.known))
        }
        Err(_) => false,
    })
}

/// Whether a path is that of an agent's card (A2A, section "Agent Discovery"; before revision 0.3
/// `agent.json`).
pub fn is_card_path(path: &str) -> bool {
    path.ends_with("/.well-known/agent-card.json") || path.ends_with("/.well-known/agent.json")
}

/// Whether a value is an object that names a known method.
pub(super) fn names_known(node: &json::Node<'_>, known: impl Fn(&str) -> bool) -> bool {
    match node.member("method").map(|method| &method.value) {
        Some(Value::Text(text)) => known(text),
        Some(
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_),
        )
        | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{asks_something, begins_session, holds_messages, is_card_path};

    #[test]
    fn messages_are_told_by_what_they_are() {
        let cases = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, true),
            (
                r#" [{"jsonrpc":"2.0","method":"notifications/initialized"}]"#,
                true,
            ),
            (
                r#"{"\u006asonrpc":"2.0","id":1,"method":"tools\/call","params":{"name":"a"}}"#,
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"message/send","params":{}}"#,
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{}}"#,
                true,
            ),
            // A call that is no clean message.
            (
                r#"{"jsonrpc":"2.0","id":1.0,"method":"tools/call","params":{"name":"a"}}"#,
                true,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
                true,
            ),
            (
                "\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"a\"}}",
                true,
            ),
            // Others who speak JSON-RPC, and what speaks of it.
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#,
                false,
            ),
            (
                r#"{"model":"m","messages":[{"content":"\u00e9 {\"jsonrpc\":\"2.0\"}"}]}"#,
                false,
            ),
            (r#"{"method":"tools/call","params":{"name":"a"}}"#, false),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, false),
            ("jsonrpc tools/call", false),
            ("", false),
        ];
        for (text, expected) in cases {
            assert_eq!(holds_messages(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_a_body_asks() {
        let cases = [
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#,
                true,
                true,
            ),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, false, true),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
                false,
                false,
            ),
            ("{}", false, false),
        ];
        for (text, begins, asks) in cases {
            assert_eq!(begins_session(text.as_bytes()), begins, "{text}");
            assert_eq!(asks_something(text.as_bytes()), asks, "{text}");
        }
    }

    #[test]
    fn cards_are_told_by_their_path() {
        let cases = [
            ("/.well-known/agent-card.json", true),
            ("/agents/a/.well-known/agent.json", true),
            ("/agent-card.json", false),
            ("/.well-known/agent-card.json/x", false),
        ];
        for (path, expected) in cases {
            assert_eq!(is_card_path(path), expected, "{path}");
        }
    }
}
