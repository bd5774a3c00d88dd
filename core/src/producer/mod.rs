//! The producer: one state machine over all connections, topics and batches.

use core::marker::PhantomData;

use crate::{
    Config, ConfigError, Disconnect, FatalError, Instant, Memory, Outcome, ProduceError, Record,
    TopicError, Verdict, wire::ErrorCode,
};

/// A connection slot and which of its lives is meant; a stale id is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// A registered topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub(crate) u16);

impl TopicId {
    /// The topic's number, from zero in the order of registration.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A batch slot and which of its lives is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
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
}

/// The receipt for one record: its batch, and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Its offset is the batch's base offset plus this, less the number of records before it in
    /// the batch that were cancelled with [`Verdict::NotDelivered`].
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }
}

/// Where a connection leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address<'a> {
    /// Name or IP address; an IPv6 address comes without brackets.
    pub host: &'a str,
    /// TCP port.
    pub port: u16,
}

/// What the producer wants its caller to do or to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Open a connection to [`Producer::address`], then call `handle_connected` or
    /// `handle_disconnected`.
    Connect(ConnId),
    /// Close this connection; its id is dead already. Bytes not yet written are not to be written.
    Disconnect(ConnId),
    /// Something that the application may want to know.
    Event(Event),
    /// [`Producer::close`] is complete: nothing more will come.
    Closed,
}

/// Something that the application may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The records of a batch have an outcome.
    Settled(Settled),
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
    /// The producer has ended; every batch gets its outcome.
    Fatal(FatalError),
}

/// The outcome of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settled {
    /// The batch.
    pub batch: BatchId,
    /// Its topic.
    pub topic: TopicId,
    /// Its partition.
    pub partition: i32,
    /// How many records it holds, those taken out by `cancel` not counted.
    pub records: u32,
    /// What became of them.
    pub outcome: Outcome,
    /// An `Unknown` was told before, so this is the late verdict.
    pub late: bool,
    /// Nothing more will be told of this batch. False only with `Unknown`: a late verdict follows.
    pub last: bool,
}

/// What is known of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

/// What the next deadline of [`Producer::poll_timeout`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
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
    /// An idle connection is to be closed.
    Idle,
    /// `close` must be complete.
    Close,
}

/// Counters since the start, and gauges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// Records whose last word is `Unknown`.
    pub unknown: u64,
    /// Batches sent again.
    pub retries: u64,
    /// Produce requests sent.
    pub requests: u64,
    /// Connections opened.
    pub connections: u64,
    /// Connections that ended otherwise than by our wish.
    pub disconnects: u64,
    /// Epochs started because a gap had to be left.
    pub epoch_bumps: u64,
    /// Pages that hold records.
    pub pages_used: u32,
    /// All pages.
    pub pages: u32,
    /// Batches that are not settled.
    pub batches: u32,
}

/// The pieces of what is to be written next, in order.
#[derive(Debug)]
pub struct Segments<'a>(PhantomData<&'a u8>);

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        None
    }
}

/// A Kafka producer without sockets, clock, threads and heap.
#[derive(Debug)]
pub struct Producer<'m> {
    _memory: Memory<'m>,
}

impl<'m> Producer<'m> {
    /// Makes a producer. It needs no network: bootstrap servers are dialled when a topic is
    /// registered.
    pub fn new(_config: &Config<'_>, memory: Memory<'m>, _seed: u64) -> Result<Self, ConfigError> {
        Ok(Self { _memory: memory })
    }

    /// Registers a topic, or finds it where it is registered already.
    pub fn topic(&mut self, _now: Instant, _name: &str) -> Result<TopicId, TopicError> {
        unimplemented!()
    }

    /// The name of a topic.
    #[must_use]
    pub fn topic_name(&self, _topic: TopicId) -> Option<&str> {
        None
    }

    /// What is known of a topic; `None` where the id is not of this producer.
    #[must_use]
    pub fn topic_status(&self, _topic: TopicId) -> Option<TopicStatus> {
        None
    }

    /// Encodes a record into its partition's batch.
    pub fn produce(
        &mut self,
        _now: Instant,
        _topic: TopicId,
        _record: &Record<'_>,
    ) -> Result<Ticket, ProduceError> {
        unimplemented!()
    }

    /// Gives up waiting for a record. O(1).
    pub fn cancel(&mut self, _now: Instant, _ticket: Ticket) -> Verdict {
        unimplemented!()
    }

    /// Sends what is buffered without waiting for it to linger.
    pub fn flush(&mut self, _now: Instant) {}

    /// Takes no more records, sends what is buffered, and ends by `deadline`.
    pub fn close(&mut self, _now: Instant, _deadline: Instant) {}

    /// The connection is open.
    pub fn handle_connected(&mut self, _now: Instant, _conn: ConnId) {}

    /// `len` bytes were read into [`Producer::rx_buffer`].
    pub fn handle_received(&mut self, _now: Instant, _conn: ConnId, _len: usize) {}

    /// The socket accepted the first `len` bytes of [`Producer::transmit`].
    pub fn handle_transmitted(&mut self, _now: Instant, _conn: ConnId, _len: usize) {}

    /// The connection ended, or could not be opened.
    pub fn handle_disconnected(&mut self, _now: Instant, _conn: ConnId, _cause: Disconnect) {}

    /// The time of [`Producer::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// What to do next; drain until `None` before waiting.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        None
    }

    /// When to call [`Producer::handle_timeout`], and what for.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<(Instant, Reason)> {
        None
    }

    /// Where a connection leads; `None` for a dead id.
    #[must_use]
    pub fn address(&self, _conn: ConnId) -> Option<Address<'_>> {
        None
    }

    /// Whether the connection has room to receive into.
    #[must_use]
    pub fn wants_read(&self, _conn: ConnId) -> bool {
        false
    }

    /// Whether there is something to write. Prepares the next request where there is none under way.
    #[must_use]
    pub fn wants_write(&mut self, _now: Instant, _conn: ConnId) -> bool {
        false
    }

    /// The connections that [`Producer::wants_write`] may have changed for since it was last
    /// asked; drain until `None`.
    #[must_use]
    pub fn poll_write(&mut self, _now: Instant) -> Option<ConnId> {
        None
    }

    /// What to write, borrowed; empty where there is nothing.
    #[must_use]
    pub fn transmit(&self, _conn: ConnId) -> Segments<'_> {
        Segments(PhantomData)
    }

    /// Where to read into; empty for a dead id.
    #[must_use]
    pub fn rx_buffer(&mut self, _conn: ConnId) -> &mut [u8] {
        &mut []
    }

    /// Counters and gauges.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
