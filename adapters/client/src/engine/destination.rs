//! Where a record goes: what its lane is found by.

use ottla_core::TopicId;

/// A partition, and what its topic had of them when it was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(super) topic: TopicId,
    pub(super) partition: u32,
    pub(super) partitions: u32,
}

impl Destination {
    /// The number of its lane, of so many.
    pub(super) const fn lane(&self, lanes: usize) -> usize {
        // Neighbours are apart.
        self.topic.index().wrapping_mul(7).wrapping_add(self.partition as usize) % lanes
    }

    pub(super) fn is(&self, topic: TopicId, partition: u32) -> bool {
        self.partition == partition && self.topic == topic
    }
}
