//! Judges passages by weak signals of instructions aimed at the agent: none says much, several
//! together do.
//!
//! What counts as a signal, and what it is worth, is data: `rules/scored/injection.yaml`. The model
//! looks only where the literal sweep met cues of several kinds near each other, so clean text pays
//! next to nothing for it.

mod cue;
mod letter;
mod lexicon;
mod mention;
mod opening;
mod passage;
mod signal;
mod text;

use std::cell::Cell;
use std::ops::Range;

pub(crate) use cue::Cues;
pub(crate) use mention::is_mention;
pub(crate) use passage::Passage;

use crate::detect::Hit;
use crate::finding::{Class, Score, Severity};
use crate::rules::{PATTERNS, RULES};
use crate::scan::{Budget, BudgetSpent};

use lexicon::{Found, Lexeme};
use signal::{Signal, Signals};

/// The rule that reports what the model says.
pub(crate) const RULE: &str = "injection-score";

/// The signals, and the sums from which a passage is worth a record and a refusal.
struct Model {
    /// The pattern that stands for the first kind of cue; the others follow.
    first_cue: u16,
    /// The points of each kind of cue.
    cues: &'static [u8],
    /// The points from which on a place is looked at.
    enough: u8,
    /// What the signals there must come to for the passage around to be read.
    glance: i32,
    warn: i32,
    block: i32,
    /// What each word that talks about attacks adds: less than nothing.
    about: i32,
    /// The concept of such words.
    about_concept: u8,
    /// How many concepts there are.
    concepts: usize,
    lexemes: &'static [Lexeme],
    signals: &'static [Signal],
}

include!(concat!(env!("OUT_DIR"), "/score.rs"));

/// Reports the passages of a view to which cues point: with the rule's severity those that score high
/// enough to be refused, as no more than worth a look the others, and those that are cited in talk
/// about attacks.
pub(crate) fn judge(
    cues: &Cues,
    view: &[u8],
    is_fresh: &dyn Fn(&Range<usize>) -> bool,
    budget: &mut Budget,
    hits: &mut Vec<Hit>,
) -> Result<(), BudgetSpent> {
    let mut reading = READING.take().unwrap_or_default();
    let windows = cues.windows(view, &mut reading, is_fresh, budget);
    READING.set(Some(reading));
    for window in windows? {
        report(view, passages(view, &window), hits);
    }
    Ok(())
}

fn report(view: &[u8], passages: Vec<Passage>, hits: &mut Vec<Hit>) {
    let rule = &RULES[PATTERNS[usize::from(MODEL.first_cue)].rule];
    for Passage {
        range,
        score,
        signals,
    } in passages
    {
        let is_cited = is_mention(view, &range);
        let severity = if score >= MODEL.block && !is_cited {
            rule.severity
        } else {
            rule.severity.min(Severity::Medium)
        };
        hits.push(Hit {
            rule,
            severity,
            range,
            before: 0,
            score: Some(Score {
                points: score.unsigned_abs(),
                signals: signals.into_iter().map(|(id, _)| id).collect(),
                is_cited,
            }),
        });
    }
}

/// The scores from which a passage is recorded and refused, where a policy does not say.
pub(crate) fn thresholds() -> (u32, u32) {
    (MODEL.warn.unsigned_abs(), MODEL.block.unsigned_abs())
}

/// Where a rule has said as much about a part of a passage, the model has nothing to add: one attack is
/// one finding, and an exemption of that rule lets the passage through. But the passage begins where the
/// model says.
pub(crate) fn settle(hits: &mut Vec<Hit>) {
    let is_own = |hit: &Hit| hit.rule.id == RULE;
    if !hits.iter().any(is_own) {
        return;
    }
    // What counts on some surfaces alone may not be reported of this one: it says nothing here.
    let (own, mut others): (Vec<Hit>, Vec<Hit>) = hits.drain(..).partition(is_own);
    for own in own {
        let mut is_said = false;
        let saying = others.iter_mut().filter(|other| {
            other.rule.class == Class::Injection
                && other.rule.seen_in.is_empty()
                && other.severity >= own.severity
                && other.range.start < own.range.end
                && own.range.start < other.range.end
        });
        for other in saying {
            is_said = true;
            let before = other.range.start.saturating_sub(own.range.start);
            other.before = other.before.max(before);
        }
        if !is_said {
            hits.push(own);
        }
    }
    hits.append(&mut others);
}

/// The passages within a part of a view that are worth a record, in order. They do not overlap.
pub(crate) fn passages(view: &[u8], window: &Range<usize>) -> Vec<Passage> {
    let mut reading = READING.take().unwrap_or_default();
    reading.read(&view[window.clone()]);
    let mut passages = reading.passages();
    READING.set(Some(reading));
    for Passage { range, .. } in &mut passages {
        *range = window.start + range.start..window.start + range.end;
    }
    passages
}

/// A text, its words and its signals.
#[derive(Default)]
struct Reading {
    lower: Vec<u8>,
    found: Found,
    signals: Signals,
}

thread_local! {
    /// Kept from one part of a view to the next, so that clean text allocates nothing.
    static READING: Cell<Option<Box<Reading>>> = const { Cell::new(None) };
}

impl Reading {
    fn of(text: &[u8]) -> Self {
        let mut reading = Self::default();
        reading.read(text);
        reading
    }

    fn read(&mut self, text: &[u8]) {
        text::lower(text, &mut self.lower);
        self.found.read(&self.lower);
    }

    /// Whether the signals of a text come to enough to read what is around it.
    fn is_promising(&mut self, text: &[u8]) -> bool {
        self.read(text);
        if signal::most(self.found.concepts) < MODEL.glance {
            return false;
        }
        self.signals.read(&self.lower, &self.found);
        self.signals.total() >= MODEL.glance
    }

    fn passages(&mut self) -> Vec<Passage> {
        if signal::most(self.found.concepts) < MODEL.warn {
            return Vec::new();
        }
        self.signals.read(&self.lower, &self.found);
        passage::judge(&self.signals.seen, &self.found)
    }
}

#[cfg(test)]
mod tests;
