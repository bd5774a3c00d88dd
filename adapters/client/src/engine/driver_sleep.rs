//! What the driver does, and what callers do in its stead.

use core::{mem, task::Waker};

/// What a caller is to do once the lock is free.
#[derive(Debug)]
pub(crate) enum Nudge {
    Nothing,
    /// There is a batch to be compressed.
    Compress,
    /// There is nothing to do but to write.
    Write,
    /// The driver sleeps, and has something to do.
    Wake(Waker),
}

/// What the driver does.
#[derive(Debug)]
pub(super) enum Driving {
    /// It is at work, or about to be, and will see to everything.
    Awake,
    /// It sleeps, and is woken by links as well.
    Asleep(Waker),
    /// It naps: links do not wake it, and callers move bytes both ways.
    Napping(Waker),
}

impl Driving {
    pub(super) const fn is_awake(&self) -> bool {
        matches!(self, Self::Awake)
    }

    pub(super) fn wake(&mut self) -> Option<Waker> {
        match mem::replace(self, Self::Awake) {
            Self::Awake => None,
            Self::Asleep(waker) | Self::Napping(waker) => Some(waker),
        }
    }
}

/// What gathers before somebody is woken for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    /// Whether a batch may wait at all.
    pub(crate) lingers: bool,
    /// So many batches that were begun are not left to wait for the driver.
    pub(crate) batches: u32,
    /// For so many free pages those are woken at once that wait for memory.
    pub(crate) pages: u32,
}
