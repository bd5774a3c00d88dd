//! What Kafka's own tool sees in the leaders' logs.

use core::fmt;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use ottla_kafka::Cluster;

use crate::compression::{compression, kind};

/// The values in a topic of one partition, by Kafka's own consumer.
///
/// # Errors
/// When it cannot be read, offsets do not follow each other from 0 on, or a value is no short text.
pub fn texts(cluster: &Cluster, topic: &str) -> Result<Vec<String>> {
    let log = cluster.read(topic)?;
    let text = |(offset, record): (i64, &ottla_kafka::Record)| {
        ensure!((record.partition, record.offset) == (0, offset), "expected {offset}: {record:?}");
        Ok(String::from_utf8(record.value.clone().context("a long value, or none")?)?)
    };
    (0..).zip(&log).map(text).collect()
}

/// What is in the logs of a topic's leaders.
#[derive(Clone, Debug, Default)]
pub struct LogCount {
    /// Records.
    pub records: u64,
    /// Batches.
    pub batches: u64,
    /// Producer ids.
    pub producers: BTreeSet<i64>,
    /// Pairs of a partition and an epoch of a producer in it.
    pub epochs: u64,
    /// The largest batch in bytes.
    pub largest: i32,
    /// Bytes of all batches.
    pub bytes: u64,
    /// Batches that are compressed.
    pub compressed: u64,
}

impl LogCount {
    /// Reads the log of each partition at its leader, and checks that batches are valid and compressed as
    /// [`compression`] says or not at all, that offsets have no gap, that each has a producer id, and that the sequences
    /// of each producer id and epoch go from 0 on without a gap and never go back.
    ///
    /// # Errors
    /// When that is not so, or the log cannot be read.
    pub fn of(cluster: &Cluster, topic: &str) -> Result<Self> {
        Self::compressed(cluster, topic, compression().as_deref().unwrap_or("none"))
    }

    /// As [`Self::of`], by another compression.
    ///
    /// # Errors
    /// As there.
    pub fn compressed(cluster: &Cluster, topic: &str, compression: &str) -> Result<Self> {
        let mut count = Self::default();
        for partition in cluster.partitions(topic)? {
            let number = partition.partition;
            let leader = cluster.leader(topic, number)?;
            let mut next_offset = 0;
            let mut next_sequences: BTreeMap<(i64, i16), i32> = BTreeMap::new();
            for batch in cluster.dump_log(leader, topic, number)? {
                let place = format!("{topic}-{number} on node {leader}: {batch:?}");
                let is_plain = batch.compression == "none";
                ensure!(batch.is_valid, "{place}: not valid");
                ensure!(
                    is_plain || batch.compression == kind(compression),
                    "{place}: {compression}"
                );
                ensure!(batch.base_offset == next_offset, "{place}: expected {next_offset}");
                let records = batch.last_offset - batch.base_offset + 1;
                ensure!(records == i64::from(batch.count), "{place}: count");
                ensure!(batch.producer_id >= 0 && batch.producer_epoch >= 0, "{place}: no id");
                let key = (batch.producer_id, batch.producer_epoch);
                let next = next_sequences.entry(key).or_default();
                ensure!(batch.base_sequence == *next, "{place}: expected sequence {next}");
                ensure!(batch.last_sequence - batch.base_sequence + 1 == batch.count, "{place}");
                *next = batch.last_sequence + 1;
                next_offset = batch.last_offset + 1;
                count.records += u64::try_from(batch.count)?;
                count.batches += 1;
                count.compressed += u64::from(!is_plain);
                count.bytes += u64::try_from(batch.size)?;
                count.producers.insert(batch.producer_id);
                count.largest = count.largest.max(batch.size);
            }
            count.epochs += next_sequences.len() as u64;
        }
        Ok(count)
    }
}

impl fmt::Display for LogCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "log: {} records in {} batches ({} compressed) of at most {} and in all {} bytes, producer ids {:?}, \
             {} chains of sequences",
            self.records,
            self.batches,
            self.compressed,
            self.largest,
            self.bytes,
            self.producers,
            self.epochs
        )
    }
}
