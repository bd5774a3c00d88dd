//! Memory of a size that is known when the program is compiled, for machines without a heap.

use core::time::Duration;

use crate::{
    Config, Memory,
    batch::{Batch, PageLink},
    broker_slot::Broker,
    conn::Conn,
    memory::LEAST_RX,
    partition_slot::Partition,
    slots::Slots,
    topic_slot::Topic,
    wire::{produce::least_head, record::BatchHeader},
};

/// Memory of fixed size for machines without a heap, usually in a `static`.
///
/// `PAGES` × `PAGE` bytes hold records; `RX` and `TX` are a connection's receive window and the
/// room for a request's head; `NAME` bounds host and topic names. [`static_memory!`](crate::static_memory)
/// says the sizes by name. [`presets`](crate::presets) has three that are ready, and says how to work
/// out one's own.
///
/// ```
/// use ottla_core::{Producer, static_memory};
///
/// type Mine = static_memory! {
///     connections: 2,
///     brokers: 4,
///     topics: 1,
///     partitions: 4,
///     batches: 8,
///     pages: 16,
///     page_size: 512,
///     rx_window: 512,
///     tx_window: 384,
///     name: 48,
/// };
///
/// let mut memory = Mine::new();
/// let producer = Producer::new(&Mine::config("broker:9092"), memory.lend(), 42);
/// assert!(producer.is_ok());
/// ```
///
/// Memory that cannot work is refused by the compiler, which says what is missing:
///
/// ```compile_fail,E0080
/// // A receive window of 256 bytes.
/// let memory = ottla_core::StaticMemory::<2, 4, 1, 4, 8, 16, 512, 256, 384, 48>::new();
/// ```
///
/// ```compile_fail,E0080
/// // One page, which a request under way keeps to itself.
/// let memory = ottla_core::StaticMemory::<2, 4, 1, 4, 8, 1, 512, 512, 384, 48>::new();
/// ```
///
/// ```compile_fail,E0080
/// // 174 bytes for a request's head, where a name of 48 makes it 175.
/// let memory = ottla_core::StaticMemory::<2, 4, 1, 4, 8, 16, 512, 512, 174, 48>::new();
/// ```
///
/// ```compile_fail,E0080
/// // No connection.
/// let memory = ottla_core::StaticMemory::<0, 4, 1, 4, 8, 16, 512, 512, 384, 48>::new();
/// ```
///
/// The least that works:
///
/// ```
/// let memory = ottla_core::StaticMemory::<1, 2, 1, 1, 1, 2, 64, 512, 175, 48>::new();
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

/// The least page: one that is smaller holds links rather than records.
const LEAST_PAGE: usize = 64;

/// The `client.id` that the compiler reckons with, which is the default; a longer one is checked
/// when the producer is made.
const CLIENT_ID: usize = "ottla".len();

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
    /// Bytes that this memory takes, of which nothing else in the core takes any but the
    /// [`Producer`](crate::Producer) itself.
    pub const SIZE: usize = size_of::<Self>();

    /// What can be worked with, seen by the compiler.
    const WORKS: () = {
        assert!(CONNECTIONS >= 1, "CONNECTIONS is 0: a broker needs a connection");
        assert!(BROKERS >= 2, "BROKERS is too small: one for bootstrap, one for a leader");
        assert!(TOPICS >= 1, "TOPICS is 0: records go to a topic");
        assert!(PARTITIONS >= TOPICS, "PARTITIONS is too small: each topic has one at least");
        assert!(BATCHES >= 1, "BATCHES is 0: records go into a batch");
        assert!(PAGES >= 2, "PAGES is too small: one for a record, one for the request under way");
        assert!(PAGE >= LEAST_PAGE, "PAGE is too small: 64 bytes at least");
        assert!(RX >= LEAST_RX, "RX is too small: an element of an answer takes up to 512 bytes");
        assert!(
            TX >= least_head(CLIENT_ID, NAME),
            "TX is too small for the head of a request of one batch: 127 bytes and NAME"
        );
        assert!(NAME >= 1, "NAME is 0: hosts and topics have names");
        assert!(
            CONNECTIONS <= 65_535 && BROKERS <= 65_535 && TOPICS <= 65_535,
            "CONNECTIONS, BROKERS and TOPICS are 65,535 at most"
        );
    };

    /// Empty memory.
    ///
    /// Does not compile where the memory is too small for one record and one request.
    #[must_use]
    pub const fn new() -> Self {
        const { Self::WORKS };
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

    /// A configuration that suits this memory.
    ///
    /// A batch may take half of a partition's share of the pages, so that one can fill while another
    /// is sent; a request may take all that there is. Records linger for 20 ms, so that some share a
    /// batch's header of 61 bytes.
    #[must_use]
    pub fn config(bootstrap_servers: &str) -> Config<'_> {
        let header = BatchHeader::LEN as u32;
        let pages = const {
            let share = PAGES / (2 * PARTITIONS);
            if share == 0 { 1 } else { share }
        };
        let records = const { (PAGES * PAGE) as u32 };
        Config {
            bootstrap_servers,
            linger: Duration::from_millis(20),
            batch_size: (pages * PAGE) as u32 + header,
            max_request_size: (records + TX as u32).max(512),
            buffer_memory: u64::from(records),
            ..Config::default()
        }
    }

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
            #[cfg(feature = "alloc")]
            most: crate::memory::Most { topics: TOPICS as u32, partitions: PARTITIONS as u32 },
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

/// The type of [`StaticMemory`] with these sizes, each by its name: those of [`Limits`](crate::Limits), in this
/// order. Counts are slots, `page_size` and the windows are bytes, and so is `name`, the longest name of a host
/// or topic.
///
/// ```
/// type Mine = ottla_core::static_memory! {
///     connections: 1, brokers: 2, topics: 1, partitions: 1, batches: 2,
///     pages: 4, page_size: 256, rx_window: 512, tx_window: 256, name: 32,
/// };
/// const { assert!(Mine::SIZE < 4 * 1024) };
/// ```
#[macro_export]
macro_rules! static_memory {
    (
        connections: $connections:expr, brokers: $brokers:expr, topics: $topics:expr,
        partitions: $partitions:expr, batches: $batches:expr, pages: $pages:expr,
        page_size: $page_size:expr, rx_window: $rx_window:expr, tx_window: $tx_window:expr,
        name: $name:expr $(,)?
    ) => {
        $crate::StaticMemory<
            { $connections },
            { $brokers },
            { $topics },
            { $partitions },
            { $batches },
            { $pages },
            { $page_size },
            { $rx_window },
            { $tx_window },
            { $name },
        >
    };
}
