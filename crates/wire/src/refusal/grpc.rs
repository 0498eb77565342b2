//! One refusal, said to a gRPC client: an answer without messages, whose head is also its trailers
//! (gRPC over HTTP/2, "Trailers-Only").

use std::fmt::Write as _;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderName, HeaderValue, Response};
use bytes::Bytes;
use carboy_engine::{Reason, Refusal};

use super::{RefusalBody, mark, place};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// The longest message, in bytes: a quarter of what clients take for a head by default (8 KiB).
const MESSAGE_BYTES_MAX: usize = 2048;

/// The answer to a gRPC client whose crossing was refused. The status says why and the message how to
/// allow it; the head has the fields of [`super::render`].
pub fn render_grpc(refusal: &Refusal, crossing: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, HeaderValue::from(code(refusal.reason)));
    if let Ok(message) = HeaderValue::from_str(&message(refusal, crossing)) {
        headers.insert(MESSAGE, message);
    }
    mark(headers, refusal, crossing);
    response
}

/// The status code (`google.rpc.Code`).
fn code(reason: Reason) -> u16 {
    match reason {
        Reason::HostDenied
        | Reason::HostNotAllowed
        | Reason::AddressRefused
        | Reason::TargetMismatch
        | Reason::Secret
        | Reason::Personal
        | Reason::Injection
        | Reason::Entropy
        | Reason::Shape
        | Reason::Opaque
        | Reason::Tool
        | Reason::Media
        | Reason::InspectionBudget
        | Reason::Unsolicited
        | Reason::ToolUnlisted
        | Reason::ToolChanged
        | Reason::ToolLookalike => PERMISSION_DENIED,
        Reason::Budget => RESOURCE_EXHAUSTED,
        Reason::Malformed => INVALID_ARGUMENT,
        Reason::Unsupported => UNIMPLEMENTED,
        Reason::UpstreamTimeout => DEADLINE_EXCEEDED,
        Reason::Unresolved
        | Reason::Upstream
        | Reason::UpstreamCertificate
        | Reason::Dropped
        | Reason::Evidence
        | Reason::State => UNAVAILABLE,
    }
}

const INVALID_ARGUMENT: u16 = 3;
const DEADLINE_EXCEEDED: u16 = 4;
const PERMISSION_DENIED: u16 = 7;
const RESOURCE_EXHAUSTED: u16 = 8;
const UNIMPLEMENTED: u16 = 12;
const UNAVAILABLE: u16 = 14;

/// Percent-encoded, as clients decode it: printable ASCII but `%` stays (gRPC over HTTP/2,
/// "Status-Message").
fn message(refusal: &Refusal, crossing: &str) -> String {
    let body = RefusalBody::new(refusal, crossing);
    let mut told = format!("Carboy refused this: {}", body.message);
    let place = place(&body);
    for (name, value) in [
        ("rule", body.rule.unwrap_or_default()),
        ("where", &place),
        ("remedy", body.remedy),
        ("crossing", body.crossing),
    ] {
        if !value.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(told, "; {name}: {value}");
        }
    }
    let mut encoded = String::with_capacity(told.len());
    for byte in told.bytes() {
        if encoded.len() + 3 > MESSAGE_BYTES_MAX {
            break;
        }
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => {
                let _ = write!(encoded, "%{byte:02X}");
            }
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}
