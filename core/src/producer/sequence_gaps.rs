//! A sequence that nobody will send: what it means for the batches behind it, and for the epoch.

use super::Producer;
use crate::{
    batch::Batch,
    partition_slot::{Partition, Phase},
    slots::Ix,
};

impl Producer<'_> {
    /// Has the partition begin a new epoch once all that was sent is resolved.
    pub(super) fn seal(&mut self, home: Ix<Partition>) {
        if !self.identity.is_off() {
            self.partitions.at_mut(home).phase = Phase::Sealing;
        }
    }

    /// A bound batch is about to be given up that is certainly not in the log: a broker that knows the
    /// producer appends no later batch of its epoch.
    pub(super) fn leave_gap(&mut self, index: Ix<Batch>) {
        if self.identity.is_off() {
            return;
        }
        self.seal(self.batches.at(index).partition);
        self.mark_gap_from(self.batches.at(index).queue.next());
    }

    fn mark_gap_from(&mut self, first: Ix<Batch>) {
        let mut next = first;
        while let Some(index) = next.some() {
            let batch = self.batches.at_mut(index);
            if !batch.is_bound() {
                return;
            }
            batch.after_gap = true;
            next = batch.queue.next();
        }
    }
}
