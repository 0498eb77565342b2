//! Scans a stream as it flows, and says what may be released.
//!
//! Blocks at fixed places decide, so that no cut of the stream changes what is seen. In a lull what
//! has arrived is looked through early, only to tell how much of it may go on.

use std::collections::VecDeque;
use std::fmt;

use super::events::{Cutter, Event, EventForm};
use super::inflate::{Inflate, Opaque};
use super::window::{self, Window};
use super::{Budget, BudgetSpent, Scanner, Sighting};
use crate::crossing::{Direction, SurfaceKind};
use crate::media::{Seen, Watch};
use crate::views::is_encoding_byte;

/// A token that is still growing is held whole up to this size: longer than any credential, also
/// one in two layers of encoding.
const HOLD_MAX_BYTES: u64 = 4096;

/// An early look starts so far before what was cleared: a credential of several words or lines may
/// have begun there.
const EARLY_BACK_BYTES: u64 = 2048;

/// Raw bytes taken at a time, which bounds the window whatever a push brings.
const SLICE_BYTES: usize = 16 * 1024;

/// One body or TCP stream. The caller holds the raw bytes; this holds what is not yet decided: at
/// most a block, its overlap and what one slice decodes to.
pub(crate) struct Stream {
    kind: SurfaceKind,
    direction: Direction,
    coding: Coding,
    /// Decoded bytes from `base` on.
    buffer: Vec<u8>,
    base: u64,
    /// Where the next block starts.
    block: u64,
    /// Decoded bytes that may be released.
    cleared: u64,
    /// Set once something that would block was seen; nothing more is released.
    is_shut: bool,
    /// Set once an early look met something that would block. Only the next block tells more, so
    /// that a sender of tiny pieces does not have the same bytes looked through for each.
    is_stalled: bool,
    raw_in: u64,
    raw_released: u64,
    /// Raw and decoded length after each piece: the raw bytes may go when the decoded ones may.
    marks: VecDeque<(u64, u64)>,
    /// Of a stream of events: where they end.
    cutter: Option<Box<Cutter>>,
    /// Of a response's body: what tells whether it is what it says.
    watch: Option<Box<Watch>>,
    /// No more is released than up to here: of a stream of events, the end of the last that was judged.
    limit: u64,
}

enum Coding {
    Identity,
    Coded(Box<Inflate>),
    /// The content cannot be read; its raw bytes are scanned as they are.
    Failed(Opaque),
}

/// Says whether a sighting would block: the bytes of one that only warns need not be held.
pub(crate) type Holds<'a> = &'a dyn Fn(&Sighting) -> bool;

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({:?}, {} raw bytes)", self.kind, self.raw_in)
    }
}

impl Stream {
    /// Opens a stream. `content_encoding` is the header's value: its codings are undone for
    /// scanning.
    pub(crate) fn new(
        kind: SurfaceKind,
        direction: Direction,
        content_encoding: Option<&str>,
    ) -> Self {
        let coding = match Inflate::new(content_encoding.unwrap_or_default()) {
            Ok(None) => Coding::Identity,
            Ok(Some(inflate)) => Coding::Coded(Box::new(inflate)),
            Err(opaque) => Coding::Failed(opaque),
        };
        Self {
            kind,
            direction,
            coding,
            buffer: Vec::new(),
            base: 0,
            block: 0,
            cleared: 0,
            is_shut: false,
            is_stalled: false,
            raw_in: 0,
            raw_released: 0,
            marks: VecDeque::new(),
            cutter: None,
            watch: None,
            limit: u64::MAX,
        }
    }

    /// The same, of events: nothing is released but whole ones, once they are judged.
    pub(crate) fn of_events(mut self, form: EventForm) -> Self {
        self.cutter = Some(Box::new(Cutter::new(form)));
        self.limit = 0;
        self
    }

    /// The same, watched for what its content is.
    pub(crate) fn watched(mut self, watch: Option<Watch>) -> Self {
        self.watch = watch.map(Box::new);
        self
    }

    pub(crate) fn is_of_events(&self) -> bool {
        self.cutter.is_some()
    }

    /// The events that have become whole.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        let cutter = self.cutter.as_mut();
        cutter.map_or_else(Vec::new, |cutter| cutter.take())
    }

    /// Where the last whole event ends.
    pub(crate) fn whole(&self) -> u64 {
        self.cutter.as_ref().map_or(0, |cutter| cutter.whole())
    }

    /// Bytes of whole events that are not judged.
    pub(crate) fn undecided_bytes(&self) -> u64 {
        self.whole().saturating_sub(self.limit)
    }

    /// Looks through the whole events that are not judged. Returns what would block.
    pub(crate) fn look_at_events(&mut self, scanner: &Scanner, holds: Holds<'_>) -> Vec<Sighting> {
        self.look(scanner, holds, self.whole())
    }

    /// Lets the whole events go, and tells how many raw bytes those are.
    pub(crate) fn settle_events(&mut self) -> usize {
        self.limit = self.whole();
        self.release()
    }

    /// Takes the next raw bytes and tells how many more raw bytes, oldest first, may be released:
    /// those of decided blocks. Sightings are appended once each, whatever the cuts.
    pub(crate) fn push(
        &mut self,
        scanner: &Scanner,
        bytes: &[u8],
        holds: Holds<'_>,
        budget: &mut Budget,
        out: &mut Vec<Sighting>,
    ) -> Result<usize, BudgetSpent> {
        for slice in bytes.chunks(SLICE_BYTES) {
            self.take(scanner, slice, holds, budget, out)?;
        }
        Ok(self.release())
    }

    /// Looks through what is held, because no more is at hand just now, and tells how many more
    /// raw bytes may be released.
    pub(crate) fn lull(&mut self, scanner: &Scanner, holds: Holds<'_>) -> usize {
        if !self.is_stalled && !self.is_of_events() {
            let cut = self.token_start();
            let seen = self.look(scanner, holds, cut);
            self.is_stalled = !seen.is_empty();
        }
        self.release()
    }

    /// Looks through what is held as if the stream ended here, because its sender waits for an
    /// answer before it says more. Tells how many raw bytes may be released; what would block is
    /// appended, and then nothing more is.
    pub(crate) fn pause(
        &mut self,
        scanner: &Scanner,
        holds: Holds<'_>,
        out: &mut Vec<Sighting>,
    ) -> usize {
        let seen = self.look(scanner, holds, self.end());
        self.is_shut |= !seen.is_empty();
        out.extend(seen);
        self.release()
    }

    /// Scans what is left. After it everything is decided.
    pub(crate) fn finish(
        &mut self,
        scanner: &Scanner,
        holds: Holds<'_>,
        budget: &mut Budget,
        out: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        let mut decoded = Vec::new();
        if let Coding::Coded(inflate) = &mut self.coding
            && let Err(opaque) = inflate.end(&mut decoded)
        {
            self.fail(scanner, opaque, holds, out);
        }
        self.append(scanner, &decoded, holds, budget, out)?;
        while self.block < self.end() {
            self.scan_block(scanner, holds, budget, out)?;
        }
        if let Some(cutter) = &mut self.cutter {
            cutter.end();
        }
        if let Some(mut watch) = self.watch.take() {
            self.note(scanner, watch.end(), holds, out);
        }
        Ok(())
    }

    /// Notes what was seen of what the content is.
    fn note(
        &mut self,
        scanner: &Scanner,
        seen: Vec<Seen>,
        holds: Holds<'_>,
        out: &mut Vec<Sighting>,
    ) {
        for seen in seen {
            let sighting = scanner.media(seen);
            self.is_shut |= holds(&sighting);
            out.push(sighting);
        }
    }

    fn end(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    fn take(
        &mut self,
        scanner: &Scanner,
        slice: &[u8],
        holds: Holds<'_>,
        budget: &mut Budget,
        out: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        if let (Coding::Failed(opaque), 0) = (&self.coding, self.raw_in) {
            let opaque = *opaque;
            self.fail(scanner, opaque, holds, out);
        }
        let mut rest = slice;
        while let Coding::Coded(inflate) = &mut self.coding
            && !rest.is_empty()
        {
            // Pieces at fixed places: the ratio is judged alike however the stream is cut.
            let piece =
                Inflate::piece_bytes() - (self.raw_in % Inflate::piece_bytes() as u64) as usize;
            let (piece, after) = rest.split_at(piece.min(rest.len()));
            rest = after;
            let mut decoded = Vec::new();
            let result = inflate.feed(piece, &mut decoded);
            self.raw_in += piece.len() as u64;
            self.append(scanner, &decoded, holds, budget, out)?;
            self.mark();
            if let Err(opaque) = result {
                self.fail(scanner, opaque, holds, out);
            }
        }
        self.raw_in += rest.len() as u64;
        self.append(scanner, rest, holds, budget, out)?;
        self.mark();
        Ok(())
    }

    fn mark(&mut self) {
        let end = self.end();
        match self.marks.back_mut() {
            Some(last) if last.1 == end => last.0 = self.raw_in,
            _ => self.marks.push_back((self.raw_in, end)),
        }
    }

    /// Records that the content cannot be read, once.
    fn fail(
        &mut self,
        scanner: &Scanner,
        opaque: Opaque,
        holds: Holds<'_>,
        out: &mut Vec<Sighting>,
    ) {
        self.coding = Coding::Failed(opaque);
        let sighting = scanner.opaque(opaque, self.end());
        self.is_shut |= holds(&sighting);
        out.push(sighting);
    }

    fn append(
        &mut self,
        scanner: &Scanner,
        decoded: &[u8],
        holds: Holds<'_>,
        budget: &mut Budget,
        out: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        budget.earn(decoded.len());
        if let Some(cutter) = &mut self.cutter {
            cutter.feed(decoded);
        }
        if let Some(watch) = &mut self.watch {
            let seen = watch.feed(decoded);
            self.note(scanner, seen, holds, out);
        }
        for part in decoded.chunks(SLICE_BYTES) {
            self.buffer.extend_from_slice(part);
            while self.end() >= self.block + window::BLOCK_BYTES + window::OVERLAP_BYTES {
                self.scan_block(scanner, holds, budget, out)?;
            }
        }
        Ok(())
    }

    /// Decides the next block, and forgets what no later one needs.
    fn scan_block(
        &mut self,
        scanner: &Scanner,
        holds: Holds<'_>,
        budget: &mut Budget,
        out: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        let bytes = self.slice(window::start(self.block), window::end(self.block));
        let owned = self.block..self.block + window::BLOCK_BYTES;
        let window = Window {
            bytes,
            base: window::start(self.block),
            owned,
        };
        let seen = scanner.window(self.kind, self.direction, &window, budget)?;
        self.is_shut |= seen.iter().any(holds);
        out.extend(seen);
        self.block += window::BLOCK_BYTES;
        self.is_stalled = false;
        self.cleared = self.cleared.max(self.block.min(self.end()));
        let keep = window::start(self.block).min(self.cleared.saturating_sub(EARLY_BACK_BYTES));
        let drop = keep.saturating_sub(self.base).min(self.buffer.len() as u64);
        self.buffer.drain(..drop as usize);
        self.base += drop;
        Ok(())
    }

    fn slice(&self, start: u64, end: u64) -> &[u8] {
        let at = |place: u64| (place.clamp(self.base, self.end()) - self.base) as usize;
        &self.buffer[at(start)..at(end)]
    }

    /// Clears up to `cut`, or up to the first thing that would block. Returns what would.
    fn look(&mut self, scanner: &Scanner, holds: Holds<'_>, cut: u64) -> Vec<Sighting> {
        if self.is_shut || cut <= self.cleared {
            return Vec::new();
        }
        let start = self.cleared.saturating_sub(EARLY_BACK_BYTES).max(self.base);
        let end = self.end();
        let window = Window {
            bytes: self.slice(start, end),
            base: start,
            owned: 0..u64::MAX,
        };
        // A budget of its own: how often the stream is cut must not count against it.
        let mut budget = Budget::default();
        budget.earn(window.bytes.len());
        let Ok(mut seen) = scanner.window(self.kind, self.direction, &window, &mut budget) else {
            return Vec::new();
        };
        seen.retain(|sighting| holds(sighting));
        let starts = seen.iter().map(|own| own.offset.saturating_sub(own.before));
        let first = starts.min();
        self.cleared = self.cleared.max(cut.min(first.unwrap_or(cut)));
        seen
    }

    /// Where the token that may still be growing starts.
    fn token_start(&self) -> u64 {
        let is_inside = |byte: &&u8| {
            is_encoding_byte(**byte) || **byte >= 0x80 || b".=%\\:~@!#$&*?".contains(byte)
        };
        let token = self
            .buffer
            .iter()
            .rev()
            .take(HOLD_MAX_BYTES as usize)
            .take_while(is_inside);
        self.end() - token.count() as u64
    }

    fn release(&mut self) -> usize {
        let is_undecided = |watch: &Watch| watch.is_undecided();
        if self.is_shut || self.watch.as_deref().is_some_and(is_undecided) {
            return 0;
        }
        let mut raw = self.raw_released;
        let cleared = self.cleared.min(self.limit);
        if let Coding::Identity = self.coding {
            raw = cleared.max(raw);
            self.marks.clear();
        }
        while let Some(mark) = self.marks.front().filter(|mark| mark.1 <= cleared) {
            raw = mark.0;
            self.marks.pop_front();
        }
        let more = raw - self.raw_released;
        self.raw_released = raw;
        more as usize
    }
}
