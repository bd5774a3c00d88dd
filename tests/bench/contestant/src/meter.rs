//! Time, and the processor time of the whole process.

use std::time::{Duration, Instant};

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

use crate::{Arguments, Counting};

/// Measures from its start on.
#[derive(Debug)]
pub struct Meter {
    start: Instant,
    user: Duration,
    system: Duration,
    allocations: Option<u64>,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Measured {
    /// By the clock.
    pub elapsed: Duration,
    /// Of all threads, outside of the kernel.
    pub user: Duration,
    /// Of all threads, inside of it.
    pub system: Duration,
    /// How often the heap was asked, if that was to be counted.
    pub allocations: Option<u64>,
}

impl Meter {
    /// Begins to measure.
    #[must_use]
    pub fn start(arguments: &Arguments) -> Self {
        if arguments.count_allocations {
            Counting::start();
        }
        let (user, system) = usage();
        let allocations = arguments.count_allocations.then(Counting::count);
        Self { start: Instant::now(), user, system, allocations }
    }

    /// What it measured so far.
    #[must_use]
    pub fn read(&self) -> Measured {
        let elapsed = self.start.elapsed();
        let (user, system) = usage();
        Measured {
            elapsed,
            user: user.saturating_sub(self.user),
            system: system.saturating_sub(self.system),
            allocations: self.allocations.map(|before| Counting::count() - before),
        }
    }
}

fn usage() -> (Duration, Duration) {
    // It fails for an unknown process only, and this is not unknown.
    getrusage(UsageWho::RUSAGE_SELF)
        .map(|usage| (duration(usage.user_time()), duration(usage.system_time())))
        .unwrap_or_default()
}

fn duration(time: TimeVal) -> Duration {
    let micros = time.tv_sec() * 1_000_000 + time.tv_usec();
    Duration::from_micros(u64::try_from(micros).unwrap_or_default())
}
