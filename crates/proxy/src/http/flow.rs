//! What a body is taken from.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

use crate::mcp::Opening;

/// Frames of one body.
pub(crate) enum Flow {
    /// As they come.
    Incoming(Incoming),
    /// The same, after what has come of it.
    Begun(Bytes, Incoming),
    /// Events, of which the first tells what they are.
    Opening(Box<Opening>),
    /// All of it at once.
    Whole(Option<Bytes>),
    /// The same, of messages that were judged one by one.
    Told(Option<Bytes>),
    /// Events that were judged one by one, as they come.
    Judged(mpsc::Receiver<Result<Bytes, hyper::Error>>),
}

impl Flow {
    /// Whether its content was judged, and what was refused of it is told in the gate's own words: those
    /// name what they refuse, and are not to be refused for it.
    pub(super) fn is_judged(&self) -> bool {
        match self {
            Self::Told(_) | Self::Judged(_) => true,
            Self::Incoming(_) | Self::Begun(..) | Self::Opening(_) | Self::Whole(_) => false,
        }
    }
}

impl From<Incoming> for Flow {
    fn from(body: Incoming) -> Self {
        Self::Incoming(body)
    }
}

impl HttpBody for Flow {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Self::Opening(opening) = &mut *self {
            *self = ready!(opening.poll_told(cx));
        }
        match &mut *self {
            Self::Incoming(body) => Pin::new(body).poll_frame(cx),
            Self::Begun(begun, body) if begun.is_empty() => Pin::new(body).poll_frame(cx),
            Self::Begun(begun, _) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(begun))))),
            // It has told what it is.
            Self::Opening(_) => Poll::Pending,
            Self::Whole(bytes) | Self::Told(bytes) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            Self::Judged(frames) => frames
                .poll_recv(cx)
                .map(|next| next.map(|bytes| bytes.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Incoming(body) => body.is_end_stream(),
            Self::Begun(begun, body) => begun.is_empty() && body.is_end_stream(),
            Self::Whole(bytes) | Self::Told(bytes) => bytes.is_none(),
            Self::Opening(_) | Self::Judged(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Incoming(body) => body.size_hint(),
            Self::Whole(bytes) | Self::Told(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            // Nobody says how long events go on.
            Self::Begun(..) | Self::Opening(_) | Self::Judged(_) => SizeHint::default(),
        }
    }
}
