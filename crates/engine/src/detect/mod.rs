//! Finds what rules describe in one view: a literal sweep, then the few regexes that it woke in
//! windows, then validators; and code for what has no literal.

mod check;
mod gate;
mod glued;
mod shape;
mod userinfo;

use std::cell::Cell;
use std::ops::Range;
use std::sync::OnceLock;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

pub(crate) use check::Check;
pub(crate) use shape::Shape;

use crate::crossing::Direction;
use crate::decide::Home;
use crate::finding::{Class, Score, Severity};
use crate::injection;
use crate::rules::{PATTERNS, RULES, Rule};
use crate::scan::{Budget, BudgetSpent};
use crate::views::{Clue, ClueKind, View, is_encoding_byte, swap_case};
use check::Outcome;
pub(crate) use gate::Literals;

/// A match begins at most this far before the end of the literal that woke it.
const BACK_BYTES: usize = 256;

/// A match ends at most this far after the literal that woke it.
const ON_BYTES: usize = 1024;

/// A part of a view that a rule describes.
pub(crate) struct Hit {
    pub(crate) rule: &'static Rule,
    pub(crate) severity: Severity,
    pub(crate) range: Range<usize>,
    /// How much before it belongs to what it was found in, and may not go on either.
    pub(crate) before: usize,
    pub(crate) score: Option<Score>,
}

/// The regexes of all patterns, each compiled when first woken.
pub(crate) struct Detectors {
    regexes: Vec<OnceLock<Regex>>,
}

impl Detectors {
    pub(crate) fn new() -> Self {
        Self {
            regexes: PATTERNS.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    /// Everything that a view shows. The same rule may hit the same bytes twice.
    /// Parts that are not fresh have been seen in another view. Clues are of views that may show
    /// more.
    pub(crate) fn detect(
        &self,
        view: &mut View<'_>,
        direction: Direction,
        budget: &mut Budget,
        hits: &mut Vec<Hit>,
        clues: &mut Vec<Clue>,
    ) -> Result<(), BudgetSpent> {
        view.literals = literals(view, direction);
        let (bytes, literals) = (&*view.bytes, &view.literals);
        let is_fresh = |range: &Range<usize>| view.is_fresh(range);
        let mut windows = WINDOWS.take();
        for woken in literals.woken() {
            woken.windows(bytes, &is_fresh, &mut windows);
            let pattern = &PATTERNS[usize::from(woken.number)];
            if let Some(kind) = pattern.clue {
                let windows = windows.iter().cloned();
                windows
                    .filter(|range| kind.is_met(pattern.literals, bytes, range.start))
                    .for_each(|range| leave(clues, kind, range));
                continue;
            }
            let window_bytes: usize = windows.iter().map(ExactSizeIterator::len).sum();
            budget.spend(window_bytes / REGEX_SHARE)?;
            for window in &windows {
                let known = hits.len();
                if glued::is_faint(woken.number, bytes, window.start) {
                    continue;
                }
                self.search(woken.number, bytes, window.clone(), hits);
                if hits.len() == known {
                    self.search_glued(woken.number, bytes, window.clone(), hits);
                }
                let is_noise = |hit: &mut Hit| glued::is_noise(woken.number, bytes, &hit.range);
                if hits.extract_if(known.., is_noise).count() > 0 {
                    continue;
                }
                if hits.len() == known && glued::is_begun(woken.number, bytes, window.start) {
                    leave(clues, ClueKind::Joined, window.clone());
                }
                if hits.len() == known
                    && self.is_swapped(woken.number, bytes, window)
                    && !glued::is_chance(woken.number, bytes, window.start)
                {
                    leave(clues, ClueKind::Swapped, window.clone());
                }
            }
        }
        WINDOWS.set(windows);
        injection::judge(literals.cues(), bytes, &is_fresh, budget, hits)?;
        injection::settle(hits);
        shape::detect(view, direction, hits);
        Ok(())
    }

    fn search(&self, pattern: u16, view: &[u8], window: Range<usize>, hits: &mut Vec<Hit>) {
        let (index, pattern) = (pattern, &PATTERNS[usize::from(pattern)]);
        let rule = &RULES[pattern.rule];
        let regex = self.regex(index);
        let mut input = Input::new(&view[..window.end]).range(window.start..);
        if pattern.is_anchored {
            input = input.anchored(Anchored::Yes);
        }
        while let Some(found) = regex.find(input.clone()) {
            let whole = found.range();
            let value = captured(regex, &input, &whole);
            let item = match Home::is_anywhere(rule) {
                true => item_end(&view[value.clone()]).map(|end| value.start + end),
                false => None,
            };
            let value = value.start..item.unwrap_or(value.end);
            let severity = severity(rule, &view[value.clone()]).map(|severity| {
                match rule.checks.contains(&Check::Userinfo) {
                    true => userinfo::severity(severity, view, &whole, &value),
                    false => severity,
                }
            });
            if let Some(severity) = severity.filter(|_| !is_passing(rule, view, &whole)) {
                let is_mention = rule.class == Class::Injection
                    && severity >= Severity::High
                    && injection::is_mention(view, &value);
                hits.push(Hit {
                    rule,
                    severity: if is_mention {
                        Severity::Medium
                    } else {
                        severity
                    },
                    range: value,
                    before: 0,
                    score: None,
                });
            }
            let next = item.unwrap_or(whole.end).max(whole.start + 1);
            if pattern.is_anchored || next > window.end {
                return;
            }
            input.set_start(next);
        }
    }

    /// Whether a window begins with an anchored pattern's secret with the case of each letter
    /// swapped.
    fn is_swapped(&self, pattern: u16, view: &[u8], window: &Range<usize>) -> bool {
        let (index, pattern) = (pattern, &PATTERNS[usize::from(pattern)]);
        let is_part = |byte: &u8| is_encoding_byte(*byte) || *byte == b'.';
        let token = view[window.clone()].get(..SWAPPED_MIN);
        // A name in a program has it in its middle: `SYSMEMINFO1_PERF`.
        let is_apart = window.start == 0 || !glued::is_word(view[window.start - 1]);
        is_apart
            && pattern.is_anchored
            && RULES[pattern.rule].class == Class::Secret
            && token.is_some_and(|token| token.iter().all(is_part))
            && {
                let swapped: Vec<u8> = view[window.clone()]
                    .iter()
                    .map(|byte| swap_case(*byte))
                    .collect();
                let input = Input::new(&swapped).anchored(Anchored::Yes);
                self.regex(index).is_match(input)
            }
    }

    fn regex(&self, pattern: u16) -> &Regex {
        let pattern = usize::from(pattern);
        self.regexes[pattern].get_or_init(|| {
            Regex::builder()
                .syntax(syntax::Config::new().unicode(false).utf8(false))
                .configure(Regex::config().utf8_empty(false))
                .build(PATTERNS[pattern].regex)
                .expect("the build script compiled it")
        })
    }
}

/// The part of a match that is the value: its first group, or all of it.
fn captured(regex: &Regex, input: &Input<'_>, whole: &Range<usize>) -> Range<usize> {
    if regex.captures_len() < 2 {
        return whole.clone();
    }
    let mut groups = regex.create_captures();
    regex.search_captures(input, &mut groups);
    let first = groups.get_group(1).map(|group| group.range());
    first.unwrap_or(whole.clone())
}

/// A clue so near after another of its kind is for what that one shows anyway.
const CLUES_APART: usize = 256;

fn leave(clues: &mut Vec<Clue>, kind: ClueKind, range: Range<usize>) {
    let is_shown = |last: &Clue| {
        last.kind == kind
            && (last.range.start..last.range.start + CLUES_APART).contains(&range.start)
    };
    let is_apart = matches!(
        kind,
        ClueKind::Packed | ClueKind::Uuencode | ClueKind::Joined
    );
    if is_apart || !clues.last().is_some_and(is_shown) {
        clues.push(Clue { kind, range });
    }
}

/// A shorter token is not looked at with its case swapped: words are met at every turn.
const SWAPPED_MIN: usize = 16;

/// A regex's byte in a window costs about a quarter of what a view's byte costs in all.
const REGEX_SHARE: usize = 4;

thread_local! {
    /// Taken for the time of one view.
    static WINDOWS: Cell<Vec<Range<usize>>> = const { Cell::new(Vec::new()) };
}

/// Literals of one pattern that are looked at in text put together of parts.
const CUT_PLACES_MAX: usize = 64;

/// Parts that one credential is cut into: forty of a byte each.
const CUT_PARTS_MAX: usize = 48;

impl Detectors {
    /// Credentials in text that is put together of parts, which begin at `starts`. Each is looked for
    /// from the part that it begins in to the end of each that may be its last: what is before and
    /// after belongs to it no more than what is between the parts.
    pub(crate) fn detect_cut(
        &self,
        text: &[u8],
        starts: &[usize],
        direction: Direction,
        budget: &mut Budget,
        hits: &mut Vec<Hit>,
    ) -> Result<(), BudgetSpent> {
        let mut literals = Literals::default();
        literals.sweep(text, direction);
        for woken in literals.woken() {
            if !is_whole_by_itself(woken.number) {
                continue;
            }
            for at in woken.places().take(CUT_PLACES_MAX) {
                self.search_cut(woken.number, text, starts, at as usize, budget, hits)?;
            }
        }
        Ok(())
    }

    fn search_cut(
        &self,
        number: u16,
        text: &[u8],
        starts: &[usize],
        at: usize,
        budget: &mut Budget,
        hits: &mut Vec<Hit>,
    ) -> Result<(), BudgetSpent> {
        let first = starts
            .partition_point(|start| *start <= at)
            .saturating_sub(1);
        let start = starts.get(first).copied().unwrap_or(at);
        let reach = at + PATTERNS[usize::from(number)].reach;
        let ends = starts.iter().skip(first + 2).copied();
        for end in ends.chain([text.len()]).take(CUT_PARTS_MAX) {
            let known = hits.len();
            budget.spend(end - start)?;
            self.search(number, &text[start..end], at - start..end - start, hits);
            for hit in &mut hits[known..] {
                hit.range = start + hit.range.start..start + hit.range.end;
            }
            if hits.len() > known || end > reach {
                break;
            }
        }
        Ok(())
    }
}

/// Whether a pattern tells a credential by its beginning, and by nothing around it.
fn is_whole_by_itself(number: u16) -> bool {
    let pattern = &PATTERNS[usize::from(number)];
    let is_own = pattern.clue.is_none() && pattern.is_anchored;
    let rule = is_own.then(|| &RULES[pattern.rule]);
    rule.is_some_and(|rule| rule.class == Class::Secret && !rule.checks.contains(&Check::Setting))
}

/// The literals of a view; of one that is another with parts changed, found only around the changes.
fn literals(view: &View<'_>, direction: Direction) -> Literals {
    let mut literals = Literals::default();
    match view.edited() {
        Some((parent, edits)) => {
            let len = view.bytes.len();
            let carry = |place: u32| edits.place(place as usize, len).map(|place| place as u32);
            let changes = edits.changes();
            let (start, end) = edits.map(0, len);
            let (parent, part) = (&parent.literals, start..end);
            literals.inherit(&view.bytes, parent, part, carry, changes, direction);
        }
        None => literals.sweep(&view.bytes, direction),
    }
    literals
}

/// Where the value of a form's item ends, if another item follows it (URL standard, section 5.2). A
/// value that is known by its name alone would hide the next one's.
fn item_end(value: &[u8]) -> Option<usize> {
    const NAME_BYTES_MAX: usize = 64;
    memchr::memchr_iter(b'&', value).find(|at| {
        let name = &value[at + 1..];
        let name = &name[..name.len().min(NAME_BYTES_MAX)];
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"_-.[]%".contains(b);
        let length = name.iter().take_while(|b| is_name(b)).count();
        length > 0 && name.get(length) == Some(&b'=')
    })
}

/// Whether a token's name says that it guards nothing that lasts: a form's, a page's of a list.
fn is_passing(rule: &Rule, view: &[u8], whole: &Range<usize>) -> bool {
    const WORD: &[u8] = b"token";
    let word = view[whole.clone()].get(..WORD.len());
    rule.checks.contains(&Check::Setting)
        && word.is_some_and(|word| word.eq_ignore_ascii_case(WORD))
        && check::is_passing_name(&view[..whole.start])
}

/// How bad a match is, or none where a validator says that it is none.
fn severity(rule: &Rule, value: &[u8]) -> Option<Severity> {
    let outcome = check::outcome(rule.checks, value);
    if outcome == Outcome::Reject {
        return None;
    }
    if rule.class != Class::Secret {
        return Some(rule.severity);
    }
    if is_filler(value) {
        return None;
    }
    if check::is_published(value) {
        return Some(Severity::Low);
    }
    match outcome {
        Outcome::Doubt => Some(rule.severity.min(Severity::High)),
        Outcome::Reject | Outcome::Pass => Some(rule.severity),
    }
}

/// `sk-xxxxxxxxxxxxxxxx` and the like: a secret's bytes are not mostly one byte.
fn is_filler(value: &[u8]) -> bool {
    let longest = value
        .chunk_by(|a, b| a == b)
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    longest >= 8 && longest * 3 > value.len()
}

#[cfg(test)]
mod tests;
