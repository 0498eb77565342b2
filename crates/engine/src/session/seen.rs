//! What has been counted already, so that it counts once.

use std::collections::HashSet;
use std::time::Duration;

/// Hashes of what was met in the window that now runs. When it ends, or when there are more than
/// `MAX`, all of them are forgotten.
#[derive(Debug, Default)]
pub(super) struct Seen<const MAX: usize> {
    hashes: HashSet<u64>,
    since: Duration,
}

impl<const MAX: usize> Seen<MAX> {
    /// Forgets what was met before the window that now runs.
    pub(super) fn advance(&mut self, window: Duration, at: Duration) {
        if at.saturating_sub(self.since) >= window {
            self.hashes.clear();
            self.since = at;
        }
    }

    pub(super) fn has(&self, hash: u64) -> bool {
        self.hashes.contains(&hash)
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn insert(&mut self, hash: u64) {
        if self.hashes.len() >= MAX {
            self.hashes.clear();
        }
        self.hashes.insert(hash);
    }

    /// Whole seconds until the window that now runs has ended.
    pub(super) fn seconds_left(&self, window: Duration, at: Duration) -> u64 {
        let spent = at.saturating_sub(self.since);
        window.saturating_sub(spent).as_secs() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;
    use std::time::Duration;

    #[test]
    fn windows_and_bounds() {
        let window = Duration::from_secs(60);
        let mut seen = Seen::<3>::default();
        seen.insert(1);
        seen.advance(window, Duration::from_secs(59));
        assert!(seen.has(1));
        assert_eq!(seen.seconds_left(window, Duration::from_secs(59)), 2);
        seen.advance(window, Duration::from_secs(60));
        assert!(!seen.has(1));
        for hash in 0..100 {
            seen.insert(hash);
            assert!(seen.len() <= 3 && seen.has(hash));
        }
    }
}
