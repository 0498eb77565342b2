//! What is told of refusals.

use carboy_engine::{CrossingKind, Refusal, Target};

use super::{Asking, CrossingId};

/// Told of every refusal as it happens, after its receipt.
pub trait Observer: Send + Sync {
    /// One crossing was refused, or in audit mode would have been. It must not block.
    fn refused(&self, notice: &Notice<'_>);

    /// One call waits for a person. It must not block.
    fn asked(&self, asking: &Asking<'_>);
}

/// A refusal, ready to show.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// The crossing's id.
    pub id: CrossingId,
    /// What wanted to cross.
    pub kind: CrossingKind,
    /// Where to, or for a response where from.
    pub target: &'a Target,
    /// The method of HTTP or JSON-RPC, where there is one.
    pub method: Option<&'a str>,
    /// Why not, and how to allow it.
    pub refusal: &'a Refusal,
    /// Whether audit mode let it pass all the same.
    pub shadow: bool,
}

/// A refused crossing. Its receipt is written.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The crossing's id.
    pub id: CrossingId,
    /// Why, and how to allow it.
    pub refusal: Box<Refusal>,
}
