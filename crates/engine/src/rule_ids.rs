//! The ids of every rule that a finding can name: the rules that are data, and the engine's own.

use crate::rules::Origin;
use crate::scan::Scanner;
use crate::shape;

/// Every id.
pub(crate) fn all() -> Vec<&'static str> {
    let mut ids: Vec<_> = shape::RULES.iter().map(|rule| rule.id).collect();
    for rule in Scanner::rules() {
        ids.push(rule.id);
    }
    ids
}

/// The rules that no policy can switch off or exempt.
pub(crate) fn floor() -> Vec<&'static str> {
    let floor = Scanner::rules().filter(|rule| rule.origin == Origin::Floor);
    floor.map(|rule| rule.id).collect()
}

/// Whether no policy can exempt a rule.
pub(crate) fn is_floor(id: &str) -> bool {
    for rule in Scanner::rules() {
        if rule.id == id {
            return rule.origin == Origin::Floor;
        }
    }
    false
}
