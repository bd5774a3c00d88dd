//! What a cluster is told at its start.

use core::time::Duration;

use crate::{NodeId, Versions, sasl::SaslConfig};

/// A cluster and its rules.
#[derive(Clone, Debug)]
pub struct ClusterConfig {
    /// The nodes; at least one.
    pub nodes: Vec<NodeConfig>,
    /// The cluster's id.
    pub cluster_id: String,
    /// Whether Metadata creates topics that do not exist.
    pub auto_create: AutoCreate,
    /// `num.partitions`: of topics that Metadata creates.
    pub default_partitions: u32,
    /// The configuration of topics that Metadata creates.
    pub topic: TopicConfig,
    /// `socket.request.max.bytes`: a larger frame closes its connection.
    pub max_request_bytes: usize,
    /// What is kept of the records.
    pub storage: Storage,
    /// Whether the checksum of a record batch is checked.
    pub check_crc: bool,
    /// Whether the offset deltas of uncompressed records must count up from 0. Kafka does not look
    /// and would serve such records under wrong offsets; the model is the stricter judge.
    pub check_offset_deltas: bool,
    /// What a producer without state may begin with.
    pub first_sequence: FirstSequence,
    /// What is done with a batch that is in the log already.
    pub duplicates: Duplicates,
    /// `producer.id.expiration.ms`: a sweep forgets a producer whose last batch on a partition has a
    /// largest timestamp that is this old, or older, by the broker's wall clock: the age of its
    /// *records*, though they were written a moment ago. With
    /// [`TimestampType::LogAppendTime`] the timestamp is the broker's own.
    pub producer_id_expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`: how often there is a sweep. None is due at the
    /// start of the run. All brokers sweep at the same time, and what is due is done before the next
    /// request is handled.
    pub producer_id_expiration_check: Duration,
    /// How much of the duplicate window survives the restart of a node.
    pub restart_window: ProducerWindow,
    /// Which nodes tell what a partition knows of its producers.
    pub describers: Describers,
    /// Whether clients have the right to READ topics, at first; without it DescribeProducers is
    /// refused. See [`Cluster::allow_read`](crate::Cluster::allow_read).
    pub may_read: bool,
    /// What NOT_LEADER_OR_FOLLOWER tells in Produce from version 10 on (KIP-951).
    pub leader_hints: LeaderHints,
    /// A fault on purpose, for who tries a judge of brokers; `None` is a cluster as it should be.
    pub planted: Option<Planted>,
    /// What the listener asks of clients; `None` asks nothing, and refuses SASL as a PLAINTEXT
    /// listener does.
    pub sasl: Option<SaslConfig>,
    /// The wall clock at the start of the virtual one, in milliseconds since 1970.
    pub start_ms: i64,
    /// Seeds topic ids, the first producer id, and SCRAM's salts and nonces.
    pub seed: u64,
}

impl ClusterConfig {
    /// A cluster of `nodes` nodes with ids from 1 up, each as [`NodeConfig::new`] makes it.
    #[must_use]
    pub fn with_nodes(nodes: u16) -> Self {
        Self {
            nodes: (1..=i32::from(nodes.max(1))).map(NodeConfig::new).collect(),
            ..Self::default()
        }
    }

    /// One node as a broker to try clients against: topics are there when they are asked for, and
    /// what is kept of the records is bounded by 256 MiB.
    #[must_use]
    pub fn to_serve() -> Self {
        Self {
            auto_create: AutoCreate::AtOnce,
            storage: Storage::Newest { bytes: 256 << 20 },
            ..Self::default()
        }
    }
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            nodes: vec![NodeConfig::new(1)],
            cluster_id: "ottla-model".to_owned(),
            auto_create: AutoCreate::AfterAnswer,
            default_partitions: 1,
            topic: TopicConfig::default(),
            max_request_bytes: 100 * 1024 * 1024,
            storage: Storage::Everything,
            check_crc: true,
            check_offset_deltas: true,
            first_sequence: FirstSequence::Any,
            duplicates: Duplicates::Acknowledged,
            producer_id_expiration: Duration::from_secs(24 * 60 * 60),
            producer_id_expiration_check: Duration::from_secs(10 * 60),
            restart_window: ProducerWindow::LastBatch,
            describers: Describers::Replicas,
            may_read: true,
            leader_hints: LeaderHints::WithEndpoints,
            planted: None,
            sasl: None,
            start_ms: 1_700_000_000_000,
            seed: 0,
        }
    }
}

/// One node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Its id, unlike any other's.
    pub id: NodeId,
    /// The host that it advertises.
    pub host: String,
    /// The port that it advertises.
    pub port: i32,
    /// Its rack.
    pub rack: Option<String>,
    /// The API versions that it speaks.
    pub versions: Versions,
}

impl NodeConfig {
    /// A node that speaks what Kafka 4 speaks and advertises 127.0.0.1, port 9091 + `id`.
    #[must_use]
    pub fn new(id: NodeId) -> Self {
        Self {
            id,
            host: "127.0.0.1".to_owned(),
            port: id.saturating_add(9091),
            rack: None,
            versions: Versions::default(),
        }
    }

    /// The same node with other versions.
    #[must_use]
    pub fn speaking(self, versions: Versions) -> Self {
        Self { versions, ..self }
    }
}

/// A topic's configuration, by Kafka's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// `max.message.bytes`: the largest record batch, its header included.
    pub max_message_bytes: usize,
    /// `compression.type`: of the batches as they lie in the log.
    pub compression: CompressionType,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`; `None` is no bound.
    pub timestamp_before_max_ms: Option<i64>,
    /// `message.timestamp.after.max.ms`; `None` is no bound. Kafka's own default is an hour; the
    /// model has none, because in a simulation the client's wall clock may be any.
    pub timestamp_after_max_ms: Option<i64>,
    /// `cleanup.policy=compact`: records must have a key.
    pub compacted: bool,
    /// `min.insync.replicas`, checked against
    /// [`Cluster::set_in_sync_replicas`](crate::Cluster::set_in_sync_replicas) when acks is -1.
    pub min_in_sync_replicas: u32,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            max_message_bytes: 1_048_588,
            compression: CompressionType::Producer,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: None,
            timestamp_after_max_ms: None,
            compacted: false,
            min_in_sync_replicas: 1,
        }
    }
}

/// How the batches of a topic lie in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// As the producer has sent them.
    Producer,
    /// Plain: a batch that came compressed is unpacked first, and must not be larger than `max.message.bytes` then
    /// either.
    Uncompressed,
    /// Compressed by this codec, whatever they came in.
    #[cfg(feature = "compression")]
    By(crate::compression::Codec),
}

/// Whose clock the timestamps of a topic come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The broker's; the answer tells it.
    LogAppendTime,
}

/// Whether Metadata creates topics that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoCreate {
    /// They are unknown.
    Never,
    /// As Kafka: this answer says UNKNOWN_TOPIC_OR_PARTITION, the next one has the topic.
    AfterAnswer,
    /// This answer has the topic.
    AtOnce,
}

/// What is kept of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// All of them.
    Everything,
    /// The newest: beyond this many bytes over all partitions the oldest batches are forgotten and
    /// the log start offset of their partition moves.
    Newest {
        /// The bound, in bytes of record batches.
        bytes: usize,
    },
    /// None: every check is made and offsets count up, but no record is kept. For benches.
    Nothing,
}

/// What a producer may begin with on a partition that has no state of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstSequence {
    /// Any sequence number: Kafka up to 4.4.
    Any,
    /// Any but only 0 on a log that was never written: Kafka 4.5 (KAFKA-15591).
    ZeroOnNewLog,
}

/// What a broker does with a batch of an idempotent producer that is in the log already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// It is acknowledged at its old offset, if it is one of the last five: Kafka.
    Acknowledged,
    /// The same is answered with DUPLICATE_SEQUENCE_NUMBER and no offset: Kafka up to 2.4 where
    /// it had forgotten the offset, and brokers that speak its protocol.
    AnErrorOfItsOwn,
    /// Sequences are checked and batches not remembered, so that it is OUT_OF_ORDER: Redpanda at
    /// first (redpanda #3039).
    OutOfOrder,
    /// It is appended once more: producer ids, epochs and sequences are not looked at.
    AppendedAgain,
}

/// A fault that no broker should have, made on purpose: a judge of brokers that does not find it is worth nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A batch that is in the log already is appended once more.
    DuplicateAppended,
    /// A batch whose sequence does not follow is appended.
    GapAppended,
    /// A batch of several records is acknowledged with the offset of its last one.
    WrongOffset,
}

/// How much of the duplicate window survives the restart of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProducerWindow {
    /// The last batch of each producer: what a snapshot keeps. Who is due for a sweep is not read
    /// from it.
    LastBatch,
    /// All five: as a follower has them that becomes leader.
    Everything,
    /// Nothing: the state is lost.
    Nothing,
}

/// Which nodes answer DescribeProducers for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Describers {
    /// Each node that has a replica, from its own log, as far as that goes: Kafka. In the model
    /// that is every node.
    Replicas,
    /// The leader; the others say NOT_LEADER_OR_FOLLOWER.
    LeaderAlone,
}

/// What NOT_LEADER_OR_FOLLOWER tells (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderHints {
    /// The leader, its epoch and its address.
    WithEndpoints,
    /// The leader and its epoch.
    WithoutEndpoints,
    /// Nothing.
    None,
}
