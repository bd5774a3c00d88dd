//! Tables that grow, where memory is from the heap.

use super::Producer;
use crate::{
    partition_slot::Partition,
    slots::Ix,
    topic_slot::{Knowledge, Topic},
};

impl Producer<'_> {
    /// Makes room for more topics, of which no slot is free; false where there may be no more.
    pub(super) fn grow_topics(&mut self) -> bool {
        let (before, most) = (self.topics.len(), self.most.topics);
        let len = before.saturating_mul(2).min(most);
        let fits =
            len > before && self.topic_names.grow(len) && self.topics.grow(len, || Topic::EMPTY);
        if fits {
            self.free_topic_slots(before);
            // There are as many buckets as slots.
            for index in self.topics.indices() {
                self.topics.at_mut(index).bucket = Ix::NONE;
            }
            for index in self.topics.indices() {
                if self.topics.at(index).knowledge != Knowledge::Free {
                    self.enter_topic(index);
                }
            }
        }
        fits
    }

    /// Makes room for so many more partitions than there are free slots; false where there may not be
    /// as many.
    pub(super) fn grow_partitions(&mut self, lacking: u32) -> bool {
        let (before, most) = (self.partitions.len(), self.most.partitions);
        let Some(least) = before.checked_add(lacking).filter(|least| *least <= most) else {
            return false;
        };
        let len = before.saturating_mul(2).min(most).max(least);
        let fits = self.partitions.grow(len, || Partition::EMPTY);
        if fits {
            self.free_run(Ix::new(before), len - before);
        }
        fits
    }
}
