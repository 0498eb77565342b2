//! What went out at one place a few bytes at a time, crossing after crossing.

use std::collections::HashMap;
use std::time::Duration;

/// Bytes that are remembered of a place: half of the longest value that is kept is more, but keys are shorter.
const TRAIL_BYTES_MAX: usize = 256;

/// Places that are remembered: 256 KiB. When there are more, all are forgotten that were not used within a minute, and
/// if none is left out, all.
const TRAILS_MAX: usize = 1024;

/// How long a trail is followed after its last crumb.
const FOLLOWED: Duration = Duration::from_secs(3600);

/// The trails of a session. A name in a query, a place in a path and one in a host name have a trail each.
#[derive(Debug, Default)]
pub(super) struct Trails {
    places: HashMap<u64, Trail>,
}

#[derive(Default)]
struct Trail {
    bytes: zeroize::Zeroizing<Vec<u8>>,
    at: Duration,
}

/// It may hold a secret.
impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trail({} bytes)", self.bytes.len())
    }
}

impl Trails {
    /// Adds a crumb to the trail of a place, and returns the trail if it may say something: the same crumb over and over,
    /// as an API's version, does not. Where a client asks for the same thing `again`, as for a name's addresses, the same
    /// crumb as before is none.
    pub(super) fn add(
        &mut self,
        place: u64,
        crumb: &[u8],
        again: bool,
        at: Duration,
    ) -> Option<&[u8]> {
        if self.places.len() >= TRAILS_MAX && !self.places.contains_key(&place) {
            self.make_room(at);
        }
        let trail = self.places.entry(place).or_default();
        if at.saturating_sub(trail.at) > FOLLOWED {
            trail.bytes.clear();
        }
        trail.at = at;
        if again && trail.bytes.ends_with(crumb) {
            return None;
        }
        let over = (trail.bytes.len() + crumb.len()).saturating_sub(TRAIL_BYTES_MAX);
        let over = over.min(trail.bytes.len());
        trail.bytes.drain(..over);
        trail.bytes.extend_from_slice(crumb);
        let is_same = trail
            .bytes
            .rchunks(crumb.len())
            .all(|own| crumb.ends_with(own));
        (!is_same).then_some(&trail.bytes)
    }

    fn make_room(&mut self, at: Duration) {
        const LATELY: Duration = Duration::from_secs(60);
        self.places
            .retain(|_, trail| at.saturating_sub(trail.at) < LATELY);
        if self.places.len() >= TRAILS_MAX {
            self.places.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crumbs_make_a_trail_at_each_place() {
        let (mut trails, at) = (Trails::default(), Duration::from_secs);
        assert_eq!(trails.add(1, b"a", false, at(0)), None);
        assert_eq!(trails.add(2, b"x", false, at(1)), None);
        assert_eq!(trails.add(1, b"bc", false, at(2)), Some(&b"abc"[..]));
        assert_eq!(trails.add(1, b"d", true, at(3602)), Some(&b"abcd"[..]));
        assert_eq!(
            trails.add(1, b"d", true, at(3602)),
            None,
            "it was asked for again"
        );
        assert_eq!(
            trails.add(1, b"e", false, at(7203)),
            None,
            "an hour later it is forgotten"
        );
        assert_eq!(trails.add(3, b"v1", false, at(7203)), None);
        assert_eq!(
            trails.add(3, b"v1", false, at(7204)),
            None,
            "the same over and over says nothing"
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut trails = Trails::default();
        for step in 0..10 * TRAILS_MAX as u64 {
            trails.add(step, b"ab", false, Duration::from_millis(step));
            assert!(trails.places.len() <= TRAILS_MAX);
        }
        for step in 0..1000u64 {
            let trail = trails.add(
                7,
                &[b'a' + (step % 20) as u8, b'z'],
                false,
                Duration::from_secs(100),
            );
            assert!(trail.is_none_or(|trail| trail.len() <= TRAIL_BYTES_MAX));
        }
    }
}
