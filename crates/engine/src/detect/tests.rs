//! The woken windows show nothing that running each regex over everything does not show, and all of
//! it that holds one of its pattern's own literals.

use std::sync::LazyLock;

use proptest::prelude::*;
use regex::bytes::{Regex, RegexBuilder};

use super::{Detectors, Hit, is_passing, severity};
use crate::crossing::Direction;
use crate::injection;
use crate::rules::{PATTERNS, Pattern, RULES};
use crate::scan::Budget;
use crate::views::View;

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// Cases of each property; `CARBOY_CASES` sets another number for a long run.
fn cases() -> u32 {
    let set = std::env::var("CARBOY_CASES").ok();
    set.and_then(|cases| cases.parse().ok()).unwrap_or(64)
}

fn woken(view: &[u8], direction: Direction) -> Vec<(&'static str, usize)> {
    static DETECTORS: LazyLock<Detectors> = LazyLock::new(Detectors::new);
    let (mut hits, mut budget) = (Vec::<Hit>::new(), Budget::default());
    budget.earn(view.len() * 16);
    let mut view = View::raw(view, false);
    DETECTORS
        .detect(
            &mut view,
            direction,
            &mut budget,
            &mut hits,
            &mut Vec::new(),
        )
        .expect("the budget covers it");
    let by_regex = hits
        .into_iter()
        .filter(|hit| hit.rule.shape.is_none() && hit.rule.id != injection::RULE);
    places(by_regex.map(|hit| (hit.rule.id, hit.range.start)).collect())
}

fn one_at_a_time(
    view: &[u8],
    direction: Direction,
    with_literal: bool,
) -> Vec<(&'static str, usize)> {
    static REGEXES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let build = |regex| RegexBuilder::new(regex).unicode(false).build();
        let regexes = PATTERNS.iter().map(|pattern| build(pattern.regex));
        regexes
            .collect::<Result<_, _>>()
            .expect("the build script compiled them")
    });
    let mut found = Vec::new();
    for (pattern, regex) in PATTERNS.iter().zip(REGEXES.iter()) {
        let rule = &RULES[pattern.rule];
        let is_by_regex = rule.id != injection::RULE && pattern.clue.is_none();
        if !is_by_regex || !rule.direction.covers(direction) {
            continue;
        }
        for groups in regex.captures_iter(view) {
            let value = groups
                .get(1)
                .or(groups.get(0))
                .expect("group 0 is the match");
            let whole = groups.get(0).expect("group 0 is the match");
            let counts = !with_literal || has_literal(pattern, whole.as_bytes());
            let is_passing = is_passing(rule, view, &whole.range());
            if counts && !is_passing && severity(rule, value.as_bytes()).is_some() {
                found.push((rule.id, value.start()));
            }
        }
    }
    places(found)
}

/// In any case, and with any white space for a space.
fn has_literal(pattern: &Pattern, text: &[u8]) -> bool {
    let mut folded = text.to_ascii_lowercase();
    folded
        .iter_mut()
        .filter(|byte| matches!(byte, 9..=13))
        .for_each(|byte| *byte = b' ');
    folded.dedup_by(|a, b| *a == b' ' && *b == b' ');
    let mut literals = pattern.literals.iter();
    literals.any(|literal| {
        let literal = literal.to_ascii_lowercase();
        memchr::memmem::find(&folded, literal.as_bytes()).is_some()
    })
}

fn places(mut found: Vec<(&'static str, usize)>) -> Vec<(&'static str, usize)> {
    found.sort_unstable();
    found.dedup();
    found
}

fn planted() -> impl Strategy<Value = String> {
    let examples: Vec<&'static str> = EXAMPLES
        .iter()
        .flat_map(|(_, matches, rejects)| matches.iter().chain(*rejects).copied())
        .collect();
    let filler = prop_oneof![
        "[a-z ]{0,80}",
        "[ -~\\n]{0,200}",
        "\\PC{0,60}",
        Just("lorem ipsum dolor sit amet\n".repeat(60)),
    ];
    let part = prop_oneof![
        prop::sample::select(examples).prop_map(str::to_owned),
        filler
    ];
    prop::collection::vec(
        (part, prop_oneof![Just("\n"), Just(" "), Just("\n\n  ")]),
        1..8,
    )
    .prop_map(|parts| parts.into_iter().map(|(part, gap)| part + gap).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn windows_show_what_the_whole_shows(content in planted()) {
        for direction in [Direction::Outbound, Direction::Inbound] {
            let woken = woken(content.as_bytes(), direction);
            for sure in one_at_a_time(content.as_bytes(), direction, true) {
                prop_assert!(woken.contains(&sure), "{:?} is missed", sure);
            }
            let all = one_at_a_time(content.as_bytes(), direction, false);
            for hit in woken {
                prop_assert!(all.contains(&hit), "{:?} is made up", hit);
            }
        }
    }
}
