//! Memory lent to the producer: equal pages for records, slots for everything else.
//!
//! There is one [`Memory`] and two places that it comes from:
//! [`StaticMemory`](crate::StaticMemory), and [`Memory::heap`] behind the feature `alloc`. The state
//! machine cannot tell them apart.

use crate::{
    Config,
    batch::{Batch, PageLink},
    broker_slot::Broker,
    conn::Conn,
    partition_slot::Partition,
    slots::Slots,
    topic_slot::Topic,
};
#[cfg(feature = "alloc")]
use crate::{ConfigError, slots::NoMemory};

/// How many of each thing a producer has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // built by literal, as `Limits { .., ..Limits::default() }`
pub struct Limits {
    /// Connections open at a time; 1 works, and one a broker is comfortable. At most 65,535.
    pub connections: u32,
    /// Brokers known, the bootstrap servers among them. At most 65,535.
    pub brokers: u32,
    /// Topics registered at a time. At most 65,535. Memory from the heap takes what is used.
    pub topics: u32,
    /// Partitions of all topics together. Memory from the heap takes what is used.
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
    /// Limits that keep `config`'s `buffer.memory`, `limits.topics` and `limits.partitions`, with tables
    /// for a gateway: 64 connections, 128 brokers. Without the feature `alloc`, 256 topics of 16,384
    /// partitions.
    ///
    /// A page is as large as a batch, between 1 KiB and 16 KiB, and larger where there would be more than
    /// four million; there are two batch slots a page, since a batch that waits for its event to be taken
    /// holds none. Where batches are compressed, a page is a quarter of that, as what comes of one is.
    #[must_use]
    pub fn for_config(config: &Config<'_>) -> Self {
        let mut page_size = config.batch_size.clamp(1_024, 16_384);
        #[cfg(feature = "compression")]
        let whole = page_size;
        #[cfg(feature = "compression")]
        if !config.compression.is_none() {
            page_size = (config.batch_size / 4).clamp(1_024, 16_384);
        }
        while page_size < 1 << 30 && config.buffer_memory / u64::from(page_size) > MOST_PAGES.into()
        {
            page_size *= 2;
        }
        #[cfg(feature = "alloc")]
        let (topics, partitions) = (config.limits_topics, config.limits_partitions);
        #[cfg(not(feature = "alloc"))]
        let (topics, partitions) = (256, 16_384);
        // As it is in any case, said so that the compiler sees it, too: a division by zero is a panic.
        let page_size = page_size.max(1_024);
        let least = config.max_request_size.div_ceil(page_size).max(1);
        let pages = u32::try_from(config.buffer_memory / u64::from(page_size)).unwrap_or(u32::MAX);
        let pages = pages.clamp(least, MOST_PAGES.max(least));
        let batches = pages;
        #[cfg(feature = "compression")]
        let batches = batches / whole.checked_div(page_size).unwrap_or(1).max(1);
        Self {
            connections: 64,
            brokers: 128,
            topics,
            partitions,
            batches: batches.saturating_mul(2).max(64),
            page_size,
            pages,
            rx_window: 16_384,
            tx_window: 16_384,
            name: 255,
        }
    }
}

/// So many pages are few beside what an index of 32 bits can tell apart.
const MOST_PAGES: u32 = 1 << 22;

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
    #[cfg(feature = "alloc")]
    pub(crate) most: Most,
}

/// Up to how many slots tables may grow.
#[cfg(feature = "alloc")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    pub(crate) topics: u32,
    pub(crate) partitions: u32,
}

#[cfg(feature = "alloc")]
impl Memory<'static> {
    /// Memory from the heap. Tables of topics and partitions begin small and grow up to the limits;
    /// everything else is taken once and never more.
    ///
    /// Where the heap has not as much, the program ends, as with any other allocation that fails:
    /// [`Memory::try_heap`] tells.
    #[must_use]
    pub fn heap(limits: Limits) -> Self {
        Self::try_heap(limits).unwrap_or_else(|_| {
            alloc::alloc::handle_alloc_error(core::alloc::Layout::new::<[u8; 1 << 16]>())
        })
    }

    /// As [`Memory::heap`], where limits may be beyond what the machine has.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfMemory`] where the heap has not as much. A system that gives memory which it
    /// does not have (overcommit) does not say so before it is used.
    pub fn try_heap(limits: Limits) -> Result<Self, ConfigError> {
        Self::from_heap(limits).map_err(|NoMemory(bytes)| ConfigError::OutOfMemory { bytes })
    }

    fn from_heap(limits: Limits) -> Result<Self, NoMemory> {
        let bytes = |count: u32, size: u32| Slots::bytes(u64::from(count) * u64::from(size));
        let (topics, partitions) = (limits.topics.min(65_535), limits.partitions);
        let (few_topics, few_partitions) = (topics.min(FEW_TOPICS), partitions.min(FEW_PARTITIONS));
        let (conns, brokers) = (limits.connections as usize, limits.brokers as usize);
        let (batches, pages) = (limits.batches as usize, limits.pages as usize);
        let name = limits.name as usize;
        let few = few_topics as usize;
        // First what is most likely to be refused, and costs nothing before it is used.
        let (pages_of_bytes, rx, tx) = (
            bytes(limits.pages, limits.page_size)?,
            bytes(limits.connections, limits.rx_window)?,
            bytes(limits.connections, limits.tx_window)?,
        );
        Ok(Self {
            pages: pages_of_bytes,
            rx,
            tx,
            conns: Slots::owned(conns, || Conn::EMPTY)?,
            brokers: Slots::owned(brokers, || Broker::EMPTY)?,
            topics: Slots::owned(few, || Topic::EMPTY)?,
            partitions: Slots::owned(few_partitions as usize, || Partition::EMPTY)?,
            batches: Slots::owned(batches, || Batch::EMPTY)?,
            links: Slots::owned(pages, || PageLink::EMPTY)?,
            topic_names: Slots::owned(few * name, || 0)?,
            broker_names: bytes(limits.brokers, limits.name)?,
            most: Most { topics, partitions },
        })
    }
}

/// Slots of topics, and of partitions, that memory from the heap begins with.
#[cfg(feature = "alloc")]
const FEW_TOPICS: u32 = 16;
#[cfg(feature = "alloc")]
const FEW_PARTITIONS: u32 = 64;
