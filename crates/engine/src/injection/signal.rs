//! Sees signals: concepts that follow each other within a sentence.

use super::MODEL;
use super::lexicon::{Concepts, Found, Span};
use super::mention;

/// One or a few concepts near each other, and what that is worth.
pub(super) struct Signal {
    pub(super) id: &'static str,
    /// Of each step, the concepts of which one must stand there.
    pub(super) steps: &'static [&'static [u8]],
    /// The same as sets.
    pub(super) sets: &'static [Concepts],
    /// Letters between two steps, at most.
    pub(super) gap: u32,
    /// Whether the steps may come in any order.
    pub(super) is_any: bool,
    /// Whether the steps may lie in different sentences.
    pub(super) is_across: bool,
    pub(super) weight: i32,
    /// The weight where the first word does not begin a clause.
    pub(super) headless: i32,
}

/// A signal at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) span: Span,
    /// Its index in the model.
    pub(super) signal: u16,
    pub(super) weight: i32,
}

/// The signals of a text, and room to find them in.
#[derive(Default)]
pub(super) struct Signals {
    /// In order.
    pub(super) seen: Vec<Seen>,
    spans: Vec<Span>,
    steps: [Vec<Span>; STEPS_MAX],
    ahead: Vec<Span>,
    behind: Vec<Span>,
}

/// The build script allows no more signals.
const SIGNALS_MAX: usize = 256;

/// Nor more steps of one.
const STEPS_MAX: usize = 3;

/// The orders of up to three steps.
const ORDERS: [&[&[usize]]; STEPS_MAX] = [
    &[&[0]],
    &[&[0, 1], &[1, 0]],
    &[
        &[0, 1, 2],
        &[0, 2, 1],
        &[1, 0, 2],
        &[1, 2, 0],
        &[2, 0, 1],
        &[2, 1, 0],
    ],
];

impl Signal {
    /// Whether something of each step is there.
    fn is_possible(&self, concepts: Concepts) -> bool {
        self.sets.iter().all(|step| concepts & step != 0)
    }
}

/// The most that the signals of a text can add up to, by the concepts that are in it.
pub(super) fn most(concepts: Concepts) -> i32 {
    let possible = MODEL.signals.iter().filter(|s| s.is_possible(concepts));
    possible.map(|signal| signal.weight.max(0)).sum()
}

impl Signals {
    /// Finds every signal of a text.
    pub(super) fn read(&mut self, text: &[u8], found: &Found) {
        self.seen.clear();
        for (index, signal) in MODEL.signals.iter().enumerate() {
            if !signal.is_possible(found.concepts) {
                continue;
            }
            self.find(signal, found);
            for span in &self.spans {
                self.seen.push(Seen {
                    span: *span,
                    signal: index as u16,
                    weight: if mention::is_told_at(text, span.start as usize) {
                        signal.headless
                    } else {
                        signal.weight
                    },
                });
            }
        }
        self.seen.sort_unstable();
    }

    /// What the different signals found are worth, those left out that take away.
    pub(super) fn total(&self) -> i32 {
        let (mut heaviest, mut total) = ([0; SIGNALS_MAX], 0);
        for seen in &self.seen {
            let known = &mut heaviest[usize::from(seen.signal)];
            total += (seen.weight - *known).max(0);
            *known = seen.weight.max(*known);
        }
        total
    }

    /// Where a signal is seen: from the first word of its first step to the end of its last.
    fn find(&mut self, signal: &Signal, found: &Found) {
        self.spans.clear();
        for (step, concepts) in self.steps.iter_mut().zip(signal.steps) {
            merge(concepts, found, step);
        }
        let orders = ORDERS[signal.steps.len() - 1];
        let orders = if signal.is_any { orders } else { &orders[..1] };
        for order in orders {
            self.chain(signal, found, order);
        }
        self.spans.sort_unstable();
        self.spans.dedup_by_key(|span| span.start);
    }

    /// Goes back from the last step, keeping of each what the next can follow: its work does not grow
    /// with how many ways there are.
    fn chain(&mut self, signal: &Signal, found: &Found, order: &[usize]) {
        let (last, others) = order.split_last().expect("a signal has a step");
        let Self { ahead, behind, .. } = self;
        ahead.clone_from(&self.steps[*last]);
        for step in others.iter().rev() {
            let follow = |span: &Span| {
                let next = ahead[ahead.partition_point(|next| next.start < span.end)..].first()?;
                let is_near = next.before.saturating_sub(span.through) <= signal.gap;
                let is_same = signal.is_across || !found.is_parted(span.end, next.start);
                (is_near && is_same).then_some(Span {
                    end: next.end,
                    through: next.through,
                    ..*span
                })
            };
            behind.clear();
            behind.extend(self.steps[*step].iter().filter_map(follow));
            std::mem::swap(ahead, behind);
        }
        self.spans.extend_from_slice(ahead);
    }
}

fn merge(concepts: &[u8], found: &Found, merged: &mut Vec<Span>) {
    merged.clear();
    for concept in concepts {
        merged.extend_from_slice(&found.spans[usize::from(*concept)]);
    }
    if concepts.len() > 1 {
        merged.sort_unstable();
        merged.dedup();
    }
}
