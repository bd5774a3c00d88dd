//! The one place where clocks are read.

use core::{
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};
use std::time::{Instant as StdInstant, SystemTime, UNIX_EPOCH};

use ottla_core::Instant;

/// How old the relation between the two clocks may be: a gateway boots in 1970, and then its
/// clock is set.
const ANCHOR_AGE: Duration = Duration::from_secs(1);

/// Monotonic time since the producer's start, and what the wall clock shows meanwhile.
#[derive(Debug)]
pub struct Clock {
    start: StdInstant,
    /// Microseconds between the Unix epoch and `start`, by the wall clock when it was last asked.
    epoch: AtomicI64,
    /// When it was last asked, in microseconds since `start`.
    anchored: AtomicU64,
}

impl Clock {
    /// Starts the clock at zero.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the adapters' one clock")]
    pub fn start() -> Self {
        Self {
            start: StdInstant::now(),
            epoch: AtomicI64::new(wall_micros()),
            anchored: AtomicU64::new(0),
        }
    }

    /// The time since the start.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::from_micros(micros(self.start.elapsed()))
    }

    /// The wall clock at `at`, in milliseconds since the Unix epoch, without asking it.
    #[must_use]
    pub fn wall_ms(&self, at: Instant) -> i64 {
        let elapsed = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        self.epoch.load(Ordering::Relaxed).saturating_add(elapsed) / 1000
    }

    /// Asks the wall clock again if it was long ago. The driver calls this now and then.
    pub fn anchor(&self, now: Instant) {
        let anchored = Instant::from_micros(self.anchored.load(Ordering::Relaxed));
        if now.since(anchored) >= ANCHOR_AGE {
            let elapsed = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
            let epoch = wall_micros().saturating_sub(elapsed);
            self.epoch.store(epoch, Ordering::Relaxed);
            self.anchored.store(now.as_micros(), Ordering::Relaxed);
        }
    }

    /// `at` as the standard library's instant; `None` where it is out of its range.
    #[must_use]
    pub fn std(&self, at: Instant) -> Option<StdInstant> {
        self.start.checked_add(Duration::from_micros(at.as_micros()))
    }

    /// The standard library's instant as ours.
    #[must_use]
    pub fn core(&self, at: StdInstant) -> Instant {
        Instant::from_micros(micros(at.saturating_duration_since(self.start)))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "the adapters' one clock")]
fn wall_micros() -> i64 {
    // A wall clock before 1970 is a wrong one, and gives 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_follows_monotonic_time() {
        let clock = Clock::start();
        let at = clock.wall_ms(Instant::from_micros(5_000));
        assert_eq!(clock.wall_ms(Instant::from_micros(2_005_000)) - at, 2_000);
        clock.anchor(clock.now());
        assert_eq!(clock.wall_ms(Instant::from_micros(5_000)), at);
    }
}
