//! Server-sent events, as the protocol's HTTP transports use them (HTML Standard, section 9.2).

use std::collections::VecDeque;

/// The longest event: one message, as in a pipe.
pub const EVENT_BYTES_MAX: usize = super::LINE_BYTES_MAX;

/// The longest event's id. Servers use a counter or two UUIDs.
const ID_BYTES_MAX: usize = 1024;

/// The longest wait before connecting again that is passed on, in milliseconds: a day. A longer one is
/// no time, and its digits could be anything.
const RETRY_MAX: u64 = 24 * 60 * 60 * 1000;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its id, by which a client says where it was cut off; empty where it has none.
    pub id: String,
    /// Its name; empty for a message.
    pub name: String,
    /// Its data's lines, joined by line feeds.
    pub data: Vec<u8>,
    /// Whether it has data, be it empty: only then does a client see it, and its id.
    pub has_data: bool,
    /// How long to wait before connecting again, in milliseconds.
    pub retry: Option<u64>,
}

/// Why a stream of events cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {EVENT_BYTES_MAX} bytes")]
pub struct LongEvent;

/// Bytes of a stream, cut into events.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    /// Whether the last byte was a carriage return, which a line feed may belong to.
    after_return: bool,
    has_started: bool,
    event: Event,
    size: usize,
    whole: VecDeque<Event>,
}

impl Events {
    /// Takes bytes that came.
    ///
    /// # Errors
    /// When an event is too long.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), LongEvent> {
        for byte in bytes {
            let follows_return = std::mem::take(&mut self.after_return);
            match byte {
                b'\n' if follows_return => {}
                b'\n' => self.end_line(),
                b'\r' => {
                    self.after_return = true;
                    self.end_line();
                }
                byte => {
                    self.size += 1;
                    if self.size > EVENT_BYTES_MAX {
                        return Err(LongEvent);
                    }
                    self.line.push(*byte);
                }
            }
        }
        Ok(())
    }

    /// The next whole event. One without data only tells its id, or that the stream lives.
    pub fn next_event(&mut self) -> Option<Event> {
        self.whole.pop_front()
    }

    fn end_line(&mut self) {
        const MARK: &[u8] = b"\xef\xbb\xbf";
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.has_started, true) && line.starts_with(MARK) {
            line.drain(..MARK.len());
        }
        match line.is_empty() {
            true => self.end_event(),
            false => self.field(&line),
        }
    }

    fn end_event(&mut self) {
        self.size = 0;
        let mut event = std::mem::take(&mut self.event);
        if event.has_data {
            // Each line brought a line feed; the last one goes.
            event.data.pop();
        }
        self.whole.push_back(event);
    }

    fn field(&mut self, line: &[u8]) {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = match colon {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b"data" => {
                self.event.has_data = true;
                self.event.data.extend_from_slice(value);
                self.event.data.push(b'\n');
            }
            b"event" => self.event.name = text(),
            b"id" if value.len() <= ID_BYTES_MAX && !value.contains(&0) => self.event.id = text(),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                self.event.retry = text().parse().ok().filter(|wait| *wait <= RETRY_MAX);
            }
            _ => {}
        }
    }
}

impl Event {
    /// The event as bytes; one without anything is a comment, which keeps the stream alive.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + self.id.len() + 32);
        let mut field = |name: &str, value: &[u8]| {
            for part in [name.as_bytes(), b": ", value, b"\n"] {
                out.extend_from_slice(part);
            }
        };
        if !self.name.is_empty() {
            field("event", self.name.as_bytes());
        }
        if !self.id.is_empty() {
            field("id", self.id.as_bytes());
        }
        if let Some(retry) = self.retry {
            field("retry", retry.to_string().as_bytes());
        }
        let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        for line in self.data.split(is_end).filter(|line| !line.is_empty()) {
            field("data", line);
        }
        if self.has_data && self.data.is_empty() {
            out.extend_from_slice(b"data: \n");
        }
        if out.is_empty() {
            out.extend_from_slice(b":\n");
        }
        out.push(b'\n');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{EVENT_BYTES_MAX, Event, Events, LongEvent};

    fn events(pieces: &[&[u8]]) -> Vec<Event> {
        let mut events = Events::default();
        let mut found = Vec::new();
        for piece in pieces {
            events.push(piece).expect("short events");
            found.extend(std::iter::from_fn(|| events.next_event()));
        }
        found
    }

    #[test]
    fn events_are_read_alike_however_they_are_cut() {
        let text = b"\xef\xbb\xbfid: 7\r\nevent:message\rdata: {\"a\":\ndata:1}\nretry: 50\nother: x\n\n: ping\n\nid: 8\n\ndata\n\ndata: lost";
        let expected = [
            Event {
                id: "7".into(),
                name: "message".into(),
                data: b"{\"a\":\n1}".to_vec(),
                has_data: true,
                retry: Some(50),
            },
            Event::default(),
            Event {
                id: "8".into(),
                ..Event::default()
            },
            Event {
                has_data: true,
                ..Event::default()
            },
        ];
        assert_eq!(events(&[text]), expected);
        for size in [1, 2, 3, 7] {
            let pieces: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(events(&pieces), expected, "pieces of {size}");
        }
        let bytes: Vec<u8> = expected.iter().flat_map(Event::to_bytes).collect();
        assert_eq!(events(&[&bytes]), expected);
    }

    #[test]
    fn a_wait_is_a_time() {
        for (text, retry) in [
            ("50", Some(50)),
            ("86400000", Some(86_400_000)),
            ("86400001", None),
            ("4111111111111111", None),
            ("-1", None),
        ] {
            let found = events(&[format!("retry: {text}\n\n").as_bytes()]);
            assert_eq!(found[0].retry, retry, "{text}");
        }
    }

    #[test]
    fn an_event_has_a_bound() {
        let mut events = Events::default();
        assert_eq!(events.push(&vec![b'a'; EVENT_BYTES_MAX]), Ok(()));
        assert_eq!(events.push(b"a"), Err(LongEvent));
    }
}
