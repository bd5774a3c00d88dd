//! What can go wrong, sorted by who can act on it, and the three-valued truth about a record.

use core::fmt;

use crate::wire::{ApiKey, DecodeError, ErrorCode, VersionRange};

/// What became of a batch, and so of each of its records.
///
/// librdkafka calls the three states persisted, not persisted and possibly persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Outcome {
    /// The batch is in the log exactly once.
    Delivered {
        /// Offset of the batch's first record; `None` where the broker proved that it has the
        /// batch without saying where.
        base_offset: Option<i64>,
        /// The time that the broker gave the batch, in milliseconds since the Unix epoch; `None`
        /// where the topic keeps the records' own create times.
        log_append_time: Option<i64>,
    },
    /// The batch is not in the log and never will be.
    NotDelivered(Cause),
    /// Whether the batch is in the log cannot be known yet.
    Unknown(Cause),
}

/// What [`Producer::cancel`](crate::Producer::cancel) can say at once about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Verdict {
    /// The record was taken out before a byte of it left: it is not in the log and never will be.
    /// Whoever cancels it once more hears the same, until its batch is settled.
    NotDelivered,
    /// The record's bytes are out. Its batch goes on to be resolved; the batch's event will tell.
    Unknown,
    /// The batch is settled already: its event has told, or is about to tell, the outcome, unless an
    /// earlier `cancel` did.
    AlreadySettled,
    /// The ticket is another producer's. Nothing was done, and nothing is known of the record here.
    Foreign,
}

/// Why an outcome is not (yet) `Delivered`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Cause {
    /// `delivery.timeout.ms` was over.
    DeliveryTimeout,
    /// The caller cancelled the record.
    Cancelled,
    /// The record's own deadline came; said by adapters, which keep such deadlines.
    Deadline,
    /// The producer was closed before the batch was settled.
    Closed,
    /// A broker refused the batch with this error, and did not say which of its records were at fault.
    Broker(ErrorCode),
    /// A broker refused the batch with this error, and this record is one of those that it found at fault
    /// (KIP-467): sent again as it is, it will be refused again, and its batch with it.
    AtFault(ErrorCode),
    /// A broker refused the batch with this error, and found other records of it at fault (KIP-467), and
    /// nothing wrong with this one: it can be sent again, without them.
    Neighbour(ErrorCode),
    /// The topic was deleted and created again, so that an answer about this batch can no longer be had.
    Recreated,
    /// `resolve.timeout.ms` was over: the search for the truth was given up.
    ResolveTimeout,
    /// `Unknown` was told and [`OnUnknown::Abandon`](crate::OnUnknown) is configured: the search for
    /// the truth was not begun.
    Abandoned,
    /// With `acks=0` no broker answers, so nothing can be known.
    NoAcks,
    /// The broker lost acknowledged records, or its record of this producer, so that an answer
    /// about this batch can no longer be had.
    SequenceMismatch,
    /// No broker gives a producer id, and without one nothing can be sent.
    NoProducerId(NoProducerId),
    /// The leader has forgotten this producer, or may have: it recognises nothing that is sent again, and
    /// would write it once more. Brokers forget by the timestamps of the records
    /// ([`Config::producer_id_expiration`](crate::Config)).
    Forgotten,
}

/// Why [`Producer::produce`](crate::Producer::produce) did not take a record. Nothing was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ProduceError {
    /// All record memory or all batch slots are in use: back-pressure, try again after
    /// [`Event::BufferAvailable`](crate::Event::BufferAvailable).
    Full,
    /// The topic's partitions are not known yet: try again after
    /// [`Event::Topic`](crate::Event::Topic).
    MetadataPending,
    /// The topic cannot be written to, for this reason.
    Topic(ErrorCode),
    /// The record's explicit partition does not exist in the topic.
    UnknownPartition {
        /// The number of partitions that the topic has.
        partitions: u32,
    },
    /// The record, with its batch's header, is larger than a request or the record memory may be.
    RecordTooLarge {
        /// Size of the record in its batch, in bytes.
        size: u64,
        /// The largest size that is taken, in bytes.
        max: u32,
    },
    /// The record's timestamp, in milliseconds since the Unix epoch, is below -1, which is that of a record
    /// without one. No broker takes it.
    InvalidTimestamp {
        /// The timestamp.
        timestamp: i64,
    },
    /// The topic has more partitions than there are slots for:
    /// [`Limits::partitions`](crate::Limits::partitions) is too small, or other topics are to be
    /// released first.
    TooManyPartitions {
        /// The number of partitions that the topic has.
        partitions: u32,
    },
    /// The topic id is not of this producer, or the topic was released.
    UnknownTopic,
    /// [`Producer::close`](crate::Producer::close) was called.
    Closing,
    /// No broker gives a producer id, and without one nothing can be sent: try again after
    /// [`Event::ProducerId`](crate::Event::ProducerId).
    NoProducerId(NoProducerId),
}

/// Why [`Producer::topic`](crate::Producer::topic) did not register a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TopicError {
    /// The name is empty, `.`, `..`, or has a character other than `a-z A-Z 0-9 . _ -`.
    InvalidName,
    /// The name is longer than Kafka or the lent memory allows.
    NameTooLong {
        /// The longest name that is taken, in bytes.
        max: u16,
    },
    /// All topic slots are in use.
    TooManyTopics {
        /// The number of topic slots.
        max: u32,
    },
}

/// Why [`Producer::release_topic`](crate::Producer::release_topic) did not forget a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ReleaseError {
    /// The topic id is not of this producer, or the topic was released before.
    UnknownTopic,
    /// Records of the topic are not settled, or their outcome was not taken yet: try again later.
    Busy,
}

/// Why a configuration was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// `bootstrap.servers` is empty.
    NoBootstrapServers,
    /// The entry with this number (from zero) in `bootstrap.servers` is not `host:port`.
    InvalidBootstrapServer(u16),
    /// A value is out of the range that its property allows.
    OutOfRange {
        /// The property.
        property: &'static str,
        /// What is allowed, in words.
        expected: &'static str,
    },
    /// The lent memory cannot work; the field names what is too small.
    Memory {
        /// What is too small.
        what: &'static str,
        /// How many there are.
        have: u32,
        /// How many there must be.
        need: u32,
    },
    /// The heap has not as many bytes as `buffer.memory`, or some other limit, asks for.
    OutOfMemory {
        /// How many were asked for at a time.
        bytes: u64,
    },
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Disconnect {
    /// The address could not be resolved.
    Unresolved,
    /// Nobody listened, or the connection could not be set up.
    Refused,
    /// The machine had no descriptor, no memory or no port left for another connection. Where there is
    /// an idle one to some other broker, it gives way.
    Exhausted,
    /// The connection was not set up in time.
    SetupTimeout,
    /// The peer closed the connection.
    Eof,
    /// The peer closed the connection rather than answer, and nobody at its address ever answered
    /// anything, ApiVersions aside: so do listeners with TLS, and those with SASL.
    HungUp,
    /// A request was not answered in time, and nobody at its address ever said a word: so do some
    /// listeners with TLS.
    Mute,
    /// Reading or writing failed.
    Io,
    /// TLS failed, which whoever owns the connection speaks: a handshake, or what came after it. Its own words say why.
    Tls,
    /// A request was not answered in time.
    RequestTimedOut,
    /// The peer does not speak Kafka: these bytes are no response.
    Malformed(DecodeError),
    /// The peer answered a request that was not made, or not in turn.
    Unexpected {
        /// The correlation id of the request that is to be answered; `None` where there is none.
        expected: Option<i32>,
        /// The correlation id that came.
        found: i32,
    },
    /// The peer's answer to a produce request left out a partition.
    Incomplete,
    /// The broker has no version in common of something that a producer needs.
    UnsupportedVersion {
        /// What it is; ours are [`ApiKey::versions`].
        api: ApiKey,
        /// The versions that the broker has; `None` where it does not have it at all, or did not say.
        theirs: Option<VersionRange>,
    },
    /// The broker would not give a producer id, with this error, or gave one that cannot be
    /// ([`ErrorCode::NONE`]): another broker is asked.
    ProducerIdRefused(ErrorCode),
    /// The client was not authenticated, or did not believe the broker.
    #[cfg(feature = "_sasl")]
    Authentication(crate::AuthenticationFailure),
    /// The connection was idle for `connections.max.idle.ms`.
    Idle,
    /// The slot was needed for another broker, or the broker is gone from the cluster.
    Replaced,
    /// The producer was closed.
    Closed,
}

/// Why no broker gives the producer an id, without which nothing can be sent idempotently.
///
/// It is asked for again, at the pace of `retry.backoff.ms`: as soon as one is given, all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum NoProducerId {
    /// The brokers have no such thing (no InitProducerId among their API versions): with them,
    /// `enable.idempotence=false` is the only way.
    NotOffered,
    /// CLUSTER_AUTHORIZATION_FAILED: this client needs `WRITE` on any topic, or, with brokers before
    /// 3.0, `IDEMPOTENT_WRITE` on the cluster.
    NotAuthorized,
    /// InitProducerId was answered with this error.
    Refused(ErrorCode),
}

impl Cause {
    /// Whether the broker that refused the batch found fault with this record, or with others of it and not
    /// with this one; `None` where it did not say, or it was not refused.
    #[must_use]
    pub const fn at_fault(&self) -> Option<bool> {
        let at_fault = matches!(self, Self::AtFault(_));
        if at_fault || matches!(self, Self::Neighbour(_)) { Some(at_fault) } else { None }
    }

    /// Whether it says itself what went wrong, so that there is no use in asking
    /// [`Producer::last_error`](crate::Producer::last_error).
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(
            self,
            Self::Broker(_)
                | Self::AtFault(_)
                | Self::Neighbour(_)
                | Self::NoProducerId(_)
                | Self::NoAcks
                | Self::Recreated
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDelivered => "not delivered: it was taken out before it left",
            Self::Unknown => "unknown: it had left, and its outcome follows",
            Self::AlreadySettled => "too late: it has its outcome",
            Self::Foreign => "it is another producer's",
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeliveryTimeout => f.write_str("delivery timeout"),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Deadline => f.write_str("deadline"),
            Self::Closed => f.write_str("closed"),
            Self::Broker(code) => write!(f, "{code}"),
            Self::AtFault(code) => write!(f, "{code}, and this record is at fault"),
            Self::Neighbour(code) => {
                write!(f, "{code}, for the fault of other records of its batch")
            }
            Self::Recreated => f.write_str("the topic was deleted and created again"),
            Self::ResolveTimeout => f.write_str("resolve timeout"),
            Self::Abandoned => f.write_str("abandoned"),
            Self::NoAcks => f.write_str("acks=0: no broker answers"),
            Self::SequenceMismatch => f.write_str("the broker lost its record of this producer"),
            Self::NoProducerId(why) => write!(f, "{why}"),
            Self::Forgotten => f.write_str("the broker may have forgotten this producer by now"),
        }
    }
}

impl fmt::Display for NoProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered => f.write_str(
                "the brokers offer no producer ids (InitProducerId): set enable.idempotence=false",
            ),
            Self::NotAuthorized => f.write_str(
                "not authorized to have a producer id: grant WRITE on the topic, or, with brokers \
                 before 3.0, IDEMPOTENT_WRITE on the cluster; or set enable.idempotence=false",
            ),
            Self::Refused(code) => write!(
                f,
                "no broker gives a producer id ({code}); without one: enable.idempotence=false"
            ),
        }
    }
}

impl fmt::Display for ProduceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("record memory is full"),
            Self::MetadataPending => f.write_str("the topic's partitions are not known yet"),
            Self::Topic(code) => write!(f, "the topic cannot be written to: {code}"),
            Self::UnknownPartition { partitions } => {
                write!(f, "no such partition: the topic has {partitions}")
            }
            Self::RecordTooLarge { size, max } => {
                write!(f, "record of {size} bytes is larger than the {max} that are allowed")
            }
            Self::InvalidTimestamp { timestamp } => {
                write!(
                    f,
                    "the timestamp {timestamp} is before 1970, and not the -1 of a record without one"
                )
            }
            Self::TooManyPartitions { partitions } => {
                write!(f, "the topic has {partitions} partitions, more than there is room for")
            }
            Self::UnknownTopic => f.write_str("the topic is released, or another producer's"),
            Self::Closing => f.write_str("the producer is closing"),
            Self::NoProducerId(why) => write!(f, "{why}"),
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidName => f.write_str("not a topic name: use a-z A-Z 0-9 . _ -"),
            Self::NameTooLong { max } => write!(f, "the topic's name is longer than {max} bytes"),
            Self::TooManyTopics { max } => write!(f, "all {max} topic slots are in use"),
        }
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownTopic => "the topic is released, or another producer's",
            Self::Busy => "records of the topic are not settled yet",
        })
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBootstrapServers => f.write_str("bootstrap.servers is empty"),
            Self::InvalidBootstrapServer(index) => {
                write!(f, "bootstrap.servers: entry {} is not host:port", u32::from(*index) + 1)
            }
            Self::OutOfRange { property, expected } => write!(f, "{property}: expected {expected}"),
            Self::Memory { what, have, need } => {
                write!(f, "the lent memory has {have} {what}, and needs {need}")
            }
            Self::OutOfMemory { bytes } => {
                write!(
                    f,
                    "there is no memory of {bytes} bytes: buffer.memory or a limit is too large"
                )
            }
        }
    }
}

/// What to ask where a peer that speaks TLS or SASL would do the same.
pub(crate) const SECURED: &str = "is that a listener with TLS or SASL? look at security.protocol";
/// What to ask where it is something else that speaks.
const PLAIN: &str = "is that the PLAINTEXT port of a Kafka broker?";

impl fmt::Display for Disconnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(loss) = self.loss() {
            fmt::Display::fmt(&loss, f)?;
        }
        match self {
            Self::Malformed(error) => {
                let question = if error.is_tls() { SECURED } else { PLAIN };
                write!(f, ": {error}: {question}")
            }
            Self::Unexpected { expected: Some(expected), found } => {
                write!(
                    f,
                    ": expected an answer to request {expected}, found one to {found}: {PLAIN}"
                )
            }
            Self::Unexpected { expected: None, found } => {
                write!(f, ": expected no answer, found one to {found}: {PLAIN}")
            }
            Self::ProducerIdRefused(code) if code.is_none() => {
                f.write_str(", but one that cannot be")
            }
            Self::ProducerIdRefused(code) => write!(f, ": {code}"),
            Self::UnsupportedVersion { api, theirs } => {
                write!(f, ": of {api}")?;
                if let Some(ours) = api.versions() {
                    write!(f, " this client has {} to {}", ours.min, ours.max)?;
                }
                match theirs {
                    Some(theirs) => write!(f, ", the broker {} to {}", theirs.min, theirs.max),
                    None => f.write_str(", the broker none"),
                }
            }
            Self::Idle => f.write_str("idle"),
            Self::Replaced => f.write_str("no longer needed"),
            Self::Closed => f.write_str("closed"),
            Self::Unresolved
            | Self::Refused
            | Self::Exhausted
            | Self::SetupTimeout
            | Self::Eof
            | Self::HungUp
            | Self::Mute
            | Self::Io
            | Self::Tls
            | Self::RequestTimedOut
            | Self::Incomplete => Ok(()),
            #[cfg(feature = "_sasl")]
            Self::Authentication(_) => Ok(()),
        }
    }
}

impl core::error::Error for NoProducerId {}
impl core::error::Error for ProduceError {}
impl core::error::Error for TopicError {}
impl core::error::Error for ReleaseError {}
impl core::error::Error for ConfigError {}
