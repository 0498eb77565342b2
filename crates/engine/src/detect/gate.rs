//! The literal sweep: one pass over a view tells which patterns may match, and where.

use std::io::Read;
use std::ops::Range;
use std::sync::LazyLock;

use flate2::read::ZlibDecoder;

use super::{BACK_BYTES, ON_BYTES};
use crate::crossing::Direction;
use crate::injection::Cues;
use crate::rules::{PATTERNS, Pattern};

include!(concat!(env!("OUT_DIR"), "/gate.rs"));

/// Literals of the rules, as one automaton.
struct Gate<const ROW: usize, const LEN: usize> {
    classes: [u8; 256],
    /// The next state by state and class, in rows of `ROW`.
    table: &'static [[u8; 2]; LEN],
    /// The first accepting state.
    accept: usize,
    /// What is woken at the accepting states, one state's after the other's.
    wakes: &'static [Wake],
    /// The accepting states, and one more.
    ends: &'static [End],
    tails: &'static [u8],
}

/// An accepting state.
struct End {
    /// The kinds of cues that end there, on the way out and on the way in.
    cues: [u32; 2],
    /// Where its wakes start, those of the state before end.
    start: u16,
    /// The state to go on from.
    after: u16,
}

/// A literal whose head ends at a state.
struct Wake {
    /// One group of one pattern: `pattern * SLOTS + group`.
    slot: u16,
    /// Whether it is looked for on the way out, and on the way in.
    ways: [bool; 2],
    head_len: u8,
    tail: u32,
    tail_len: u8,
}

/// Unpacks a table, of whose rows most are alike: a binary that held it as it is would be larger by a megabyte.
fn entries<const LEN: usize>(packed: &[u8]) -> &'static [[u8; 2]; LEN] {
    let mut table = vec![[0; 2]; LEN].into_boxed_slice();
    let unpacked = ZlibDecoder::new(packed).read_exact(table.as_flattened_mut());
    unpacked.expect("the build script packed as many");
    let table: Box<[[u8; 2]; LEN]> = table.try_into().expect("it was made of this length");
    Box::leak(table)
}

/// Set in a state where a literal's head ends.
const ACCEPTS: usize = 0x8000;

/// A view of at least this many bytes is swept as four stretches at once: the automaton's steps
/// wait for memory, not for each other.
const SPLIT_MIN: usize = 256;

/// A wide literal's head has a byte beyond ASCII and lies within so many bytes of it.
const WIDE_REACH: usize = 8;

/// The literals that a view holds.
#[derive(Default)]
pub(crate) struct Literals {
    /// Each is a number of its own, `slot << 32 | place`, so that sorting gathers each pattern's. A place
    /// is where the literal ends; of an anchored pattern's own literal, where it starts.
    found: Vec<u64>,
    /// Those that are cues.
    cues: Cues,
}

impl Literals {
    /// Finds those of a whole view.
    pub(super) fn sweep(&mut self, view: &[u8], direction: Direction) {
        self.add(view, 0..view.len(), direction);
        self.found.sort_unstable();
    }

    /// Finds those of a view that is a part of its parent with some changes: the parent's own, where
    /// `carry` says that they are now, and what a sweep around each change finds.
    pub(super) fn inherit(
        &mut self,
        view: &[u8],
        parent: &Self,
        part: Range<usize>,
        carry: impl Fn(u32) -> Option<u32>,
        changes: impl Iterator<Item = Range<usize>>,
        direction: Direction,
    ) {
        let carried = parent.found.iter().filter_map(|found| {
            let place = place(*found);
            let is_near = (part.start..=part.end).contains(&(place as usize));
            let place = is_near.then(|| carry(place)).flatten()?;
            Some(found >> PLACE_BITS << PLACE_BITS | u64::from(place))
        });
        self.found.extend(carried);
        self.cues.inherit(&parent.cues, part, &carry, view.len());
        for stretch in around(view, changes) {
            self.add(view, stretch, direction);
        }
        self.found.sort_unstable();
        self.found.dedup();
    }

    fn add(&mut self, view: &[u8], span: Range<usize>, direction: Direction) {
        let way = match direction {
            Direction::Outbound => 0,
            Direction::Inbound => 1,
        };
        PLAIN.sweep(view, span.clone(), way, self);
        for stretch in wide_stretches(view, span) {
            WIDE.sweep(view, stretch, way, self);
        }
    }

    fn note(&mut self, view: &[u8], wake: &Wake, head_end: usize, end: usize) {
        if let Some(kind) = Cues::kind(wake.slot / SLOTS as u16) {
            self.cues.note(1 << kind, end, view.len());
            return;
        }
        let pattern = usize::from(wake.slot) / SLOTS;
        let is_own = usize::from(wake.slot) == pattern * SLOTS;
        let place = if is_own && PATTERNS[pattern].is_anchored {
            head_end - usize::from(wake.head_len)
        } else {
            end
        };
        self.found
            .push(u64::from(wake.slot) << PLACE_BITS | place as u64);
    }

    /// The patterns of which a literal is there, in their order.
    pub(super) fn woken(&self) -> impl Iterator<Item = Woken<'_>> {
        let by_pattern = self.found.chunk_by(|a, b| pattern(*a) == pattern(*b));
        by_pattern.map(|found| Woken {
            number: pattern(found[0]),
            found,
        })
    }

    pub(super) fn cues(&self) -> &Cues {
        &self.cues
    }
}

/// The parts of a view in which a literal may be that a change is a part of.
fn around(
    view: &[u8],
    changes: impl Iterator<Item = Range<usize>>,
) -> impl Iterator<Item = Range<usize>> {
    let mut parts = changes.scan(0, |changed, change| {
        // What begins before the last change is found from there on.
        let start = change.start.max(*changed);
        let before = view[*changed..start].iter().rev();
        let start = start - stretch(before, LITERAL_LEN_MAX);
        *changed = change.end;
        let after = view[change.end..].iter();
        Some(start..change.end + stretch(after, HEAD_LEN_MAX))
    });
    let mut next = parts.next();
    std::iter::from_fn(move || {
        let mut part = next.take()?;
        for after in parts.by_ref() {
            if after.start > part.end {
                next = Some(after);
                break;
            }
            part.end = after.end.max(part.end);
        }
        Some(part)
    })
}

/// A view is far shorter than this allows.
const PLACE_BITS: u32 = 32;

fn place(found: u64) -> u32 {
    found as u32
}

fn slot(found: u64) -> usize {
    (found >> PLACE_BITS) as usize
}

fn pattern(found: u64) -> u16 {
    (slot(found) / SLOTS) as u16
}

/// A pattern of which a literal is in a view.
pub(super) struct Woken<'a> {
    /// Its index.
    pub(super) number: u16,
    found: &'a [u64],
}

impl Woken<'_> {
    /// Where its own literals are, in order.
    pub(super) fn places(&self) -> impl Iterator<Item = u32> {
        let own = usize::from(self.number) * SLOTS;
        let count = self.found.partition_point(|found| slot(*found) == own);
        self.found[..count].iter().map(|found| place(*found))
    }

    /// Gives its windows, only where each of its groups is there. An anchored pattern can match only
    /// at a window's start; the windows of others are merged where they overlap.
    pub(super) fn windows(
        &self,
        view: &[u8],
        is_fresh: &dyn Fn(&Range<usize>) -> bool,
        windows: &mut Vec<Range<usize>>,
    ) {
        windows.clear();
        let pattern = &PATTERNS[usize::from(self.number)];
        for at in self.places() {
            let widest = widest(pattern, at as usize, view.len());
            if !self.is_full(pattern, &widest) || !is_fresh(&widest) {
                continue;
            }
            let window = within_reach(pattern, at as usize, view, widest);
            if !self.is_full(pattern, &window) || !is_fresh(&window) {
                continue;
            }
            if pattern.is_anchored && is_said(view, windows, &window) {
                continue;
            }
            match windows.last_mut() {
                Some(last) if *last == window => {}
                Some(last) if last.end >= window.start && !pattern.is_anchored => {
                    last.end = last.end.max(window.end);
                }
                Some(_) | None => windows.push(window),
            }
        }
    }

    /// Whether each group besides the pattern's own has a literal in a window.
    fn is_full(&self, pattern: &Pattern, window: &Range<usize>) -> bool {
        let own = usize::from(self.number) * SLOTS;
        (own + 1..own + pattern.groups).all(|other| {
            let first = (other as u64) << PLACE_BITS | window.start as u64;
            let next = self.found.partition_point(|found| *found < first);
            self.found
                .get(next)
                .is_some_and(|found| slot(*found) == other && place(*found) as usize <= window.end)
        })
    }
}

/// Whether a window is a few bytes over and over and one of the last ones was the same: it shows nothing
/// else, and no credential. A literal would be at every place of such content.
fn is_said(view: &[u8], windows: &[Range<usize>], window: &Range<usize>) -> bool {
    const PERIOD_MAX: usize = 4;
    let bytes = &view[window.clone()];
    let is_period =
        |period| bytes.len() > period && bytes.ends_with(&bytes[..bytes.len() - period]);
    if !(1..=PERIOD_MAX).any(is_period) {
        return false;
    }
    let around = |range: &Range<usize>| view.get(range.start.saturating_sub(1)..=range.end);
    let mut last = windows.iter().rev().take(PERIOD_MAX);
    last.any(|last| around(last) == around(window))
}

/// The most that a match with a literal at `place` may cover.
fn widest(pattern: &Pattern, place: usize, view_len: usize) -> Range<usize> {
    let back = if pattern.is_anchored { 0 } else { BACK_BYTES };
    place.saturating_sub(back)..view_len.min(place + ON_BYTES)
}

/// What of `widest` the longest match of the pattern can cover.
fn within_reach(
    pattern: &Pattern,
    place: usize,
    view: &[u8],
    widest: Range<usize>,
) -> Range<usize> {
    if pattern.reach >= ON_BYTES {
        return widest;
    }
    let start = if pattern.is_anchored {
        place
    } else {
        let before = view[widest.start..place].iter().rev();
        place - stretch(before, pattern.reach)
    };
    start..place + stretch(view[place..widest.end].iter(), pattern.reach)
}

/// The bytes that `reach` bytes take, runs of white space counted as one.
fn stretch<'a>(bytes: impl ExactSizeIterator<Item = &'a u8>, reach: usize) -> usize {
    let len = bytes.len();
    // The byte that ends a match may be looked at too.
    let mut left = reach + 1;
    let mut was_space = false;
    for (taken, byte) in bytes.enumerate() {
        let is_space = FOLD[usize::from(*byte)] == b' ';
        left -= usize::from(!(is_space && was_space));
        was_space = is_space;
        if left == 0 {
            return taken + 1;
        }
    }
    len
}

/// The parts of a span of a view in which a wide literal's head may be: blocks with a byte beyond
/// ASCII, and what lies within reach of them.
fn wide_stretches(view: &[u8], span: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    // The compiler makes vector instructions of the test of one.
    const BLOCK: usize = 64;
    let mut blocks = view[span.clone()].chunks(BLOCK).enumerate().peekable();
    let is_wide = |block: &[u8]| block.iter().fold(0, |all, byte| all | byte) >= 0x80;
    std::iter::from_fn(move || {
        let (first, _) = blocks.find(|(_, block)| is_wide(block))?;
        let mut last = first;
        while blocks.next_if(|(_, block)| is_wide(block)).is_some() {
            last += 1;
        }
        let start = (first * BLOCK).saturating_sub(WIDE_REACH);
        let end = (last + 1) * BLOCK + WIDE_REACH;
        Some(span.start + start..span.end.min(span.start + end))
    })
}

impl<const ROW: usize, const LEN: usize> Gate<ROW, LEN> {
    /// The next state. One that accepts must be noted before it is stepped from.
    #[inline(always)]
    fn step(&self, state: usize, byte: u8) -> usize {
        let class = usize::from(self.classes[usize::from(byte)]);
        let next = self.table[state * ROW + class];
        usize::from(u16::from_le_bytes(next))
    }

    fn sweep(&self, view: &[u8], span: Range<usize>, way: usize, literals: &mut Literals) {
        let quarter = span.len() / 4;
        if span.len() < SPLIT_MIN {
            self.run(view, span, way, literals);
            return;
        }
        let starts = [0, 1, 2, 3].map(|index| span.start + index * quarter);
        // Slices of one length, as the compiler can see, need no check of an index below it.
        let a = &view[starts[0]..][..quarter];
        let b = &view[starts[1]..][..quarter];
        let c = &view[starts[2]..][..quarter];
        let d = &view[starts[3]..][..quarter];
        let mut states = [0; 4];
        for index in 0..quarter {
            states = [
                self.step(states[0], a[index]),
                self.step(states[1], b[index]),
                self.step(states[2], c[index]),
                self.step(states[3], d[index]),
            ];
            if (states[0] | states[1] | states[2] | states[3]) & ACCEPTS != 0 {
                for (start, state) in starts.into_iter().zip(&mut states) {
                    *state = self.note(view, start + index, *state, way, literals);
                }
            }
        }
        for (start, state) in starts.into_iter().zip(states) {
            self.join(view, start + quarter..span.end, state, way, literals);
        }
    }

    /// Goes on with a stretch's state into what follows, until nothing of the old is in it.
    fn join(
        &self,
        view: &[u8],
        rest: Range<usize>,
        mut state: usize,
        way: usize,
        literals: &mut Literals,
    ) {
        let (mut fresh, is_last) = (0, rest.len() < 4);
        for at in rest {
            state = self.step(state, view[at]);
            fresh = self.step(fresh, view[at]);
            if state == fresh && !is_last {
                return;
            }
            state = self.note(view, at, state, way, literals);
            fresh = self.after(fresh);
        }
    }

    fn run(&self, view: &[u8], span: Range<usize>, way: usize, literals: &mut Literals) {
        let mut state = 0;
        for at in span {
            state = self.step(state, view[at]);
            state = self.note(view, at, state, way, literals);
        }
    }

    /// Notes the literals whose heads end with the byte at `at`, and gives the state to go on from.
    #[inline]
    fn note(
        &self,
        view: &[u8],
        at: usize,
        state: usize,
        way: usize,
        literals: &mut Literals,
    ) -> usize {
        if state & ACCEPTS == 0 {
            return state;
        }
        let accepting = (state & !ACCEPTS) - self.accept;
        self.note_all(view, at + 1, accepting, way, literals);
        self.after(state)
    }

    fn after(&self, state: usize) -> usize {
        match state & ACCEPTS {
            0 => state,
            _ => usize::from(self.ends[(state & !ACCEPTS) - self.accept].after),
        }
    }

    #[inline(never)]
    fn note_all(
        &self,
        view: &[u8],
        head_end: usize,
        accepting: usize,
        way: usize,
        literals: &mut Literals,
    ) {
        let (end, next) = (&self.ends[accepting], &self.ends[accepting + 1]);
        if end.cues[way] != 0 {
            literals.cues.note(end.cues[way], head_end, view.len());
        }
        for wake in &self.wakes[usize::from(end.start)..usize::from(next.start)] {
            let tail = wake.tail as usize;
            let tail = &self.tails[tail..tail + usize::from(wake.tail_len)];
            if wake.ways[way]
                && let Some(end) = tail_end(view, head_end, tail)
            {
                literals.note(view, wake, head_end, end);
            }
        }
    }
}

/// Where a literal's tail ends that starts at `at`, if it does.
fn tail_end(view: &[u8], mut at: usize, tail: &[u8]) -> Option<usize> {
    for wanted in tail {
        if FOLD[usize::from(*view.get(at)?)] != *wanted {
            return None;
        }
        at += 1;
        if *wanted == b' ' {
            at += space(&view[at..]);
        }
    }
    Some(at)
}

fn space(bytes: &[u8]) -> usize {
    let is_space = |byte: &&u8| FOLD[usize::from(**byte)] == b' ';
    bytes.iter().take_while(is_space).count()
}
