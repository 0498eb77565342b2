//! Cuts a stream into events: server-sent ones (HTML standard, section 9.2.6), or lines of JSON.

use memchr::{memchr, memchr2};

/// The longest event that is judged as one. Of a longer one each part is.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// What tells one event of a stream from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventForm {
    /// A blank line: server-sent events.
    Sent,
    /// The end of a line: lines of JSON.
    Lines,
}

/// What an event says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) data: Vec<u8>,
    /// What a client that comes back will send as `Last-Event-ID`.
    pub(crate) id: Vec<u8>,
}

/// Follows a stream's bytes.
#[derive(Debug)]
pub(crate) struct Cutter {
    form: EventForm,
    at: u64,
    /// Where the last whole event ends.
    whole: u64,
    line: Vec<u8>,
    event: Event,
    /// The event has fields, so that a comment does not end it.
    has_fields: bool,
    is_after_cr: bool,
    ready: Vec<Event>,
}

impl EventForm {
    /// What a `content-type` says.
    pub(crate) fn of(content_type: &[u8]) -> Option<Self> {
        const LINES: [&str; 5] = [
            "application/x-ndjson",
            "application/ndjson",
            "application/jsonl",
            "application/x-jsonlines",
            "application/stream+json",
        ];
        let name = content_type.split(|byte| *byte == b';').next()?;
        let name = name.trim_ascii();
        let is = |own: &&str| name.eq_ignore_ascii_case(own.as_bytes());
        if is(&"text/event-stream") {
            return Some(Self::Sent);
        }
        LINES.iter().any(is).then_some(Self::Lines)
    }
}

impl Cutter {
    pub(crate) fn new(form: EventForm) -> Self {
        Self {
            form,
            at: 0,
            whole: 0,
            line: Vec::new(),
            event: Event::default(),
            has_fields: false,
            is_after_cr: false,
            ready: Vec::new(),
        }
    }

    /// Where the last whole event ends.
    pub(crate) fn whole(&self) -> u64 {
        self.whole
    }

    /// The events that have become whole.
    pub(crate) fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.ready)
    }

    /// Follows the next bytes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = match self.form {
                EventForm::Sent => self.feed_line(bytes, memchr2(b'\n', b'\r', bytes)),
                EventForm::Lines => self.feed_line(bytes, memchr(b'\n', bytes)),
            };
        }
    }

    /// Ends the stream: what is left is an event too.
    pub(crate) fn end(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_event();
    }

    fn feed_line<'a>(&mut self, bytes: &'a [u8], end: Option<usize>) -> &'a [u8] {
        let is_pair = std::mem::take(&mut self.is_after_cr) && bytes[0] == b'\n';
        if is_pair {
            // The rest of the line end before, which may have ended an event.
            self.whole += u64::from(self.whole == self.at);
            self.at += 1;
            return &bytes[1..];
        }
        let room = EVENT_BYTES_MAX.saturating_sub(self.line.len() + self.event.data.len());
        let Some(end) = end.filter(|end| *end <= room) else {
            let taken = room.min(bytes.len());
            self.line.extend_from_slice(&bytes[..taken]);
            self.at += taken as u64;
            if taken == room {
                self.end();
            }
            return &bytes[taken..];
        };
        self.line.extend_from_slice(&bytes[..end]);
        self.at += end as u64 + 1;
        self.is_after_cr = bytes[end] == b'\r';
        self.end_line();
        &bytes[end + 1..]
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        match (self.form, &line[..]) {
            (EventForm::Lines, _) => {
                self.event.data = line;
                self.end_event();
            }
            (EventForm::Sent, []) => self.end_event(),
            (EventForm::Sent, [b':', ..]) if !self.has_fields => self.whole = self.at,
            (EventForm::Sent, field) => self.take_field(field),
        }
    }

    fn take_field(&mut self, line: &[u8]) {
        self.has_fields = true;
        let value = |name: &[u8]| {
            let rest = line.strip_prefix(name)?.strip_prefix(b":")?;
            Some(rest.strip_prefix(b" ").unwrap_or(rest))
        };
        if let Some(data) = value(b"data") {
            if !self.event.data.is_empty() {
                self.event.data.push(b'\n');
            }
            self.event.data.extend_from_slice(data);
        } else if let Some(id) = value(b"id") {
            self.event.id = id.to_vec();
        }
    }

    fn end_event(&mut self) {
        self.whole = self.at;
        self.has_fields = false;
        let event = std::mem::take(&mut self.event);
        if event != Event::default() {
            self.ready.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cutter, EVENT_BYTES_MAX, EventForm};

    /// What each event says, and how much of the stream is whole before its end.
    fn cut(form: EventForm, text: &[u8], size: usize) -> (Vec<(String, String)>, u64) {
        let mut cutter = Cutter::new(form);
        for piece in text.chunks(size) {
            cutter.feed(piece);
        }
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let events = cutter.take().into_iter();
        (
            events.map(|own| (text(own.data), text(own.id))).collect(),
            cutter.whole(),
        )
    }

    #[test]
    fn events_are_cut_alike_however_they_come() {
        type Events = &'static [(&'static str, &'static str)];
        let cases: &[(EventForm, &str, Events, u64)] = &[
            (EventForm::Sent, "data: a\n\ndata: b", &[("a", "")], 9),
            (EventForm::Sent, "data: a\r\n\r\n", &[("a", "")], 11),
            (EventForm::Sent, "data: a\r\rx", &[("a", "")], 9),
            (
                EventForm::Sent,
                "data:a\ndata: b\nid: 7\n\n",
                &[("a\nb", "7")],
                22,
            ),
            (EventForm::Sent, ": hello\n: again\n", &[], 16),
            (EventForm::Sent, "event: x\n: c\n", &[], 0),
            (EventForm::Sent, "event: x\ndata\n\n", &[], 15),
            (EventForm::Lines, "{\"a\":1}\n{}", &[("{\"a\":1}", "")], 8),
        ];
        for (form, text, expect, whole) in cases {
            for size in [1, 2, 3, 100] {
                let expect = expect.iter().map(|(a, b)| ((*a).into(), (*b).into()));
                let expect = (expect.collect(), *whole);
                assert_eq!(
                    cut(*form, text.as_bytes(), size),
                    expect,
                    "{text:?} by {size}"
                );
            }
        }
    }

    #[test]
    fn an_endless_event_is_cut() {
        let (events, whole) = cut(EventForm::Sent, &vec![b'x'; 3 * EVENT_BYTES_MAX + 1], 1000);
        assert_eq!(whole, 3 * EVENT_BYTES_MAX as u64);
        assert!(events.is_empty(), "it has no data");
        let line = vec![b'x'; 2 * EVENT_BYTES_MAX];
        assert_eq!(cut(EventForm::Lines, &line, 777).0.len(), 2);
    }

    #[test]
    fn types_of_streams() {
        let of = |text: &str| EventForm::of(text.as_bytes());
        assert_eq!(
            of("text/event-stream; charset=utf-8"),
            Some(EventForm::Sent)
        );
        assert_eq!(of("Application/X-NDJSON"), Some(EventForm::Lines));
        assert_eq!(of("application/json"), None);
    }
}
