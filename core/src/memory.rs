//! Memory lent to the producer: equal pages for records, slots for everything else.
//!
//! There is one [`Memory`] and two places that it comes from:
//! [`StaticMemory`](crate::StaticMemory), and [`Memory::heap`] behind the feature `alloc`. The state
//! machine cannot tell them apart.

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
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

/// The least receive window of a connection, in bytes: an element of an answer must fit.
pub(crate) const LEAST_RX: usize = crate::wire::MAX_ATOM;

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
