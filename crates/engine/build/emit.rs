//! Writes rules as Rust statics.

use std::fmt::Write;

use crate::fold::Fold;
use crate::gate::{self, End, Gate, Wake};
use crate::reach;
use crate::source::{HomeSurface, RuleSource};

/// Stands for nothing in an example, so that no scanner takes the rule file for a leak.
const BREAK: &str = "<>";

/// `RULES`, `PATTERNS` and `LITERALS`.
pub(crate) fn rules(rules: &[RuleSource]) -> String {
    let (mut table, mut patterns) = (String::new(), String::new());
    for (index, rule) in rules.iter().enumerate() {
        // A clue belongs to no rule; the first stands for it, and is never asked.
        let (index, clue) = match &rule.clue {
            Some(clue) => (0, format!("Some(ClueKind::{})", camel(clue))),
            None => (index, "None".into()),
        };
        if rule.clue.is_none() {
            write_rule(&mut table, rule);
        }
        for pattern in rule.patterns() {
            let (regex, literals) = (&pattern.regex, &pattern.literals);
            let groups = 1 + gate::extra_groups(regex).len();
            let told = || reach::reach(regex, literals);
            let reach = pattern.reach.unwrap_or_else(told);
            let stem = literals.iter().map(String::len).min().unwrap_or(0);
            let len = reach::value_len(regex);
            // The sweep has its own; besides, only what must be met in its very case is compared.
            let literals = match rule.clue {
                Some(_) => format!("&{literals:?}"),
                None => format!("if cfg!(test) {{ &{literals:?} }} else {{ &[] }}"),
            };
            let is_anchored = reach::is_anchored(regex, &pattern.literals) || rule.clue.is_some();
            writeln!(
                patterns,
                "Pattern {{ rule: {index}, regex: {regex:?}, literals: {literals}, \
                 groups: {groups}, reach: {reach}, is_anchored: {is_anchored}, stem: {stem}, \
                 len: {len:?}, clue: {clue} }},"
            )
            .expect("a String takes all");
        }
    }
    format!(
        "pub(crate) static RULES: &[Rule] = &[\n{table}];\n\
         pub(crate) static PATTERNS: &[Pattern] = &[\n{patterns}];\n"
    )
}

fn write_rule(out: &mut String, rule: &RuleSource) {
    let RuleSource {
        id,
        title,
        class,
        severity,
        direction,
        home,
        origin,
        shape,
        validate,
        ..
    } = rule;
    writeln!(
        out,
        "Rule {{ id: {id:?}, title: {title:?}, class: Class::{class:?}, \
         severity: Severity::{severity:?}, direction: RuleDirection::{direction:?}, \
         origin: Origin::{origin:?}, home: &{home:?}, home_in: &[{home_in}], \
         seen_in: &[{seen_in}], \
         shape: {shape}, checks: &[{checks}] }},",
        home_in = home_in(rule),
        seen_in = seen_in(rule),
        shape = shape
            .as_ref()
            .map_or("None".into(), |s| format!("Some(Shape::{})", camel(s))),
        checks = validate
            .iter()
            .map(|c| check(c))
            .collect::<Vec<_>>()
            .join(", "),
    )
    .expect("a String takes all");
}

/// A header, where the rule names no kind of surface.
fn home_in(rule: &RuleSource) -> String {
    let kinds = match rule.home_in.as_slice() {
        [] => &[HomeSurface::Header],
        named => named,
    };
    let kinds = kinds.iter().map(|kind| format!("SurfaceKind::{kind:?}"));
    kinds.collect::<Vec<_>>().join(", ")
}

fn seen_in(rule: &RuleSource) -> String {
    let kinds = rule.seen_in.iter();
    let kinds = kinds.map(|kind| format!("SurfaceKind::{kind:?}"));
    kinds.collect::<Vec<_>>().join(", ")
}

/// `PUBLISHED`.
pub(crate) fn published(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|text| text.replace(BREAK, "")).collect();
    format!("static PUBLISHED: &[&str] = &{values:?};\n")
}

/// `(id, matches, rejects)` of every rule.
pub(crate) fn examples(rules: &[RuleSource]) -> String {
    let mut out = String::from("pub(crate) static EXAMPLES: &[(&str, &[&str], &[&str])] = &[\n");
    for rule in rules {
        let join = |texts: &[String]| -> Vec<String> {
            texts.iter().map(|text| text.replace(BREAK, "")).collect()
        };
        writeln!(
            out,
            "({:?}, &{:?}, &{:?}),",
            rule.id,
            join(&rule.matches),
            join(&rule.rejects)
        )
        .expect("a String takes all");
    }
    out.push_str("];\n");
    out
}

/// A static `Gate`. Its table is a file of its own, of two bytes an entry, little-endian, packed.
pub(crate) fn gate(name: &str, file: &str, gate: &Gate) -> String {
    let Gate {
        classes,
        row,
        table,
        accept,
        ..
    } = gate;
    let len = table.len();
    let (wakes, ends, tails) = ends(gate);
    format!(
        "static {name}: LazyLock<Gate<{row}, {len}>> = LazyLock::new(|| Gate {{\nclasses: {classes:?},\n\
         accept: {accept},\n\
         table: entries(include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\"))),\n\
         wakes: &[\n{wakes}],\nends: &[\n{ends}],\ntails: &{tails:?},\n}});\n"
    )
}

/// All wakes in a row, what ends at each accepting state and where its wakes start, and all tails in a
/// row. A last end tells where the last wakes end.
fn ends(gate: &Gate) -> (String, String, Vec<u8>) {
    let (mut text, mut ends, mut tails) = (String::new(), String::new(), Vec::new());
    let mut count = 0;
    let last = End {
        cues: [0; 2],
        wakes: Vec::new(),
        after: 0,
    };
    for End { cues, wakes, after } in gate.ends.iter().chain([&last]) {
        let start = u16::try_from(count).expect("fewer than 65536 wakes");
        writeln!(
            ends,
            "End {{ cues: {cues:?}, start: {start}, after: {after} }},"
        )
        .expect("a String takes all");
        for wake in wakes {
            let tail = place(&mut tails, &wake.tail);
            let Wake {
                slot,
                ways,
                head_len,
                ..
            } = wake;
            writeln!(
                text,
                "Wake {{ slot: {slot}, ways: {ways:?}, head_len: {head_len}, tail: {tail}, \
                 tail_len: {} }},",
                wake.tail.len()
            )
            .expect("a String takes all");
        }
        count += wakes.len();
    }
    (text, ends, tails)
}

/// Where a tail is among the others; it is added where it is not.
fn place(tails: &mut Vec<u8>, tail: &[u8]) -> u32 {
    let known = tails.windows(tail.len().max(1)).position(|t| t == tail);
    let at = known.unwrap_or(tails.len());
    if known.is_none() {
        tails.extend_from_slice(tail);
    }
    at as u32
}

/// `TEXTS`; the pages and entries are files of their own.
pub(crate) fn fold(fold: &Fold) -> String {
    format!("static TEXTS: &[&str] = &{:?};\n", fold.texts)
}

/// `mod97` is `Check::Mod97`, `entropy:3.5` is `Check::Entropy(3.5)`.
fn check(text: &str) -> String {
    match text.split_once(':') {
        Some((name, argument)) => format!("Check::{}({argument})", camel(name)),
        None => format!("Check::{}", camel(text)),
    }
}

fn camel(kebab: &str) -> String {
    kebab
        .split('-')
        .map(|word| {
            let (first, rest) = word.split_at(word.len().min(1));
            first.to_uppercase() + rest
        })
        .collect()
}
