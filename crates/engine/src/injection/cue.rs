//! Tells where in a view the model is worth its time: where cues of several kinds lie near each other,
//! and a first look finds signals.

use std::ops::Range;

use super::{MODEL, Reading};
use crate::scan::{Budget, BudgetSpent};

/// Cues count together where they are in the same cell or in two that follow each other.
const CELL_BYTES: usize = 64;

/// A first look goes so far beyond the cells, for the rest of a sentence.
const GLANCE_BYTES: usize = 100;

/// A passage is read so far beyond them: what adds up in a short paragraph, either way.
const READ_BYTES: usize = 400;

/// A byte of the model costs about a quarter of what a view's byte costs in all.
const COST_SHARE: usize = 4;

/// The cues of one view.
#[derive(Default)]
pub(crate) struct Cues {
    /// The kinds in each cell.
    cells: Vec<u32>,
}

impl Cues {
    /// Whether a pattern stands for a kind of cue: which.
    pub(crate) fn kind(pattern: u16) -> Option<usize> {
        let kind = usize::from(pattern.checked_sub(MODEL.first_cue)?);
        (kind < MODEL.cues.len()).then_some(kind)
    }

    /// Takes kinds, a bit each, that end at a place of a view.
    pub(crate) fn note(&mut self, kinds: u32, place: usize, view_len: usize) {
        if self.cells.is_empty() {
            // Places may be at the view's end, and the last cell has one to follow it.
            self.cells.resize(view_len / CELL_BYTES + 2, 0);
        }
        self.cells[place / CELL_BYTES] |= kinds;
    }

    /// Takes over the cells of a view's `part` that this one's view is with some changes; `carry` says
    /// where a place is now, unless it was changed. What a cell holds may be in two now.
    pub(crate) fn inherit(
        &mut self,
        parent: &Self,
        part: Range<usize>,
        carry: impl Fn(u32) -> Option<u32>,
        view_len: usize,
    ) {
        let first = part.start / CELL_BYTES;
        let past = parent.cells.len().min(part.end / CELL_BYTES + 1);
        let cells = parent.cells.get(first..past).unwrap_or_default();
        for (index, kinds) in cells.iter().enumerate() {
            if *kinds == 0 {
                continue;
            }
            let start = (first + index) * CELL_BYTES;
            let kept = (start..start + CELL_BYTES).find_map(|place| carry(place as u32));
            if let Some(place) = kept {
                let place = place as usize;
                self.note(*kinds, place, view_len);
                self.note(*kinds, view_len.min(place + CELL_BYTES - 1), view_len);
            }
        }
    }

    /// The parts of a view to read, in order; none touches the next.
    pub(super) fn windows(
        &self,
        view: &[u8],
        reading: &mut Reading,
        is_fresh: &dyn Fn(&Range<usize>) -> bool,
        budget: &mut Budget,
    ) -> Result<Vec<Range<usize>>, BudgetSpent> {
        let mut windows = Vec::new();
        let mut looks: Vec<Range<usize>> = Vec::new();
        for (index, pair) in self.cells.windows(2).enumerate() {
            if points(pair[0] | pair[1]) >= u32::from(MODEL.enough) {
                let cells = index * CELL_BYTES..(index + 2) * CELL_BYTES;
                join(&mut looks, around(&cells, GLANCE_BYTES, view.len()));
            }
        }
        for look in looks {
            let window = around(&look, READ_BYTES - GLANCE_BYTES, view.len());
            if !is_fresh(&window) {
                continue;
            }
            budget.spend(look.len() / COST_SHARE)?;
            if reading.is_promising(&view[look]) {
                join(&mut windows, window);
            }
        }
        let read: usize = windows.iter().map(ExactSizeIterator::len).sum();
        budget.spend(read / COST_SHARE)?;
        Ok(windows)
    }
}

fn points(mut kinds: u32) -> u32 {
    let mut sum = 0;
    while kinds != 0 {
        sum += u32::from(MODEL.cues[kinds.trailing_zeros() as usize]);
        kinds &= kinds - 1;
    }
    sum
}

fn around(part: &Range<usize>, reach: usize, len: usize) -> Range<usize> {
    part.start.saturating_sub(reach)..len.min(part.end + reach)
}

fn join(windows: &mut Vec<Range<usize>>, window: Range<usize>) {
    match windows.last_mut() {
        Some(last) if last.end >= window.start => last.end = last.end.max(window.end),
        Some(_) | None => windows.push(window),
    }
}
