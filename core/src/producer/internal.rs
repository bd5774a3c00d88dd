//! For tests alone: states that take too long to reach by way of the public face.

use super::{Producer, identity::Identity};
use crate::{
    Seen, TopicId,
    batch::{Batch, Exposure, Life},
    partition::Phase,
    slots::Ix,
};

impl Producer<'_> {
    /// How often a case of semantics §6 was come through.
    #[doc(hidden)]
    #[must_use]
    pub fn internal_seen(&self, case: Seen) -> u32 {
        self.seen.count(case)
    }

    /// Has an idle partition's chain go on at this epoch and sequence, as if it had come there.
    /// False where there is no such partition, no producer id yet, or something in the queue.
    #[doc(hidden)]
    pub fn internal_go_on_at(
        &mut self,
        topic: TopicId,
        partition: u32,
        epoch: i16,
        sequence: i32,
    ) -> bool {
        let Identity::Known { id, .. } = self.identity else {
            return false;
        };
        let Some((topic, slot)) = self.topics.find(u32::from(topic.0)) else {
            return false;
        };
        if partition >= slot.partition_count {
            return false;
        }
        let home = self.partition_of(topic, partition);
        let slot = self.partitions.at_mut(home);
        if !slot.queue.is_empty() || slot.phase != Phase::Normal {
            return false;
        }
        slot.begin_chain(id, epoch);
        slot.next_sequence = sequence;
        true
    }

    /// Notes which case a cancel or a deadline meets.
    pub(super) fn note_case(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at(index);
        let partition = self.partitions.at(batch.partition);
        let last = self.last_bound(batch.partition) == index;
        let unsent = batch.life == Life::InFlight
            && self.conns.at(partition.conn).has_unsent(batch.correlation_id);
        let partial = batch.life == Life::InFlight && {
            let conn = self.conns.at(partition.conn);
            !conn.tx.is_nothing()
                && conn.requests.back().is_some_and(|r| r.correlation_id == batch.correlation_id)
        };
        let case = match (batch.life, batch.exposure) {
            (Life::InFlight, _) if unsent && last => Seen::C2UnsentTail,
            (Life::InFlight, _) if unsent => Seen::C3UnsentInside,
            (Life::InFlight, _) if partial => Seen::C4Partial,
            (Life::InFlight, _) => Seen::C5Complete,
            (Life::Idle, Exposure::Ambiguous) => Seen::C6IdleAmbiguous,
            (Life::Idle, _) => Seen::C7IdleNotAppended,
            (Life::Open | Life::Sealed | Life::Free | Life::Done, _) => Seen::C1Buffered,
        };
        let many = batch.records > 1;
        self.seen.note(case);
        if many {
            self.seen.note(Seen::C8OneOfMany);
        }
        if self.identity == Identity::Off {
            self.seen.note(Seen::C10NoIdempotence);
        }
    }
}
