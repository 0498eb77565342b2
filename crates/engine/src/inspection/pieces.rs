//! Known values that cross in pieces, over surfaces and crossings.

use super::Inspection;
use crate::crossing::{Direction, Surface, SurfaceKind, Time};
use crate::known::{Piece, is_piece};
use crate::scan::Sighting;
use crate::session::Session;

/// Pieces of one push that are kept: a URL or a block of a body in words of four bytes holds more
/// only of one that repeats itself.
const PIECES_MAX: usize = 4096;

/// What is no longer than this is too short to be a piece, and is followed over crossings.
const CRUMB_BYTES_MAX: usize = 3;

/// A piece, and where it was seen.
#[derive(Debug)]
pub(super) struct Held {
    sighting: Sighting,
    kind: SurfaceKind,
    name: Box<str>,
}

impl Inspection {
    pub(super) fn hold_piece(&mut self, sighting: Sighting, kind: SurfaceKind, name: &str) {
        if self.pieces.len() < PIECES_MAX {
            self.pieces.push(Held {
                sighting,
                kind,
                name: name.into(),
            });
        }
    }

    /// Follows what goes out at a place a few bytes at a time: a known value that is whole in the trail is refused.
    pub(super) fn trail(&mut self, next: Surface<'_>, session: &Session, now: Time) {
        let is_crumb = (1..=CRUMB_BYTES_MAX).contains(&next.bytes.len());
        if !is_crumb || self.is_stopped() || self.engine.known().is_empty() {
            return;
        }
        let place = (&*self.site, next.kind, next.name.as_bytes());
        let Some(trail) = session.follow(place, next.bytes, now) else {
            return;
        };
        let mut found = Vec::new();
        let scanned = self.scan_afresh(next.kind, &trail, &mut found);
        self.settle_scan(scanned, next.kind);
        found.retain(|own| own.known.is_some() && !is_piece(own.rule));
        for mut sighting in found {
            sighting.offset = 0;
            sighting.via.push("in-pieces");
            self.judge(sighting, next.kind, "", now);
        }
    }

    /// Tells the session of the pieces that were seen, and judges what they make up with those
    /// before them.
    pub(super) fn settle_pieces(&mut self, session: &Session, now: Time) {
        if self.engine.known().is_empty() || self.kind.direction() == Direction::Inbound {
            return;
        }
        session.pass_words(self.budget.take_words());
        for held in std::mem::take(&mut self.pieces) {
            let Some(part) = held.sighting.known else {
                continue;
            };
            if self.bench(now).is_known_home(part, held.kind) {
                continue;
            }
            let piece = Piece {
                part,
                at: now.elapsed,
            };
            if let Some(rule) = session.cover(self.engine.known(), piece) {
                let mut sighting = held.sighting;
                sighting.rule = rule;
                sighting.severity = rule.severity;
                sighting.via.push("in-pieces");
                self.judge(sighting, held.kind, &held.name, now);
            }
        }
    }
}
