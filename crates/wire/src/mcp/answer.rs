//! A refusal, said to a client or a server of the model context protocol.

use carboy_engine::Refusal;
use serde::Serialize;

use super::message::Id;
use crate::refusal::RefusalBody;

/// What the gate refused. Of the codes that JSON-RPC leaves to servers (section 5.1), one that
/// neither the protocol nor its libraries use.
pub const REFUSED: i32 = -32050;

/// The answer to a request that was refused, or in place of a result that was: an error under the
/// request's id, whose message says what, why and how to allow it, and whose data says it in fields.
///
/// `id` is none where it could not be read (JSON-RPC 2.0, section 5).
pub fn refused(id: Option<&Id>, refusal: &Refusal, crossing: &str) -> Vec<u8> {
    let error = Error {
        code: REFUSED,
        message: &told(refusal),
        data: RefusalBody::new(refusal, crossing),
    };
    let error = serde_json::to_string(&error).expect("a body of strings and numbers is JSON");
    let id = id.map_or_else(|| "null".to_owned(), ToString::to_string);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}").into_bytes()
}

/// The answer to a call of a tool that the server does not have: a result that says that the call
/// failed, as servers themselves give it, so that the model which called reads why. The refusal's fields
/// are in its `_meta`.
pub fn failed_call(id: &Id, refusal: &Refusal, crossing: &str) -> Vec<u8> {
    let result = serde_json::json!({
        "content": [{ "type": "text", "text": told(refusal) }],
        "isError": true,
        "_meta": { "carboy/refusal": RefusalBody::new(refusal, crossing) },
    });
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}").into_bytes()
}

fn told(refusal: &Refusal) -> String {
    let message = refusal.message.trim_end_matches('.');
    format!("Carboy refused this: {message}. Remedy: {}", refusal.remedy)
}

/// A request of the gate's own for a page of a server's tools.
pub fn list_tools(id: &Id, cursor: Option<&str>) -> Vec<u8> {
    let params = match cursor {
        Some(cursor) => serde_json::json!({ "cursor": cursor }),
        None => serde_json::json!({}),
    };
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/list\",\"params\":{params}}}")
        .into_bytes()
}

#[derive(Serialize)]
struct Error<'a> {
    code: i32,
    message: &'a str,
    data: RefusalBody<'a>,
}
