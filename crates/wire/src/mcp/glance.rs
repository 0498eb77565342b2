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
    // A name may be spelt in escapes.
    if may_begin_messages(bytes) != Some(true) || !(has(MARK) || has(b"\\u")) {
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

/// Whether a message says that a session has begun.
pub fn is_begun(bytes: &[u8]) -> bool {
    let frame = Frame::parse(bytes);
    let mut messages = frame.iter().flat_map(|frame| &frame.messages).flatten();
    messages.any(|message| {
        matches!(&message.kind, Kind::Notification { method } if method.text == "notifications/initialized")
    })
}

/// The revision of the protocol that the answer to the first message says is spoken.
pub fn revision(bytes: &[u8]) -> Option<String> {
    let frame = Frame::parse(bytes).ok()?;
    let [Ok(message)] = &frame.messages[..] else {
        return None;
    };
    let revision = message.node.member("result")?.member("protocolVersion")?;
    revision.text().map(str::to_owned)
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
    let path = plain_path(path);
    [
        "/.well-known/agent-card.json",
        "/.well-known/agent.json",
        // For clients that signed in (section "Get Extended Agent Card").
        "/extendedAgentCard",
    ]
    .iter()
    .any(|end| path.ends_with(end))
}

/// Whether a method asks for an agent's card, as clients that signed in do.
pub fn is_card_method(method: &str) -> bool {
    matches!(
        method,
        "GetExtendedAgentCard"
            | "agent/getAuthenticatedExtendedCard"
            | "agent/authenticatedExtendedCard"
    )
}

/// A path as most servers take it, however it is spelt: escapes of what needs none are undone (RFC 3986,
/// section 6.2.2.2), and slashes after another left out.
pub fn plain_path(path: &str) -> String {
    let mut plain = String::with_capacity(path.len());
    let mut rest = path.chars();
    while let Some(c) = rest.next() {
        let undone = match c {
            '%' => unescaped(rest.as_str()).inspect(|_| {
                rest.nth(1);
            }),
            _ => None,
        };
        let c = undone.unwrap_or(c);
        if c != '/' || !plain.ends_with('/') {
            plain.push(c);
        }
    }
    plain
}

/// What the two digits of an escape stand for, if it needs none.
fn unescaped(digits: &str) -> Option<char> {
    let digits = digits.get(..2)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    is_plain.then_some(char::from(byte))
}

/// Whether the beginning of a body could be that of messages; none where it only has white space yet.
pub fn may_begin_messages(bytes: &[u8]) -> Option<bool> {
    // Some servers take a byte order mark off before they read.
    const MARK: &[u8] = b"\xef\xbb\xbf";
    if MARK.starts_with(bytes) && bytes.len() < MARK.len() {
        return None;
    }
    let text = bytes.strip_prefix(MARK).unwrap_or(bytes);
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    first.map(|byte| matches!(byte, b'{' | b'['))
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
    use super::{asks_something, begins_session, holds_messages, is_card_path, may_begin_messages};

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
    fn a_beginning_tells() {
        let cases: [(&[u8], Option<bool>); 8] = [
            (b"", None),
            (b" \r\n", None),
            (b"\xef\xbb", None),
            (b"\xef\xbb\xbf{", Some(true)),
            (b" [", Some(true)),
            (b"--boundary", Some(false)),
            (b"a=b", Some(false)),
            (b"\x1f\x8b", Some(false)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(may_begin_messages(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn cards_are_told_by_their_path() {
        let cases = [
            ("/.well-known/agent-card.json", true),
            ("/agents/a/.well-known/agent.json", true),
            ("/.well-known/agent%2Dcard%2ejson", true),
            ("//.well-known//%61gent.json", true),
            ("/.well-known/agent%2fcard.json", false),
            ("/.well-known/agent-card.json%", false),
            ("/agent-card.json", false),
            ("/.well-known/agent-card.json/x", false),
        ];
        for (path, expected) in cases {
            assert_eq!(is_card_path(path), expected, "{path}");
        }
    }
}
