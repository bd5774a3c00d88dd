//! How many partitions a topic has, for those who choose a partition outside of the cores.

use std::sync::Arc;

use ottla_core::{TopicId, TopicStatus};

use crate::sync::atomic::{AtomicU32, Ordering};

/// The number of a topic's partitions, as each shard knows it and as all of them do.
///
/// Each shard hears of it by itself, at another time. Whoever sends a record goes by the least: no shard
/// is given a record for a partition that it has not heard of. Topics only grow, but a broker may have
/// said that one had more partitions than it has.
#[derive(Debug)]
pub(crate) struct Partitions {
    of_shard: Box<[AtomicU32]>,
    /// The least of them: written when a topic is heard of or has grown, and otherwise only read.
    least: AtomicU32,
}

impl Partitions {
    pub(crate) fn new(shards: usize) -> Self {
        Self { of_shard: (0..shards).map(|_| AtomicU32::new(0)).collect(), least: 0.into() }
    }

    /// A shard has heard of so many.
    pub(crate) fn learn(&self, shard: usize, partitions: u32) {
        if let Some(known) = self.of_shard.get(shard) {
            // In one order for all: of two that learn at a time, one sees what the other has learned.
            known.store(partitions, Ordering::SeqCst);
        }
        let least = || {
            let known = self.of_shard.iter().map(|known| known.load(Ordering::SeqCst));
            known.min().unwrap_or(0)
        };
        // Who wrote last what it had counted before the other learned counts again.
        loop {
            let counted = least();
            self.least.store(counted, Ordering::SeqCst);
            if least() == counted {
                return;
            }
        }
    }

    /// How many all shards know of; `None` where one has not heard of the topic yet.
    #[inline]
    pub(crate) fn known(&self) -> Option<u32> {
        Some(self.least.load(Ordering::Relaxed)).filter(|known| *known > 0)
    }

    /// A shard that has not heard of the topic yet.
    pub(crate) fn first_unknown(&self) -> Option<usize> {
        self.of_shard.iter().position(|known| known.load(Ordering::SeqCst) == 0)
    }
}

/// What one shard tells of its topics.
#[derive(Debug, Default)]
pub(crate) struct Told {
    shard: usize,
    /// By the topics' numbers. None at all where there is only one shard.
    topics: Vec<(TopicId, Arc<Partitions>)>,
}

impl Told {
    /// Begins to tell of a topic, the next one, one that has the number of another that was released, or
    /// one that was told of before.
    pub(crate) fn add(&mut self, shard: usize, topic: TopicId, partitions: &Arc<Partitions>) {
        self.shard = shard;
        let entry = (topic, Arc::clone(partitions));
        match self.topics.get_mut(topic.index()) {
            Some((known, _)) if *known == topic => {}
            Some(place) => *place = entry,
            None => self.topics.push(entry),
        }
    }

    /// Tells what the core knows of a topic now.
    pub(crate) fn tell(&self, topic: TopicId, status: Option<TopicStatus>) {
        if let Some((known, partitions)) = self.topics.get(topic.index())
            && *known == topic
            && let Some(TopicStatus::Ready { partitions: count }) = status
        {
            partitions.learn(self.shard, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_counts() {
        let partitions = Partitions::new(2);
        assert_eq!((partitions.known(), partitions.first_unknown()), (None, Some(0)));
        partitions.learn(0, 6);
        assert_eq!((partitions.known(), partitions.first_unknown()), (None, Some(1)));
        partitions.learn(1, 4);
        assert_eq!((partitions.known(), partitions.first_unknown()), (Some(4), None));
        partitions.learn(1, 12);
        assert_eq!(partitions.known(), Some(6));
        partitions.learn(0, 12);
        assert_eq!(partitions.known(), Some(12));
        // Somebody had said too much.
        partitions.learn(1, 3);
        assert_eq!(partitions.known(), Some(3));
    }
}
