//! Memory lent to the producer: equal pages for records, slots for everything else.
//!
//! There is one [`Memory`] and two places that it comes from: [`StaticMemory`], and
//! [`Memory::heap`] behind the feature `alloc`. The state machine cannot tell them apart.

use crate::{
    Config,
    batch::{Batch, PageLink},
    broker::Broker,
    conn::Conn,
    partition::Partition,
    slots::Slots,
    topic::Topic,
};

/// How many of each thing a producer has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // built by literal, as `Limits { .., ..Limits::default() }`
pub struct Limits {
    /// Connections open at a time; 1 works, and one a broker is comfortable. At most 65,535.
    pub connections: u32,
    /// Brokers known, the bootstrap servers among them. At most 65,535.
    pub brokers: u32,
    /// Topics registered. At most 65,535.
    pub topics: u32,
    /// Partitions of all topics together.
    pub partitions: u32,
    /// Batches that hold records or wait for their event to be taken.
    pub batches: u32,
    /// Bytes a page.
    pub page_size: u32,
    /// Pages.
    pub pages: u32,
    /// Bytes of the receive window of a connection; at least 512.
    pub rx_window: u32,
    /// Bytes for a request's head, with all framing and batch headers, of a connection.
    pub tx_window: u32,
    /// The longest host or topic name, in bytes.
    pub name: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self::for_config(&Config::default())
    }
}

impl Limits {
    /// Limits that keep `config`'s `buffer.memory`, with tables for a gateway: 64 connections,
    /// 256 topics, 16,384 partitions.
    ///
    /// A page is as large as a batch, between 1 KiB and 16 KiB; there are two batch slots a page,
    /// since a batch that waits for its event to be taken holds none.
    #[must_use]
    pub fn for_config(config: &Config<'_>) -> Self {
        let page_size = config.batch_size.clamp(1_024, 16_384);
        let least = config.max_request_size.div_ceil(page_size).max(1);
        let pages = u32::try_from(config.buffer_memory / u64::from(page_size)).unwrap_or(u32::MAX);
        let pages = pages.clamp(least, 1 << 22);
        Self {
            connections: 64,
            brokers: 128,
            topics: 256,
            partitions: 16_384,
            batches: pages.saturating_mul(2).max(64),
            page_size,
            pages,
            rx_window: 16_384,
            tx_window: 16_384,
            name: 255,
        }
    }
}

/// Everything that a [`Producer`](crate::Producer) may ever use.
#[derive(Debug)]
pub struct Memory<'m> {
    pub(crate) conns: Slots<'m, Conn>,
    pub(crate) brokers: Slots<'m, Broker>,
    pub(crate) topics: Slots<'m, Topic>,
    pub(crate) partitions: Slots<'m, Partition>,
    pub(crate) batches: Slots<'m, Batch>,
    pub(crate) links: Slots<'m, PageLink>,
    pub(crate) pages: Slots<'m, u8>,
    pub(crate) rx: Slots<'m, u8>,
    pub(crate) tx: Slots<'m, u8>,
    pub(crate) topic_names: Slots<'m, u8>,
    pub(crate) broker_names: Slots<'m, u8>,
}

#[cfg(feature = "alloc")]
impl Memory<'static> {
    /// Memory from the heap, taken once and never more.
    #[must_use]
    pub fn heap(limits: Limits) -> Self {
        let bytes = |count: u32, size: u32| Slots::bytes(count as usize * size as usize);
        Self {
            conns: Slots::owned(limits.connections as usize, || Conn::EMPTY),
            brokers: Slots::owned(limits.brokers as usize, || Broker::EMPTY),
            topics: Slots::owned(limits.topics as usize, || Topic::EMPTY),
            partitions: Slots::owned(limits.partitions as usize, || Partition::EMPTY),
            batches: Slots::owned(limits.batches as usize, || Batch::EMPTY),
            links: Slots::owned(limits.pages as usize, || PageLink::EMPTY),
            pages: bytes(limits.pages, limits.page_size),
            rx: bytes(limits.connections, limits.rx_window),
            tx: bytes(limits.connections, limits.tx_window),
            topic_names: bytes(limits.topics, limits.name),
            broker_names: bytes(limits.brokers, limits.name),
        }
    }
}

/// Memory of fixed size for machines without a heap, usually in a `static`.
///
/// `PAGES` × `PAGE` bytes hold records; `RX` and `TX` are a connection's receive window and the
/// room for a request's head; `NAME` bounds host and topic names.
///
/// ```
/// use ottla_core::{Config, Producer, StaticMemory};
///
/// // 2 connections, 4 brokers, 1 topic, 4 partitions, 8 batches, 16 pages of 512 bytes,
/// // windows of 512 and 384 bytes, names of up to 48 bytes.
/// let mut memory = StaticMemory::<2, 4, 1, 4, 8, 16, 512, 512, 384, 48>::new();
/// let config = Config { bootstrap_servers: "broker:9092", ..Config::default() };
/// let config = Config { batch_size: 512, max_request_size: 2_048, ..config };
/// let producer = Producer::new(&config, memory.lend(), 42);
/// assert!(producer.is_ok());
/// ```
#[derive(Debug)]
pub struct StaticMemory<
    const CONNECTIONS: usize,
    const BROKERS: usize,
    const TOPICS: usize,
    const PARTITIONS: usize,
    const BATCHES: usize,
    const PAGES: usize,
    const PAGE: usize,
    const RX: usize,
    const TX: usize,
    const NAME: usize,
> {
    conns: [Conn; CONNECTIONS],
    brokers: [Broker; BROKERS],
    topics: [Topic; TOPICS],
    partitions: [Partition; PARTITIONS],
    batches: [Batch; BATCHES],
    links: [PageLink; PAGES],
    pages: [[u8; PAGE]; PAGES],
    rx: [[u8; RX]; CONNECTIONS],
    tx: [[u8; TX]; CONNECTIONS],
    topic_names: [[u8; NAME]; TOPICS],
    broker_names: [[u8; NAME]; BROKERS],
}

impl<
    const CONNECTIONS: usize,
    const BROKERS: usize,
    const TOPICS: usize,
    const PARTITIONS: usize,
    const BATCHES: usize,
    const PAGES: usize,
    const PAGE: usize,
    const RX: usize,
    const TX: usize,
    const NAME: usize,
> StaticMemory<CONNECTIONS, BROKERS, TOPICS, PARTITIONS, BATCHES, PAGES, PAGE, RX, TX, NAME>
{
    /// Empty memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            conns: [const { Conn::EMPTY }; CONNECTIONS],
            brokers: [const { Broker::EMPTY }; BROKERS],
            topics: [const { Topic::EMPTY }; TOPICS],
            partitions: [const { Partition::EMPTY }; PARTITIONS],
            batches: [const { Batch::EMPTY }; BATCHES],
            links: [const { PageLink::EMPTY }; PAGES],
            pages: [[0; PAGE]; PAGES],
            rx: [[0; RX]; CONNECTIONS],
            tx: [[0; TX]; CONNECTIONS],
            topic_names: [[0; NAME]; TOPICS],
            broker_names: [[0; NAME]; BROKERS],
        }
    }
}

impl<
    const CONNECTIONS: usize,
    const BROKERS: usize,
    const TOPICS: usize,
    const PARTITIONS: usize,
    const BATCHES: usize,
    const PAGES: usize,
    const PAGE: usize,
    const RX: usize,
    const TX: usize,
    const NAME: usize,
> StaticMemory<CONNECTIONS, BROKERS, TOPICS, PARTITIONS, BATCHES, PAGES, PAGE, RX, TX, NAME>
{
    /// Lends all of it to a producer.
    pub fn lend(&mut self) -> Memory<'_> {
        Memory {
            conns: Slots::lent(&mut self.conns),
            brokers: Slots::lent(&mut self.brokers),
            topics: Slots::lent(&mut self.topics),
            partitions: Slots::lent(&mut self.partitions),
            batches: Slots::lent(&mut self.batches),
            links: Slots::lent(&mut self.links),
            pages: Slots::lent(self.pages.as_flattened_mut()),
            rx: Slots::lent(self.rx.as_flattened_mut()),
            tx: Slots::lent(self.tx.as_flattened_mut()),
            topic_names: Slots::lent(self.topic_names.as_flattened_mut()),
            broker_names: Slots::lent(self.broker_names.as_flattened_mut()),
        }
    }
}

impl<
    const CONNECTIONS: usize,
    const BROKERS: usize,
    const TOPICS: usize,
    const PARTITIONS: usize,
    const BATCHES: usize,
    const PAGES: usize,
    const PAGE: usize,
    const RX: usize,
    const TX: usize,
    const NAME: usize,
> Default
    for StaticMemory<CONNECTIONS, BROKERS, TOPICS, PARTITIONS, BATCHES, PAGES, PAGE, RX, TX, NAME>
{
    fn default() -> Self {
        Self::new()
    }
}
