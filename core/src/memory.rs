//! Memory lent to the producer.

use core::marker::PhantomData;

/// How many of each thing a producer has room for.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs)] // built by literal, as `Limits { .., ..Limits::default() }`
pub struct Limits {
    /// Connections open at a time; 1 works, and one a broker is comfortable.
    pub connections: u32,
    /// Brokers known, the bootstrap servers among them.
    pub brokers: u32,
    /// Topics registered.
    pub topics: u32,
    /// Partitions of all topics together.
    pub partitions: u32,
    /// Batches that hold records or wait for their event to be taken.
    pub batches: u32,
    /// Bytes a page.
    pub page_size: u32,
    /// Pages.
    pub pages: u32,
    /// Bytes of the receive window of a connection.
    pub rx_window: u32,
    /// Bytes for a request's head, with all framing and batch headers, of a connection.
    pub tx_window: u32,
    /// The longest host or topic name, in bytes.
    pub name: u32,
}

/// Everything a [`Producer`](crate::Producer) may ever use.
#[derive(Debug)]
pub struct Memory<'m>(PhantomData<&'m mut u8>);

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            brokers: 128,
            topics: 256,
            partitions: 16_384,
            batches: 8_192,
            page_size: 16_384,
            pages: 2_048,
            rx_window: 16_384,
            tx_window: 16_384,
            name: 255,
        }
    }
}

impl Limits {
    /// Limits that keep `config`'s `buffer.memory`, with room for a gateway's tables.
    #[must_use]
    pub fn for_config(_config: &crate::Config<'_>) -> Self {
        Self::default()
    }
}

#[cfg(feature = "alloc")]
impl Memory<'static> {
    /// Memory from the heap, taken once.
    #[must_use]
    pub fn heap(_limits: Limits) -> Self {
        Self(PhantomData)
    }
}
