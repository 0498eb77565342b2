//! The ids of every rule that a finding can name.

/// Rules that the engine itself applies; the others are data.
pub(crate) const BUILT_IN: [&str; 0] = [];

/// Every id.
pub(crate) fn all() -> Vec<&'static str> {
    BUILT_IN.to_vec()
}

/// Whether no policy can exempt a rule.
pub(crate) fn is_floor(_rule: &str) -> bool {
    false
}
