//! Time as a number: the core never reads a clock.

use core::time::Duration;

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
