//! Splits a batch that a broker finds too large (KIP-126).

use super::Producer;
#[cfg(feature = "compression")]
use crate::batch::Form;
use crate::{
    batch::{Batch, Life, second_half_len, sequence_after, split_off},
    coverage::seen,
    slots::Ix,
};

impl Producer<'_> {
    /// Splits a batch that waits to be sent again, and was certainly not appended, into two that
    /// keep its sequences. False, and nothing done, where there is no memory for that.
    pub(super) fn split(&mut self, index: Ix<Batch>) -> bool {
        let batch = self.batches.at(index);
        debug_assert!(!batch.may_be_in_log(), "semantics I2");
        let half = batch.records.div_ceil(2);
        let needed = self.pages.needed(second_half_len(&self.pages, batch, half));
        let free = self.pages.free();
        // What the codec made of the whole is of no more use then.
        #[cfg(feature = "compression")]
        let compressed = batch.is_compressed();
        #[cfg(feature = "compression")]
        let free = if compressed { free + self.pages.needed(batch.body().len) } else { free };
        let Some(other) = self.free_batches.some().filter(|_| needed <= free) else {
            return false;
        };
        #[cfg(feature = "compression")]
        self.set_form(index, Form::Plain);
        let Some([batch, second]) = self.batches.both_mut(index, other) else {
            return false;
        };
        seen!(self, Split);
        self.free_batches = second.next_in_request;
        let (home, origin, before) = (batch.partition, batch.origin, batch.len);
        second.clear(second.generation.wrapping_add(1));
        second.life = Life::Idle;
        second.exposure = batch.exposure;
        second.partition = home;
        second.since = batch.since;
        second.producer_id = batch.producer_id;
        second.producer_epoch = batch.producer_epoch;
        second.base_sequence = batch.base_sequence;
        second.after_gap = batch.after_gap;
        second.attempts = batch.attempts;
        second.origin = origin;
        second.first = batch.first + half;
        if second.base_sequence >= 0 {
            second.base_sequence = sequence_after(second.base_sequence, half);
        }
        split_off(&mut self.pages, batch, second, half, self.settings.checksum);
        let both = batch.len + second.len;
        self.batches.at_mut(origin).parts += 1;
        let partition = self.partitions.at_mut(home);
        partition.queued = partition.queued + both - before;
        partition.bound += 1;
        partition.queue.insert_after(&mut self.batches, index, other);
        self.queues.split(&mut self.batches, index, other);
        #[cfg(feature = "compression")]
        if compressed {
            seen!(self, SplitCompressed);
            self.set_form(index, Form::Wanted);
            self.set_form(other, Form::Wanted);
        }
        true
    }
}
