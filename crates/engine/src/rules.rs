//! Rules: data, compiled in from `rules/*.yaml`.

use std::fmt;

use crate::crossing::{Direction, SurfaceKind};
use crate::detect::{Check, Shape};
use crate::finding::{Class, Severity};
use crate::views::ClueKind;

/// One detection rule.
pub struct Rule {
    /// Its stable id, such as `github-token`.
    pub id: &'static str,
    /// What it finds, in words for a person.
    pub title: &'static str,
    /// Its class; the policy acts on classes.
    pub class: Class,
    /// How bad a true match is.
    pub severity: Severity,
    /// The way in which content is judged by it.
    pub direction: RuleDirection,
    /// Who made it, and so who may overrule it.
    pub origin: Origin,
    /// Host patterns of where this credential belongs; empty where there is no such place.
    pub home: &'static [&'static str],
    /// The kinds of surface in which the credential may go home.
    pub home_in: &'static [SurfaceKind],
    /// The kinds of surface that it looks at; all where none is named.
    pub seen_in: &'static [SurfaceKind],
    pub(crate) shape: Option<Shape>,
    pub(crate) checks: &'static [Check],
}

/// Who made a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A rule that a policy may switch off or exempt.
    Builtin,
    /// A rule that no policy may switch off or exempt.
    Floor,
}

/// The ways in which a rule judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleDirection {
    /// From the bottle to the world.
    Outbound,
    /// From the world into the bottle.
    Inbound,
    /// Either way.
    Both,
}

impl RuleDirection {
    /// Whether the rule judges content that moves this way.
    pub fn covers(self, direction: Direction) -> bool {
        match (self, direction) {
            (Self::Both, Direction::Outbound | Direction::Inbound)
            | (Self::Outbound, Direction::Outbound)
            | (Self::Inbound, Direction::Inbound) => true,
            (Self::Outbound, Direction::Inbound) | (Self::Inbound, Direction::Outbound) => false,
        }
    }
}

impl Rule {
    /// Whether the rule looks at a kind of surface.
    pub(crate) fn looks_at(&self, kind: SurfaceKind) -> bool {
        self.seen_in.is_empty() || self.seen_in.contains(&kind)
    }
}

/// Ids are unique.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Rule {}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({})", self.id)
    }
}

/// Literals of which one must be present, and the regex that then decides.
pub(crate) struct Pattern {
    /// Index into [`RULES`]; of no meaning where there is a clue.
    pub(crate) rule: usize,
    pub(crate) regex: &'static str,
    /// Only of a clue, and where rules are tested.
    pub(crate) literals: &'static [&'static str],
    /// Groups of literals of which a match holds one each: `literals`, and what the regex shows.
    pub(crate) groups: usize,
    /// The longest match in bytes, white space in a row counted as one.
    pub(crate) reach: usize,
    /// Whether each match begins with one of `literals`.
    pub(crate) is_anchored: bool,
    /// The length of the shortest of `literals`.
    pub(crate) stem: usize,
    /// How long the value is from its literal on, where each is as long.
    pub(crate) len: Option<usize>,
    /// Where it belongs to no rule: the view that it wakes.
    pub(crate) clue: Option<ClueKind>,
}

include!(concat!(env!("OUT_DIR"), "/rules.rs"));
