//! One refusal, said to an HTTP client.
//!
//! | reason | status |
//! |---|---|
//! | what the policy or a detector refused | 403 |
//! | `budget` | 429, with `Retry-After` where waiting helps |
//! | `malformed` | 400 |
//! | `target_mismatch` | 421 |
//! | `unsupported` | 501 |
//! | `unresolved`, `upstream`, `upstream_certificate`, `dropped` | 502 |
//! | `evidence`, `state` | 503 |
//! | `upstream_timeout` | 504 |
//!
//! The body is [`RefusalBody`] as JSON: compact where `Accept` names JSON or is absent, indented
//! where it does not care (`*/*`: a person with curl, or a library, which reads it all the same).
//! A client that asks for HTML or plain text gets text.

mod grpc;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use ::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use carboy_engine::{Locus, Reason, Refusal, Retry};
use serde::Serialize;

pub use grpc::render_grpc;

/// Says `block`, so that a client can tell Carboy's answer from an upstream's.
pub const DECISION: HeaderName = HeaderName::from_static("carboy-decision");

/// Gives the stable reason, [`Reason::as_str`].
pub const REASON: HeaderName = HeaderName::from_static("carboy-reason");

/// Gives the id of the crossing, by which its receipt is found.
pub const CROSSING: HeaderName = HeaderName::from_static("carboy-crossing");

/// A refusal's fields, as every structured rendering gives them.
#[derive(Debug, Clone, Serialize)]
pub struct RefusalBody<'a> {
    /// The id of the refused crossing.
    pub crossing: &'a str,
    /// Always `block`.
    pub decision: &'static str,
    /// The stable reason, [`Reason::as_str`].
    pub reason: &'static str,
    /// The deciding rule's id or policy key; `null` where the reason says it all.
    pub rule: Option<&'a str>,
    /// The kind of surface that held it, if it was in content.
    pub surface: Option<&'static str>,
    /// Where in that surface.
    pub locus: Option<LocusBody<'a>>,
    /// One sentence that says what was seen.
    pub message: &'a str,
    /// How to allow it, or what to do instead.
    pub remedy: &'a str,
    /// Whether trying again can help.
    pub retry: RetryBody,
}

/// A place in a surface.
#[derive(Debug, Clone, Serialize)]
pub struct LocusBody<'a> {
    /// The header's or query item's name, where there is one.
    pub name: Option<&'a str>,
    /// Byte offset in the surface's raw content.
    pub offset: u64,
    /// The decodings that led to it, outermost first.
    pub via: &'a [&'static str],
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryBody {
    /// The same crossing will be refused again.
    Never,
    /// It may pass after this many seconds.
    AfterSeconds(u64),
    /// It may pass at once.
    Maybe,
}

impl<'a> RefusalBody<'a> {
    /// The fields of `refusal`, which met the crossing with this id.
    pub fn new(refusal: &'a Refusal, crossing: &'a str) -> Self {
        let locus = refusal.locus.as_ref();
        Self {
            crossing,
            decision: "block",
            reason: refusal.reason.as_str(),
            rule: Some(&*refusal.rule).filter(|rule| !rule.is_empty()),
            surface: locus.map(|locus| locus.surface.as_str()),
            locus: locus.map(LocusBody::new),
            message: &refusal.message,
            remedy: &refusal.remedy,
            retry: match refusal.retry {
                Retry::Never => RetryBody::Never,
                Retry::After(seconds) => RetryBody::AfterSeconds(seconds),
                Retry::Maybe => RetryBody::Maybe,
            },
        }
    }
}

impl<'a> LocusBody<'a> {
    fn new(locus: &'a Locus) -> Self {
        Self {
            name: Some(&*locus.name).filter(|name| !name.is_empty()),
            offset: locus.offset,
            via: &locus.via,
        }
    }
}

/// The answer to a client whose crossing was refused. `accept` is its `Accept` header, if any.
///
/// Header values are the stable reason and the crossing's id only. The content is the body alone:
/// the caller leaves it out of an answer to `HEAD`.
pub fn render(refusal: &Refusal, crossing: &str, accept: Option<&HeaderValue>) -> Response<Bytes> {
    let form = Form::preferred(accept);
    let mut response = Response::new(form.body(&RefusalBody::new(refusal, crossing)));
    *response.status_mut() = status(refusal.reason);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    mark(headers, refusal, crossing);
    response
}

/// What a program needs, whatever the answer looks like.
fn mark(headers: &mut HeaderMap, refusal: &Refusal, crossing: &str) {
    headers.insert(DECISION, HeaderValue::from_static("block"));
    headers.insert(REASON, HeaderValue::from_static(refusal.reason.as_str()));
    if let Ok(id) = HeaderValue::from_str(crossing) {
        headers.insert(CROSSING, id);
    }
    if let Retry::After(seconds) = refusal.retry {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}

/// The last of a stream of server-sent events whose rest was refused. Beside the fields of every refusal
/// it has an `error` with a `type` and a `message`, which is what clients of models show.
pub fn render_event(refusal: &Refusal, crossing: &str) -> Bytes {
    #[derive(Serialize)]
    struct Told<'a> {
        r#type: &'static str,
        message: &'a str,
    }
    #[derive(Serialize)]
    struct Event<'a> {
        error: Told<'a>,
        #[serde(flatten)]
        body: RefusalBody<'a>,
    }
    let event = Event {
        error: Told {
            r#type: refusal.reason.as_str(),
            message: &refusal.message,
        },
        body: RefusalBody::new(refusal, crossing),
    };
    let json = serde_json::to_string(&event).expect("an event of strings and numbers is JSON");
    format!("event: error\ndata: {json}\n\n").into()
}

/// [`render`] as the bytes of an HTTP/1.1 answer that ends its connection, for a client whose
/// request cannot be parsed.
pub fn render_http1(refusal: &Refusal, crossing: &str) -> Vec<u8> {
    let (head, body) = render(refusal, crossing, None).into_parts();
    let mut out = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let end = format!(
        "content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(end.as_bytes());
    out.extend_from_slice(&body);
    out
}

/// The status that says why.
pub fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::HostDenied
        | Reason::HostNotAllowed
        | Reason::AddressRefused
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
        | Reason::ToolLookalike => StatusCode::FORBIDDEN,
        Reason::Budget => StatusCode::TOO_MANY_REQUESTS,
        Reason::Malformed => StatusCode::BAD_REQUEST,
        Reason::TargetMismatch => StatusCode::MISDIRECTED_REQUEST,
        Reason::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Reason::Unresolved | Reason::Upstream | Reason::UpstreamCertificate | Reason::Dropped => {
            StatusCode::BAD_GATEWAY
        }
        Reason::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
        Reason::Evidence | Reason::State => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What a body looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    PrettyJson,
    Text,
}

impl Form {
    fn preferred(accept: Option<&HeaderValue>) -> Self {
        let Some(accept) = accept.map(HeaderValue::as_bytes) else {
            return Self::Json;
        };
        let ranges = || {
            let items = accept.split(|byte| *byte == b',');
            items.filter_map(|item| item.split(|byte| *byte == b';').next())
        };
        let names = |range: &[u8]| range.trim_ascii().to_ascii_lowercase();
        for range in ranges().map(names) {
            match range.as_slice() {
                b"text/html" | b"text/plain" => return Self::Text,
                json if json.ends_with(b"/json") || json.ends_with(b"+json") => return Self::Json,
                _ => {}
            }
        }
        Self::PrettyJson
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::PrettyJson => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    fn body(self, body: &RefusalBody<'_>) -> Bytes {
        let json = match self {
            Self::Json => serde_json::to_vec(body),
            Self::PrettyJson => serde_json::to_vec_pretty(body),
            Self::Text => return text(body).into(),
        };
        let mut json = json.expect("a body of strings and numbers is JSON");
        json.push(b'\n');
        json.into()
    }
}

/// The body for a person. Control characters go: it may be shown on a terminal.
fn text(body: &RefusalBody<'_>) -> String {
    let mut out = format!("Carboy refused this: {}\n\n", plain(body.message));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(
                out,
                "{name:<10}{}",
                plain(value).replace('\n', "\n          ")
            );
        }
    };
    line("reason", body.reason);
    line("rule", body.rule.unwrap_or_default());
    line("where", &place(body));
    line("remedy", body.remedy);
    match body.retry {
        RetryBody::Never => {}
        RetryBody::AfterSeconds(seconds) => line("retry", &format!("after {seconds} s")),
        RetryBody::Maybe => line("retry", "it may pass on another try"),
    }
    line("crossing", body.crossing);
    out
}

fn place(body: &RefusalBody<'_>) -> String {
    let (Some(surface), Some(locus)) = (body.surface, &body.locus) else {
        return String::new();
    };
    let name = locus
        .name
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    let via = locus.via.iter().map(|step| format!(", {step}"));
    format!(
        "{surface}{name}, byte {}{}",
        locus.offset,
        via.collect::<String>()
    )
}

fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| *c == '\n' || !c.is_control())
        .collect()
}
