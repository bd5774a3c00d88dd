//! What `defmt` says of things that are too large, or too private, to be taken apart field by field.

use defmt::{Format, Formatter, write};

use crate::{
    Backlog, Config, Memory, Partitioner, Payload, Producer, Property, Segments, StaticMemory,
    wire::{DecodeError, Gap, Writer},
};

impl Format for Producer<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "Producer {{ stats: {} }}", self.stats());
    }
}

impl<T: Copy, const N: usize> Format for Backlog<T, N> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "Backlog {{ {} records }}", self.len());
    }
}

impl Format for Memory<'_> {
    fn format(&self, f: Formatter<'_>) {
        let (pages, batches) = (self.pages.all().len(), self.batches.all().len());
        write!(f, "Memory {{ {} bytes of records, {} batches }}", pages, batches);
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
> Format
    for StaticMemory<CONNECTIONS, BROKERS, TOPICS, PARTITIONS, BATCHES, PAGES, PAGE, RX, TX, NAME>
{
    fn format(&self, f: Formatter<'_>) {
        write!(f, "StaticMemory {{ {} bytes }}", Self::SIZE);
    }
}

impl Format for Config<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(
            f,
            "Config {{ bootstrap.servers: {}, client.id: {}, acks: {}, enable.idempotence: {}, \
             batch.size: {}, max.request.size: {}, linger: {}, delivery.timeout: {}, \
             request.timeout: {}, on.unknown: {} }}",
            self.bootstrap_servers,
            self.client_id,
            self.acks,
            self.enable_idempotence,
            self.batch_size,
            self.max_request_size,
            self.linger,
            self.delivery_timeout,
            self.request_timeout,
            self.on_unknown,
        );
    }
}

impl Format for Partitioner {
    fn format(&self, f: Formatter<'_>) {
        match self {
            Self::Default => write!(f, "Default"),
            Self::IgnoreKeys => write!(f, "IgnoreKeys"),
            Self::Custom(_) => write!(f, "Custom"),
        }
    }
}

impl Format for Property {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "Property {{ name: {}, expected: {} }}", self.name, self.expected);
    }
}

impl Format for Segments<'_> {
    fn format(&self, f: Formatter<'_>) {
        let len = self.clone().fold(0, |len: usize, piece| len.saturating_add(piece.len()));
        write!(f, "Segments {{ {} bytes }}", len);
    }
}

#[cfg(feature = "compression")]
impl Format for crate::PlainBatch<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "PlainBatch {{ {}, {} bytes }}", self.id(), self.size());
    }
}

impl Format for Payload<'_> {
    fn format(&self, f: Formatter<'_>) {
        let len = self.clone().fold(0, |len: usize, piece| len.saturating_add(piece.len()));
        write!(f, "Payload {{ {} bytes }}", len);
    }
}

impl Format for Writer<'_> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "Writer {{ {} bytes }}", self.len());
    }
}

impl<const N: usize> Format for Gap<N> {
    fn format(&self, f: Formatter<'_>) {
        write!(f, "Gap {{ {} bytes }}", N);
    }
}

// By hand, because nom's kinds of errors could only be shown with all of `core::fmt`.
impl Format for DecodeError {
    fn format(&self, f: Formatter<'_>) {
        match self {
            Self::NegativeLength(len) => write!(f, "NegativeLength({})", len),
            Self::UnexpectedNull => write!(f, "UnexpectedNull"),
            Self::VarintTooLong => write!(f, "VarintTooLong"),
            Self::NotUtf8 => write!(f, "NotUtf8"),
            Self::TooLong { max } => write!(f, "TooLong {{ max: {} }}", max),
            Self::FrameLength(len) => write!(f, "FrameLength({})", len),
            Self::LengthOverflow => write!(f, "LengthOverflow"),
            Self::WrongLength => write!(f, "WrongLength"),
            Self::Magic(magic) => write!(f, "Magic({})", magic),
            Self::BatchLength(len) => write!(f, "BatchLength({})", len),
            Self::Truncated => write!(f, "Truncated"),
            Self::TrailingBytes(left) => write!(f, "TrailingBytes({})", left),
            Self::Other(_) => write!(f, "Other"),
        }
    }
}
