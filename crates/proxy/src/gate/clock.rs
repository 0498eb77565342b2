//! The gate's time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use carboy_engine::Time;

/// The gate's clock: monotonic from its start, with the wall's beside it.
pub(super) struct Clock {
    start: Instant,
    wall: Duration,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    pub(super) fn now(&self) -> Time {
        let elapsed = self.start.elapsed();
        Time {
            elapsed,
            unix_seconds: (self.wall + elapsed).as_secs(),
        }
    }

    pub(super) fn wall(&self, time: Time) -> carboy_receipt::Time {
        carboy_receipt::Time::from_unix_micros(micros(self.wall + time.elapsed))
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
