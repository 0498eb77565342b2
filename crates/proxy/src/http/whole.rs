//! Bodies that are taken in whole, so that messages can be read from them, and what the policy wants
//! replaced or cut out can be.

use std::sync::Arc;
use std::time::Duration;

use ::http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName,
    HeaderValue,
};
use ::http::{HeaderMap, Response, response};
use bytes::{Bytes, BytesMut};
use carboy_engine::{Fault, Surface, SurfaceKind};
use carboy_wire::grpc::Messages;
use carboy_wire::http::trailer_surfaces;
use carboy_wire::mcp::{LINE_BYTES_MAX, may_begin_messages};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

use super::ConnectionState;
use super::body::Body;
use super::exchange::Ask;
use crate::gate::{Gate, Pass, Refused};
use crate::limits::{BODY_HOLD_BYTES_MAX, BODY_IDLE_TIMEOUT, REWRITE_PAUSE};
use crate::mcp::{Exchange, Said, Speaks, may_speak};

/// A body, for the rest of its way.
pub(super) enum Taken {
    /// All of it, as it is to be sent; it has been pushed.
    Whole(Body),
    /// It crosses as it comes, after what has come already, and is inspected as ever.
    Streamed(Bytes, Incoming),
}

/// What becomes of a request.
pub(super) enum Ready {
    /// It goes on with this body. If that holds messages, what hears their answers comes with it.
    Goes(Taken, Option<Exchange>),
    /// The gate itself has answered it.
    Answered(Response<Body>),
}

/// Takes a request's body in if it may hold messages or the policy wants anything replaced, and this
/// one can be: it is not too long to hold, and comes without long pauses. What cannot is inspected as
/// ever.
///
/// # Errors
/// The refusal.
pub(super) async fn take(
    gate: &Arc<Gate>,
    ask: &mut Ask,
    body: Incoming,
    state: &Arc<ConnectionState>,
) -> Result<Ready, Refused> {
    let Ask { head, target, pass } = ask;
    let speaks = may_speak(head);
    let room = Room::of(speaks, pass.redacts(), &head.headers);
    let Some(room) = room.filter(|room| may_rewrite(&head.headers, &body, pass, room.bytes_max))
    else {
        return match speaks {
            Some(Speaks::Surely) => Err(pass.end_with(not_whole())),
            Some(Speaks::ByContent) | None => {
                Ok(Ready::Goes(Taken::Streamed(Bytes::new(), body), None))
            }
        };
    };
    let mut gathered = match gather(body, room).await {
        Ok(gathered) => gathered,
        Err(_) => {
            let fault = state.violation().map_or(Fault::Dropped, Fault::from);
            return Err(pass.end_with(fault));
        }
    };
    let mut exchange = None;
    if speaks == Some(Speaks::Surely) && gathered.rest.is_some() {
        return Err(pass.end_with(not_whole()));
    }
    if speaks.is_some() && gathered.rest.is_none() {
        let said = Exchange::begin(gate, head, target, gathered.content);
        gathered.content = match Box::pin(said).await {
            Err(fault) => return Err(pass.end_with(fault)),
            Ok(Said::Nothing(content)) => content,
            Ok(Said::Goes(content, hears)) => {
                mend_length(&mut head.headers, content.len());
                exchange = Some(hears);
                content
            }
            Ok(Said::Answered(response)) => {
                pass.close()?;
                return Ok(Ready::Answered(response));
            }
        };
    }
    let taken = settle(&mut head.headers, gathered, pass)?;
    Ok(Ready::Goes(taken, exchange))
}

/// The same of a response's body.
///
/// # Errors
/// The refusal.
pub(super) async fn take_answer(
    head: &mut response::Parts,
    body: Incoming,
    pass: &mut Pass,
) -> Result<Taken, Refused> {
    let is_part = head.headers.contains_key(CONTENT_RANGE);
    if !(pass.redacts() || pass.restores())
        || is_part
        || is_media(&head.headers)
        || !may_rewrite(&head.headers, &body, pass, BODY_HOLD_BYTES_MAX)
    {
        return Ok(Taken::Streamed(Bytes::new(), body));
    }
    let fault = |error: hyper::Error| {
        Fault::Upstream(format!(
            "the response broke off: {}",
            super::body::cause(&error)
        ))
    };
    match gather(body, Room::REWRITE).await {
        Ok(gathered) => settle(&mut head.headers, gathered, pass),
        Err(error) => Err(pass.end_with(fault(error))),
    }
}

fn settle(
    headers: &mut HeaderMap,
    mut gathered: Gathered,
    pass: &mut Pass,
) -> Result<Taken, Refused> {
    if let Some(rest) = gathered.rest {
        return Ok(Taken::Streamed(gathered.content, rest));
    }
    if pass.redacts()
        && let Some(rewritten) = pass.redact(surface(&gathered.content))
    {
        gathered.content = rewritten.into();
        mend(headers, gathered.content.len());
    }
    pass.push(surface(&gathered.content))?;
    if let Some(restored) = pass.restore(surface(&gathered.content)) {
        gathered.content = restored.into();
        mend(headers, gathered.content.len());
    }
    if let Some(trailers) = &gathered.trailers {
        trailer_surfaces(trailers, |surface| pass.push(surface).map(drop))?;
    }
    Ok(Taken::Whole(Body::whole(
        gathered.content,
        gathered.trailers,
    )))
}

/// Fields that tell of the content as it was.
const TELLTALES: [HeaderName; 7] = [
    CONTENT_ENCODING,
    ETAG,
    ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// Makes a head tell nothing of the content as it was.
pub(super) fn forget(headers: &mut HeaderMap) {
    for name in &TELLTALES {
        headers.remove(name);
    }
}

/// Makes a head tell of other content than it did.
fn mend(headers: &mut HeaderMap, length: usize) {
    forget(headers);
    mend_length(headers, length);
}

fn mend_length(headers: &mut HeaderMap, length: usize) {
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn surface(content: &[u8]) -> Surface<'_> {
    Surface {
        kind: SurfaceKind::Body,
        name: "",
        bytes: content,
    }
}

fn may_rewrite(headers: &HeaderMap, body: &Incoming, pass: &Pass, bytes_max: usize) -> bool {
    let length = body.size_hint().exact();
    // Events are rewritten one by one as they come.
    let is_endless = length.is_none() && pass.events().is_some();
    length.is_none_or(|length| length <= bytes_max as u64)
        && !is_endless
        // Its lengths would no longer be true.
        && Messages::of(headers).is_none()
}

/// Whether content is no text that anything can be replaced in. A drawing is.
pub(super) fn is_media(headers: &HeaderMap) -> bool {
    const MEDIA: [&[u8]; 4] = [b"image/", b"audio/", b"video/", b"font/"];
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    MEDIA.iter().any(|own| kind.starts_with(own)) && !kind.starts_with(b"image/svg")
}

/// What has come of a body.
struct Gathered {
    content: Bytes,
    trailers: Option<HeaderMap>,
    /// Set where it is too long to hold, or pauses.
    rest: Option<Incoming>,
}

/// How a body is taken in.
#[derive(Debug, Clone, Copy)]
struct Room {
    bytes_max: usize,
    pause: Duration,
    /// Whether it matters only if it holds messages, which its beginning may rule out.
    for_messages: bool,
}

impl Room {
    /// For what may have to be replaced or cut out in it.
    const REWRITE: Self = Self {
        bytes_max: BODY_HOLD_BYTES_MAX,
        pause: REWRITE_PAUSE,
        for_messages: false,
    };

    /// For a request's body; none where it need not be taken in.
    fn of(speaks: Option<Speaks>, redacts: bool, headers: &HeaderMap) -> Option<Self> {
        match speaks {
            Some(Speaks::Surely) => Some(Self {
                bytes_max: LINE_BYTES_MAX,
                pause: BODY_IDLE_TIMEOUT,
                for_messages: false,
            }),
            Some(Speaks::ByContent) if !redacts => Some(Self {
                // What is in a coding shows nothing at its beginning.
                for_messages: !headers.contains_key(CONTENT_ENCODING),
                ..Self::REWRITE
            }),
            Some(Speaks::ByContent) | None => redacts.then_some(Self::REWRITE),
        }
    }
}

/// A request that says it holds messages, and from which they cannot be read.
fn not_whole() -> Fault {
    Fault::Unsupported(format!(
        "a message of the model context protocol that does not come whole, or of more than {} MiB",
        LINE_BYTES_MAX >> 20
    ))
}

async fn gather(mut body: Incoming, room: Room) -> Result<Gathered, hyper::Error> {
    let (mut content, mut trailers) = (BytesMut::new(), None);
    let mut is_whole = false;
    let is_other = |content: &[u8]| room.for_messages && may_begin_messages(content) == Some(false);
    while content.len() <= room.bytes_max && !is_other(&content) {
        match timeout(room.pause, body.frame()).await {
            Err(_) if trailers.is_none() => break,
            Err(_) | Ok(None) => {
                is_whole = true;
                break;
            }
            Ok(Some(frame)) => match frame?.into_data() {
                Ok(data) => content.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
    Ok(Gathered {
        content: content.freeze(),
        trailers,
        rest: (!is_whole).then_some(body),
    })
}
