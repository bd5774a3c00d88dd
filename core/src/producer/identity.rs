//! The producer id, and the epochs and sequences that batches are bound to.
//!
//! Epochs are per partition: brokers check them per partition only (semantics §3.8), so a gap on
//! one partition concerns no other.

use super::Producer;
use crate::{
    FatalError, Instant,
    batch::{Batch, Exposure, Life, compact, sequence_after},
    partition::{Partition, Phase},
    seen::seen,
    slots::Ix,
    tell::tell,
    wire::ErrorCode,
};

/// From this epoch on a partition asks for a new producer id instead of another epoch, early
/// enough that the last epoch, 32767, is never needed.
const LAST_EPOCH: i16 = 32_000;

/// How far the producer has a producer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Idempotence is off.
    Off,
    /// None yet, or a new one is needed; not to be asked for before this.
    Wanted(Instant),
    /// Asked for.
    Asked,
    /// These are for chains that begin.
    Known {
        /// Producer id.
        id: i64,
        /// The epoch at which a chain begins: the one that it came with, or one that no partition had
        /// that was forgotten.
        epoch: i16,
    },
}

impl Producer<'_> {
    /// Takes the answer to InitProducerId.
    pub(super) fn handle_producer_id(&mut self, error: ErrorCode, id: i64, epoch: i16) {
        if self.identity != Identity::Asked {
            return;
        }
        if error == ErrorCode::NONE && id >= 0 && epoch >= 0 {
            self.identity_failures = 0;
            self.identity = Identity::Known { id, epoch };
            tell!(info, "producer id {} at epoch {}", id, epoch);
            for partition in self.partitions.indices() {
                if !self.partitions.at(partition).queue.is_empty() {
                    self.reconsider(partition);
                }
            }
        } else if error == ErrorCode::CLUSTER_AUTHORIZATION_FAILED {
            self.end(FatalError::IdempotenceNotAuthorized);
        } else if error.is_retriable() || error == ErrorCode::NONE {
            self.retry_producer_id();
        } else {
            self.end(FatalError::NoProducerId(error));
        }
    }

    /// Asks again for a producer id, after a backoff.
    pub(super) fn retry_producer_id(&mut self) {
        self.identity_failures = self.identity_failures.saturating_add(1);
        let wait = self.settings.retry_backoff(&mut self.random, self.identity_failures);
        self.identity = Identity::Wanted(self.now.later(wait));
    }

    /// Asks for a new producer id, because `id` can serve no more.
    pub(super) fn rotate_producer_id(&mut self, id: i64) {
        if matches!(self.identity, Identity::Known { id: known, .. } if known == id) {
            seen!(self, Rotated);
            self.identity = Identity::Wanted(self.now);
            self.wake_any();
        }
    }

    /// A partition is about to be forgotten. Should it be heard of again, its chain must not begin where
    /// this one did: to a broker, that would be the same batches (semantics I1).
    pub(super) fn leave_chain(&mut self, index: Ix<Partition>) {
        let partition = self.partitions.at(index);
        let used = partition.next_sequence != 0 || partition.last_acked >= 0;
        let (old, next) = (partition.producer_id, partition.epoch.saturating_add(1));
        let Identity::Known { id, epoch } = &mut self.identity else {
            return;
        };
        if *id == old && used {
            *epoch = next.max(*epoch);
            if next > LAST_EPOCH {
                self.rotate_producer_id(old);
            }
        }
    }

    /// Whether the partition's chain can take another batch; begins a new one where the old one
    /// has come to its end.
    pub(super) fn chain_is_open(&mut self, index: Ix<Partition>) -> bool {
        let identity = self.identity;
        let partition = self.partitions.at_mut(index);
        let (id, epoch) = match identity {
            Identity::Off => return true,
            Identity::Known { id, epoch } => (id, epoch),
            Identity::Wanted(_) | Identity::Asked => return false,
        };
        if partition.phase == Phase::Normal && partition.producer_id == id {
            return true;
        }
        // Nothing of the old epoch may be under way when the new one begins (semantics I3).
        if partition.bound > 0 {
            return false;
        }
        if partition.producer_id != id {
            partition.begin_chain(id, epoch);
        } else if partition.epoch >= LAST_EPOCH {
            self.rotate_producer_id(id);
            return false;
        } else {
            let next = partition.epoch + 1;
            partition.begin_chain(id, next);
            seen!(self, NewEpoch);
            tell!(warn, "{}: epoch {} begins", self.topic_at(index), next);
            self.stats.epoch_bumps += 1;
        }
        true
    }

    /// Closes ranks in an open or sealed batch, so that it can be bound. False where nothing of it
    /// is left: then it is gone.
    pub(super) fn prepare(&mut self, index: Ix<Batch>) -> bool {
        self.linger.remove(&mut self.batches, index);
        let batch = self.batches.at_mut(index);
        batch.life = Life::Sealed;
        if batch.withdrawn == batch.records {
            self.forget(index);
            return false;
        }
        let before = batch.len;
        compact(&mut self.pages, batch, self.settings.checksum);
        let shrunk = before - batch.len;
        let partition = batch.partition;
        self.partitions.at_mut(partition).queued -= shrunk;
        true
    }

    /// Binds a prepared batch to the next sequences of its partition's chain, which is open.
    pub(super) fn bind(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at_mut(index);
        let partition = self.partitions.at_mut(batch.partition);
        debug_assert!(partition.unbound == index, "batches are bound in order");
        partition.unbound = batch.queue.next();
        partition.bound += 1;
        batch.life = Life::Idle;
        if self.identity == Identity::Off {
            (batch.producer_id, batch.producer_epoch, batch.base_sequence) = (-1, -1, -1);
        } else {
            batch.producer_id = partition.producer_id;
            batch.producer_epoch = partition.epoch;
            batch.base_sequence = partition.next_sequence;
            partition.next_sequence = sequence_after(partition.next_sequence, batch.records);
        }
    }

    /// Takes the sequences back from the last bound batch of a partition, of which no byte counts.
    pub(super) fn unbind(&mut self, index: Ix<Batch>) {
        seen!(self, Unbound);
        let batch = self.batches.at_mut(index);
        let partition = self.partitions.at_mut(batch.partition);
        debug_assert!(batch.queue.next() == partition.unbound, "the last bound batch goes first");
        partition.unbound = index;
        partition.bound -= 1;
        if partition.phase != Phase::Sealing {
            partition.next_sequence = batch.base_sequence;
        }
        batch.life = Life::Sealed;
        debug_assert!(
            batch.exposure != Exposure::Ambiguous,
            "what may be in the log keeps its name"
        );
        batch.base_sequence = 0;
        batch.after_gap = false;
        batch.pipelined = false;
        batch.attempts = 0;
    }

    /// Brings a partition that is being sealed nearer to its new epoch: what cannot have been
    /// appended goes back to the batches without a sequence, last one first.
    pub(super) fn unwind(&mut self, index: Ix<Partition>) {
        loop {
            let partition = self.partitions.at(index);
            if partition.phase != Phase::Sealing || partition.in_flight > 0 || partition.bound == 0
            {
                return;
            }
            let last = self.last_bound(index);
            let batch = self.batches.at(last);
            if batch.exposure == Exposure::Ambiguous {
                return;
            }
            self.unbind(last);
        }
    }
}
