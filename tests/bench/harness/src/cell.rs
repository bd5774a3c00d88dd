//! A cell of the plan: one thing that all contestants are asked to do.

use core::fmt::Write as _;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BrokerKind {
    /// One that answers and stores nothing.
    Sink,
    /// A real one.
    Kafka,
}

impl BrokerKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sink => "sink",
            Self::Kafka => "kafka",
        }
    }
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    Lz4,
    Zstd,
}

impl Compression {
    /// Kafka's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// How records are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// As fast as the client takes them.
    Load,
    /// One at a time, each awaited.
    Lone,
    /// Without pause, while nothing is acknowledged.
    Overload,
    /// `Load`, without and with much that is idle.
    Idle,
}

impl Shape {
    /// The cell's word for it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Lone => "lone",
            Self::Overload => "overload",
            Self::Idle => "idle",
        }
    }

    /// The contestants' word for it.
    pub(crate) const fn flag(self) -> &'static str {
        match self {
            Self::Load | Self::Idle => "load",
            Self::Lone => "lone",
            Self::Overload => "overload",
        }
    }
}

/// One thing that all contestants are asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) broker: BrokerKind,
    pub(crate) shape: Shape,
    /// Bytes of a record's value.
    pub(crate) size: u32,
    pub(crate) keyed: bool,
    pub(crate) partitions: u32,
    pub(crate) threads: u32,
    /// `batch.size`
    pub(crate) batch_size: u32,
    /// `linger.ms`
    pub(crate) linger_ms: u32,
    /// `buffer.memory`
    pub(crate) buffer_memory: u64,
    /// The measured ones; none where the time is what is given.
    pub(crate) records: u64,
    /// How long records are offered; 0 where their number is given.
    pub(crate) seconds: u32,
    /// Whether connections are TLS; older results do not say.
    #[serde(default)]
    pub(crate) tls: bool,
    /// Records are readings then, and otherwise noise. Older results do not say.
    #[serde(default)]
    pub(crate) compression: Option<Compression>,
    /// Records that are handed over by one call, where there is one for it; 0 is one by one. Older results do not
    /// say.
    #[serde(default)]
    pub(crate) batch: u32,
}

impl Cell {
    /// The cell that the others differ from.
    pub(crate) const BASE: Self = Self {
        broker: BrokerKind::Sink,
        shape: Shape::Load,
        size: 100,
        keyed: false,
        partitions: 6,
        threads: 1,
        batch_size: 16 << 10,
        linger_ms: 5,
        buffer_memory: 32 << 20,
        records: 2_000_000,
        seconds: 0,
        tls: false,
        compression: None,
        batch: 0,
    };

    /// The broker, the shape, the size, and whatever else differs from the base.
    pub(crate) fn name(&self) -> String {
        let mut name = format!("{}-{}-{}B", self.broker.name(), self.shape.name(), self.size);
        if self.keyed {
            name.push_str("-keyed");
        }
        if self.partitions != Self::BASE.partitions {
            let _ = write!(name, "-{}p", self.partitions);
        }
        if self.threads != Self::BASE.threads {
            let _ = write!(name, "-{}t", self.threads);
        }
        if self.batch_size != Self::BASE.batch_size {
            let _ = write!(name, "-{}K", self.batch_size >> 10);
        }
        if self.tls {
            name.push_str("-tls");
        }
        if let Some(compression) = self.compression {
            let _ = write!(name, "-{}", compression.name());
        }
        if self.batch > 0 {
            name.push_str("-batch");
        }
        name
    }

    /// Whether it differs from the base in nothing but the broker, the shape, the size and what
    /// follows from those.
    pub(crate) const fn is_plain(&self) -> bool {
        !self.keyed
            && self.partitions == Self::BASE.partitions
            && self.threads == Self::BASE.threads
            && self.batch_size == Self::BASE.batch_size
            && !self.tls
            && self.compression.is_none()
            && self.batch == 0
    }

    /// What it is, for people.
    pub(crate) fn title(&self) -> String {
        let broker = match self.broker {
            BrokerKind::Sink => "Sink",
            BrokerKind::Kafka => "Kafka",
        };
        let shape = match self.shape {
            Shape::Load => "load",
            Shape::Lone => "lone records",
            Shape::Overload => "overload",
            Shape::Idle => "load beside what is idle",
        };
        let key = if self.keyed { "keyed" } else { "no key" };
        let partitions = if self.partitions == 1 { "partition" } else { "partitions" };
        let threads = if self.threads == 1 { "thread" } else { "threads" };
        let tls = if self.tls { ", TLS" } else { "" };
        let compression = match self.compression {
            Some(compression) => format!(", readings in JSON, {}", compression.name()),
            None => String::new(),
        };
        let batch = match self.batch {
            0 => String::new(),
            records => format!(", {records} records a call"),
        };
        format!(
            "{broker}, {shape}: {} B, {key}, {} {partitions}, {} {threads}, `batch.size` {} KiB{tls}{compression}{batch}",
            self.size,
            self.partitions,
            self.threads,
            self.batch_size >> 10,
        )
    }

    /// The bytes of a record that are the application's: its value, and its key of eight digits.
    pub(crate) const fn payload(&self) -> u32 {
        self.size + if self.keyed { 8 } else { 0 }
    }
}
