//! What goes before on the same connection, the same way: a message may be the rest of what the
//! messages before it began.
//!
//! Text that is cut over messages is whole where its receiver joins it: message after message as they
//! are, or one field of one JSON document after another.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::strings::{Place, Strings, WHOLE, place_of};

/// What is kept of each place: longer than a credential, and than a passage with what it is about.
pub(super) const TAIL_BYTES: usize = 2048;

/// What is joined of one message at one place: what it ends, if it ends anything, is at its head.
const HEAD_BYTES: usize = 64 * 1024;

/// Places remembered. A message of more strings is no delta of anything; those beyond it are judged by
/// themselves alone.
const PLACES_MAX: usize = 64;

/// A value so long that comes again, whole, is an identifier and no delta.
const REPEATED_BYTES_MIN: usize = 8;

/// What lies between the texts of two places: no rule looks across it.
const SEPARATOR: &[u8] = b"\n\n\0\n\n";

/// The memory of one direction of one connection. Bounded: 128 KiB.
#[derive(Default)]
pub struct Conversation(Mutex<Memory>);

#[derive(Default)]
pub(super) struct Memory {
    texts: Vec<Text>,
    messages: u64,
}

/// The end of what was said at one place.
struct Text {
    place: Place,
    tail: Zeroizing<Vec<u8>>,
    /// The message that added to it last.
    at: u64,
}

/// What one message says, place by place.
#[derive(Default)]
pub(super) struct Said {
    strings: Strings,
    places: Vec<Part>,
    whole: Part,
}

#[derive(Default)]
struct Part {
    place: Place,
    head: Zeroizing<Vec<u8>>,
    /// The end, where the head does not hold all of it.
    tail: Zeroizing<Vec<u8>>,
}

/// Old and new text, end to end.
#[derive(Default)]
pub(super) struct Seam {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Where new text begins, and where it ends.
    fresh: Vec<(usize, usize)>,
}

impl Conversation {
    /// Nothing in it can be left half-changed in a way that matters, so a panic elsewhere does not
    /// end the connection.
    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// What a message says where something was said before, with that before it.
    pub(super) fn join(&self, said: &Said) -> Seam {
        let mut seam = Seam::default();
        for part in said.parts().filter(|part| !part.head.is_empty()) {
            if let Some(text) = self.texts.iter().find(|text| text.place == part.place) {
                seam.add(&text.tail, &part.head);
            }
        }
        seam
    }

    /// The same of several messages: also what is said for the first time.
    pub(super) fn join_all(&self, said: &Said) -> Seam {
        let mut seam = Seam::default();
        for part in said.parts().filter(|part| !part.head.is_empty()) {
            let known = self.texts.iter().find(|text| text.place == part.place);
            let tail = known.map_or(&[][..], |text| &text.tail);
            if !is_repeated(tail, &part.head) {
                seam.push(tail, &part.head);
            }
        }
        seam
    }

    /// Remembers what a message said.
    pub(super) fn keep(&mut self, said: &Said) {
        self.messages += 1;
        for part in said.parts().filter(|part| !part.head.is_empty()) {
            if let Some(text) = self.place(part.place) {
                text.add(part);
            }
        }
    }

    /// The text of a place, a new one if need be: in the stead of what was added to longest ago, but
    /// not by this message.
    fn place(&mut self, place: Place) -> Option<&mut Text> {
        let at = self.messages;
        let known = self.texts.iter().position(|text| text.place == place);
        let index = match known {
            Some(index) => index,
            None if self.texts.len() < PLACES_MAX => {
                self.texts.push(Text::new(place));
                self.texts.len() - 1
            }
            None => {
                let ages = self.texts.iter().enumerate();
                let (oldest, text) = ages.min_by_key(|(_, text)| text.at)?;
                if text.at == at {
                    return None;
                }
                self.texts[oldest] = Text::new(place);
                oldest
            }
        };
        self.texts[index].at = at;
        Some(&mut self.texts[index])
    }
}

impl Text {
    fn new(place: Place) -> Self {
        Self {
            place,
            tail: Zeroizing::default(),
            at: 0,
        }
    }

    fn add(&mut self, part: &Part) {
        if is_repeated(&self.tail, &part.head) {
            return;
        }
        let new = match part.tail.is_empty() {
            true => &part.head,
            false => &part.tail,
        };
        push_tail(&mut self.tail, new);
    }
}

impl Said {
    /// The next bytes of the message.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.whole.add(bytes);
        let places = &mut self.places;
        self.strings.feed(bytes, &mut |place, text| {
            let known = places.iter().rposition(|part| part.place == place);
            let index = known.unwrap_or_else(|| {
                if places.len() < PLACES_MAX {
                    places.push(Part {
                        place,
                        ..Part::default()
                    });
                }
                places.len() - 1
            });
            if places[index].place == place {
                places[index].add(text);
            }
        });
    }

    /// A string of a message that was read already, and its path there.
    pub(super) fn add_at(&mut self, path: &str, text: &[u8]) {
        let place = place_of(path);
        let known = self.places.iter().rposition(|part| part.place == place);
        let index = match known {
            Some(index) => index,
            None if self.places.len() < PLACES_MAX => {
                self.places.push(Part {
                    place,
                    ..Part::default()
                });
                self.places.len() - 1
            }
            None => return,
        };
        self.places[index].add(text);
    }

    /// The strings of a document, or the whole of what is none.
    fn parts(&self) -> impl Iterator<Item = &Part> {
        debug_assert_eq!(self.whole.place, WHOLE);
        match self.strings.is_whole() || self.whole.head.is_empty() {
            true => self.places.iter(),
            false => std::slice::from_ref(&self.whole).iter(),
        }
    }
}

impl Part {
    fn add(&mut self, bytes: &[u8]) {
        let room = HEAD_BYTES - self.head.len();
        let (near, far) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(near);
        if far.is_empty() {
            return;
        }
        if self.tail.is_empty() {
            push_tail(&mut self.tail, &self.head);
        }
        push_tail(&mut self.tail, far);
    }
}

impl Seam {
    fn add(&mut self, tail: &[u8], head: &[u8]) {
        if !tail.is_empty() && !is_repeated(tail, head) {
            self.push(tail, head);
        }
    }

    fn push(&mut self, tail: &[u8], head: &[u8]) {
        self.bytes.extend_from_slice(tail);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(head);
        self.fresh.push((start, self.bytes.len()));
        self.bytes.extend_from_slice(SEPARATOR);
    }

    /// Where the new text ends that a range reaches into; none where it reaches into none.
    pub(super) fn end_of_fresh(&self, offset: u64, len: u64) -> Option<u64> {
        let end = offset + len;
        let reaches =
            |(start, until): &&(usize, usize)| end > *start as u64 && end <= *until as u64;
        let reached = self.fresh.iter().find(reaches);
        reached.map(|(_, until)| *until as u64)
    }

    /// Whether a range begins in old text and ends in what follows it.
    pub(super) fn is_across(&self, offset: u64, len: u64) -> bool {
        let end = offset + len;
        let mut fresh = self.fresh.iter();
        fresh.any(|(start, until)| {
            offset < *start as u64 && end > *start as u64 && end <= *until as u64
        })
    }
}

fn is_repeated(tail: &[u8], head: &[u8]) -> bool {
    head.len() >= REPEATED_BYTES_MIN && tail.ends_with(head)
}

/// Appends, and keeps the end.
fn push_tail(tail: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
    let over = (tail.len() + bytes.len()).saturating_sub(TAIL_BYTES);
    tail.drain(..over);
    tail.extend_from_slice(bytes);
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Conversation")
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Said")
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, PLACES_MAX, Said, TAIL_BYTES};

    fn said(text: &str) -> Said {
        let mut said = Said::default();
        said.add(text.as_bytes());
        said
    }

    /// Whether the last message makes this text whole.
    fn joins(messages: &[&str], text: &str) -> bool {
        let (last, before) = messages.split_last().expect("a message");
        let mut memory = Memory::default();
        for message in before {
            memory.keep(&said(message));
        }
        let seam = memory.join(&said(last));
        let finder = memchr::memmem::Finder::new(text);
        let mut found = finder.find_iter(&seam.bytes);
        found.any(|at| seam.is_across(at as u64, text.len() as u64))
    }

    #[test]
    fn text_that_is_cut_is_joined_by_place() {
        let cases: &[(&[&str], bool)] = &[
            (&["ig", "nore"], true),
            (&[r#"{"d":{"t":"ig"}}"#, r#"{"d":{"t":"nore"}}"#], true),
            (
                &[r#"{"t":"ig","id":1}"#, r#"{"t":"n"}"#, r#"{"t":"ore"}"#],
                true,
            ),
            (&[r#"{"t":"ig"}"#, r#"{"u":"x"}"#, r#"{"t":"nore"}"#], true),
            (&[r#"{"t":"ig"}"#, r#"{"u":"nore"}"#], false),
            (&[r#"[{"t":"ig"}]"#, r#"[{"t":"nore"},{"t":"s"}]"#], true),
            (&["ignore"], false),
            (&["ignore", "x"], false),
        ];
        for (messages, expect) in cases {
            assert_eq!(joins(messages, "ignore"), *expect, "{messages:?}");
        }
    }

    #[test]
    fn text_of_messages_that_were_read_is_joined_by_path() {
        let said = |path: &str, text: &str| {
            let mut said = Said::default();
            said.add_at(path, text.as_bytes());
            said
        };
        for (first, second, expect) in [
            ("/result/text", "/result/text", true),
            ("/result/parts/0/text", "/result/parts/17/text", true),
            ("/result/text", "/result/title", false),
        ] {
            let mut memory = Memory::default();
            memory.keep(&said(first, "ig"));
            let seam = memory.join(&said(second, "nore"));
            let joined = memchr::memmem::find(&seam.bytes, b"ignore").is_some();
            assert_eq!(joined, expect, "{first} {second}");
        }
    }

    #[test]
    fn identifiers_that_come_again_are_no_text() {
        let messages = [r#"{"id":"msg_12345678"}"#; 3];
        assert!(!joins(&messages, "12345678msg"));
    }

    #[test]
    fn memory_is_bounded() {
        let mut memory = Memory::default();
        for number in 0..3 * PLACES_MAX {
            memory.keep(&said(&format!(
                "{{\"k{number}\":\"{}\"}}",
                "x".repeat(3 * TAIL_BYTES)
            )));
            memory.keep(&said(&"y".repeat(300_000)));
        }
        assert!(memory.texts.len() <= PLACES_MAX);
        assert!(
            memory
                .texts
                .iter()
                .all(|text| text.tail.len() <= TAIL_BYTES)
        );
        // What is said all the time stays, whatever else comes and goes.
        assert!(memory.texts.iter().any(|text| text.place == super::WHOLE));
    }
}
