//! What all nodes share, and what an operator does to it.

use core::{fmt, time::Duration};
use std::collections::{BTreeMap, VecDeque};

use ottla_core::wire::Uuid;

use crate::{
    ClusterConfig, Fault, Happening, NodeConfig, Storage, TopicConfig,
    fault::Faults,
    hostile::Hostile,
    producer_state::Sweep,
    random::Random,
    sasl::{Accounts, SaslTally},
    topic::{Partition, Topic, is_valid_name},
};

mod nodes;
mod partition_operations;

/// A node's id.
pub type NodeId = i32;

/// A Kafka cluster: its nodes, its topics with their logs, and what goes wrong with it.
///
/// All nodes share one log for each partition: leaders move, records do not. Time is an argument,
/// counted from the start of the run.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(crate) config: ClusterConfig,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) topics: BTreeMap<Uuid, Topic>,
    /// Topics that were deleted: clients do not see them, who asks for the truth does.
    pub(crate) deleted: BTreeMap<Uuid, Topic>,
    /// Their names and ids, in the order in which they were deleted.
    pub(crate) buried: Vec<(String, Uuid)>,
    pub(crate) names: BTreeMap<String, Uuid>,
    /// What nodes' Metadata says of topics by name, where it is not what is true now.
    pub(crate) dated: BTreeMap<(NodeId, String), Topic>,
    pub(crate) faults: Faults,
    /// Whether clients have the right to READ topics.
    pub(crate) may_read: bool,
    /// Who may come in; `None` asks nobody.
    pub(crate) accounts: Option<Accounts>,
    pub(crate) sasl_tally: SaslTally,
    random: Random,
    pub(crate) next_producer_id: i64,
    /// When a request was last handled.
    clock: Duration,
    /// Topics made so far; their leaders are dealt out from here.
    made: usize,
    /// Where the batches lie that are kept, oldest first, where there is a bound on them.
    kept: VecDeque<(Uuid, i32)>,
    /// How many bytes those are.
    kept_bytes: usize,
    /// What happened, if anybody wants to know.
    happenings: Option<Vec<Happening>>,
}

/// A node as it runs.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) config: NodeConfig,
    pub(crate) state: NodeState,
    /// How many times it was stopped: connections of earlier lives are closed.
    pub(crate) life: u32,
    pub(crate) throttle: Duration,
    /// What it does in place of what it should, if it is hostile.
    pub(crate) hostile: Option<Hostile>,
}

/// Whether a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeState {
    Up,
    Frozen,
    Down,
}

/// Why nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminError {
    /// There is no such topic.
    UnknownTopic,
    /// The topic has no such partition.
    UnknownPartition,
    /// There is no such node.
    UnknownNode,
    /// There is such a topic.
    TopicExists,
    /// Topics cannot have such a name, or as few partitions.
    Invalid,
    /// The listener asks nobody who they are.
    NoSasl,
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownTopic => "there is no such topic",
            Self::UnknownPartition => "the topic has no such partition",
            Self::UnknownNode => "there is no such node",
            Self::TopicExists => "there is such a topic already",
            Self::Invalid => "a topic cannot be like that",
            Self::NoSasl => "the listener has no SASL",
        })
    }
}

impl core::error::Error for AdminError {}

impl Cluster {
    /// A cluster without topics, all of its nodes up.
    #[must_use]
    pub fn new(mut config: ClusterConfig) -> Self {
        if config.nodes.is_empty() {
            config.nodes.push(NodeConfig::new(1));
        }
        let nodes = config.nodes.iter().map(|node| {
            let running = Node {
                config: node.clone(),
                state: NodeState::Up,
                life: 0,
                throttle: Duration::ZERO,
                hostile: None,
            };
            (node.id, running)
        });
        let mut random = Random::new(config.seed);
        let next_producer_id = i64::try_from(random.next() % 1_000_000).unwrap_or(0);
        Self {
            nodes: nodes.collect(),
            may_read: config.may_read,
            accounts: config.sasl.as_ref().map(|sasl| Accounts::new(sasl, config.seed)),
            sasl_tally: SaslTally::default(),
            config,
            topics: BTreeMap::new(),
            deleted: BTreeMap::new(),
            buried: Vec::new(),
            names: BTreeMap::new(),
            dated: BTreeMap::new(),
            faults: Faults::default(),
            random,
            next_producer_id,
            clock: Duration::ZERO,
            made: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            happenings: None,
        }
    }

    /// The configuration that the cluster began with.
    #[must_use]
    pub const fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// Makes a topic with the configuration of automatic topics, its leaders dealt out over the
    /// nodes.
    ///
    /// # Errors
    /// [`AdminError::TopicExists`], [`AdminError::Invalid`].
    pub fn create_topic(&mut self, name: &str, partitions: u32) -> Result<Uuid, AdminError> {
        self.create_topic_with(name, partitions, self.config.topic.clone())
    }

    /// Makes a topic with a configuration of its own.
    ///
    /// # Errors
    /// [`AdminError::TopicExists`], [`AdminError::Invalid`].
    pub fn create_topic_with(
        &mut self,
        name: &str,
        partitions: u32,
        config: TopicConfig,
    ) -> Result<Uuid, AdminError> {
        if self.names.contains_key(name) {
            return Err(AdminError::TopicExists);
        }
        if !is_valid_name(name) || partitions == 0 {
            return Err(AdminError::Invalid);
        }
        let id = Uuid(self.random.uuid());
        let mut topic = Topic {
            id,
            name: name.to_owned(),
            config,
            partitions: Vec::new(),
            told_partitions: None,
        };
        let first = self.made;
        self.made = self.made.wrapping_add(1);
        for index in 0..partitions {
            topic.partitions.push(self.new_partition(first, index));
        }
        self.names.insert(name.to_owned(), id);
        self.topics.insert(id, topic);
        self.note(|| Happening::TopicCreated { topic: name.to_owned() });
        Ok(id)
    }

    /// Deletes a topic. Its logs can still be read by its id, which is returned.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`].
    pub fn delete_topic(&mut self, name: &str) -> Result<Uuid, AdminError> {
        let id = self.names.remove(name).ok_or(AdminError::UnknownTopic)?;
        if let Some(topic) = self.topics.remove(&id) {
            self.deleted.insert(id, topic);
            self.buried.push((name.to_owned(), id));
            self.note(|| Happening::TopicDeleted { topic: name.to_owned() });
        }
        Ok(id)
    }

    /// Deletes a topic and makes it anew, with another id and empty logs. Returns the new id.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`].
    pub fn recreate_topic(&mut self, name: &str) -> Result<Uuid, AdminError> {
        let id = self.delete_topic(name)?;
        let old = self.deleted.get(&id).ok_or(AdminError::UnknownTopic)?;
        let partitions = u32::try_from(old.partitions.len()).unwrap_or(u32::MAX);
        self.create_topic_with(name, partitions, old.config.clone())
    }

    /// Gives a topic more partitions: `partitions` in all.
    ///
    /// # Errors
    /// [`AdminError::UnknownTopic`]; [`AdminError::Invalid`] where it has more.
    pub fn grow_topic(&mut self, name: &str, partitions: u32) -> Result<(), AdminError> {
        let id = self.topic_id(name).ok_or(AdminError::UnknownTopic)?;
        let have = self.topics.get(&id).map_or(0, |t| t.partitions.len());
        let have = u32::try_from(have).unwrap_or(u32::MAX);
        if partitions < have {
            return Err(AdminError::Invalid);
        }
        for index in have..partitions {
            let partition = self.new_partition(self.made, index);
            if let Some(topic) = self.topics.get_mut(&id) {
                topic.partitions.push(partition);
            }
        }
        Ok(())
    }

    /// The id of a topic.
    #[must_use]
    pub fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.names.get(name).copied()
    }

    /// The names of all topics, in their order.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// How many partitions a topic has; 0 where there is no such topic.
    #[must_use]
    pub fn partitions(&self, name: &str) -> u32 {
        let topic = self.topic_id(name).and_then(|id| self.topics.get(&id));
        topic.map_or(0, |topic| u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX))
    }

    /// How many partitions a topic has, or had before it was deleted; 0 where there is none.
    #[must_use]
    pub fn partitions_of(&self, topic: Uuid) -> u32 {
        let topic = self.topics.get(&topic).or_else(|| self.deleted.get(&topic));
        topic.map_or(0, |topic| u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX))
    }

    /// Lets something go wrong with requests to come.
    pub fn inject(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Takes back all faults that did not happen yet.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// How many faults are not used up.
    #[must_use]
    pub const fn pending_faults(&self) -> usize {
        self.faults.len()
    }

    /// The faults that are not used up.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.all()
    }

    /// Grants or takes away the right to READ topics, which DescribeProducers needs.
    pub const fn allow_read(&mut self, may_read: bool) {
        self.may_read = may_read;
    }

    /// Makes a producer id, as InitProducerId does.
    pub fn new_producer_id(&mut self) -> i64 {
        let id = self.next_producer_id;
        self.next_producer_id = id.saturating_add(1);
        id
    }

    /// Takes note of what happens from now on, for [`take_happenings`](Self::take_happenings).
    pub fn watch(&mut self) {
        self.happenings.get_or_insert_default();
    }

    /// What happened since the last time, in order; nothing without [`watch`](Self::watch).
    pub fn take_happenings(&mut self) -> Vec<Happening> {
        self.happenings.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// Takes note of what happens, if anybody wants to know.
    pub(crate) fn note(&mut self, happening: impl FnOnce() -> Happening) {
        if let Some(happenings) = &mut self.happenings {
            happenings.push(happening());
        }
    }

    /// The wall clock at a time of the run, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self, now: Duration) -> i64 {
        let millis = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        self.config.start_ms.saturating_add(millis)
    }

    /// Time has come to this: does what was due of itself.
    pub(crate) fn pass(&mut self, now: Duration) {
        let before = self.last_sweep();
        self.clock = self.clock.max(now);
        let sweep = self.sweep_at(self.last_sweep());
        if sweep.at == before {
            return;
        }
        let mut forgot = Vec::new();
        for topic in self.topics.values_mut() {
            for (index, partition) in (0..).zip(&mut topic.partitions) {
                if partition.log.producers.sweep(sweep) {
                    forgot.push((topic.name.clone(), index));
                }
            }
        }
        for (topic, partition) in forgot {
            self.note(|| Happening::Forgot { topic, partition, at: Some(sweep.at) });
        }
    }

    /// When the last sweep was; 0 where there was none yet, which forgets nobody.
    pub(crate) fn last_sweep(&self) -> Duration {
        let every = self.config.producer_id_expiration_check.as_micros();
        let sweeps = self.clock.as_micros().checked_div(every).unwrap_or(0);
        let at = u64::try_from(sweeps.saturating_mul(every)).unwrap_or(u64::MAX);
        Duration::from_micros(at)
    }

    /// A sweep at a time of the run.
    pub(crate) fn sweep_at(&self, at: Duration) -> Sweep {
        let expiration = self.config.producer_id_expiration.as_millis();
        let expiration_ms = i64::try_from(expiration).unwrap_or(i64::MAX);
        Sweep { at, now_ms: self.now_ms(at), expiration_ms }
    }

    /// The sweep that a state that is read from a log is put through: it has missed the last one.
    /// None where there was none yet.
    pub(crate) fn missed_sweep(&self) -> Option<Sweep> {
        let at = self.last_sweep();
        (at > Duration::ZERO).then(|| self.sweep_at(at))
    }

    fn new_partition(&self, first: usize, index: u32) -> Partition {
        let index = usize::try_from(index).unwrap_or(0);
        let at = first.wrapping_add(index) % self.nodes.len().max(1);
        let leader = self.nodes.keys().nth(at).copied();
        let replicas = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        Partition::new(leader, replicas)
    }

    /// Keeps account of a batch that was kept, and forgets the oldest beyond the bound.
    pub(crate) fn retain(&mut self, topic: Uuid, partition: i32, len: usize) {
        let Storage::Newest { bytes } = self.config.storage else {
            return;
        };
        self.kept.push_back((topic, partition));
        self.kept_bytes = self.kept_bytes.saturating_add(len);
        while self.kept_bytes > bytes {
            let Some((topic, partition)) = self.kept.pop_front() else {
                return;
            };
            let topic = match self.topics.get_mut(&topic) {
                Some(topic) => Some(topic),
                None => self.deleted.get_mut(&topic),
            };
            let log = topic.and_then(|topic| topic.partition_mut(partition));
            let forgotten = log.map_or(0, |partition| partition.log.forget_oldest());
            self.kept_bytes = self.kept_bytes.saturating_sub(forgotten);
        }
    }

    /// Sets the account right after batches were cut off otherwise.
    pub(crate) fn recount(&mut self) {
        let topics = self.topics.values().chain(self.deleted.values());
        let logs = topics.flat_map(|topic| &topic.partitions);
        self.kept_bytes = logs.map(|partition| partition.log.bytes()).sum();
    }
}
