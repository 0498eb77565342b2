//! Secrets that no rule describes, because their very values are known; and canaries, decoys whose
//! sight alone tells of a leak.

mod index;
mod pieces;
mod spelling;
mod value;

use std::fmt;

use zeroize::Zeroizing;

use crate::crossing::Direction;
use crate::finding::{Class, Severity};
use crate::rules::{Origin, Rule, RuleDirection};
use crate::scan::{Budget, BudgetSpent};
use index::Index;
use pieces::Joined;
pub(crate) use pieces::{Coverage, Piece};
use value::Value;

/// Values kept at once: more than any environment and its files hold.
const VALUES_MAX: usize = 1024;

/// A view of more bytes is not searched for short pieces and for what stands cut up in it: a beacon
/// is small, and what is long may be read for other reasons at every turn.
const PIECES_VIEW_MAX: usize = 16 * 1024;

const fn rule(id: &'static str, title: &'static str, origin: Origin) -> Rule {
    Rule {
        id,
        title,
        class: Class::Secret,
        severity: Severity::Critical,
        direction: RuleDirection::Both,
        origin,
        home: &[],
        home_in: &[],
        seen_in: &[],
        shape: None,
        checks: &[],
    }
}

/// The rules of values that are known: they have no pattern.
pub(crate) static RULES: &[Rule] = &[
    rule("known-secret", "Known secret", Origin::Builtin),
    rule("canary", "Canary", Origin::Floor),
];

/// What marks a piece of a known value. It is never judged: only many of them tell of a leak.
static PIECE: Rule = rule(
    "known-secret-piece",
    "Piece of a known secret",
    Origin::Builtin,
);

/// Values that must not cross, gathered before an engine is made of them.
///
/// They are wiped from memory when it is dropped, and so is what the engine keeps of them.
#[derive(Default)]
pub struct Known {
    entries: Vec<Entry>,
}

struct Entry {
    name: Box<str>,
    value: Zeroizing<Vec<u8>>,
    is_canary: bool,
}

/// How a value came to be among those that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Someone named it: anything that can be told from a word will do.
    ByName,
    /// A pattern or a default took it: only what looks generated will do.
    ByPattern,
}

impl Known {
    /// Adds a secret under a name that findings may show. Returns whether it is kept: what is short
    /// or plain would be seen where it is not.
    pub fn add(&mut self, name: &str, value: &[u8], asked: Asked) -> bool {
        let value = value.trim_ascii();
        let is_strong = match asked {
            Asked::ByName => value::is_telling(value),
            Asked::ByPattern => value::is_generated(value),
        };
        is_strong && self.push(name, value, false)
    }

    /// Adds a decoy under a name that findings may show.
    pub fn add_canary(&mut self, name: &str, value: &[u8]) -> bool {
        value::is_telling(value) && self.push(name, value, true)
    }

    fn push(&mut self, name: &str, value: &[u8], is_canary: bool) -> bool {
        let value = &value[..value.len().min(value::BYTES_MAX)];
        let known = self.entries.iter().position(|own| **own.value == *value);
        if let Some(at) = known {
            // A decoy stays one, whatever else knows it.
            self.entries[at].is_canary |= is_canary;
            return true;
        }
        let has_room = self.entries.len() < VALUES_MAX;
        if has_room {
            self.entries.push(Entry {
                name: name.into(),
                value: Zeroizing::new(value.to_vec()),
                is_canary,
            });
        }
        has_room
    }

    /// The names of the secrets, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let secrets = self.entries.iter().filter(|own| !own.is_canary);
        secrets.map(|own| &*own.name)
    }

    /// How many values there are, canaries included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Known({} values)", self.entries.len())
    }
}

/// Values that are known, ready to be found.
#[derive(Default)]
pub(crate) struct Values {
    values: Vec<Value>,
    /// The rules that know each value by its form or its name, and so its home.
    rules: Vec<Vec<&'static Rule>>,
    /// None where nothing is known.
    index: Option<Index>,
    /// Tells these values from those of an engine before a reload.
    tag: u64,
}

/// Which of the known values was seen, and what of its secret part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) value: u16,
    pub(crate) start: u16,
    pub(crate) len: u16,
}

/// A part of a view that shows a known value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glimpse {
    pub(crate) rule: &'static Rule,
    pub(crate) part: Part,
    pub(crate) range: std::ops::Range<usize>,
    /// How the value was written, where no view undoes it.
    pub(crate) spelling: Option<&'static str>,
}

/// Whether a rule only marks a piece of a value.
pub(crate) fn is_piece(rule: &Rule) -> bool {
    *rule == PIECE
}

impl Values {
    /// Makes values ready. `rules_of` tells which rules know a named value; `key` keys the index.
    pub(crate) fn new(
        known: Known,
        key: &[u8; 32],
        rules_of: impl Fn(&str, &[u8]) -> Vec<&'static Rule>,
    ) -> Self {
        let (mut values, mut rules, mut exact) = (Vec::new(), Vec::new(), Vec::new());
        for entry in known.entries {
            rules.push(match entry.is_canary {
                true => Vec::new(),
                false => rules_of(&entry.name, &entry.value),
            });
            values.push(Value::new(entry.name, &entry.value, entry.is_canary));
            exact.push(entry.value);
        }
        let index = Index::new(&values, &exact, key);
        let [a, b, c, d, e, f, g, h, ..] = *key;
        Self {
            values,
            rules,
            index: Some(index),
            tag: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The addresses of what is kept of the values.
    pub(crate) fn memory(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let folded = self.values.iter().map(|own| index::addresses(&own.folded));
        folded.chain(self.index.iter().flat_map(Index::memory))
    }

    /// The name under which a value is known.
    pub(crate) fn name(&self, part: Part) -> &str {
        self.values
            .get(usize::from(part.value))
            .map_or("", |own| &own.name)
    }

    /// The rules that know a value too.
    pub(crate) fn rules(&self, part: Part) -> &[&'static Rule] {
        self.rules
            .get(usize::from(part.value))
            .map_or(&[], Vec::as_slice)
    }

    /// Notes a piece that went out. Returns the rule that it breaks, if with others it makes up
    /// enough of its value.
    pub(crate) fn cover(&self, seen: &mut Coverage, piece: Piece) -> Option<&'static Rule> {
        let value = self.values.get(usize::from(piece.part.value))?;
        seen.add(self.tag, value, piece).then(|| value.rule())
    }

    /// Finds known values in a view.
    pub(crate) fn find(
        &self,
        view: &[u8],
        direction: Direction,
        is_fresh: &dyn Fn(&std::ops::Range<usize>) -> bool,
        budget: &mut Budget,
        found: &mut Vec<Glimpse>,
    ) -> Result<(), BudgetSpent> {
        let Some(index) = &self.index else {
            return Ok(());
        };
        let first = found.len();
        let takes_pieces = direction == Direction::Outbound;
        self.sweep(index, view, takes_pieces, budget, found)?;
        spelling::dots(view, |text, name, range| {
            self.respelt(index, &text, name, range, budget, found)
        })?;
        if takes_pieces && view.len() <= PIECES_VIEW_MAX {
            self.find_cut(index, view, budget, found)?;
        }
        let fresh = found.split_off(first);
        found.extend(fresh.into_iter().filter(|own| is_fresh(&own.range)));
        Ok(())
    }

    fn sweep(
        &self,
        index: &Index,
        view: &[u8],
        takes_pieces: bool,
        budget: &mut Budget,
        found: &mut Vec<Glimpse>,
    ) -> Result<(), BudgetSpent> {
        let work = index.sweep(view, &mut |run| {
            let value = &self.values[usize::from(run.value)];
            let Some(part) = value.part(&run) else {
                return 0;
            };
            let rule = match value.is_leak(part.len) {
                true => value.rule(),
                false if takes_pieces && run.is_plain() && value.is_long_piece(part.len) => &PIECE,
                false => return 0,
            };
            found.push(Glimpse {
                rule,
                part,
                spelling: run.spelling,
                range: run.range.clone(),
            });
            run.range.end
        });
        budget.spend(work)
    }

    /// What a run of dots or dashes says.
    fn respelt(
        &self,
        index: &Index,
        text: &[u8],
        name: &'static str,
        range: std::ops::Range<usize>,
        budget: &mut Budget,
        found: &mut Vec<Glimpse>,
    ) -> Result<(), BudgetSpent> {
        let first = found.len();
        self.sweep(index, text, false, budget, found)?;
        for own in &mut found[first..] {
            own.spelling = Some(name);
            own.range = range.clone();
        }
        Ok(())
    }

    /// Whole words that are pieces of a value, and values that stand in one piece once everything
    /// between the words and every name of an item is left out.
    fn find_cut(
        &self,
        index: &Index,
        view: &[u8],
        budget: &mut Budget,
        found: &mut Vec<Glimpse>,
    ) -> Result<(), BudgetSpent> {
        let mut words = 0;
        let joined = Joined::of(view, |range| {
            words += 1;
            index.word(&view[range.clone()], |number, start| {
                let value = &self.values[usize::from(number)];
                let part = value.piece(number, start, range.len());
                found.extend(part.map(|part| Glimpse {
                    rule: &PIECE,
                    part,
                    spelling: None,
                    range: range.clone(),
                }));
            });
        });
        budget.pass_words(words);
        if joined.is_cut() {
            let first = found.len();
            self.sweep(index, joined.bytes(), false, budget, found)?;
            for own in &mut found[first..] {
                own.range = Joined::place(view, &own.range);
                own.spelling = Some("joined");
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({})", self.values.len())
    }
}
