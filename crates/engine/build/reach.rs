//! Where a match can be, seen from a literal of its pattern.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use crate::gate::fold;
use crate::require::{Group, known, parse, product};

/// What repeats without end, once or more, is a word.
const WORD_BYTES: usize = 48;

/// What repeats without end, at least some times, is a token; windows end before it does.
const TOKEN_BYTES: usize = 4096;

/// The longest match of a regex, runs of white space counted as one byte. Where a match need not
/// hold one of the literals, it may be anywhere near them.
pub(crate) fn reach(regex: &str, literals: &[String]) -> usize {
    let hir = parse(regex);
    let literals = folded(literals);
    let is_held = |text: &Vec<u8>| {
        let holds = |literal: &Vec<u8>| text.windows(literal.len()).any(|part| part == literal);
        literals.iter().any(holds)
    };
    let groups = known(&hir).into_groups();
    if groups.iter().any(|group| group.iter().all(is_held)) {
        longest(&hir).min(TOKEN_BYTES)
    } else {
        TOKEN_BYTES
    }
}

fn folded(literals: &[String]) -> BTreeSet<Vec<u8>> {
    let fold_all = |text: &String| text.bytes().map(fold).collect();
    literals.iter().map(fold_all).collect()
}

fn longest(hir: &Hir) -> usize {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 0,
        HirKind::Literal(literal) => literal.0.len(),
        HirKind::Class(_) => 1,
        HirKind::Capture(capture) => longest(&capture.sub),
        HirKind::Concat(parts) => parts.iter().map(longest).sum(),
        HirKind::Alternation(parts) => parts.iter().map(longest).max().unwrap_or(0),
        HirKind::Repetition(repetition) => repeated(repetition),
    }
}

fn repeated(repetition: &Repetition) -> usize {
    let once = longest(&repetition.sub);
    match repetition.max {
        _ if is_space(&repetition.sub) => 1,
        Some(max) => (max as usize).saturating_mul(once).min(TOKEN_BYTES),
        None if repetition.min <= 1 => WORD_BYTES.max(once * 4),
        None => TOKEN_BYTES,
    }
}

fn is_space(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(Class::Bytes(class)) => class
            .iter()
            .all(|range| (range.start()..=range.end()).all(|byte| fold(byte) == b' ')),
        HirKind::Literal(literal) => literal.0.iter().all(|byte| fold(*byte) == b' '),
        HirKind::Capture(capture) => is_space(&capture.sub),
        HirKind::Class(Class::Unicode(_))
        | HirKind::Empty
        | HirKind::Look(_)
        | HirKind::Concat(_)
        | HirKind::Alternation(_)
        | HirKind::Repetition(_) => false,
    }
}

/// Whether each match of a regex begins with one of the literals: it need only be tried where they
/// are. Not with white space in them, whose runs have any length.
pub(crate) fn is_anchored(regex: &str, literals: &[String]) -> bool {
    let literals = folded(literals);
    let is_plain = |text: &Vec<u8>| text.is_ascii() && !text.contains(&b' ');
    literals.iter().all(is_plain)
        && heads(&parse(regex))
            .iter()
            .all(|head| literals.iter().any(|literal| head.starts_with(literal)))
}

/// The length of what a regex tells the value to be, its first group or all of it, where that begins
/// the match and has one length only.
pub(crate) fn value_len(regex: &str) -> Option<usize> {
    let hir = parse(regex);
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        HirKind::Empty
        | HirKind::Look(_)
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Capture(_)
        | HirKind::Alternation(_)
        | HirKind::Repetition(_) => std::slice::from_ref(&hir),
    };
    let mut parts = parts
        .iter()
        .skip_while(|part| matches!(part.kind(), HirKind::Look(_)));
    let value = if let Some(HirKind::Capture(capture)) = parts.next().map(Hir::kind) {
        &capture.sub
    } else if hir.properties().explicit_captures_len() == 0 {
        &hir
    } else {
        return None;
    };
    let (least, most) = (
        value.properties().minimum_len(),
        value.properties().maximum_len(),
    );
    least.filter(|_| least == most)
}

/// What the matches of a part begin with, folded.
fn heads(hir: &Hir) -> Group {
    let known = known(hir);
    if let Some(exact) = known.exact {
        return exact;
    }
    let nothing = || Group::from([Vec::new()]);
    match hir.kind() {
        HirKind::Capture(capture) => heads(&capture.sub),
        HirKind::Alternation(parts) => parts.iter().flat_map(heads).collect(),
        HirKind::Concat(parts) => {
            let mut whole = nothing();
            for part in parts {
                let is_exact = self::known(part).exact.is_some();
                match product(&whole, &heads(part)) {
                    Some(longer) => whole = longer,
                    None => return whole,
                }
                if !is_exact {
                    return whole;
                }
            }
            whole
        }
        HirKind::Repetition(repetition) if repetition.min > 0 => heads(&repetition.sub),
        HirKind::Empty
        | HirKind::Look(_)
        | HirKind::Literal(_)
        | HirKind::Class(_)
        | HirKind::Repetition(_) => nothing(),
    }
}
