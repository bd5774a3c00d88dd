//! Reading the truth: what is in the logs.

use ottla_core::wire::{Uuid, record::BatchHeader};

use crate::{
    Cluster,
    log::{Log, StoredBatch},
    producer_state::advance,
    record_batch::{self, Headers, RawRecord, Records},
};

/// A record in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its time, in milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Vec<LoggedHeader<'a>>,
    /// The producer id, -1 for none.
    pub producer_id: i64,
    /// The producer's epoch, -1 for none.
    pub producer_epoch: i16,
    /// The sequence number, -1 for none.
    pub sequence: i32,
}

/// A header of a record in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedHeader<'a> {
    /// Its key, as bytes: nobody has made sure that it is UTF-8.
    pub key: &'a [u8],
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// A batch in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedBatch<'a> {
    /// Its header.
    pub header: BatchHeader,
    /// All of its bytes, its header included.
    pub bytes: &'a [u8],
    /// Its records behind its header as it came, if they can be read.
    plain: &'a [u8],
}

/// Why a batch is in a log no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// By DeleteRecords: it was wished.
    Deleted,
    /// By an unclean election or a truncation: it was lost.
    Lost,
}

/// What a partition has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches that were appended.
    pub batches: u64,
    /// Records that were appended.
    pub records: u64,
    /// Bytes of batches that were appended.
    pub bytes: u64,
    /// Batches that were in the log already.
    pub duplicates: u64,
}

impl Cluster {
    /// The records of a partition from its log start offset on; none where there is no such
    /// partition. Records of compressed batches are read with the feature `compression` alone.
    pub fn log(&self, topic: &str, partition: i32) -> impl Iterator<Item = LoggedRecord<'_>> {
        self.log_of(self.topic_id(topic).unwrap_or_default(), partition)
    }

    /// The records of a partition of a topic that may have been deleted.
    pub fn log_of(&self, topic: Uuid, partition: i32) -> impl Iterator<Item = LoggedRecord<'_>> {
        let start = self.find(topic, partition).map_or(0, Log::start_offset);
        self.batches_of(topic, partition)
            .flat_map(|batch| batch.records())
            .filter(move |record| record.offset >= start)
    }

    /// The batches of a partition from its log start offset on.
    pub fn batches(&self, topic: &str, partition: i32) -> impl Iterator<Item = LoggedBatch<'_>> {
        self.batches_of(self.topic_id(topic).unwrap_or_default(), partition)
    }

    /// The batches of a partition of a topic that may have been deleted.
    pub fn batches_of(&self, topic: Uuid, partition: i32) -> impl Iterator<Item = LoggedBatch<'_>> {
        let stored = self.find(topic, partition).map(Log::batches);
        stored.into_iter().flatten().filter_map(logged)
    }

    /// The batches that were in a partition of a topic once and are no more, in the order in which
    /// they went. They are kept with [`Storage::Everything`](crate::Storage::Everything) alone.
    pub fn gone_of(
        &self,
        topic: Uuid,
        partition: i32,
    ) -> impl Iterator<Item = (Gone, LoggedBatch<'_>)> {
        let gone = self.find(topic, partition).map(Log::gone);
        gone.into_iter().flatten().filter_map(|(why, batch)| Some((*why, logged(batch)?)))
    }

    /// The ids that a topic had in its lives, the oldest first; the last one is of the topic as it
    /// is, unless it was deleted.
    pub fn lives(&self, topic: &str) -> impl Iterator<Item = Uuid> {
        let dead = self.buried.iter().filter(move |(name, _)| name == topic).map(|(_, id)| *id);
        dead.chain(self.topic_id(topic))
    }

    /// The batch of a partition that has an offset, if there is one.
    #[must_use]
    pub fn batch_at(&self, topic: &str, partition: i32, offset: i64) -> Option<LoggedBatch<'_>> {
        logged(self.find_by_name(topic, partition)?.batch_at(offset)?)
    }

    /// The offset that the next record of a partition gets; 0 where there is no such partition.
    #[must_use]
    pub fn end_offset(&self, topic: &str, partition: i32) -> i64 {
        self.find_by_name(topic, partition).map_or(0, Log::end_offset)
    }

    /// The first offset that is left of a partition; 0 where there is no such partition.
    #[must_use]
    pub fn start_offset(&self, topic: &str, partition: i32) -> i64 {
        self.find_by_name(topic, partition).map_or(0, Log::start_offset)
    }

    /// What a partition has seen; nothing where there is no such partition.
    #[must_use]
    pub fn counts(&self, topic: &str, partition: i32) -> Counts {
        self.find_by_name(topic, partition).map_or_else(Counts::default, |log| log.counts)
    }

    /// What all partitions of all topics have seen, deleted ones included.
    #[must_use]
    pub fn total_counts(&self) -> Counts {
        let topics = self.topics.values().chain(self.deleted.values());
        let partitions = topics.flat_map(|topic| &topic.partitions);
        partitions.fold(Counts::default(), |sum, partition| {
            let counts = partition.log.counts;
            Counts {
                batches: sum.batches + counts.batches,
                records: sum.records + counts.records,
                bytes: sum.bytes + counts.bytes,
                duplicates: sum.duplicates + counts.duplicates,
            }
        })
    }

    /// The epoch and the last sequence number that a partition has of a producer.
    #[must_use]
    pub fn producer_state(
        &self,
        topic: &str,
        partition: i32,
        producer_id: i64,
    ) -> Option<(i16, i32)> {
        self.find_by_name(topic, partition)?.producers.last(producer_id)
    }

    fn find_by_name(&self, topic: &str, partition: i32) -> Option<&Log> {
        self.find(self.topic_id(topic)?, partition)
    }

    fn find(&self, topic: Uuid, partition: i32) -> Option<&Log> {
        let topic = self.topics.get(&topic).or_else(|| self.deleted.get(&topic))?;
        Some(&topic.partition(partition)?.log)
    }
}

fn logged(batch: &StoredBatch) -> Option<LoggedBatch<'_>> {
    let (header, bytes) = (record_batch::header(&batch.bytes)?, &*batch.bytes);
    let plain = match &batch.unpacked {
        Some(unpacked) => unpacked,
        None if header.attributes.compression() == 0 => bytes,
        None => &[],
    };
    Some(LoggedBatch { header, bytes, plain })
}

impl<'a> LoggedBatch<'a> {
    /// How many bytes it would have if it were not compressed, its header included; 0 where it is compressed, without the
    /// feature `compression`.
    #[must_use]
    pub const fn plain_len(&self) -> usize {
        self.plain.len()
    }

    /// The batch's records; none where it is compressed, without the feature `compression`.
    pub fn records(&self) -> impl Iterator<Item = LoggedRecord<'a>> + use<'a> {
        let header = self.header;
        Records::new(self.plain, &header)
            .map_while(Result::ok)
            .map(move |record| read(&header, &record))
    }
}

fn read<'a>(header: &BatchHeader, record: &RawRecord<'a>) -> LoggedRecord<'a> {
    let (rest, left) = record.headers;
    let headers = Headers { rest, left };
    LoggedRecord {
        offset: header.base_offset.saturating_add(i64::from(record.offset_delta)),
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
        headers: headers.map(|(key, value)| LoggedHeader { key, value }).collect(),
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        sequence: match header.base_sequence {
            none @ ..0 => none,
            first => advance(first, record.offset_delta),
        },
    }
}
