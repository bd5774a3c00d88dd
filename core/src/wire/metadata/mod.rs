//! METADATA (3): brokers, topics, and who leads which partition. Versions 1 to 13, flexible from
//! 9.

use super::{
    ApiKey, Count, DecodeError, Dialect, ErrorCode, Step, Uuid, Wire, Writer, dialect, reader,
    streaming::{Dull, Tags, atom, element, skip},
    wire_struct::wire_struct,
};

mod request;

pub use request::{
    End, MetadataRequest, MetadataRequestItem, RequestTopic, write_request, write_request_end,
    write_request_topic,
};

wire_struct! {
    /// A broker of the cluster.
    pub struct Broker<'a> {
        /// Its node id.
        node_id: i32, 0..;
        /// Its host, as the broker advertises it to clients.
        host: &'a str, 0..;
        /// Its port.
        port: i32, 0..;
    }
}

wire_struct! {
    /// A topic, whose partitions follow.
    pub struct Topic<'a> {
        /// Why the topic is not described, if it is not.
        error: ErrorCode, 0..;
        /// Its name; `None` where an unknown topic was asked for by its id.
        name: Option<&'a str>, 0..;
        /// Its id; [`Uuid::ZERO`] where there is none (KIP-516).
        id: Uuid, 10.., else Uuid::ZERO;
        /// Whether it is one of Kafka's own.
        internal: bool, 1.., else false;
        /// How many partitions follow.
        partitions: Count, 0..;
    }
}

wire_struct! {
    /// A partition of the last topic.
    pub struct Partition {
        /// What is wrong with the partition, if anything is.
        error: ErrorCode, 0..;
        /// Its number, from 0.
        index: i32, 0..;
        /// The node id of its leader, -1 where there is none.
        leader_id: i32, 0..;
        /// The leader's epoch, -1 where it is not known.
        leader_epoch: i32, 7.., else -1;
    }
}

/// One element of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the reader must know them all
pub enum MetadataItem<'a> {
    /// For how many milliseconds the broker throttles this client.
    Throttle(i32),
    /// A broker of the cluster. All come before the topics.
    Broker(Broker<'a>),
    /// The node id of the controller, -1 where it is not known.
    Controller(i32),
    /// A topic; its partitions follow.
    Topic(Topic<'a>),
    /// A partition of the last topic.
    Partition(Partition),
    /// The error of the whole answer (from version 13 on); [`ErrorCode::NONE`] too is told. Comes
    /// last.
    Error(ErrorCode),
}

/// A walk over the response: over all that follows the correlation id.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MetadataResponse {
    dialect: Dialect,
    at: At,
    brokers: Count,
    topics: Count,
    partitions: Count,
    tags: Tags,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    Throttle,
    BrokerCount,
    Broker,
    Controller,
    TopicCount,
    Topic,
    Partition,
    Error,
    Skip(Skip),
    End,
}

/// Fields that are of no interest.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Skip {
    Header,
    BrokerRack,
    BrokerTags,
    ClusterId,
    Replicas,
    InSyncReplicas,
    OfflineReplicas,
    PartitionTags,
    TopicOperations,
    TopicTags,
    ClusterOperations,
    Tags,
}

impl MetadataResponse {
    /// Begins a walk over the answer to a request of this version.
    #[must_use]
    pub const fn new(version: i16) -> Self {
        Self {
            dialect: dialect(ApiKey::METADATA, version),
            at: At::Skip(Skip::Header),
            brokers: 0,
            topics: 0,
            partitions: 0,
            tags: Tags::Count,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The bytes are no such response.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Result<Step<MetadataItem<'a>>, DecodeError> {
        let d = self.dialect;
        loop {
            match self.at {
                At::Throttle if d.version < 3 => self.at = At::BrokerCount,
                At::Throttle => {
                    let (used, throttle) = atom!(input, reader::int32);
                    self.at = At::BrokerCount;
                    element!(used, MetadataItem::Throttle(throttle));
                }
                At::BrokerCount => {
                    let (used, brokers) = atom!(input, |i| reader::count(i, d));
                    self.brokers = brokers;
                    self.at = At::Broker;
                    return Ok(Step::Skip { used, skip: 0 });
                }
                At::Broker if self.brokers == 0 => self.at = At::Skip(Skip::ClusterId),
                At::Broker => {
                    let (used, broker) = atom!(input, |i| Broker::read(i, d));
                    self.brokers = self.brokers.saturating_sub(1);
                    self.at = At::Skip(Skip::BrokerRack);
                    element!(used, MetadataItem::Broker(broker));
                }
                At::Controller if d.version < 1 => self.at = At::TopicCount,
                At::Controller => {
                    let (used, controller) = atom!(input, reader::int32);
                    self.at = At::TopicCount;
                    element!(used, MetadataItem::Controller(controller));
                }
                At::TopicCount => {
                    let (used, topics) = atom!(input, |i| reader::count(i, d));
                    self.topics = topics;
                    self.at = At::Topic;
                    return Ok(Step::Skip { used, skip: 0 });
                }
                At::Topic if self.topics == 0 => self.at = At::Skip(Skip::ClusterOperations),
                At::Topic => {
                    let (used, topic) = atom!(input, |i| Topic::read(i, d));
                    if topic.name.is_none() && d.version < 12 {
                        return Err(DecodeError::UnexpectedNull);
                    }
                    self.topics = self.topics.saturating_sub(1);
                    self.partitions = topic.partitions;
                    self.at = At::Partition;
                    element!(used, MetadataItem::Topic(topic));
                }
                At::Partition if self.partitions == 0 => self.at = At::Skip(Skip::TopicOperations),
                At::Partition => {
                    let (used, partition) = atom!(input, |i| Partition::read(i, d));
                    self.partitions = self.partitions.saturating_sub(1);
                    self.at = At::Skip(Skip::Replicas);
                    element!(used, MetadataItem::Partition(partition));
                }
                At::Error if d.version < 13 => self.at = At::Skip(Skip::Tags),
                At::Error => {
                    let (used, error) = atom!(input, |i| ErrorCode::read(i, d));
                    self.at = At::Skip(Skip::Tags);
                    element!(used, MetadataItem::Error(error));
                }
                At::End => return Ok(Step::Done { used: 0 }),
                At::Skip(dull) => {
                    let (field, next) = dull.field(d.version);
                    skip!(self, field, next, input);
                }
            }
        }
    }
}

impl Skip {
    /// What is to be skipped here, and what comes then.
    const fn field(self, version: i16) -> (Dull, At) {
        match self {
            Self::Header => (Dull::Tags, At::Throttle),
            Self::BrokerRack => (Dull::String.when(version >= 1), At::Skip(Self::BrokerTags)),
            Self::BrokerTags => (Dull::Tags, At::Broker),
            Self::ClusterId => (Dull::String.when(version >= 2), At::Controller),
            Self::Replicas => (Dull::Int32Array, At::Skip(Self::InSyncReplicas)),
            Self::InSyncReplicas => (Dull::Int32Array, At::Skip(Self::OfflineReplicas)),
            Self::OfflineReplicas => {
                (Dull::Int32Array.when(version >= 5), At::Skip(Self::PartitionTags))
            }
            Self::PartitionTags => (Dull::Tags, At::Partition),
            Self::TopicOperations => (Dull::Int32.when(version >= 8), At::Skip(Self::TopicTags)),
            Self::TopicTags => (Dull::Tags, At::Topic),
            Self::ClusterOperations => (Dull::Int32.when(version >= 8 && version <= 10), At::Error),
            Self::Tags => (Dull::Tags, At::End),
        }
    }
}

/// Writes the head of the response, after the frame's header. The brokers follow.
pub fn write_response(w: &mut Writer<'_>, dialect: Dialect, throttle_ms: i32, brokers: Count) {
    if dialect.version >= 3 {
        w.int32(throttle_ms);
    }
    brokers.write(w, dialect);
}

/// Writes a broker.
pub fn write_response_broker(
    w: &mut Writer<'_>,
    dialect: Dialect,
    broker: &Broker<'_>,
    rack: Option<&str>,
) {
    broker.write(w, dialect);
    if dialect.version >= 1 {
        w.nullable_string(rack, dialect);
    }
    w.no_tagged_fields(dialect);
}

/// Writes what comes behind the brokers. The topics follow.
pub fn write_response_cluster(
    w: &mut Writer<'_>,
    dialect: Dialect,
    cluster_id: Option<&str>,
    controller_id: i32,
    topics: Count,
) {
    if dialect.version >= 2 {
        w.nullable_string(cluster_id, dialect);
    }
    if dialect.version >= 1 {
        w.int32(controller_id);
    }
    topics.write(w, dialect);
}

/// Writes the head of a topic. Its partitions follow.
pub fn write_response_topic(w: &mut Writer<'_>, dialect: Dialect, topic: &Topic<'_>) {
    topic.write(w, dialect);
}

/// Where the replicas of a partition are, by node id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // the schema's fields, built by literal
pub struct Replicas<'a> {
    /// All replicas.
    pub all: &'a [i32],
    /// Those that are in sync with the leader.
    pub in_sync: &'a [i32],
    /// Those that are offline.
    pub offline: &'a [i32],
}

/// Writes a partition.
pub fn write_response_partition(
    w: &mut Writer<'_>,
    dialect: Dialect,
    partition: &Partition,
    replicas: &Replicas<'_>,
) {
    partition.write(w, dialect);
    w.int32_array(replicas.all, dialect);
    w.int32_array(replicas.in_sync, dialect);
    if dialect.version >= 5 {
        w.int32_array(replicas.offline, dialect);
    }
    w.no_tagged_fields(dialect);
}

/// Writes the end of a topic.
pub fn write_response_topic_end(w: &mut Writer<'_>, dialect: Dialect) {
    if dialect.version >= 8 {
        w.int32(OPERATIONS_UNKNOWN);
    }
    w.no_tagged_fields(dialect);
}

/// Writes the end of the response.
pub fn write_response_end(w: &mut Writer<'_>, dialect: Dialect, error: ErrorCode) {
    if (8..=10).contains(&dialect.version) {
        w.int32(OPERATIONS_UNKNOWN);
    }
    if dialect.version >= 13 {
        error.write(w, dialect);
    }
    w.no_tagged_fields(dialect);
}

/// What stands for authorized operations that were not asked for.
const OPERATIONS_UNKNOWN: i32 = i32::MIN;
