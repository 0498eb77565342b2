//! A stream of events in which content is replaced: each is held until it is whole.

use ::http::HeaderMap;
use ::http::header::CONTENT_ENCODING;
use bytes::{Bytes, BytesMut};
use carboy_engine::EventForm;
use carboy_wire::http::whole_events;
use hyper::body::Body as _;

use super::flow::Flow;
use crate::gate::Pass;
use crate::limits::EVENT_BYTES_MAX;

/// What is not a whole event yet.
pub(super) struct Draft {
    form: EventForm,
    held: BytesMut,
    /// How much of it was looked through for an event's end.
    looked: usize,
}

impl Draft {
    /// For a body of events whose length is not told, and which is in no content coding.
    pub(super) fn of(from: &Flow, pass: &Pass, headers: &HeaderMap) -> Option<Self> {
        let is_endless = from.size_hint().exact().is_none();
        let is_plain = !headers.contains_key(CONTENT_ENCODING);
        let form = pass
            .events()
            .filter(|_| is_endless && is_plain && !from.is_judged() && pass.redacts())?;
        Some(Self {
            form,
            held: BytesMut::new(),
            looked: 0,
        })
    }

    /// Takes the next bytes, and returns the events that have become whole.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Bytes {
        self.held.extend_from_slice(bytes);
        let end = whole_events(self.form, &self.held, self.looked);
        let end = end.or((self.held.len() > EVENT_BYTES_MAX).then_some(self.held.len()));
        let events = self.held.split_to(end.unwrap_or(0));
        self.looked = self.held.len();
        events.freeze()
    }

    /// What is left at the stream's end.
    pub(super) fn end(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }
}
