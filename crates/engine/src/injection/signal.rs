//! Sees signals: concepts that follow each other within a sentence.

use super::MODEL;
use super::lexicon::{Found, Span};
use super::mention;
use super::text::Folded;

/// One or a few concepts near each other, and what that is worth.
pub(super) struct Signal {
    pub(super) id: &'static str,
    /// Of each step, the concepts of which one must stand there.
    pub(super) steps: &'static [&'static [u8]],
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

/// Every signal of a text, in order.
pub(super) fn seen(folded: &Folded, found: &Found) -> Vec<Seen> {
    let mut seen = Vec::new();
    for (index, signal) in MODEL.signals.iter().enumerate() {
        for span in signal.spans(folded, found) {
            let is_head = !mention::is_told_of(folded.word_before(span.start));
            seen.push(Seen {
                span,
                signal: index as u16,
                weight: if is_head {
                    signal.weight
                } else {
                    signal.headless
                },
            });
        }
    }
    seen.sort_unstable();
    seen
}

/// The orders of up to three steps.
const ORDERS: [&[&[usize]]; 3] = [
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
    /// Where it is seen: from the first word of its first step to the end of its last.
    fn spans(&self, folded: &Folded, found: &Found) -> Vec<Span> {
        let is_there = |step: &&[u8]| {
            let mut concepts = step.iter();
            concepts.any(|concept| !found.spans[usize::from(*concept)].is_empty())
        };
        if !self.steps.iter().all(is_there) {
            return Vec::new();
        }
        let steps: Vec<Vec<Span>> = self.steps.iter().map(|step| merged(step, found)).collect();
        let orders = ORDERS[steps.len() - 1];
        let orders = if self.is_any { orders } else { &orders[..1] };
        let mut spans = Vec::new();
        for order in orders {
            spans.extend(self.chain(folded, &steps, order));
        }
        spans.sort_unstable();
        spans.dedup_by_key(|span| span.start);
        spans
    }

    /// Goes back from the last step, keeping of each what the next can follow: its work does not grow
    /// with how many ways there are.
    fn chain(&self, folded: &Folded, steps: &[Vec<Span>], order: &[usize]) -> Vec<Span> {
        let (last, others) = order.split_last().expect("a signal has a step");
        let mut ahead = steps[*last].clone();
        for step in others.iter().rev() {
            let follow = |span: &Span| {
                let next = ahead[ahead.partition_point(|next| next.start < span.end)..].first()?;
                let is_near = folded.letters_between(span.end, next.start) <= self.gap;
                let is_same = self.is_across || !folded.is_parted(span.end, next.start);
                (is_near && is_same).then_some(Span {
                    start: span.start,
                    end: next.end,
                })
            };
            ahead = steps[*step].iter().filter_map(follow).collect();
        }
        ahead
    }
}

fn merged(concepts: &[u8], found: &Found) -> Vec<Span> {
    let spans = concepts
        .iter()
        .flat_map(|concept| &found.spans[usize::from(*concept)]);
    let mut merged: Vec<Span> = spans.copied().collect();
    if concepts.len() > 1 {
        merged.sort_unstable();
        merged.dedup();
    }
    merged
}
