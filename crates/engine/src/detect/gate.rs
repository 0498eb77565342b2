//! The literal sweep: one pass over a view tells which patterns may match, and near where.

use std::ops::Range;

use super::{BACK_BYTES, ON_BYTES};
use crate::crossing::Direction;
use crate::rules::PATTERNS;

include!(concat!(env!("OUT_DIR"), "/gate.rs"));

/// The literals of the rules that judge one way, as one automaton.
struct Gate {
    classes: [u8; 256],
    table: &'static [Row],
    /// The first accepting state.
    accept: u16,
    /// Of each accepting state, the slots whose literals end there. A slot is one group of one
    /// pattern: `pattern * SLOTS + group`.
    wakes: &'static [&'static [u16]],
}

/// The next state by class, each little-endian.
type Row = [[u8; 2]; ROW];

const fn rows(bytes: &'static [u8]) -> &'static [Row] {
    bytes.as_chunks().0.as_chunks().0
}

/// A view of at least this many bytes is swept as four stretches at once: the automaton's steps
/// wait for memory, not for each other.
const SPLIT_MIN: usize = 256;

/// Where literals end, by slot; kept from one view to the next, so that clean text allocates
/// nothing.
pub(super) struct Wakes {
    ends: Vec<Vec<u32>>,
    /// The patterns whose own literals are there.
    woken: Vec<u16>,
    pub(super) windows: Vec<Range<usize>>,
}

impl Default for Wakes {
    fn default() -> Self {
        Self {
            ends: vec![Vec::new(); PATTERNS.len() * SLOTS],
            woken: Vec::new(),
            windows: Vec::new(),
        }
    }
}

impl Wakes {
    /// Finds every literal of a view.
    pub(super) fn sweep(&mut self, view: &[u8], direction: Direction) {
        for pattern in self.woken.drain(..) {
            let slots = usize::from(pattern) * SLOTS;
            self.ends[slots..slots + SLOTS]
                .iter_mut()
                .for_each(Vec::clear);
        }
        let gate = match direction {
            Direction::Outbound => &OUTBOUND,
            Direction::Inbound => &INBOUND,
        };
        gate.sweep(view, self);
        self.woken.sort_unstable();
    }

    fn note(&mut self, at: usize, slots: &[u16]) {
        for slot in slots {
            let first = usize::from(*slot) / SLOTS * SLOTS;
            if self.ends[first..first + SLOTS].iter().all(Vec::is_empty) {
                self.woken.push((first / SLOTS) as u16);
            }
            self.ends[usize::from(*slot)].push(at as u32);
        }
    }

    pub(super) fn woken(&self) -> usize {
        self.woken.len()
    }

    /// The pattern at `index` of those woken, with its windows in [`Wakes::windows`]: merged where
    /// they overlap, and only where each of its groups is there.
    pub(super) fn pattern(
        &mut self,
        index: usize,
        view_len: usize,
        is_fresh: &dyn Fn(&Range<usize>) -> bool,
    ) -> u16 {
        let pattern = self.woken[index];
        let slots = usize::from(pattern) * SLOTS;
        let groups = PATTERNS[usize::from(pattern)].groups;
        let ends = &mut self.ends[slots..slots + groups];
        // The stretches of a split sweep take turns.
        ends.iter_mut().for_each(|ends| ends.sort_unstable());
        self.windows.clear();
        let (own, others) = ends.split_at(1);
        let mut nexts = [0; SLOTS];
        for end in &own[0] {
            let end = *end as usize;
            let window = end.saturating_sub(BACK_BYTES)..view_len.min(end + ON_BYTES);
            let is_full = others.iter().zip(&mut nexts).all(|(ends, next)| {
                while ends
                    .get(*next)
                    .is_some_and(|at| (*at as usize) < window.start)
                {
                    *next += 1;
                }
                ends.get(*next)
                    .is_some_and(|at| (*at as usize) < window.end)
            });
            if !is_full || !is_fresh(&window) {
                continue;
            }
            match self.windows.last_mut() {
                Some(last) if last.end >= window.start => last.end = window.end,
                Some(_) | None => self.windows.push(window),
            }
        }
        pattern
    }
}

impl Gate {
    #[inline(always)]
    fn step(&self, state: u16, byte: u8) -> u16 {
        let class = usize::from(self.classes[byte as usize]) % ROW;
        u16::from_le_bytes(self.table[usize::from(state)][class])
    }

    fn sweep(&self, bytes: &[u8], wakes: &mut Wakes) {
        if bytes.len() < SPLIT_MIN {
            self.run(bytes, wakes);
            return;
        }
        let quarter = bytes.len() / 4;
        let (a, rest) = bytes.split_at(quarter);
        let (b, rest) = rest.split_at(quarter);
        let (c, d) = rest.split_at(quarter);
        let mut states = [0u16; 4];
        for (index, (((a, b), c), d)) in a.iter().zip(b).zip(c).zip(d).enumerate() {
            states = [
                self.step(states[0], *a),
                self.step(states[1], *b),
                self.step(states[2], *c),
                self.step(states[3], *d),
            ];
            let last = states[0].max(states[1]).max(states[2]).max(states[3]);
            if last >= self.accept {
                for (stretch, state) in states.into_iter().enumerate() {
                    self.note(stretch * quarter + index, state, wakes);
                }
            }
        }
        for (stretch, state) in states.into_iter().enumerate() {
            let start = (stretch + 1) * quarter;
            self.join(bytes, start, state, stretch == 3, wakes);
        }
    }

    /// Goes on with a stretch's state into the next stretch, until nothing of the old is in it.
    fn join(&self, bytes: &[u8], start: usize, mut state: u16, is_last: bool, wakes: &mut Wakes) {
        let mut fresh = 0;
        for (index, byte) in bytes[start..].iter().enumerate() {
            state = self.step(state, *byte);
            fresh = self.step(fresh, *byte);
            if state == fresh && !is_last {
                return;
            }
            self.note(start + index, state, wakes);
        }
    }

    fn run(&self, bytes: &[u8], wakes: &mut Wakes) {
        let mut state = 0;
        for (at, byte) in bytes.iter().enumerate() {
            state = self.step(state, *byte);
            self.note(at, state, wakes);
        }
    }

    #[inline]
    fn note(&self, at: usize, state: u16, wakes: &mut Wakes) {
        if let Some(accepting) = state.checked_sub(self.accept) {
            wakes.note(at, self.wakes[usize::from(accepting)]);
        }
    }
}
