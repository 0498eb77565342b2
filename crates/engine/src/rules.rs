//! Rules: data, compiled in from `rules/*.yaml`.

use std::fmt;

use crate::crossing::Direction;
use crate::detect::{Check, Shape};
use crate::finding::{Class, Severity};

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
    /// Host patterns of where this credential belongs; empty where there is no such place.
    pub home: &'static [&'static str],
    pub(crate) shape: Option<Shape>,
    pub(crate) checks: &'static [Check],
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
    /// Index into [`RULES`].
    pub(crate) rule: usize,
    pub(crate) regex: &'static str,
    pub(crate) literals: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/rules.rs"));
