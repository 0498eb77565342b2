//! A stream of events: each is judged when it is whole, with those before it, and then released.
//!
//! A model's answer says in the next sentence that it only cites an attack, so what looks like one at
//! the very end of what was said is held until more is said, or nothing more is.

use super::Inspection;
use super::conversation::{Memory, Said, Seam};
use crate::crossing::{Direction, SurfaceKind, Time};
use crate::entropy::Load;
use crate::finding::{Action, Class};
use crate::scan::{Budget, Event, Sighting, Stream};
use crate::session::Session;
use crate::strings::Strings;

/// So much after it must have been said before an instruction is told from the mention of one: what
/// its topic is looked for in.
const AFTER_BYTES: u64 = 640;

/// What is held of events in doubt.
const DOUBT_BYTES_MAX: u64 = 8 * 1024;

/// What was said in the events so far.
#[derive(Default)]
pub(super) struct Course {
    memory: Memory,
    /// What events say that are not judged yet: those that are JSON, and the others.
    documents: Said,
    texts: Said,
}

/// Whether doubtful events may wait for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    More,
    Last,
}

impl Course {
    fn add(&mut self, data: &[u8]) {
        let mut strings = Strings::default();
        strings.feed(data, &mut |_, _| {});
        match strings.is_whole() {
            true => self.documents.add(data),
            false => self.texts.add(data),
        }
    }

    fn seams(&self) -> [Seam; 2] {
        [&self.documents, &self.texts].map(|said| self.memory.join_all(said))
    }

    fn keep(&mut self) {
        self.memory.keep(&std::mem::take(&mut self.documents));
        self.memory.keep(&std::mem::take(&mut self.texts));
    }
}

impl std::fmt::Debug for Course {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Course")
    }
}

impl Inspection {
    /// Judges the events of a stream that have become whole. Returns how many raw bytes may go.
    pub(super) fn judge_events(
        &mut self,
        stream: &mut Stream,
        patience: Patience,
        session: &Session,
        now: Time,
    ) -> usize {
        let mut course = self.course.take().unwrap_or_default();
        for event in stream.take_events() {
            self.note_id(&event, session, now);
            course.add(&event.data);
        }
        let undecided = stream.undecided_bytes();
        let is_last = patience == Patience::Last || self.is_audit() || undecided > DOUBT_BYTES_MAX;
        let mut released = 0;
        if undecided > 0 || patience == Patience::Last {
            let (mut seen, is_doubtful) = self.look_at(stream, &course, now);
            if is_last || !is_doubtful {
                course.keep();
                for sighting in seen.drain(..) {
                    self.judge(sighting, SurfaceKind::Body, "", now);
                }
                if !self.is_stopped() {
                    released = stream.settle_events();
                }
            }
        }
        self.course = Some(course);
        released
    }

    /// What would block, and whether more could show that it is none of it.
    fn look_at(&self, stream: &mut Stream, course: &Course, now: Time) -> (Vec<Sighting>, bool) {
        let bench = self.bench(now);
        let blocks = |own: &Sighting| bench.action(own, SurfaceKind::Body) >= Some(Action::Redact);
        let holds = |own: &Sighting| !self.is_audit() && blocks(own);
        let scanner = &self.engine.scanner;
        let mut seen = stream.look_at_events(scanner, &holds);
        let whole = stream.whole();
        let is_young = |own: &Sighting, until: u64| {
            own.rule.class == Class::Injection && until < own.offset + own.len + AFTER_BYTES
        };
        let mut is_doubtful = seen.iter().all(|own| is_young(own, whole)) && !seen.is_empty();
        let mut is_sure = !seen.is_empty() && !is_doubtful;
        for seam in course.seams() {
            let (mut found, mut budget) = (Vec::new(), Budget::default());
            let (kind, direction) = (SurfaceKind::Body, self.kind.direction());
            // A budget of its own, as it comes again with each event. What it does not suffice for, the
            // scan of the stream itself is refused for.
            let scanned = scanner.scan(kind, direction, &seam.bytes, &mut budget, &mut found);
            if scanned.is_err() {
                continue;
            }
            found.retain(|own| own.is_sure_when_joined() && blocks(own));
            for mut sighting in found {
                let Some(until) = seam.end_of_fresh(sighting.offset, sighting.len) else {
                    continue;
                };
                match is_young(&sighting, until) {
                    true => is_doubtful = true,
                    false => is_sure = true,
                }
                sighting.offset = stream.whole();
                sighting.via.insert(0, "over-events");
                seen.push(sighting);
            }
        }
        (seen, is_doubtful && !is_sure)
    }

    /// What the world gave as an event's id may go out again.
    fn note_id(&self, event: &Event, session: &Session, now: Time) {
        if self.kind.direction() == Direction::Inbound && !event.id.is_empty() {
            Load::of(&event.id, &mut |run| session.give(run, now));
        }
    }
}
