//! Bodies that are taken in whole, so that what the policy wants redacted can be replaced in them.

use std::sync::Arc;

use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use ::http::request;
use bytes::{Bytes, BytesMut};
use carboy_engine::{Fault, Surface, SurfaceKind};
use carboy_wire::grpc::Messages;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::ConnectionState;
use crate::gate::{Pass, Refused};
use crate::limits::{BODY_HOLD_BYTES_MAX, BODY_IDLE_TIMEOUT};

/// A request's body, for the rest of its way.
pub(super) enum Taken {
    /// All of it, as it is to be sent; it has been pushed.
    Whole(Bytes),
    /// It crosses as it comes, and nothing in it is replaced.
    Streamed(Incoming),
}

/// Takes a body in if the policy wants anything replaced and this one can be: it says its length, is
/// not too long to hold, and is in no content coding. What cannot is inspected as ever.
///
/// # Errors
/// The refusal.
pub(super) async fn take(
    head: &mut request::Parts,
    body: Incoming,
    pass: &mut Pass,
    state: &Arc<ConnectionState>,
) -> Result<Taken, Refused> {
    if !pass.redacts() || !is_replaceable(head, &body) {
        return Ok(Taken::Streamed(body));
    }
    let mut content = match gather(body, state).await {
        Ok(content) => content,
        Err(fault) => return Err(pass.end_with(fault)),
    };
    if let Some(redacted) = pass.redact(surface(&content)) {
        content = redacted.into();
        head.headers
            .insert(CONTENT_LENGTH, HeaderValue::from(content.len()));
    }
    pass.push(surface(&content))?;
    Ok(Taken::Whole(content))
}

fn surface(content: &[u8]) -> Surface<'_> {
    Surface {
        kind: SurfaceKind::Body,
        name: "",
        bytes: content,
    }
}

fn is_replaceable(head: &request::Parts, body: &Incoming) -> bool {
    let length = body.size_hint().exact();
    let mut codings = head.headers.get_all(CONTENT_ENCODING).iter();
    length.is_some_and(|length| length <= BODY_HOLD_BYTES_MAX as u64)
        && codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
        // Its lengths would no longer be true.
        && Messages::of(&head.headers).is_none()
}

async fn gather(mut body: Incoming, state: &Arc<ConnectionState>) -> Result<Bytes, Fault> {
    let mut content = BytesMut::new();
    loop {
        let next = timeout(BODY_IDLE_TIMEOUT, body.frame());
        match next.await.map_err(|_| Fault::Dropped)? {
            None => return Ok(content.freeze()),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => content.extend_from_slice(&data),
                Err(_) => {
                    let what = "trailers after a body in which the policy wants secrets redacted";
                    return Err(Fault::Unsupported(what.into()));
                }
            },
            Some(Err(_)) => return Err(state.violation().map_or(Fault::Dropped, Fault::from)),
        }
    }
}
