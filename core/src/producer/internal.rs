//! For tests alone: states that take too long to reach by way of the public face.

use super::{Producer, identity::Identity};
use crate::{TopicId, partition::Phase};

impl Producer<'_> {
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
}
