//! What a client is answered.

use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::header::{CONTENT_TYPE, HeaderValue};
use ::http::{Response, StatusCode};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::http::Body;
use crate::upstream::Lease;

/// An answer's content.
pub(super) enum Reply {
    /// All of it.
    Whole(Option<Bytes>),
    /// Events as they come.
    Events(Coming),
    /// Other content, judged on its way.
    Other(Box<Body>),
}

/// Events, and the connection that they come by, which ends with this.
pub(super) struct Coming {
    pub(super) events: mpsc::Receiver<Result<Bytes, hyper::Error>>,
    pub(super) _lease: Lease,
}

impl Reply {
    /// Nothing but a status.
    pub(super) fn status(status: StatusCode) -> Response<Self> {
        let mut response = Response::new(Self::Whole(None));
        *response.status_mut() = status;
        response
    }

    /// JSON.
    pub(super) fn json(status: StatusCode, json: Vec<u8>) -> Response<Self> {
        let mut response = Response::new(Self::Whole(Some(json.into())));
        *response.status_mut() = status;
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }

    /// Words of the gate's own.
    pub(super) fn text(status: StatusCode, text: &'static str) -> Response<Self> {
        let mut response = Response::new(Self::Whole(Some(Bytes::from_static(text.as_bytes()))));
        *response.status_mut() = status;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        response
    }
}

impl HttpBody for Reply {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Events(coming) => coming
                .events
                .poll_recv(cx)
                // What broke off ends here: the client asks for the rest.
                .map(|next| {
                    next.and_then(Result::ok)
                        .map(|bytes| Ok(Frame::data(bytes)))
                }),
            Self::Other(body) => Pin::new(&mut **body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Events(_) => false,
            Self::Other(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Self::Events(_) => SizeHint::default(),
            Self::Other(body) => body.size_hint(),
        }
    }
}
