//! Time as a number: the core never reads a clock.

use core::{
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

/// A point in monotonic time: microseconds since an origin that the caller chooses.
///
/// A clock that steps backward is harmless: the core remembers the latest time it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Self = Self(0);
    /// A time that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// The instant that lies `micros` microseconds after the origin.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the origin.
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This instant moved by `by` into the future; [`Instant::NEVER`] where that is out of range.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        self.later(Micros::of(by))
    }

    /// This instant moved into the future; [`Instant::NEVER`] where that is out of range.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) const fn later(self, by: Micros) -> Self {
        Self(self.0.saturating_add(by.0))
    }

    /// How long after `earlier` this instant lies; zero where it lies before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// As [`Instant::after`].
impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        self.after(by)
    }
}

/// As [`Instant::after`].
impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, by: Duration) {
        *self = self.after(by);
    }
}

/// As [`Instant::since`].
impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// A length of time as the core keeps it. A `Duration` takes twice the memory and, on a machine of
/// 32 bits, many times the code wherever it is added to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Micros(pub(crate) u64);

impl Micros {
    /// Whole microseconds; saturates.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) const fn of(duration: Duration) -> Self {
        let micros = duration.as_secs().saturating_mul(1_000_000);
        Self(micros.saturating_add(duration.subsec_micros() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_reckoned_with_and_stay_in_range() {
        let (at, second) = (Instant::from_micros(5), Duration::from_secs(1));
        let mut later = at + second;
        assert_eq!(later, Instant::from_micros(1_000_005));
        later += second;
        assert_eq!((later - at, at - later), (2 * second, Duration::ZERO));
        assert_eq!(at + Duration::MAX, Instant::NEVER);
    }
}
