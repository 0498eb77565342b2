//! Bodies: held until the engine lets them go, released oldest first.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use ::http::HeaderMap;
use ::http::header::CONTENT_ENCODING;
use bytes::Bytes;
use carboy_engine::{Fault, Surface, SurfaceKind};
use carboy_wire::grpc::Messages;
use carboy_wire::http::trailer_surfaces;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};

use super::draft::Draft;
use super::flow::Flow;
use super::guard::{Busy, ConnectionState};
use super::pauses::{Doubt, Idle};
use super::whole::is_media;
use crate::gate::{Pass, Refused, Restoring};
use crate::limits::{
    BODY_HOLD_BYTES_MAX, BODY_IDLE_TIMEOUT, BODY_PRIME_BYTES_MAX, BODY_PRIME_TIMEOUT,
};
use crate::upstream::Lease;

/// A body on its way, either direction.
#[derive(Debug, Default)]
pub(crate) struct Body {
    content: Content,
    /// Ends the client's request with the body.
    busy: Option<Busy>,
}

#[derive(Debug, Default)]
enum Content {
    #[default]
    Empty,
    /// The gate's own words, or content that has crossed.
    Own(Bytes, Option<HeaderMap>),
    /// Content that crosses.
    Inspected(Box<Inspected>),
    /// The same of a request, which its exchange may give up.
    Asked(Arc<Mutex<Asked>>),
}

/// A request's body.
#[derive(Debug)]
enum Asked {
    Going(Box<Inspected>),
    GivenUp(BodyError),
}

/// Gives a request's body up if its exchange is dropped before the body has come: the upstream's
/// connection would hold it for as long as the upstream reads nothing.
pub(crate) struct Hold {
    body: Arc<Mutex<Asked>>,
    /// Told then: a stream of the connection may be stuck.
    stuck: Arc<AtomicBool>,
}

impl Hold {
    /// The request is sent on another connection.
    pub(crate) fn move_to(&mut self, stuck: Arc<AtomicBool>) {
        self.stuck = stuck;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut asked = self.body.lock();
        if let Asked::Going(body) = &mut *asked
            && body.state == State::Open
        {
            self.stuck.store(true, Ordering::Relaxed);
            let refused = body.pass.end_with(Fault::Dropped);
            *asked = Asked::GivenUp(body.break_off(refused));
        }
    }
}

/// Why a body broke off.
#[derive(Debug, Clone)]
pub(crate) struct BodyError(Refused);

/// A body being inspected. It holds what the engine has not released, and its pass, so that the
/// crossing ends with it.
pub(crate) struct Inspected {
    from: Flow,
    source: Source,
    pass: Box<Pass>,
    held: VecDeque<Bytes>,
    held_bytes: usize,
    released_bytes: usize,
    trailers: Option<HeaderMap>,
    state: State,
    /// Follows a gRPC body's messages, each of which is whole by itself.
    messages: Option<Messages>,
    /// Of a stream of events: goes off when no more has come to one in doubt.
    doubt: Option<Doubt>,
    /// Of a stream of events in which content is replaced: what is not a whole event yet.
    draft: Option<Draft>,
    /// Puts back in what is released what placeholders stand for.
    restoring: Option<Restoring>,
    /// Whether bytes came since the last lull.
    is_flowing: bool,
    idle: Option<Idle>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// All content is in and was allowed; its receipt is written.
    Passed,
    Broken,
}

/// Where a body comes from, for what must be told or given back when it ends.
pub(crate) enum Source {
    /// The client. The slot tells the exchange why the body broke off.
    Client {
        outcome: Arc<Outcome>,
        state: Arc<ConnectionState>,
    },
    /// The upstream.
    Upstream(Came),
}

/// What a response came by.
#[derive(Default)]
pub(crate) struct Came {
    /// The upstream's connection, which may serve again once the body is in.
    pub(crate) lease: Option<Lease>,
    /// How the request's body ends, which may still be on its way, and then is given up with this.
    pub(crate) request: Option<Arc<Outcome>>,
    pub(crate) _hold: Option<Hold>,
}

/// How a request's body ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    refused: OnceLock<Refused>,
    complete: AtomicBool,
}

impl Outcome {
    /// The refusal that broke the body off.
    pub(crate) fn refused(&self) -> Option<&Refused> {
        self.refused.get()
    }

    /// Whether all of the body was passed on.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }
}

impl Body {
    /// The gate's own words.
    pub(crate) fn own(bytes: Bytes) -> Self {
        Self {
            content: Content::Own(bytes, None),
            busy: None,
        }
    }

    /// Content that has crossed, with what trails it.
    pub(crate) fn whole(bytes: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self {
            content: Content::Own(bytes, trailers),
            busy: None,
        }
    }

    /// A copy of content that has crossed, to be sent again.
    pub(crate) fn again(&self) -> Option<Self> {
        match &self.content {
            Content::Empty => Some(Self::default()),
            Content::Own(bytes, trailers) => Some(Self::whole(bytes.clone(), trailers.clone())),
            Content::Inspected(_) | Content::Asked(_) => None,
        }
    }

    /// Content that crosses by `pass`; its head's `headers` say what it is, and are changed where it will be
    /// something else.
    pub(crate) fn inspected(
        from: impl Into<Flow>,
        mut pass: Box<Pass>,
        source: Source,
        headers: &mut HeaderMap,
    ) -> Self {
        let from = from.into();
        let draft = Draft::of(&from, &mut pass, headers);
        let inspected = Inspected {
            doubt: Doubt::of(&from, &pass, &source, headers),
            draft,
            restoring: restoring(&from, &pass, headers),
            messages: Messages::of(headers),
            from,
            source,
            pass,
            held: VecDeque::new(),
            held_bytes: 0,
            released_bytes: 0,
            trailers: None,
            state: State::Open,
            is_flowing: false,
            idle: None,
        };
        Self {
            content: Content::Inspected(Box::new(inspected)),
            busy: None,
        }
    }

    /// A request's body, as what hands it to an upstream's connection and as what can give it up.
    pub(crate) fn held(self, stuck: Arc<AtomicBool>) -> (Self, Option<Hold>) {
        let Content::Inspected(body) = self.content else {
            return (self, None);
        };
        let body = Arc::new(Mutex::new(Asked::Going(body)));
        let held = Self {
            content: Content::Asked(Arc::clone(&body)),
            busy: self.busy,
        };
        (held, Some(Hold { body, stuck }))
    }

    /// Ends `busy` with the body.
    pub(crate) fn keep(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }

    /// Takes in what has come of the body already.
    pub(crate) fn begin_with(&mut self, bytes: Bytes) -> Result<(), Refused> {
        let Content::Inspected(inspected) = &mut self.content else {
            return Ok(());
        };
        let taken = inspected.take_data(bytes);
        taken.map_err(|refused| inspected.break_off(refused).0)
    }

    /// Takes all of the body in, for a client that could not tell a broken one from a whole one.
    pub(crate) async fn take_whole(&mut self) -> Result<(), Refused> {
        match &mut self.content {
            Content::Inspected(inspected) => poll_fn(|cx| inspected.poll_whole(cx)).await,
            Content::Empty | Content::Own(..) | Content::Asked(_) => Ok(()),
        }
    }

    /// Waits a little for the body's beginning, so that what is refused early can be answered
    /// with a refusal instead of a broken response.
    pub(crate) async fn prime(&mut self) -> Result<(), Refused> {
        let Content::Inspected(inspected) = &mut self.content else {
            return Ok(());
        };
        if inspected.prime_now().await? {
            return Ok(());
        }
        let deadline = Instant::now() + BODY_PRIME_TIMEOUT;
        let more = poll_fn(|cx| inspected.poll_primed(cx));
        timeout_at(deadline, more).await.unwrap_or(Ok(()))
    }
}

impl Came {
    /// By a connection, after a request that was sent whole.
    pub(crate) fn by(lease: Lease) -> Self {
        Self {
            lease: Some(lease),
            request: None,
            _hold: None,
        }
    }

    /// Keeps the connection for another exchange. One whose upstream answered before it has read everything
    /// is closed: what follows on it would be the rest of the request.
    pub(crate) fn give_back(self) {
        let is_whole = self.request.is_none_or(|request| request.is_complete());
        if let Some(lease) = self.lease.filter(|_| is_whole) {
            lease.give_back();
        }
    }
}

impl BodyError {
    /// The refusal that broke it off.
    pub(crate) fn refused(&self) -> &Refused {
        &self.0
    }
}

impl Inspected {
    /// Takes what is there without waiting. Whether that is enough.
    async fn prime_now(&mut self) -> Result<bool, Refused> {
        poll_fn(|cx| match self.poll_primed(cx) {
            Poll::Ready(outcome) => Poll::Ready(outcome.map(|()| true)),
            Poll::Pending => Poll::Ready(Ok(false)),
        })
        .await
    }

    /// Ready when the body is in, or enough of it is released. Of a stream of events the first is, since
    /// the next may take long.
    fn poll_primed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        loop {
            let enough = match self.doubt {
                Some(_) => 1,
                None => BODY_PRIME_BYTES_MAX,
            };
            if self.state != State::Open || self.released_bytes >= enough {
                return Poll::Ready(Ok(()));
            }
            ready!(self.poll_take(cx)).map_err(|error| error.0)?;
        }
    }

    /// Ready when the body is in. What is too long to be held is refused.
    fn poll_whole(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refused>> {
        while self.state == State::Open {
            ready!(self.poll_take(cx)).map_err(|error| error.0)?;
            if self.released_bytes > BODY_HOLD_BYTES_MAX {
                let fault = Fault::Unsupported(
                    "a long response without a length, to an HTTP/1.0 client".into(),
                );
                let refused = self.pass.end_with(fault);
                return Poll::Ready(Err(self.break_off(refused).0));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the next frame in. Ready with an error once broken.
    fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if self.is_behind() {
            let taken = self.catch_up();
            return Poll::Ready(taken.or_else(|refused| self.stop(refused)));
        }
        let Poll::Ready(next) = Pin::new(&mut self.from).poll_frame(cx) else {
            return self.poll_lull(cx);
        };
        if let Some(idle) = &mut self.idle {
            idle.last = Instant::now();
        }
        if let Some(doubt) = &mut self.doubt {
            doubt.alarm = None;
        }
        let taken = match next {
            Some(Ok(frame)) => self.take(frame),
            Some(Err(error)) => Err(self.broken(&error)),
            None => self.finish(),
        };
        Poll::Ready(taken.or_else(|refused| self.stop(refused)))
    }

    /// What broke a request's body off broke its response off as well, and is what to tell.
    fn broken(&mut self, error: &hyper::Error) -> Refused {
        let refused = self.pass.end_with(self.source.fault(error));
        self.source.why().cloned().unwrap_or(refused)
    }

    /// Lets go of what may go before waiting for more.
    fn poll_lull(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        if !std::mem::take(&mut self.is_flowing) || self.held_bytes == 0 {
            return self.poll_idle(cx);
        }
        if let Some(doubt) = &mut self.doubt
            && !doubt.is_over(cx)
        {
            self.is_flowing = true;
            return self.poll_idle(cx);
        }
        let looked = match &self.messages {
            _ if self.doubt.is_some() => self.pass.pause(),
            Some(messages) if messages.is_between() => self.pass.pause(),
            Some(_) | None => self.pass.lull(),
        };
        match looked {
            Ok(0) => self.poll_idle(cx),
            Ok(released) => {
                self.release(released);
                Poll::Ready(Ok(()))
            }
            Err(refused) => Poll::Ready(self.stop(refused)),
        }
    }

    /// Breaks the body off, in words where they can be told from its content.
    fn stop(&mut self, refused: Refused) -> Result<(), BodyError> {
        let words = self.doubt.as_ref().and_then(|doubt| doubt.words(&refused));
        let error = self.break_off(refused);
        let Some(words) = words else {
            return Err(error);
        };
        self.released_bytes = words.len();
        self.held.push_back(words);
        Ok(())
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let idle = self.idle.get_or_insert_with(Idle::from_now);
        ready!(idle.poll_over(cx));
        let fault = self.source.idle_fault();
        let refused = self.pass.end_with(fault);
        Poll::Ready(Err(self.break_off(refused)))
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), Refused> {
        match frame.into_data() {
            Ok(bytes) => self.take_data(bytes)?,
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    trailer_surfaces(&trailers, |surface| self.pass.push(surface).map(drop))?;
                    self.trailers = Some(trailers);
                }
            }
        }
        if self.from.is_end_stream() && !self.is_behind() {
            self.finish()?;
        }
        Ok(())
    }

    /// Whether some of what came was not looked at.
    fn is_behind(&self) -> bool {
        self.draft.as_ref().is_some_and(Draft::is_behind)
    }

    /// Takes in the next of what came in a content coding.
    fn catch_up(&mut self) -> Result<(), Refused> {
        let Some(draft) = &mut self.draft else {
            return Ok(());
        };
        let content = draft.read(&mut self.pass)?;
        let events = draft.add(&content);
        self.push_events(events)
    }

    fn take_data(&mut self, bytes: Bytes) -> Result<(), Refused> {
        let Some(draft) = &mut self.draft else {
            return self.push_data(bytes);
        };
        if draft.keep(&bytes) {
            return Ok(());
        }
        let events = draft.add(&bytes);
        self.push_events(events)
    }

    /// Takes events in, with what is to be replaced in them replaced.
    fn push_events(&mut self, events: Bytes) -> Result<(), Refused> {
        if events.is_empty() {
            return Ok(());
        }
        let rewritten = self.pass.redact(surface(&events));
        self.push_data(rewritten.map_or(events, Bytes::from))
    }

    fn push_data(&mut self, bytes: Bytes) -> Result<(), Refused> {
        if bytes.is_empty() {
            return Ok(());
        }
        let released = self.judge(&bytes)?;
        self.is_flowing = true;
        if let Some(messages) = &mut self.messages {
            messages.take(&bytes);
        }
        self.held_bytes += bytes.len();
        self.held.push_back(bytes);
        self.release(released);
        if self.held_bytes > BODY_HOLD_BYTES_MAX {
            let fault = Fault::Unsupported("a body that must be held whole".into());
            return Err(self.pass.end_with(fault));
        }
        Ok(())
    }

    fn judge(&mut self, bytes: &[u8]) -> Result<usize, Refused> {
        if self.from.is_judged() {
            self.pass.count(bytes.len())?;
            return Ok(bytes.len());
        }
        self.pass.push(surface(bytes))
    }

    fn release(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held_bytes);
        self.held_bytes -= bytes;
        self.released_bytes += bytes;
    }

    /// All content is in: the receipt is written, then what is held may go.
    fn finish(&mut self) -> Result<(), Refused> {
        if let Some(draft) = &mut self.draft {
            let rest = draft.end(&mut self.pass)?;
            self.push_events(rest)?;
        }
        self.pass.close()?;
        self.release(self.held_bytes);
        self.state = State::Passed;
        self.source.finish();
        Ok(())
    }

    fn break_off(&mut self, refused: Refused) -> BodyError {
        self.held.clear();
        self.held_bytes = 0;
        self.released_bytes = 0;
        self.state = State::Broken;
        self.source.break_off(&refused);
        BodyError(refused)
    }

    fn pop_released(&mut self) -> Option<Bytes> {
        if self.released_bytes == 0 {
            return None;
        }
        let front = self.held.front_mut()?;
        let bytes = if front.len() <= self.released_bytes {
            self.held.pop_front()?
        } else {
            front.split_to(self.released_bytes)
        };
        self.released_bytes -= bytes.len();
        Some(bytes)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(doubt) = &mut self.doubt {
            doubt.has_begun = true;
        }
        loop {
            if let Some(bytes) = self.pop_released() {
                let bytes = self.restored(bytes);
                if bytes.is_empty() {
                    continue;
                }
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            match self.state {
                State::Open => {}
                State::Passed => {
                    if let Some(rest) = self.restored_rest() {
                        return Poll::Ready(Some(Ok(Frame::data(rest))));
                    }
                    return Poll::Ready(
                        self.trailers
                            .take()
                            .map(|fields| Ok(Frame::trailers(fields))),
                    );
                }
                State::Broken => return Poll::Ready(None),
            }
            if let Err(error) = ready!(self.poll_take(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
        }
    }

    /// What was released as the client is to have it.
    fn restored(&mut self, bytes: Bytes) -> Bytes {
        match &mut self.restoring {
            Some(restoring) => restoring.feed(&bytes).into(),
            None => bytes,
        }
    }

    /// The rest of that, once all was released.
    fn restored_rest(&mut self) -> Option<Bytes> {
        let rest = self.restoring.take()?.end();
        (!rest.is_empty()).then(|| rest.into())
    }

    fn is_over(&self) -> bool {
        self.state == State::Passed
            && self.released_bytes == 0
            && self.trailers.is_none()
            && self.restoring.is_none()
    }

    fn remaining(&self) -> SizeHint {
        let waiting = (self.held_bytes + self.released_bytes) as u64;
        let mut hint = SizeHint::new();
        if self.restoring.is_some() || self.draft.is_some() {
            return hint;
        }
        let ahead = self.from.size_hint();
        match ahead.exact() {
            Some(exact) => hint.set_exact(exact + waiting),
            None => hint.set_lower(waiting),
        }
        hint
    }
}

/// What puts values back in a body that goes on as it comes: one whose length is not told.
fn restoring(from: &Flow, pass: &Pass, headers: &HeaderMap) -> Option<Restoring> {
    let is_endless = from.size_hint().exact().is_none();
    let is_text = !headers.contains_key(CONTENT_ENCODING) && !is_media(headers);
    let may_be = is_endless && is_text && !from.is_judged();
    may_be.then(|| pass.restoring())?
}

fn surface(bytes: &[u8]) -> Surface<'_> {
    Surface {
        kind: SurfaceKind::Body,
        name: "",
        bytes,
    }
}

impl Source {
    /// What an error of the incoming body means.
    fn fault(&self, error: &hyper::Error) -> Fault {
        match self {
            Self::Client { state, .. } => match state.violation() {
                Some(violation) => violation.into(),
                None => Fault::Dropped,
            },
            Self::Upstream(_) if self.why().is_some() => Fault::Dropped,
            Self::Upstream(_) => {
                Fault::Upstream(format!("the response broke off: {}", cause(error)))
            }
        }
    }

    /// The refusal of the request that this answers, whose body was on its way.
    fn why(&self) -> Option<&Refused> {
        match self {
            Self::Client { .. } => None,
            Self::Upstream(came) => came.request.as_ref()?.refused(),
        }
    }

    fn idle_fault(&self) -> Fault {
        match self {
            Self::Client { .. } => Fault::Dropped,
            Self::Upstream(_) => Fault::UpstreamTimeout(format!(
                "the response's body stood still for {BODY_IDLE_TIMEOUT:?}"
            )),
        }
    }

    fn finish(&mut self) {
        match self {
            Self::Client { outcome, .. } => {
                outcome.complete.store(true, Ordering::Release);
            }
            Self::Upstream(came) => {
                std::mem::take(came).give_back();
            }
        }
    }

    fn break_off(&mut self, refused: &Refused) {
        match self {
            Self::Client { outcome, .. } => {
                // Only the first refusal ends the body; there is no second.
                let _ = outcome.refused.set(refused.clone());
            }
            Self::Upstream(came) => came.lease = None,
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.content {
            Content::Empty => Poll::Ready(None),
            Content::Own(bytes, trailers) if bytes.is_empty() => {
                let trailers = trailers.take();
                Poll::Ready(trailers.map(|fields| Ok(Frame::trailers(fields))))
            }
            Content::Own(bytes, _) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Inspected(inspected) => inspected.poll_next(cx),
            Content::Asked(asked) => match &mut *asked.lock() {
                Asked::Going(inspected) => inspected.poll_next(cx),
                Asked::GivenUp(error) => Poll::Ready(Some(Err(error.clone()))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Empty => true,
            Content::Own(bytes, trailers) => bytes.is_empty() && trailers.is_none(),
            Content::Inspected(inspected) => inspected.is_over(),
            Content::Asked(asked) => match &*asked.lock() {
                Asked::Going(inspected) => inspected.is_over(),
                Asked::GivenUp(_) => false,
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Empty => SizeHint::with_exact(0),
            Content::Own(bytes, None) => SizeHint::with_exact(bytes.len() as u64),
            // Only a body whose length is not told ends in trailers.
            Content::Own(bytes, Some(_)) => {
                let mut hint = SizeHint::new();
                hint.set_lower(bytes.len() as u64);
                hint
            }
            Content::Inspected(inspected) => inspected.remaining(),
            Content::Asked(asked) => match &*asked.lock() {
                Asked::Going(inspected) => inspected.remaining(),
                Asked::GivenUp(_) => SizeHint::default(),
            },
        }
    }
}

impl fmt::Debug for Inspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inspected({})", self.pass.id())
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crossing {} was refused", self.0.id)
    }
}

impl std::error::Error for BodyError {}

/// The innermost cause, which says more than the library's summary.
pub(crate) fn cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(next) = inner.source() {
        inner = next;
    }
    inner.to_string()
}
