//! What happens to partitions: leaders, replicas, lost records and lost state.

use super::{AdminError, Cluster, NodeId};
use crate::{
    Happening, Storage, TopicConfig,
    producer_state::ProducerStates,
    topic::{Partition, Topic},
};

impl Cluster {
    /// Moves a partition to another leader; the leader epoch goes up by one.
    ///
    /// Where the new leader's replica [lags](Self::lag) this is an unclean election: what the
    /// replica lacks is lost, and the producers' state is rolled back with it.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`], [`AdminError::UnknownTopic`], [`AdminError::UnknownPartition`].
    pub fn move_leader(
        &mut self,
        topic: &str,
        partition: i32,
        node: NodeId,
    ) -> Result<(), AdminError> {
        self.node_mut(node)?;
        let keep = self.config.storage == Storage::Everything;
        let missed = self.missed_sweep();
        let elected = self.partition_mut(topic, partition)?;
        if let Some(end) = elected.lagging.remove(&node) {
            let lost = elected.log.truncate(end, keep, missed);
            let end = elected.log.end_offset();
            for other in elected.lagging.values_mut() {
                *other = end.min(*other);
            }
            self.recount();
            self.note(|| Happening::Lost { topic: topic.to_owned(), partition, records: lost });
        }
        self.set_leader(topic, partition, Some(node))
    }

    /// Has a node's replica of a partition follow the leader no more: it leaves the replicas in
    /// sync, and lacks what is appended from now on.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`], [`AdminError::UnknownTopic`], [`AdminError::UnknownPartition`];
    /// [`AdminError::Invalid`] where the node leads the partition.
    pub fn lag(&mut self, topic: &str, partition: i32, node: NodeId) -> Result<(), AdminError> {
        self.node_mut(node)?;
        let followed = self.partition_mut(topic, partition)?;
        if followed.leader == Some(node) {
            return Err(AdminError::Invalid);
        }
        let end = followed.log.end_offset();
        followed.lagging.entry(node).or_insert(end);
        self.note(|| Happening::Lags { node, topic: topic.to_owned(), partition });
        Ok(())
    }

    /// Whether a node's replica of a partition lags.
    #[must_use]
    pub fn lags(&self, topic: &str, partition: i32, node: NodeId) -> bool {
        let topic = self.topic_id(topic).and_then(|id| self.topics.get(&id));
        let partition = topic.and_then(|topic| topic.partition(partition));
        partition.is_some_and(|partition| partition.lagging.contains_key(&node))
    }

    /// Has all replicas of a partition that lag catch up with its leader.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`], [`AdminError::UnknownPartition`].
    pub fn catch_up(&mut self, topic: &str, partition: i32) -> Result<(), AdminError> {
        let lagging = core::mem::take(&mut self.partition_mut(topic, partition)?.lagging);
        if !lagging.is_empty() {
            self.note(|| Happening::CaughtUp { topic: topic.to_owned(), partition });
        }
        Ok(())
    }

    /// Takes a partition's leader away; the leader epoch goes up by one.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`], [`AdminError::UnknownPartition`].
    pub fn remove_leader(&mut self, topic: &str, partition: i32) -> Result<(), AdminError> {
        self.set_leader(topic, partition, None)
    }

    /// The leader of a partition and its epoch.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> Option<(NodeId, i32)> {
        let topic = self.topics.get(&self.topic_id(topic)?)?;
        let partition = topic.partition(partition)?;
        Some((partition.leader?, partition.leader_epoch))
    }

    /// Lets clients be told of another leader and epoch than the true ones, in Metadata and in
    /// the hints of Produce (KIP-951); `None` is the truth again.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`], [`AdminError::UnknownPartition`].
    pub fn claim_leader(
        &mut self,
        topic: &str,
        partition: i32,
        claimed: Option<(NodeId, i32)>,
    ) -> Result<(), AdminError> {
        self.partition_mut(topic, partition)?.claimed = claimed;
        Ok(())
    }

    /// Lets Metadata tell only so many of a topic's partitions, as a flapping controller does: 0
    /// is an unknown topic, `None` the truth again. Produce knows better.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`].
    pub fn claim_partitions(&mut self, topic: &str, told: Option<u32>) -> Result<(), AdminError> {
        self.topic_mut(topic)?.told_partitions = told;
        Ok(())
    }

    /// Has a node's Metadata say of a topic from now on what is true of it now: it hears of no change.
    ///
    /// # Errors
    /// [`AdminError::UnknownNode`], [`AdminError::UnknownTopic`].
    pub fn date_metadata(&mut self, node: NodeId, topic: &str) -> Result<(), AdminError> {
        self.node_mut(node)?;
        let now = self.topic_mut(topic)?.clone();
        self.dated.insert((node, topic.to_owned()), now);
        Ok(())
    }

    /// Has all nodes' Metadata say again what is true.
    pub fn update_metadata(&mut self) {
        self.dated.clear();
    }

    pub(crate) fn dated(&self, node: NodeId, topic: Option<&str>) -> Option<&Topic> {
        let key = (node, topic?.to_owned());
        self.dated.get(&key)
    }

    /// Sets how many replicas of a partition are in sync; all are at first. Those that
    /// [lag](Self::lag) are taken off that.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`], [`AdminError::UnknownPartition`].
    pub fn set_in_sync_replicas(
        &mut self,
        topic: &str,
        partition: i32,
        replicas: u32,
    ) -> Result<(), AdminError> {
        self.partition_mut(topic, partition)?.in_sync_replicas = replicas;
        Ok(())
    }

    /// Changes a topic's configuration.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`].
    pub fn set_topic_config(&mut self, topic: &str, config: TopicConfig) -> Result<(), AdminError> {
        self.topic_mut(topic)?.config = config;
        Ok(())
    }

    /// Cuts a log at an offset, as an unclean election does: records are lost, and the producers'
    /// state is rolled back with them. The cut is at the start of the batch that has the offset.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`], [`AdminError::UnknownPartition`].
    pub fn truncate(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), AdminError> {
        let keep = self.config.storage == Storage::Everything;
        let missed = self.missed_sweep();
        let records = self.partition_mut(topic, partition)?.log.truncate(offset, keep, missed);
        self.recount();
        self.note(|| Happening::Lost { topic: topic.to_owned(), partition, records });
        Ok(())
    }

    /// Moves a log's start offset up, as DeleteRecords and retention do.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`], [`AdminError::UnknownPartition`].
    pub fn delete_records(
        &mut self,
        topic: &str,
        partition: i32,
        before: i64,
    ) -> Result<(), AdminError> {
        let keep = self.config.storage == Storage::Everything;
        let log = &mut self.partition_mut(topic, partition)?.log;
        log.delete_before(before, keep);
        self.recount();
        self.note(|| Happening::Deleted { topic: topic.to_owned(), partition, before });
        Ok(())
    }

    /// Lets a partition forget a producer, as `producer.id.expiration.ms` does.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`], [`AdminError::UnknownPartition`].
    pub fn forget_producer(
        &mut self,
        topic: &str,
        partition: i32,
        producer_id: i64,
    ) -> Result<(), AdminError> {
        let log = &mut self.partition_mut(topic, partition)?.log;
        log.producers.forget(producer_id);
        Ok(())
    }

    /// Lets a partition forget all producers, though their records lie in its log: as where a new
    /// replica leads that got the log without what retention had taken from it.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`], [`AdminError::UnknownPartition`].
    pub fn forget_producers(&mut self, topic: &str, partition: i32) -> Result<(), AdminError> {
        let log = &mut self.partition_mut(topic, partition)?.log;
        log.producers = ProducerStates::default();
        self.note(|| Happening::Forgot { topic: topic.to_owned(), partition, at: None });
        Ok(())
    }

    fn set_leader(
        &mut self,
        topic: &str,
        index: i32,
        leader: Option<NodeId>,
    ) -> Result<(), AdminError> {
        let partition = self.partition_mut(topic, index)?;
        partition.leader = leader;
        partition.leader_epoch = partition.leader_epoch.saturating_add(1);
        let epoch = partition.leader_epoch;
        let topic = topic.to_owned();
        self.note(|| Happening::LeaderMoved { topic, partition: index, leader, epoch });
        Ok(())
    }

    fn topic_mut(&mut self, topic: &str) -> Result<&mut Topic, AdminError> {
        let id = self.topic_id(topic).ok_or(AdminError::UnknownTopic)?;
        self.topics.get_mut(&id).ok_or(AdminError::UnknownTopic)
    }

    fn partition_mut(&mut self, topic: &str, index: i32) -> Result<&mut Partition, AdminError> {
        let topic = self.topic_mut(topic)?;
        topic.partition_mut(index).ok_or(AdminError::UnknownPartition)
    }
}
