//! Short surfaces in which nothing was seen.
//!
//! A client sends the same names and headers with every request. What a scan sees depends on the
//! rules, the kind of surface, the direction and the bytes alone, so that a surface that was scanned
//! and held nothing need not be scanned again under the same engine. What held anything is never
//! kept.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroizing;

use crate::crossing::{Direction, SurfaceKind};

/// The longest surface that is kept. Longer ones seldom come twice.
const BYTES_MAX: usize = 256;
/// Surfaces kept at once: more than one agent's clients repeat, and at most 150 KiB.
const PLACES: usize = 512;

/// What was clean, each in the place that its hash gives it, until another takes that place.
/// Compared byte for byte, so that no collision can pass for it.
pub(super) struct Clean {
    hasher: RandomState,
    places: Box<[Mutex<Option<Known>>]>,
}

#[derive(PartialEq, Eq)]
struct Known {
    kind: SurfaceKind,
    direction: Direction,
    /// What no rule knows may still be a secret.
    bytes: Zeroizing<Box<[u8]>>,
}

impl Default for Clean {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            places: (0..PLACES).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Clean {
    /// Whether this very surface was scanned before and held nothing.
    pub(super) fn has(&self, kind: SurfaceKind, direction: Direction, bytes: &[u8]) -> bool {
        bytes.len() <= BYTES_MAX
            && self.place(bytes).as_ref().is_some_and(|known| {
                known.kind == kind && known.direction == direction && **known.bytes == *bytes
            })
    }

    /// Keeps a surface that held nothing.
    pub(super) fn keep(&self, kind: SurfaceKind, direction: Direction, bytes: &[u8]) {
        if bytes.len() <= BYTES_MAX {
            *self.place(bytes) = Some(Known {
                kind,
                direction,
                bytes: Zeroizing::new(bytes.into()),
            });
        }
    }

    /// Nothing can be left half-changed, so a panic elsewhere does not matter.
    fn place(&self, bytes: &[u8]) -> MutexGuard<'_, Option<Known>> {
        let place = self.hasher.hash_one(bytes) % PLACES as u64;
        let place = &self.places[place as usize];
        place.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Clean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clean")
    }
}

#[cfg(test)]
mod tests {
    use super::{BYTES_MAX, Clean, PLACES};
    use crate::crossing::{Direction, SurfaceKind};

    const HEADER: (SurfaceKind, Direction) = (SurfaceKind::Header, Direction::Outbound);

    #[test]
    fn only_the_very_same_surface_is_known() {
        let clean = Clean::default();
        let (kind, direction) = HEADER;
        clean.keep(kind, direction, b"curl/8");
        assert!(clean.has(kind, direction, b"curl/8"));
        assert!(!clean.has(kind, direction, b"curl/9"));
        assert!(!clean.has(SurfaceKind::Query, direction, b"curl/8"));
        assert!(!clean.has(kind, Direction::Inbound, b"curl/8"));
    }

    #[test]
    fn memory_is_bounded() {
        let clean = Clean::default();
        let (kind, direction) = HEADER;
        clean.keep(kind, direction, &[b'a'; BYTES_MAX + 1]);
        assert!(!clean.has(kind, direction, &[b'a'; BYTES_MAX + 1]));
        for number in 0..3 * PLACES {
            clean.keep(kind, direction, number.to_string().as_bytes());
        }
        let known = |number: &usize| clean.has(kind, direction, number.to_string().as_bytes());
        assert!((0..3 * PLACES).filter(known).count() <= PLACES);
    }
}
