//! Partitions that wait before they try again.

use crate::{
    Instant,
    list::List,
    partition_slot::{Partition, Waiting},
    slots::{Ix, Table},
};

/// Partitions whose retry backoff runs. How long each waits is its own.
#[derive(Debug)]
// So that no three times stand in one row in the producer, which would be set by a `memset` of their own.
#[cfg_attr(not(target_pointer_width = "64"), repr(C))]
pub(super) struct Backoff {
    waiting: List<Partition, Waiting>,
    /// No later than the first of them is over. Too early costs a look at them; to keep it exact would cost
    /// one at every change.
    until: Instant,
}

impl Backoff {
    pub(super) const NONE: Self = Self { waiting: List::EMPTY, until: Instant::NEVER };

    /// A partition waits until then.
    #[inline(always)]
    pub(super) fn note(&mut self, until: Instant) {
        self.until = self.until.min(until);
    }

    #[inline(always)]
    pub(super) fn push(&mut self, partitions: &mut Table<'_, Partition>, home: Ix<Partition>) {
        self.waiting.push(partitions, home);
    }

    #[inline(always)]
    pub(super) fn remove(&mut self, partitions: &mut Table<'_, Partition>, home: Ix<Partition>) {
        self.waiting.remove(partitions, home);
    }

    /// When to look at them.
    #[inline(always)]
    pub(super) const fn until(&self) -> Instant {
        self.until
    }

    /// All are about to be looked at, or none ever again: who waits on is to be noted anew. The first of them.
    #[inline(always)]
    pub(super) const fn forget_time(&mut self) -> Ix<Partition> {
        self.until = Instant::NEVER;
        self.waiting.head()
    }

    #[cfg(feature = "_internal")]
    pub(super) const fn waiting(&self) -> &List<Partition, Waiting> {
        &self.waiting
    }
}
