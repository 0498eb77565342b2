//! A stream of events in which content is replaced: each is held until it is whole.

use ::http::HeaderMap;
use ::http::header::CONTENT_ENCODING;
use bytes::{Bytes, BytesMut};
use carboy_engine::EventForm;
use carboy_wire::http::whole_events;
use hyper::body::Body as _;

use super::flow::Flow;
use crate::gate::{Pass, Refused};
use crate::limits::EVENT_BYTES_MAX;

/// Coded bytes that are read at a time: what little of them may come to is let go of before the next.
const CODED_BYTES: usize = 4 * 1024;

/// What is not a whole event yet.
pub(super) struct Draft {
    form: EventForm,
    held: BytesMut,
    /// How much of it was looked through for an event's end.
    looked: usize,
    /// Of a stream in a content coding: what has come of it and was not read.
    coded: Option<Bytes>,
}

/// Whether a body is made of events whose length is not told, in which the policy wants content replaced.
fn is_drafted(from: &Flow, pass: &Pass) -> bool {
    let is_endless = from.size_hint().exact().is_none();
    is_endless && !from.is_judged() && pass.events().is_some() && pass.redacts()
}

impl Draft {
    /// For a body that is rewritten event by event. A content coding is taken off, and is no longer in the
    /// head.
    pub(super) fn of(from: &Flow, pass: &mut Pass, headers: &mut HeaderMap) -> Option<Self> {
        let form = pass.events().filter(|_| is_drafted(from, pass))?;
        let is_coded = headers.contains_key(CONTENT_ENCODING);
        if is_coded {
            // What cannot be read is inspected as ever.
            if !pass.take_coding_off() {
                return None;
            }
            super::whole::forget(headers);
        }
        Some(Self {
            form,
            held: BytesMut::new(),
            looked: 0,
            coded: is_coded.then(Bytes::new),
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

    /// Keeps coded bytes to be read. False where the stream is in no coding.
    pub(super) fn keep(&mut self, bytes: &Bytes) -> bool {
        let Some(coded) = &mut self.coded else {
            return false;
        };
        // The ones before were read before more were asked for.
        *coded = bytes.clone();
        true
    }

    /// Whether coded bytes wait to be read.
    pub(super) fn is_behind(&self) -> bool {
        self.coded.as_ref().is_some_and(|coded| !coded.is_empty())
    }

    /// The next of them without their coding.
    ///
    /// # Errors
    /// The refusal: they cannot be read.
    pub(super) fn read(&mut self, pass: &mut Pass) -> Result<Vec<u8>, Refused> {
        let Some(coded) = &mut self.coded else {
            return Ok(Vec::new());
        };
        let next = coded.split_to(coded.len().min(CODED_BYTES));
        pass.uncode(&next)
    }

    /// What is left at the stream's end.
    ///
    /// # Errors
    /// As [`Draft::read`].
    pub(super) fn end(&mut self, pass: &mut Pass) -> Result<Bytes, Refused> {
        if self.coded.is_some() {
            let rest = pass.end_uncoding()?;
            self.held.extend_from_slice(&rest);
        }
        Ok(std::mem::take(&mut self.held).freeze())
    }
}
