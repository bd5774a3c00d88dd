//! From `new` to the last output.

use crate::Instant;

/// How far `close` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifecycle {
    /// Records are taken.
    Open,
    /// What is left gets until then.
    Draining(Instant),
    /// All is settled; `Output::Closed` waits to be taken.
    Closed,
    Told,
}

impl Lifecycle {
    /// Whether records are taken.
    #[inline(always)]
    pub(super) fn is_open(&self) -> bool {
        *self == Self::Open
    }

    /// Whether nothing is to be done any more.
    #[inline(always)]
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Closed | Self::Told)
    }

    /// No more records are taken, and what is left gets until `deadline`, or until an earlier one of
    /// which it was told before.
    #[inline(always)]
    pub(super) fn close(&mut self, deadline: Instant) {
        *self = match *self {
            Self::Open => Self::Draining(deadline),
            Self::Draining(before) => Self::Draining(before.min(deadline)),
            over @ (Self::Closed | Self::Told) => over,
        };
    }

    /// When what is left has had its time.
    #[inline(always)]
    pub(super) const fn deadline(&self) -> Instant {
        match *self {
            Self::Draining(deadline) => deadline,
            Self::Open | Self::Closed | Self::Told => Instant::NEVER,
        }
    }

    /// Whether `close` has nothing left to wait for.
    #[inline(always)]
    pub(super) fn is_due(&self, now: Instant, unsettled: u32) -> bool {
        match *self {
            Self::Draining(deadline) => unsettled == 0 || deadline <= now,
            Self::Open | Self::Closed | Self::Told => false,
        }
    }

    #[inline(always)]
    pub(super) const fn end(&mut self) {
        *self = Self::Closed;
    }

    #[inline(always)]
    pub(super) fn has_output(&self) -> bool {
        *self == Self::Closed
    }

    /// Whether it is to be told that all is over, which it is once.
    #[inline(always)]
    pub(super) fn take_output(&mut self) -> bool {
        let closed = *self == Self::Closed;
        if closed {
            *self = Self::Told;
        }
        closed
    }
}
