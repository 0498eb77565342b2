//! Known values that cross in pieces, over surfaces and crossings.

use super::Inspection;
use crate::crossing::{Direction, SurfaceKind, Time};
use crate::known::Piece;
use crate::scan::Sighting;
use crate::session::Session;

/// Pieces of one push that are kept: a URL or a block of a body in words of four bytes holds more
/// only of one that repeats itself.
const PIECES_MAX: usize = 4096;

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
