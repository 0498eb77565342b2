//! The scanner alone, for benches and fuzzing.

use std::ops::Range;

use super::{Budget, Scanner, Stream};
use crate::crossing::{Direction, SurfaceKind};
use crate::finding::Class;
use crate::injection;
use crate::known::Known;
use crate::rules::{PATTERNS, Pattern, RULES};
use crate::tool;
use crate::views::{View, walk};

/// Where a passage begins, its score, and its signals with what each was worth, the heaviest first.
type Weighed = (usize, i32, Vec<(&'static str, i32)>);

/// How deep a view is, its decodings, its length, and where in the body it came from.
type Seen = (usize, Vec<&'static str>, usize, Range<usize>);

/// The scanner without policy, session or verdict.
#[derive(Debug)]
pub struct Probe(Scanner);

impl Default for Probe {
    fn default() -> Self {
        Self(Scanner::new([0; 32]))
    }
}

impl Probe {
    /// A scanner that also knows some values.
    pub fn knowing(known: Known) -> Self {
        Self(Scanner::knowing([0; 32], known))
    }

    /// The rule, severity, offset and length of all that a body shows; none if the work budget is
    /// spent.
    pub fn scan(
        &self,
        direction: Direction,
        bytes: &[u8],
    ) -> Option<Vec<(&'static str, &'static str, u64, u64)>> {
        let (mut budget, mut out) = (Budget::default(), Vec::new());
        self.0
            .scan(SurfaceKind::Body, direction, bytes, &mut budget, &mut out)
            .ok()?;
        let row = |s: super::Sighting| (s.rule.id, s.severity.as_str(), s.offset, s.len);
        Some(out.into_iter().map(row).collect())
    }

    /// A scanner that leaves decodings out, by the names that findings give them.
    pub fn without(decodings: &'static [&'static str]) -> Self {
        let mut scanner = Scanner::new([0; 32]);
        scanner.leave_out(decodings);
        Self(scanner)
    }

    /// The rule and the decodings of all that a body shows; none if the work budget is spent.
    pub fn decodings(
        &self,
        direction: Direction,
        bytes: &[u8],
    ) -> Option<Vec<(&'static str, Vec<&'static str>)>> {
        let (mut budget, mut out) = (Budget::default(), Vec::new());
        self.0
            .scan(SurfaceKind::Body, direction, bytes, &mut budget, &mut out)
            .ok()?;
        let row = |s: super::Sighting| (s.rule.id, s.via);
        Some(out.into_iter().map(row).collect())
    }

    /// Each view of a body; none if the work budget is spent.
    pub fn views(&self, bytes: &[u8]) -> Option<Vec<Seen>> {
        let (mut budget, mut out) = (Budget::default(), Vec::new());
        budget.earn(bytes.len());
        let detectors = self.0.detectors();
        let root = View::raw(bytes, false);
        walk(root, &[], &mut budget, &mut |view, budget, clues| {
            let origins = view.origins(0, view.bytes.len());
            let (depth, len) = (view.depth(), view.bytes.len());
            out.push((depth, origins.via, len, origins.start..origins.end));
            detectors.detect(view, Direction::Outbound, budget, &mut Vec::new(), clues)
        })
        .ok()?;
        Some(out)
    }

    /// The rules that a body in pieces shows; none if the work budget is spent.
    pub fn stream_sights(
        &self,
        direction: Direction,
        pieces: &[&[u8]],
    ) -> Option<Vec<&'static str>> {
        let mut stream = Stream::new(SurfaceKind::Body, direction, None);
        let (mut budget, mut out) = (Budget::default(), Vec::new());
        for piece in pieces {
            let pushed = stream.push(&self.0, piece, &|_| true, &mut budget, &mut out);
            pushed.ok()?;
        }
        let finished = stream.finish(&self.0, &|_| true, &mut budget, &mut out);
        finished.ok()?;
        Some(out.iter().map(|sighting| sighting.rule.id).collect())
    }

    /// Streams pieces, with a lull after each if `lulls`, and gives how many bytes were released
    /// before the end; none if the work budget is spent.
    pub fn stream(&self, direction: Direction, pieces: &[&[u8]], lulls: bool) -> Option<usize> {
        let mut stream = Stream::new(SurfaceKind::Body, direction, None);
        let (mut budget, mut out, mut released) = (Budget::default(), Vec::new(), 0);
        for piece in pieces {
            released += stream
                .push(&self.0, piece, &|_| true, &mut budget, &mut out)
                .ok()?;
            if lulls {
                released += stream.lull(&self.0, &|_| true);
            }
        }
        stream
            .finish(&self.0, &|_| true, &mut budget, &mut out)
            .ok()?;
        Some(released)
    }

    /// The passages of a text that the injection model has something to say about.
    pub fn weigh(bytes: &[u8]) -> Vec<Weighed> {
        let passages = injection::passages(bytes, &(0..bytes.len())).into_iter();
        let row =
            |passage: injection::Passage| (passage.range.start, passage.score, passage.signals);
        passages.map(row).collect()
    }

    /// Whether a rule is of the class of instructions aimed at the agent.
    pub fn is_injection(rule: &str) -> bool {
        let mut rules = RULES.iter();
        rules.any(|own| own.id == rule && own.class == Class::Injection)
    }

    /// The words of each command that a shell would run; none if the script is cut.
    pub fn commands(script: &str) -> Option<Vec<Vec<String>>> {
        let script = tool::read_shell(script);
        let words = script.commands.into_iter().map(|own| own.words);
        (!script.is_cut).then(|| words.collect())
    }

    /// The regexes of all rules: the baseline is to run each over everything.
    pub fn regexes() -> impl Iterator<Item = &'static str> {
        let by_regex = |pattern: &&Pattern| {
            pattern.clue.is_none() && RULES[pattern.rule].id != injection::RULE
        };
        PATTERNS
            .iter()
            .filter(by_regex)
            .map(|pattern| pattern.regex)
    }
}
