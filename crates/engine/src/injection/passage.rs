//! Adds up the signals of each passage.

use std::collections::HashMap;
use std::ops::Range;

use super::MODEL;
use super::lexicon::Found;
use super::signal::Seen;

/// Signals so near to each other count together, in bytes: a short paragraph.
const PASSAGE_BYTES: u32 = 480;

/// Talk about attacks counts from so far before.
const ABOUT_BYTES: u32 = 400;

/// More talk about attacks than this takes nothing more away, so that it cannot excuse everything.
const ABOUT_MAX: i32 = 3;

/// A part of a text that looks like instructions to the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passage {
    pub(crate) range: Range<usize>,
    /// The sum of the weights of its signals.
    pub(crate) score: i32,
    /// The ids of its signals and what each was worth, the heaviest first.
    pub(crate) signals: Vec<(&'static str, i32)>,
}

/// The passages that are worth a record, in order, none beginning within another.
pub(super) fn judge(seen: &[Seen], found: &Found) -> Vec<Passage> {
    let scores = scores(seen, found);
    let mut passages = Vec::new();
    let mut next = 0;
    while next < seen.len() {
        if scores[next] < MODEL.warn {
            next += 1;
            continue;
        }
        let until = seen[next].span.start + PASSAGE_BYTES;
        let count = seen[next..].partition_point(|seen| seen.span.start <= until);
        // The last of the best is the tightest around what made its score.
        let best = (next..next + count)
            .max_by_key(|index| scores[*index])
            .expect("the passage holds the signal that it begins with");
        passages.push(describe(&seen[best..], scores[best]));
        next += count;
    }
    passages
}

/// Of the passage that begins with each signal, the sum; found by one walk with two ends. Of signals
/// that begin alike the first has the sum of all, the others none.
fn scores(seen: &[Seen], found: &Found) -> Vec<i32> {
    let (mut sum, mut talk, mut end) = (Sum::default(), Talk::new(found), 0);
    let mut scores = vec![0; seen.len()];
    let mut before = None;
    for (score, first) in scores.iter_mut().zip(seen) {
        let until = first.span.start + PASSAGE_BYTES;
        while let Some(next) = seen.get(end).filter(|next| next.span.start <= until) {
            sum.add(next);
            end += 1;
        }
        if before != Some(first.span.start) {
            let start = first.span.start.saturating_sub(ABOUT_BYTES);
            *score = sum.total + talk.between(start, until);
        }
        before = Some(first.span.start);
        sum.remove(first);
    }
    scores
}

fn describe(against: &[Seen], score: i32) -> Passage {
    let start = against[0].span.start;
    let mut signals: Vec<(&'static str, i32)> = Vec::new();
    let mut end = against[0].span.end;
    let within = |seen: &&Seen| seen.span.start <= start + PASSAGE_BYTES;
    for seen in against.iter().take_while(within) {
        let id = MODEL.signals[usize::from(seen.signal)].id;
        end = end.max(seen.span.end);
        match signals.iter_mut().find(|(own, _)| *own == id) {
            Some((_, weight)) => *weight = seen.weight.max(*weight),
            None => signals.push((id, seen.weight)),
        }
    }
    signals.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    Passage {
        range: start as usize..end as usize,
        score,
        signals,
    }
}

/// The weights of the signals at hand, each once, by its heaviest sight.
struct Sum {
    total: i32,
    /// Of each signal, how often it is at hand with its whole weight and with the other.
    counts: Vec<[u32; 2]>,
}

impl Default for Sum {
    fn default() -> Self {
        Self {
            total: 0,
            counts: vec![[0; 2]; MODEL.signals.len()],
        }
    }
}

impl Sum {
    fn add(&mut self, seen: &Seen) {
        self.change(seen, |count| *count += 1);
    }

    fn remove(&mut self, seen: &Seen) {
        self.change(seen, |count| *count -= 1);
    }

    fn change(&mut self, seen: &Seen, change: impl Fn(&mut u32)) {
        let signal = &MODEL.signals[usize::from(seen.signal)];
        let counts = &mut self.counts[usize::from(seen.signal)];
        let weight = |counts: &[u32; 2]| match counts {
            [0, 0] => 0,
            [0, _] => signal.headless,
            _ => signal.weight,
        };
        self.total -= weight(counts);
        change(&mut counts[usize::from(seen.weight != signal.weight)]);
        self.total += weight(counts);
    }
}

/// Talk about attacks at hand: a sliding part of it.
struct Talk<'a> {
    words: &'a [(u32, u16)],
    at_hand: Range<usize>,
    /// How often each word is at hand.
    counts: HashMap<u16, u32>,
}

impl<'a> Talk<'a> {
    fn new(found: &'a Found) -> Self {
        Self {
            words: &found.about,
            at_hand: 0..0,
            counts: HashMap::new(),
        }
    }

    /// What the words between two places take away. Neither place may be before that of the last
    /// call.
    fn between(&mut self, start: u32, end: u32) -> i32 {
        while let Some((_, word)) = self
            .words
            .get(self.at_hand.end)
            .filter(|(at, _)| *at <= end)
        {
            *self.counts.entry(*word).or_default() += 1;
            self.at_hand.end += 1;
        }
        while self.at_hand.start < self.at_hand.end && self.words[self.at_hand.start].0 < start {
            let word = self.words[self.at_hand.start].1;
            if let Some(count) = self.counts.get_mut(&word) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&word);
                }
            }
            self.at_hand.start += 1;
        }
        MODEL.about * (self.counts.len() as i32).min(ABOUT_MAX)
    }
}
