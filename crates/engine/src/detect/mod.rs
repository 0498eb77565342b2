//! Finds what rules describe in one view.

mod check;

pub(crate) use check::Check;

/// Patterns without a literal, found by code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {}
