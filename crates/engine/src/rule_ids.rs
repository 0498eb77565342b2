//! The ids of every rule that a finding can name: the rules that are data, and the engine's own.

use crate::rules::Origin;
use crate::scan::Scanner;
use crate::shape;

/// Every id.
pub(crate) fn all() -> Vec<&'static str> {
    let data = Scanner::rules().iter().map(|rule| rule.id);
    data.chain(shape::RULES.iter().map(|rule| rule.id))
        .collect()
}

/// Whether no policy can exempt a rule.
pub(crate) fn is_floor(id: &str) -> bool {
    let mut rules = Scanner::rules().iter();
    rules.any(|rule| rule.id == id && rule.origin == Origin::Floor)
}
