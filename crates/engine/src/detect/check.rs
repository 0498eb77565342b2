//! Validators over matched bytes.

/// What a validator looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Check {}
