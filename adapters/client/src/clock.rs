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

/// A wall clock that shows an earlier time was not set: this is older than the software. In milliseconds
/// since the Unix epoch, the begin of 2026.
const NEVER_SET_BEFORE: i64 = 1_767_225_600_000;

/// When simulations begin: as the model's brokers do, in microseconds.
#[cfg(feature = "_internal")]
const SIMULATED_EPOCH: i64 = 1_700_000_000_000_000;

/// Monotonic time since the producer's start, and what the wall clock shows meanwhile.
#[derive(Debug)]
pub struct Clock {
    start: StdInstant,
    /// Microseconds between the Unix epoch and `start`, by the wall clock when it was last asked.
    epoch: AtomicI64,
    /// When it was last asked, in microseconds since `start`.
    anchored: AtomicU64,
    /// The time that a simulator says it is, in microseconds.
    #[cfg(feature = "_internal")]
    simulated: Option<std::sync::Arc<AtomicU64>>,
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
            #[cfg(feature = "_internal")]
            simulated: None,
        }
    }

    /// Another clock that shows the same time. What they remember of the wall clock is each one's own,
    /// so that those who read different clocks share nothing that is written.
    #[must_use]
    pub fn twin(&self) -> Self {
        let load = Ordering::Relaxed;
        let (epoch, anchored) = (self.epoch.load(load), self.anchored.load(load));
        Self {
            start: self.start,
            epoch: epoch.into(),
            anchored: anchored.into(),
            #[cfg(feature = "_internal")]
            simulated: self.simulated.clone(),
        }
    }

    /// The time since the start.
    #[must_use]
    pub fn now(&self) -> Instant {
        #[cfg(feature = "_internal")]
        if let Some(now) = &self.simulated {
            return Instant::from_micros(now.load(Ordering::Relaxed));
        }
        Instant::from_micros(micros(self.start.elapsed()))
    }

    /// A clock that shows what a simulator says, and a wall clock that goes with it.
    #[cfg(feature = "_internal")]
    pub(crate) fn simulated(now: std::sync::Arc<AtomicU64>) -> Self {
        let mut clock =
            Self { epoch: SIMULATED_EPOCH.into(), simulated: Some(now), ..Self::start() };
        // For those that park until some time by the system's clock, none ever comes.
        if cfg!(shuttle) {
            clock.start += Duration::from_secs(3_600);
        }
        clock
    }

    fn wall_micros(&self) -> i64 {
        #[cfg(feature = "_internal")]
        if self.simulated.is_some() {
            return SIMULATED_EPOCH.saturating_add_unsigned(self.now().as_micros());
        }
        wall_micros()
    }

    /// The seed of a simulated run.
    pub(crate) fn seed(&self) -> Option<u64> {
        #[cfg(feature = "_internal")]
        return self.simulated.as_ref().map(|now| now.load(Ordering::Relaxed));
        #[cfg(not(feature = "_internal"))]
        None
    }

    /// What moves on every few milliseconds, if there is anything that is cheap to ask.
    pub(crate) fn tick(&self) -> Option<Tick> {
        #[cfg(feature = "_internal")]
        if self.simulated.is_some() {
            return None;
        }
        Tick::coarse()
    }

    /// The wall clock at `at`, in milliseconds since the Unix epoch, without asking it.
    #[must_use]
    pub fn wall_ms(&self, at: Instant) -> i64 {
        let elapsed = i64::try_from(at.as_micros()).unwrap_or(i64::MAX);
        self.epoch.load(Ordering::Relaxed).saturating_add(elapsed) / 1000
    }

    /// The same, if the wall clock was ever set, as far as one can tell.
    pub(crate) fn trusted_wall_ms(&self, at: Instant) -> Option<i64> {
        Some(self.wall_ms(at)).filter(|wall| *wall >= NEVER_SET_BEFORE)
    }

    /// Asks the wall clock again if it was long ago, and tells whether it did. The driver calls this now
    /// and then.
    pub fn anchor(&self, now: Instant) -> bool {
        let anchored = Instant::from_micros(self.anchored.load(Ordering::Relaxed));
        let due = now.since(anchored) >= ANCHOR_AGE;
        if due {
            let elapsed = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
            let epoch = self.wall_micros().saturating_sub(elapsed);
            self.epoch.store(epoch, Ordering::Relaxed);
            self.anchored.store(now.as_micros(), Ordering::Relaxed);
        }
        due
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

/// The time for calls that come thick and fast: to read the clock takes a third of what a record costs.
/// It is read again once about [`STALE`] is over, as far as that can be told from how the last calls
/// came, and whenever a tick has passed, every few milliseconds.
#[derive(Debug)]
pub(crate) struct Recent {
    at: Instant,
    tick: Option<Tick>,
    /// Calls that get the same time as the last one.
    left: u32,
    /// Calls that get the same time, as it was found last.
    run: u32,
}

/// How old the time may be, in microseconds, where calls come evenly.
const STALE: u64 = 20;
/// Calls that may get the same time.
const LONGEST_RUN: u32 = 64;

impl Recent {
    pub(crate) const NEVER: Self = Self { at: Instant::ZERO, tick: None, left: 0, run: 0 };

    #[inline]
    pub(crate) fn now(&mut self, clock: &Clock, tick: Option<Tick>) -> Instant {
        if self.left > 0 && tick.is_some() && tick == self.tick {
            self.left -= 1;
            return self.at;
        }
        self.read(clock, tick)
    }

    #[inline(never)]
    fn read(&mut self, clock: &Clock, tick: Option<Tick>) -> Instant {
        let now = clock.now();
        self.run = next_run(self.run, micros(now.since(self.at)));
        *self = Self { at: now, tick, left: self.run, run: self.run };
        now
    }
}

/// How many calls may have the same time, if the last so many took that long.
fn next_run(run: u32, micros: u64) -> u32 {
    if micros <= STALE {
        return (2 * run + 1).min(LONGEST_RUN);
    }
    let shorter = u64::from(run) * STALE / micros;
    u32::try_from(shorter).unwrap_or(LONGEST_RUN)
}

/// What moves on every few milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// A turn of a driver that has one each millisecond.
    Turn(u32),
    /// The system's coarse time, which costs a quarter of the fine one.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Coarse(rustix::time::Timespec),
}

impl Tick {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) fn coarse() -> Option<Self> {
        Some(Self::Coarse(rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse)))
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) const fn coarse() -> Option<Self> {
        None
    }
}

/// A moment by a thread's own time: what the processor worked for it. Where that is not cheap to ask for, which is
/// anywhere but on Linux and Android, it is time as it passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadTime(Duration);

impl ThreadTime {
    /// Now. In a simulation no thread's time passes.
    pub(crate) fn now(clock: &Clock) -> Self {
        #[cfg(feature = "_internal")]
        if clock.simulated.is_some() {
            return Self(Duration::ZERO);
        }
        Self(thread_time(clock))
    }

    /// Since then, on the same thread.
    pub(crate) fn elapsed(self, clock: &Clock) -> Duration {
        Self::now(clock).0.saturating_sub(self.0)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn thread_time(_: &Clock) -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap_or_default()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn thread_time(clock: &Clock) -> Duration {
    clock.start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_calls_come_the_longer_is_a_time_good() {
        let mut run = 0;
        for _ in 0..10 {
            run = next_run(run, 5);
        }
        assert_eq!(run, LONGEST_RUN);
        // 64 calls in 640 microseconds: two in 20.
        assert_eq!(next_run(run, 640), 2);
        assert_eq!(next_run(2, 1_000), 0);
        assert_eq!(next_run(0, 1_000_000), 0);
    }

    #[test]
    fn after_a_pause_the_clock_is_read() {
        let clock = Clock::start();
        let mut recent = Recent::NEVER;
        for _ in 0..1_000 {
            recent.now(&clock, Tick::coarse());
        }
        // Longer than the coarse time stands still anywhere.
        std::thread::sleep(Duration::from_millis(30));
        let before = clock.now();
        assert!(recent.now(&clock, Tick::coarse()) >= before);
        assert!(recent.now(&clock, Tick::coarse()) <= clock.now());
    }

    #[test]
    fn wall_time_follows_monotonic_time() {
        let clock = Clock::start();
        let at = clock.wall_ms(Instant::from_micros(5_000));
        assert_eq!(clock.wall_ms(Instant::from_micros(2_005_000)) - at, 2_000);
        clock.anchor(clock.now());
        assert_eq!(clock.wall_ms(Instant::from_micros(5_000)), at);
    }
}
