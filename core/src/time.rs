//! Time as a number: the core never reads a clock.

use core::time::Duration;

/// A point in monotonic time: microseconds since an origin that the caller chooses.
///
/// A clock that steps backward is harmless: the core remembers the latest time it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
        let micros = by.as_micros();
        if micros >= (u64::MAX - self.0) as u128 {
            Self::NEVER
        } else {
            Self(self.0 + micros as u64)
        }
    }

    /// How long after `earlier` this instant lies; zero where it lies before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}
