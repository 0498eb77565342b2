//! Scans a stream as it flows, and says what may be released.

use super::{Budget, BudgetSpent, Scanner, Sighting};
use crate::crossing::{Direction, SurfaceKind};

/// One body or TCP stream. The caller holds the raw bytes; this holds what is not yet decided.
#[derive(Debug)]
pub(crate) struct Stream {
    kind: SurfaceKind,
    direction: Direction,
    window: Vec<u8>,
}

/// Says whether a sighting would block: the bytes of one that only warns need not be held.
pub(crate) type Holds<'a> = &'a dyn Fn(&Sighting) -> bool;

impl Stream {
    /// Opens a stream. `content_encoding` is the header's value: its codings are undone for
    /// scanning.
    pub(crate) fn new(
        kind: SurfaceKind,
        direction: Direction,
        _content_encoding: Option<&str>,
    ) -> Self {
        Self {
            kind,
            direction,
            window: Vec::new(),
        }
    }

    /// Takes the next raw bytes and tells how many more raw bytes, oldest first, may be released.
    /// Sightings are appended once each, whatever the cuts.
    pub(crate) fn push(
        &mut self,
        _scanner: &Scanner,
        bytes: &[u8],
        _holds: Holds<'_>,
        _budget: &mut Budget,
        _out: &mut Vec<Sighting>,
    ) -> Result<usize, BudgetSpent> {
        self.window.extend_from_slice(bytes);
        Ok(0)
    }

    /// Scans what is left. After it everything is decided.
    pub(crate) fn finish(
        &mut self,
        scanner: &Scanner,
        _holds: Holds<'_>,
        budget: &mut Budget,
        out: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        let window = std::mem::take(&mut self.window);
        scanner.scan(self.kind, self.direction, &window, budget, out)
    }
}
