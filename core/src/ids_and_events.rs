//! What the caller of a producer sees of it: ids, receipts, events.

#[cfg(all(doc, feature = "compression"))]
use crate::Compression;
use crate::{
    Disconnect, LastError, NoProducerId, Outcome,
    wire::{ErrorCode, produce::Text},
};
#[cfg(doc)]
use crate::{ProduceError, Producer, Verdict};

/// A connection slot and which of its lives is meant; a stale id is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ConnId {
    pub(crate) index: u16,
    pub(crate) generation: u16,
}

impl ConnId {
    /// The slot's number, from zero and below [`Limits::connections`](crate::Limits).
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// A topic that was registered: whose, its slot, and which of the slot's lives is meant.
///
/// An id is never another topic's, be it that this one was released and its slot serves another one:
/// a slot that has had all its 2³² − 1 lives rests. A producer does not know the ids of another one,
/// as long as their [owners](Producer::owner) differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TopicId {
    pub(crate) owner: u32,
    pub(crate) generation: u32,
    pub(crate) index: u16,
}

impl TopicId {
    /// The topic's slot, below [`Limits::topics`](crate::Limits): from zero in the order of
    /// registration, as long as none was released.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// A batch: whose, its slot, and which of the slot's lives is meant.
///
/// As with [`TopicId`], an id is never another batch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BatchId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
    pub(crate) owner: u32,
}

impl BatchId {
    /// The slot's number, from zero and below [`Limits::batches`](crate::Limits).
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }

    /// Which life of the slot is meant.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }

    /// The producer whose batch it is: its [`owner`](Producer::owner).
    #[must_use]
    pub const fn owner(self) -> u32 {
        self.owner
    }
}

/// The receipt for one record: its batch, with whose that is, and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ticket {
    pub(crate) batch: BatchId,
    pub(crate) index: u32,
    pub(crate) page: u32,
    pub(crate) at: u32,
}

impl Ticket {
    /// The batch that the record went into.
    #[must_use]
    pub const fn batch(&self) -> BatchId {
        self.batch
    }

    /// The record's place in its batch, from zero in the order of `produce`.
    ///
    /// This less the number of records before it in the batch that were cancelled with
    /// [`Verdict::NotDelivered`] is its number for [`BatchOutcome`]; its offset is the base offset plus
    /// that number, less [`BatchOutcome::first`].
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }
}

/// A batch that is lent to be compressed, and which time of several: an answer to an earlier one is ignored.
#[cfg(feature = "compression")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct CompressionId {
    pub(crate) batch: BatchId,
    pub(crate) round: u32,
}

#[cfg(feature = "compression")]
impl CompressionId {
    /// The batch.
    #[must_use]
    pub const fn batch(self) -> BatchId {
        self.batch
    }
}

/// What a codec made of a batch that was lent to it.
#[cfg(feature = "compression")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // what there is to answer
pub enum Compressed<'a> {
    /// These bytes, all of them, in the framing that [`Compression`] tells. They are copied.
    Bytes(&'a [u8]),
    /// It gave up, since they would not be fewer bytes, or not by enough. (Who does not look may answer with the
    /// bytes: the core compares as well.)
    NotSmaller,
    /// It failed, or there is none.
    Failed,
}

/// Where a connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Address<'a> {
    /// Name or IP address; an IPv6 address comes without brackets.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
}

/// What the producer wants its caller to do or to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Output {
    /// Open a connection to [`Producer::address`], then call `handle_connected` or
    /// `handle_disconnected`.
    Connect(ConnId),
    /// Close this connection; its id is dead already. Bytes not yet written are not to be written.
    Disconnect(ConnId),
    /// Get a token for OAUTHBEARER, then call [`Producer::handle_token`] or [`Producer::handle_no_token`]. Told
    /// once for each that is wanted; connections wait for it meanwhile, and others do not.
    #[cfg(feature = "oauthbearer")]
    WantToken,
    /// Something that the application may want to know.
    Event(Event),
    /// [`Producer::close`] is complete: nothing more will come.
    Closed,
}

/// Something that the application may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Event {
    /// The records of a batch have an outcome.
    BatchOutcome(BatchOutcome),
    /// A topic's status changed: see [`Producer::topic_status`].
    Topic(TopicId),
    /// Memory came free after `produce` had answered [`ProduceError::Full`].
    BufferAvailable,
    /// A connection to a broker ended, or could not be had, for this reason.
    Disconnected {
        /// The connection; its id is dead.
        conn: ConnId,
        /// Why.
        cause: Disconnect,
    },
    /// No broker gives a producer id, for this reason. What needs one is told
    /// [`Cause::NoProducerId`](crate::Cause), and so is what comes, until [`Event::ProducerId`]; the
    /// producer goes on to ask.
    NoProducerId(NoProducerId),
    /// There is a producer id, after [`Event::NoProducerId`].
    ProducerId,
}

/// The outcome of a batch, or of a part of it where it was split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct BatchOutcome {
    /// The batch.
    pub batch: BatchId,
    /// Its topic.
    pub topic: TopicId,
    /// Its partition.
    pub partition: i32,
    /// The number of the first record that this is about, those taken out by `cancel` not counted:
    /// 0, unless the batch was too large for a broker and was split.
    pub first: u32,
    /// How many records this is about, those taken out by `cancel` not counted.
    pub records: u32,
    /// What became of them; [`Producer::last_error`] knows what went wrong last, until the next
    /// [`poll_output`](Producer::poll_output).
    pub outcome: Outcome,
    /// `Unknown` was told of them before, by an event, so this is the late verdict. What
    /// [`cancel`](Producer::cancel) answered is not counted: who asked it knows.
    pub late: bool,
    /// With `Delivered`: they are in the log exactly once. False only with
    /// [`OnForgotten::Resend`](crate::OnForgotten), where they may be there twice.
    pub unique: bool,
    /// Nothing more will be told of these records. False only with `Unknown`: a late verdict follows.
    pub last: bool,
}

/// What a broker says in words of records that it refuses (KIP-467), as
/// [`Producer::handle_received_with`] tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Remark<'a> {
    /// Their batch.
    pub batch: BatchId,
    /// The number of the first of them, as in [`BatchOutcome::first`].
    pub first: u32,
    /// How many they are: one, or all that the broker had in the same batch.
    pub records: u32,
    /// It is about this record, and not about all of a batch (of one, perhaps).
    pub single: bool,
    /// What it says.
    pub text: Text<'a>,
}

/// What is known of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TopicStatus {
    /// Its partitions are not known yet; the last error that the brokers gave, if any.
    Pending(Option<ErrorCode>),
    /// It can be written to.
    Ready {
        /// The number of its partitions.
        partitions: u32,
    },
    /// It cannot be written to; the producer asks again at `metadata.max.age.ms`.
    Refused(ErrorCode),
    /// It has more partitions than this producer has slots for ([`Limits::partitions`]); asked again
    /// at `metadata.max.age.ms`, or when slots come free.
    ///
    /// [`Limits::partitions`]: crate::Limits::partitions
    TooManyPartitions {
        /// How many it has.
        partitions: u32,
    },
}

/// What the next deadline of [`Producer::poll_timeout`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TimerKind {
    /// A batch has lingered.
    Linger,
    /// A batch reaches `delivery.timeout.ms` or `resolve.timeout.ms`.
    Delivery,
    /// A partition's retry backoff ends.
    RetryBackoff,
    /// A broker's reconnect backoff ends.
    ReconnectBackoff,
    /// A connection must be set up by then.
    ConnectionSetup,
    /// A request must be answered by then.
    Request,
    /// A broker's throttle ends.
    Throttle,
    /// Metadata is to be asked for.
    Metadata,
    /// A producer id is to be asked for.
    ProducerId,
    /// Keys for SCRAM are being derived: some iterations of many are due.
    #[cfg(feature = "_sasl")]
    KeyDerivation,
    /// A token is to be asked for again.
    #[cfg(feature = "oauthbearer")]
    Token,
    /// An idle connection is to be closed.
    Idle,
    /// `close` must be complete.
    Close,
}

/// Counters since the start, and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Stats {
    /// Records taken by `produce`.
    pub records: u64,
    /// Bytes of those records as encoded.
    pub bytes: u64,
    /// Records delivered.
    pub delivered: u64,
    /// Records not delivered.
    pub not_delivered: u64,
    /// Records whose last word is `Unknown`; not those of which `Unknown` was told, be it by `cancel`, and
    /// something better later.
    pub unknown: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Produce requests sent.
    pub requests: u64,
    /// Connections opened.
    pub connections: u64,
    /// Connections that ended otherwise than by our wish, and dials that came to nothing.
    pub disconnects: u64,
    /// Epochs started because a gap had to be left.
    pub epoch_bumps: u64,
    /// Times that a broker had lost acknowledged records, or its record of this producer.
    pub desyncs: u64,
    /// What was compressed, and what was not.
    #[cfg(feature = "compression")]
    pub compression: CompressionStats,
    /// Pages that hold records.
    pub pages_used: u32,
    /// All pages.
    pub pages: u32,
    /// Those of them that records leave to what comes from a codec: with these free and no more,
    /// [`Producer::produce`] answers [`ProduceError::Full`].
    #[cfg(feature = "compression")]
    pub pages_reserved: u32,
    /// Batches that are not settled.
    pub batches: u32,
}

/// Adds up what several producers have counted.
impl core::ops::AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        // Named one by one, so that none is forgotten.
        let Self {
            records,
            bytes,
            delivered,
            not_delivered,
            unknown,
            retries,
            requests,
            connections,
            disconnects,
            epoch_bumps,
            desyncs,
            #[cfg(feature = "compression")]
            compression,
            pages_used,
            pages,
            #[cfg(feature = "compression")]
            pages_reserved,
            batches,
        } = other;
        self.records += records;
        self.bytes += bytes;
        self.delivered += delivered;
        self.not_delivered += not_delivered;
        self.unknown += unknown;
        self.retries += retries;
        self.requests += requests;
        self.connections += connections;
        self.disconnects += disconnects;
        self.epoch_bumps += epoch_bumps;
        self.desyncs += desyncs;
        #[cfg(feature = "compression")]
        {
            self.compression += compression;
        }
        self.pages_used += pages_used;
        self.pages += pages;
        #[cfg(feature = "compression")]
        {
            self.pages_reserved += pages_reserved;
        }
        self.batches += batches;
    }
}

/// What was compressed, and what was not. All zeros where nothing is to be.
///
/// A batch counts when it is decided how it goes out, and once more where that is decided again: after a record
/// of it was cancelled, or when it was split.
#[cfg(feature = "compression")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct CompressionStats {
    /// Bytes of records before, of all batches that count.
    pub plain_bytes: u64,
    /// Bytes of records as they go out, compressed or not.
    pub wire_bytes: u64,
    /// Batches that go out compressed.
    pub compressed: u64,
    /// Batches that go out plain, as they would have become less than 5 % smaller.
    pub not_smaller: u64,
    /// As there was no memory for the codec's bytes.
    pub no_memory: u64,
    /// As the codec failed.
    pub failed: u64,
    /// As a broker does not take them compressed: one without Produce 7, where the codec is zstd, or one that
    /// answered UNSUPPORTED_COMPRESSION_TYPE. These were counted as compressed before.
    pub refused: u64,
}

#[cfg(feature = "compression")]
impl core::ops::AddAssign for CompressionStats {
    fn add_assign(&mut self, other: Self) {
        let Self { plain_bytes, wire_bytes, compressed, not_smaller, no_memory, failed, refused } =
            other;
        self.plain_bytes += plain_bytes;
        self.wire_bytes += wire_bytes;
        self.compressed += compressed;
        self.not_smaller += not_smaller;
        self.no_memory += no_memory;
        self.failed += failed;
        self.refused += refused;
    }
}

/// Something that waits, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Waiting {
    /// The topic.
    pub topic: TopicId,
    /// The partition that has batches without an outcome; `None` where it is the topic that is not known.
    pub partition: Option<i32>,
    /// What stands in its way, or went wrong last.
    pub why: LastError,
}

/// What is known of a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct BrokerStats<'a> {
    /// Its node id; `None` for a bootstrap server, whose id is not known.
    pub node_id: Option<i32>,
    /// Where it is reached; `None` while only its node id is known.
    pub address: Option<Address<'a>>,
    /// Whether a connection to it is open.
    pub connected: bool,
    /// How many of the registered topics' partitions it leads.
    pub leads: u32,
    /// Whether a partition that it leads has something to send.
    pub waiting: bool,
    /// Requests that are written and not answered.
    pub in_flight: u32,
    /// Requests written.
    pub requests: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Batches that it answered with an error.
    pub errors: u64,
    /// Connections to it that ended otherwise than by our wish.
    pub disconnects: u64,
    /// What it did wrong last, and did not make good since by an answer that was of use.
    pub last_error: Option<LastError>,
}
