//! Topics and partitions.

use std::collections::BTreeMap;

use ottla_core::wire::Uuid;

use crate::{NodeId, TopicConfig, log::Log};

/// A topic in one of its lives: a topic that is deleted and made anew has another id.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) config: TopicConfig,
    pub(crate) partitions: Vec<Partition>,
    /// How many of the partitions Metadata tells; `None` is all.
    pub(crate) told_partitions: Option<u32>,
}

/// A partition. Its log is one for all nodes; of a replica that lags behind it is known where it
/// stopped.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    /// The leader; `None` while there is none.
    pub(crate) leader: Option<NodeId>,
    pub(crate) leader_epoch: i32,
    /// What clients are told instead of the leader and its epoch.
    pub(crate) claimed: Option<(NodeId, i32)>,
    /// How many replicas are in sync, those that lag not taken off yet.
    pub(crate) in_sync_replicas: u32,
    /// Nodes whose replica has stopped to follow, and the offset up to which it has the log.
    pub(crate) lagging: BTreeMap<NodeId, i64>,
    pub(crate) log: Log,
}

impl Partition {
    pub(crate) fn new(leader: Option<NodeId>, in_sync_replicas: u32) -> Self {
        Self {
            leader,
            leader_epoch: 0,
            claimed: None,
            in_sync_replicas,
            lagging: BTreeMap::new(),
            log: Log::default(),
        }
    }

    /// How many replicas are in sync.
    pub(crate) fn in_sync(&self) -> u32 {
        let lagging = u32::try_from(self.lagging.len()).unwrap_or(u32::MAX);
        self.in_sync_replicas.saturating_sub(lagging)
    }

    /// The leader and its epoch as clients are told; -1 where there is none.
    pub(crate) fn told_leader(&self) -> (NodeId, i32) {
        self.claimed.unwrap_or((self.leader.unwrap_or(-1), self.leader_epoch))
    }
}

impl Topic {
    /// The partitions that Metadata tells.
    pub(crate) fn told(&self) -> &[Partition] {
        let told = self.told_partitions.unwrap_or(u32::MAX);
        let told = usize::try_from(told).unwrap_or(usize::MAX);
        self.partitions.get(..told).unwrap_or(&self.partitions)
    }

    pub(crate) fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    pub(crate) fn partition_mut(&mut self, index: i32) -> Option<&mut Partition> {
        self.partitions.get_mut(usize::try_from(index).ok()?)
    }
}

/// `Topic.validate`: 1 to 249 of letters, digits, `.`, `_` and `-`, and neither `.` nor `..`.
pub(crate) fn is_valid_name(name: &str) -> bool {
    let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    (1..=249).contains(&name.len()) && !matches!(name, "." | "..") && name.bytes().all(legal)
}
