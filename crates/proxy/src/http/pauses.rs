//! Bodies that pause: how long one in doubt is waited for, and how long one may stand still.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use ::http::HeaderMap;
use ::http::header::CONTENT_ENCODING;
use bytes::Bytes;
use carboy_engine::{EventForm, Reason};
use carboy_wire::refusal::render_event;
use hyper::body::Body as _;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::body::Source;
use super::flow::Flow;
use crate::gate::{Pass, Refused};
use crate::limits::{BODY_IDLE_TIMEOUT, EVENT_PAUSE};

/// How a stream of events is treated.
#[derive(Default)]
pub(super) struct Doubt {
    pub(super) alarm: Option<Pin<Box<Sleep>>>,
    /// Whether a refusal can be told in an event of its own: of a response in clear, without a length,
    /// made of server-sent events.
    pub(super) can_tell: bool,
    /// Whether the client has the response's head.
    pub(super) has_begun: bool,
}

/// Tells when a body has stood still for too long. Most are whole as they come, and have none.
pub(super) struct Idle {
    pub(super) alarm: Pin<Box<Sleep>>,
    /// When a frame came last.
    pub(super) last: Instant,
}

impl Doubt {
    pub(super) fn of(
        from: &Flow,
        pass: &Pass,
        source: &Source,
        headers: &HeaderMap,
    ) -> Option<Self> {
        let form = pass.events()?;
        let can_tell = form == EventForm::Sent
            && matches!(source, Source::Upstream(_))
            && from.size_hint().exact().is_none()
            && !headers.contains_key(CONTENT_ENCODING);
        Some(Self {
            can_tell,
            ..Self::default()
        })
    }

    /// Whether no more has come for [`EVENT_PAUSE`].
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(sleep(EVENT_PAUSE)));
        let is_over = alarm.as_mut().poll(cx).is_ready();
        if is_over {
            self.alarm = None;
        }
        is_over
    }

    /// The last event of a refused stream. What broke off by itself is broken off.
    pub(super) fn words(&self, refused: &Refused) -> Option<Bytes> {
        let is_refused = !matches!(
            refused.refusal.reason,
            Reason::Upstream | Reason::UpstreamTimeout | Reason::Dropped
        );
        let can_tell = self.can_tell && self.has_begun && is_refused;
        can_tell.then(|| render_event(&refused.refusal, &refused.id.to_string()))
    }
}

impl Idle {
    pub(super) fn from_now() -> Self {
        Self {
            alarm: Box::pin(sleep(BODY_IDLE_TIMEOUT)),
            last: Instant::now(),
        }
    }

    /// Ready when no frame has come for [`BODY_IDLE_TIMEOUT`].
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.alarm.as_mut().poll(cx).is_ready() {
            if self.last.elapsed() >= BODY_IDLE_TIMEOUT {
                return Poll::Ready(());
            }
            self.alarm.set(sleep_until(self.last + BODY_IDLE_TIMEOUT));
        }
        Poll::Pending
    }
}
