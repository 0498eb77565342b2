//! Judges passages by weak signals of instructions aimed at the agent: none says much, several
//! together do.
//!
//! What counts as a signal, and what it is worth, is data: `rules/scored/injection.yaml`. The model
//! looks only where the literal sweep met one of its rarer words, so clean text pays nothing for it.

mod lexicon;
mod mention;
mod passage;
mod signal;
mod text;

use std::ops::Range;

pub(crate) use mention::is_mention;
pub(crate) use passage::Passage;

use crate::detect::Hit;
use crate::finding::{Class, Severity};
use crate::rules::Rule;

use lexicon::Lexeme;
use signal::Signal;
use text::Folded;

/// The rule that reports what the model says. Its literals are words that some signal needs; its
/// regex only tells how far around them to look.
pub(crate) const RULE: &str = "injection-score";

/// The signals, and the sums from which a passage is worth a record and a refusal.
struct Model {
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

/// Reports the passages within a part of a view: with the rule's severity those that score high enough
/// to be refused, as no more than worth a look the others, and those that are cited in talk about
/// attacks.
pub(crate) fn judge(rule: &'static Rule, view: &[u8], window: &Range<usize>, hits: &mut Vec<Hit>) {
    for Passage {
        range, is_blocking, ..
    } in passages(view, window)
    {
        let is_sure = is_blocking && !is_mention(view, &range);
        let severity = if is_sure {
            rule.severity
        } else {
            rule.severity.min(Severity::Medium)
        };
        hits.push(Hit {
            rule,
            severity,
            range,
        });
    }
}

/// Where a rule has said as much about a part of a passage, the model has nothing to add: one attack is
/// one finding, and an exemption of that rule lets the passage through.
pub(crate) fn settle(hits: &mut Vec<Hit>) {
    let is_own = |hit: &Hit| hit.rule.id == RULE;
    if !hits.iter().any(is_own) {
        return;
    }
    let others = hits
        .iter()
        .filter(|hit| hit.rule.class == Class::Injection && !is_own(hit));
    let others: Vec<_> = others
        .map(|hit| (hit.severity, hit.range.clone()))
        .collect();
    let is_said = |own: &Hit| {
        let mut others = others.iter();
        others.any(|(severity, range)| {
            *severity >= own.severity && range.start < own.range.end && own.range.start < range.end
        })
    };
    hits.retain(|hit| !(is_own(hit) && is_said(hit)));
}

/// The passages within a part of a view that are worth a record, in order. They do not overlap.
pub(crate) fn passages(view: &[u8], window: &Range<usize>) -> Vec<Passage> {
    let folded = Folded::of(&view[window.clone()]);
    let found = lexicon::find(&folded);
    let passages = passage::judge(&signal::seen(&folded, &found), &found);
    let place = |passage: Passage<u32>| {
        let range = folded.origin(&passage.range);
        passage.at(window.start + range.start..window.start + range.end)
    };
    passages.into_iter().map(place).collect()
}

#[cfg(test)]
mod tests;
