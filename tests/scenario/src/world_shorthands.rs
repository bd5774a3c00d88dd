//! Short words for what scenarios ask of a world.

use core::time::Duration;

use ottla_core::{Config, TopicId};
use ottla_model::ClusterConfig;

use crate::{
    ledger::{Said, number},
    world::World,
};

/// A batch in a log: epoch, first sequence, and the numbers of its records.
pub type Row = (i16, i32, Vec<u64>);

/// A configuration for scenarios: nothing lingers, so that each record is a batch of its own, and
/// backoffs are short and even.
#[must_use]
pub fn quick() -> Config<'static> {
    let ms = Duration::from_millis;
    Config {
        linger: Duration::ZERO,
        retry_backoff: ms(100),
        retry_backoff_max: ms(100),
        reconnect_backoff: ms(20),
        reconnect_backoff_max: ms(20),
        ..Config::default()
    }
}

impl World<'static> {
    /// A world with a topic `t`, all of whose partitions are led by node 1, and have acknowledged
    /// one record each: record `p` lies on partition `p` at sequence 0.
    ///
    /// # Panics
    ///
    /// Where the records do not arrive.
    #[must_use]
    pub fn warm(config: &Config<'_>, cluster: ClusterConfig, partitions: u32) -> (Self, TopicId) {
        let (mut world, topic) = Self::cold(config, cluster, partitions);
        for partition in 0..partitions as i32 {
            let id = world.produce(topic, Some(partition), 20).expect("room");
            world.producer.flush(world.now);
            world.run_for(Duration::from_millis(2));
            assert_eq!(world.last(id), Some(Said::Delivered(Some(0))));
        }
        (world, topic)
    }

    /// The same without the records.
    ///
    /// # Panics
    ///
    /// Where the topic does not become ready.
    #[must_use]
    pub fn cold(config: &Config<'_>, cluster: ClusterConfig, partitions: u32) -> (Self, TopicId) {
        let mut world = Self::new(config, cluster, 1);
        world.cluster.create_topic("t", partitions).expect("a topic");
        for partition in 0..partitions as i32 {
            world.cluster.move_leader("t", partition, 1).expect("a leader");
        }
        let topic = world.topic("t");
        // Past the producer id, and past the time in which metadata is not asked for again.
        world.run_for(Duration::from_millis(500));
        (world, topic)
    }
}

impl World<'_> {
    /// Produces a record, and has it sent at once if it may be.
    ///
    /// # Panics
    ///
    /// Where there is no room.
    pub fn send(&mut self, topic: TopicId, partition: i32) -> u64 {
        let id = self.produce(topic, Some(partition), 20).expect("room");
        self.run_for(Duration::ZERO);
        id
    }

    /// Runs until a record has a last word, at most for ten minutes.
    ///
    /// # Panics
    ///
    /// Where it takes longer.
    pub fn conclude(&mut self, id: u64) -> Said {
        let closed = self.run_until(Duration::from_secs(600), |world| world.ledger.is_closed(id));
        assert!(closed, "record {id} has no last word: {:?}", self.ledger.entry(id));
        self.last(id).expect("a last word")
    }

    /// The last word about a record so far.
    #[must_use]
    pub fn last(&self, id: u64) -> Option<Said> {
        self.ledger.entry(id).last
    }

    /// The first word about a record, and how long after `produce` it came.
    #[must_use]
    pub fn first(&self, id: u64) -> Option<(Said, Duration)> {
        let entry = self.ledger.entry(id);
        entry.first.map(|(said, at)| (said, at.since(entry.produced)))
    }

    /// The batches in a partition of the topic `t`.
    #[must_use]
    pub fn rows(&self, partition: i32) -> Vec<Row> {
        let batches = self.cluster.batches("t", partition);
        let row = |batch: ottla_model::LoggedBatch<'_>| {
            let ids = batch.records().filter_map(|record| number(record.value)).collect();
            (batch.header.producer_epoch, batch.header.base_sequence, ids)
        };
        batches.map(row).collect()
    }

    /// Ends the run: closes the core and holds every word against the log.
    ///
    /// # Panics
    ///
    /// Where a law is broken.
    pub fn finish(mut self) {
        self.close(Duration::from_secs(1));
        self.ledger.check(&self.cluster, true);
        let stats = self.producer.stats();
        assert_eq!((stats.pages_used, stats.batches), (0, 0), "something is left: {stats:?}");
    }
}
