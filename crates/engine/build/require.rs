//! What a regex cannot match without: groups of literals of which each match holds one each.
//!
//! A rule's own literals wake its regex; these keep it asleep where the rest of a match is missing.

use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind};

use crate::gate::fold;

/// Strings that a part of a regex may stand for, before they are too many to be of use.
const EXACT_MAX: usize = 64;

/// A group of more literals is hardly ever missing.
const GROUP_MAX: usize = 160;

/// A shorter literal is almost everywhere.
const LEN_MIN: usize = 4;

/// Literals of which one must be there, folded.
pub(crate) type Group = BTreeSet<Vec<u8>>;

/// What is known of a part of a regex.
#[derive(Clone)]
pub(crate) struct Known {
    /// All that it can match; none if that is too much.
    pub(crate) exact: Option<Group>,
    groups: Vec<Group>,
}

/// At most `max` groups of a regex, the most telling first.
pub(crate) fn groups(regex: &str, max: usize) -> Vec<Group> {
    let mut groups = known(&parse(regex)).into_groups();
    groups.retain(|group| group.len() <= GROUP_MAX);
    groups.sort_by_key(|group| (std::cmp::Reverse(shortest(group).min(8)), group.len()));
    groups.truncate(max);
    groups
}

/// A regex as it will be compiled.
pub(crate) fn parse(regex: &str) -> Hir {
    regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(regex)
        .expect("the rule's check compiled it")
}

fn shortest(group: &Group) -> usize {
    let len = |text: &Vec<u8>| text.iter().filter(|b| **b != b' ').count();
    group.iter().map(len).min().unwrap_or(0)
}

impl Known {
    fn nothing() -> Self {
        Self::exact([Vec::new()])
    }

    fn unknown() -> Self {
        Self {
            exact: None,
            groups: Vec::new(),
        }
    }

    fn exact(texts: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            exact: Some(texts.into_iter().collect()),
            groups: Vec::new(),
        }
    }

    /// What each match holds one of, apart from what it is exactly.
    pub(crate) fn into_groups(self) -> Vec<Group> {
        let mut groups = self.groups;
        groups.extend(self.exact.filter(|exact| shortest(exact) >= LEN_MIN));
        groups
    }

    fn best(self) -> Option<Group> {
        let groups = self.into_groups().into_iter();
        groups.max_by_key(|group| (shortest(group).min(8), std::cmp::Reverse(group.len())))
    }
}

pub(crate) fn known(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::nothing(),
        HirKind::Literal(literal) => Known::exact([literal.0.iter().map(|b| fold(*b)).collect()]),
        HirKind::Class(class) => class_known(class),
        HirKind::Capture(capture) => known(&capture.sub),
        HirKind::Concat(parts) => concat(parts),
        HirKind::Alternation(parts) => alternation(parts),
        HirKind::Repetition(repetition) => {
            let inner = known(&repetition.sub);
            let is_space = inner.exact.as_ref() == Some(&Group::from([vec![b' ']]));
            match (repetition.min, inner.exact) {
                // Any number of spaces is folded to one.
                (0, Some(mut exact)) if is_space || repetition.max == Some(1) => {
                    exact.insert(Vec::new());
                    Known::exact(exact)
                }
                (0, _) => Known::unknown(),
                (_, Some(exact)) if is_space => Known::exact(exact),
                (_, exact) => Known {
                    exact: None,
                    groups: Known {
                        exact,
                        groups: inner.groups,
                    }
                    .into_groups(),
                },
            }
        }
    }
}

/// The bytes of a small class, folded.
fn class_known(class: &Class) -> Known {
    let Class::Bytes(class) = class else {
        return Known::unknown();
    };
    let mut bytes = BTreeSet::new();
    for range in class.iter() {
        if range.len() > 16 {
            return Known::unknown();
        }
        bytes.extend((range.start()..=range.end()).map(fold));
    }
    if bytes.len() > 4 {
        return Known::unknown();
    }
    Known::exact(bytes.into_iter().map(|byte| vec![byte]))
}

fn concat(parts: &[Hir]) -> Known {
    let mut whole = Known::nothing();
    let mut is_exact = true;
    for part in parts {
        let part = known(part);
        let joined = match (&whole.exact, &part.exact) {
            (Some(before), Some(after)) => product(before, after),
            (Some(_), None) | (None, _) => None,
        };
        match joined {
            Some(joined) => whole.exact = Some(joined),
            None => {
                is_exact = false;
                whole.groups = whole.clone().into_groups();
                whole.groups.extend(part.groups);
                whole.exact = part.exact.or(Some(Group::from([Vec::new()])));
            }
        }
    }
    if !is_exact {
        whole.groups = whole.clone().into_groups();
        whole.exact = None;
    }
    whole
}

/// Every text of one followed by every text of the other, with spaces folded to one.
pub(crate) fn product(before: &Group, after: &Group) -> Option<Group> {
    if before.len() * after.len() > EXACT_MAX {
        return None;
    }
    let join = |a: &Vec<u8>, b: &Vec<u8>| {
        let both = a.ends_with(b" ") && b.starts_with(b" ");
        [a, &b[usize::from(both)..]].concat()
    };
    let pairs = before
        .iter()
        .flat_map(|a| after.iter().map(move |b| (a, b)));
    Some(pairs.map(|(a, b)| join(a, b)).collect())
}

fn alternation(parts: &[Hir]) -> Known {
    let parts: Vec<Known> = parts.iter().map(known).collect();
    let exacts: Option<Vec<&Group>> = parts.iter().map(|part| part.exact.as_ref()).collect();
    if let Some(exacts) = exacts {
        let all: Group = exacts.into_iter().flatten().cloned().collect();
        if all.len() <= EXACT_MAX {
            return Known::exact(all);
        }
    }
    let best: Option<Vec<Group>> = parts.into_iter().map(Known::best).collect();
    Known {
        exact: None,
        groups: best
            .map(|best| best.into_iter().flatten().collect())
            .into_iter()
            .collect(),
    }
}
