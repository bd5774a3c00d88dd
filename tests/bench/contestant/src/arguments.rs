//! The command line that all contestants have.

use std::{ops::Range, path::PathBuf};

use clap::{Parser, ValueEnum};

/// Produces records, and prints one line of JSON on what that took.
#[derive(Clone, Debug, Parser)]
#[allow(clippy::struct_excessive_bools, reason = "flags are flags")]
pub struct Arguments {
    /// A broker, `HOST:PORT`.
    #[arg(long)]
    pub bootstrap: String,
    /// A topic that exists.
    #[arg(long)]
    pub topic: String,
    /// How many partitions it has.
    #[arg(long, default_value_t = 6)]
    pub partitions: u32,
    /// What is done.
    #[arg(long, value_enum, default_value_t = Shape::Load)]
    pub shape: Shape,
    /// Records that are measured.
    #[arg(long, default_value_t = 1_000_000)]
    pub records: u64,
    /// Records before those.
    #[arg(long, default_value_t = 100_000)]
    pub warm_up: u64,
    /// How long an overload lasts.
    #[arg(long, default_value_t = 4.0)]
    pub seconds: f64,
    /// Bytes of a value.
    #[arg(long, default_value_t = 100)]
    pub size: usize,
    /// Values are the lines of this file, in turns; otherwise noise, always the same.
    #[arg(long, value_name = "FILE")]
    pub values: Option<PathBuf>,
    /// How batches are compressed, at the level that is nearest to what the others have.
    #[arg(long, value_enum)]
    pub compression: Option<Compression>,
    /// Each record has a key.
    #[arg(long)]
    pub keyed: bool,
    /// Threads that produce, with one producer.
    #[arg(long, default_value_t = 1)]
    pub threads: u64,
    /// Records are handed over so many at a time, where there is a call for it; 0 is one by one.
    #[arg(long, default_value_t = 0)]
    pub batch: usize,
    /// `batch.size`, or what is nearest to it, in bytes.
    #[arg(long, default_value_t = 16_384)]
    pub batch_size: u32,
    /// `linger.ms`.
    #[arg(long, default_value_t = 5)]
    pub linger_ms: u64,
    /// `buffer.memory`, or what is nearest to it, in bytes.
    #[arg(long, default_value_t = 32 << 20)]
    pub buffer_memory: u64,
    /// Counts what is taken from the heap.
    #[arg(long)]
    pub count_allocations: bool,
    /// Writes to the topic `idle` before, so that the connections of this many brokers stay idle.
    #[arg(long, num_args = 0..=1, default_value_t = 0, default_missing_value = "200")]
    pub idle: u32,
    /// The broker speaks TLS; its certificate is signed by one of those in this file, as PEM.
    #[arg(long, value_name = "FILE")]
    pub tls: Option<String>,
    /// Where bytes come back as they were sent, `HOST:PORT`.
    #[arg(long)]
    pub echo: Option<String>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(clippy::exhaustive_enums, reason = "contestants must know them all")]
pub enum Shape {
    /// As fast as the client takes records.
    Load,
    /// One after another, each after the last one's acknowledgement.
    Lone,
    /// As fast as the client takes records, at a broker that answers nothing.
    Overload,
}

/// How batches are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(clippy::exhaustive_enums, reason = "contestants must know them all")]
pub enum Compression {
    /// LZ4, by the fast compressor.
    Lz4,
    /// zstd, at level 1 or what is nearest to it.
    Zstd,
}

impl Compression {
    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl Arguments {
    /// The key of a record, by its number.
    #[must_use]
    pub fn key(number: u64) -> [u8; 8] {
        let mut left = number % 10_000;
        let mut key = [b'0'; 8];
        for digit in key.iter_mut().rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
        }
        key
    }

    /// How many of `all` records are for one of the threads: the first takes what is left over.
    #[must_use]
    pub const fn share(&self, all: u64, thread: u64) -> u64 {
        let each = all / self.threads;
        if thread == 0 { all - each * (self.threads - 1) } else { each }
    }

    /// The numbers of so many records, by the calls that hand them over.
    pub fn calls(&self, records: u64) -> impl Iterator<Item = Range<u64>> {
        let batch = self.batch.max(1);
        (0..records).step_by(batch).map(move |first| first..records.min(first + batch as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_eight_digits() {
        assert_eq!(&Arguments::key(7), b"00000007");
        assert_eq!(&Arguments::key(129_876), b"00009876");
    }

    #[test]
    fn shares_add_up() {
        let mut arguments = Arguments::parse_from(["x", "--bootstrap", "a:1", "--topic", "t"]);
        arguments.threads = 4;
        let shares: u64 = (0..4).map(|thread| arguments.share(1_003, thread)).sum();
        assert_eq!(shares, 1_003);
    }

    #[test]
    fn calls_have_each_record_once() {
        let mut arguments = Arguments::parse_from(["x", "--bootstrap", "a:1", "--topic", "t"]);
        arguments.batch = 4;
        assert_eq!(arguments.calls(10).collect::<Vec<_>>(), [0..4, 4..8, 8..10]);
        assert_eq!(arguments.calls(0).count(), 0);
    }
}
