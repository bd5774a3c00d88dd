//! Configuration: Kafka's properties as types, with Java's defaults.

use core::time::Duration;

#[cfg(feature = "alloc")]
use crate::PartitionShard;
use crate::{Record, wire::murmur2};

/// Which replicas must have a batch before the leader answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the protocol has these three
pub enum Acks {
    /// No answer at all: every outcome is `Unknown`.
    None,
    /// The leader alone.
    Leader,
    /// All in-sync replicas.
    #[default]
    All,
}

impl Acks {
    /// The value on the wire.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// How batches are compressed.
///
/// The core has no codec. It lends each batch to whoever drives it
/// ([`Producer::poll_compress`](crate::Producer::poll_compress)) and sends what comes back.
#[cfg(feature = "compression")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the protocol has these five
pub enum Compression {
    /// Not at all: nothing is ever lent.
    #[default]
    None,
    /// As one gzip stream.
    Gzip,
    /// As a raw Snappy block, or in the framing of xerial, which is what Java writes.
    Snappy,
    /// As one LZ4 frame of independent blocks: brokers refuse linked ones.
    Lz4,
    /// As one zstd frame. Brokers take it from Produce version 7 on (Kafka 2.1); to an older one such a batch is
    /// not sent.
    #[cfg(feature = "zstd")]
    Zstd,
}

#[cfg(feature = "compression")]
impl Compression {
    /// The value on the wire: the lowest three bits of a batch's attributes.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            #[cfg(feature = "zstd")]
            Self::Zstd => 4,
        }
    }

    /// Whether nothing is compressed.
    #[must_use]
    pub const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }

    /// As it is called in `compression.type`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }
}

/// Computes CRC-32C: takes the checksum of what came before (0 at the start) and the bytes that
/// follow, and returns the checksum of both together.
pub type Checksum = fn(u32, &[u8]) -> u32;

/// Chooses a partition from a record's key, its value and the number of partitions (at least 1);
/// the result is taken modulo that number.
pub type ChoosePartition = fn(Option<&[u8]>, Option<&[u8]>, u32) -> u32;

/// How a partition is chosen for a record that names none.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum Partitioner {
    /// Java's choice: murmur2 of the key, and sticky by bytes without one (KIP-794).
    #[default]
    Default,
    /// Sticky by bytes even where there is a key (`partitioner.ignore.keys`).
    IgnoreKeys,
    /// The caller's own.
    Custom(ChoosePartition),
}

impl Partitioner {
    /// The partition, of so many, that is right for a record by its key or by the application's own choice;
    /// `None` where any of them will do. What the record itself names is not looked at.
    #[inline]
    #[must_use]
    pub fn choose(self, record: &Record<'_>, partitions: u32) -> Option<u32> {
        match (self, record.key) {
            (Self::Default, Some(key)) => Some(murmur2::partition(key, partitions)),
            (Self::Custom(choose), key) => {
                Some(choose(key, record.value, partitions).checked_rem(partitions).unwrap_or(0))
            }
            (Self::Default | Self::IgnoreKeys, _) => None,
        }
    }
}

/// What becomes of a batch after its caller was told [`Outcome::Unknown`](crate::Outcome).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OnUnknown {
    /// It is sent again, byte for byte the same, until the broker says what became of it or
    /// `resolve.timeout.ms` is over. It may be written after its caller was answered.
    #[default]
    Resolve,
    /// It is not sent again. If no answer to what was sent comes, its partition begins a new epoch,
    /// so that a straggler can come before the records that follow and not after them.
    Abandon,
}

/// What becomes of a batch that may be in the log, when the brokers may have forgotten this producer and
/// would not recognise it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum OnForgotten {
    /// It is not sent again, and its outcome is [`Outcome::Unknown`](crate::Outcome) for good.
    #[default]
    Unknown,
    /// It is sent again: at least once, and perhaps twice. Where it is delivered then,
    /// [`BatchOutcome::unique`](crate::BatchOutcome) is false.
    Resend,
}

/// What a producer is made from. Every field bears the name of Kafka's property.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // built by literal, as `Config { .., ..Config::default() }`
pub struct Config<'a> {
    /// `bootstrap.servers`: `host:port`, separated by commas; IPv6 hosts in brackets.
    pub bootstrap_servers: &'a str,
    /// `client.id`: at most 64 bytes are used.
    pub client_id: &'a str,
    /// `acks`; idempotence needs [`Acks::All`].
    pub acks: Acks,
    /// `enable.idempotence`.
    pub enable_idempotence: bool,
    /// `linger.ms`.
    pub linger: Duration,
    /// `batch.size`, in bytes, with the batch's header, before it is compressed.
    pub batch_size: u32,
    /// `compression.type`. A batch is compressed once, when it is full or has lingered, and before it gets its
    /// sequences: each attempt sends the same bytes. `batch.size` bounds the plain bytes, `max.request.size` those
    /// on the wire; 64 KiB is a good `batch.size` with compression. An eighth of the pages is kept for what
    /// comes from the codec.
    #[cfg(feature = "compression")]
    pub compression: Compression,
    /// `max.request.size`, in bytes: bounds a request and a record.
    pub max_request_size: u32,
    /// `max.in.flight.requests.per.connection`: 1 to 5.
    pub max_in_flight: u8,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `request.timeout.ms`: how long an answer may take, at least a millisecond; the broker is told two
    /// thirds of it.
    pub request_timeout: Duration,
    /// `resolve.timeout.ms`: ottla's own; how long after `Unknown` the truth is searched for.
    pub resolve_timeout: Duration,
    /// `on.unknown`: ottla's own; `resolve` or `abandon`. It is about batches, which are told
    /// `Unknown` at `delivery.timeout.ms`; that one record is cancelled stops no batch, since others
    /// may wait for it.
    pub on_unknown: OnUnknown,
    /// `on.forgotten`: ottla's own; `unknown` or `resend`.
    pub on_forgotten: OnForgotten,
    /// `producer.id.expiration.ms`: what the brokers are assumed to have of that name. A broker forgets a
    /// producer when the largest *timestamp* of its last batch is older than this, however short a
    /// time ago it was written; and then recognises nothing that is sent again. Where a broker can
    /// be asked (DescribeProducers, from Kafka 2.8, with the right to READ), this is not relied on.
    pub producer_id_expiration: Duration,
    /// `retry.backoff.ms`. Less than a millisecond, here and in the other backoffs, counts as one: what
    /// is tried again after no time at all is tried again and again at one instant.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `reconnect.backoff.ms`.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max: Duration,
    /// `metadata.max.age.ms`; metadata is not asked for again before `retry.backoff.ms` is over.
    pub metadata_max_age: Duration,
    /// `metadata.recovery.rebootstrap.trigger.ms` (KIP-1102): how long metadata is wanted, and no broker
    /// tells it, before they are sought anew; at least a millisecond.
    pub rebootstrap_trigger: Duration,
    /// `connections.max.idle.ms`; at least a millisecond.
    pub connections_max_idle: Duration,
    /// `socket.connection.setup.timeout.ms` (KIP-601); at least a millisecond.
    pub connection_setup_timeout: Duration,
    /// `socket.connection.setup.timeout.max.ms` (KIP-601).
    pub connection_setup_timeout_max: Duration,
    /// `allow.auto.create.topics`: whether Metadata may create a topic.
    pub allow_auto_create_topics: bool,
    /// How partitions are chosen (`partitioner.ignore.keys`).
    pub partitioner: Partitioner,
    /// Computes CRC-32C.
    pub checksum: Checksum,
    /// `buffer.memory`, in bytes; read by [`Limits::for_config`](crate::Limits::for_config).
    pub buffer_memory: u64,
    /// `max.block.ms`; read by the adapters: how long `send` may wait for memory or a topic.
    pub max_block: Duration,
    /// `limits.topics`: ottla's own; how many topics may be registered at a time, 1 to 65,535; read by
    /// [`Limits::for_config`](crate::Limits::for_config). Memory is taken for those that are.
    #[cfg(feature = "alloc")]
    pub limits_topics: u32,
    /// `limits.partitions`: ottla's own; how many partitions they may have together.
    #[cfg(feature = "alloc")]
    pub limits_partitions: u32,
    /// Whether whoever owns the connections secures them (TLS): then a peer that says nothing is not asked whether it wants
    /// that. Only with `alloc`; no property sets it, since the core secures nothing itself.
    #[cfg(feature = "alloc")]
    pub secured: bool,
    /// Which of a topic's partitions are this producer's, where several have them together. Only
    /// with `alloc`: small machines do with one producer.
    #[cfg(feature = "alloc")]
    pub share: PartitionShard,
}

impl Default for Config<'_> {
    fn default() -> Self {
        Self {
            bootstrap_servers: "",
            client_id: "ottla",
            acks: Acks::All,
            enable_idempotence: true,
            linger: Duration::from_millis(5),
            batch_size: 16_384,
            #[cfg(feature = "compression")]
            compression: Compression::None,
            max_request_size: 1_048_576,
            max_in_flight: 5,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            resolve_timeout: Duration::from_secs(300),
            on_unknown: OnUnknown::Resolve,
            on_forgotten: OnForgotten::Unknown,
            producer_id_expiration: Duration::from_secs(86_400),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            metadata_max_age: Duration::from_secs(300),
            rebootstrap_trigger: Duration::from_secs(300),
            connections_max_idle: Duration::from_secs(540),
            connection_setup_timeout: Duration::from_secs(10),
            connection_setup_timeout_max: Duration::from_secs(30),
            allow_auto_create_topics: true,
            partitioner: Partitioner::Default,
            checksum: crate::wire::crc32c,
            buffer_memory: 33_554_432,
            max_block: Duration::from_secs(60),
            #[cfg(feature = "alloc")]
            limits_topics: 4_096,
            #[cfg(feature = "alloc")]
            limits_partitions: 131_072,
            #[cfg(feature = "alloc")]
            secured: false,
            #[cfg(feature = "alloc")]
            share: PartitionShard::ALL,
        }
    }
}
