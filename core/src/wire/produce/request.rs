//! The request to produce. It is written in pieces, because the record batches lie elsewhere.

use super::{
    ApiKey, Count, DecodeError, Dialect, Dull, Step, Tags, Topic, Uuid, Wire, Writer, dialect,
    reader, skip, wire_struct,
};
use crate::wire::{
    record::BatchHeader,
    streaming::{element, large_atom},
};

wire_struct! {
    /// The head of the request. The topics follow.
    pub struct Head<'a> {
        /// The transactional id; `None` outside of transactions.
        transactional_id: Option<&'a str>, 3.., else None;
        /// Which replicas must have the batches before the broker answers: 0, 1, or -1 for all in
        /// sync. With 0 there is no answer.
        acks: i16, 0..;
        /// How long the broker may wait for those replicas, in milliseconds.
        timeout_ms: i32, 0..;
        /// How many topics follow.
        topics: Count, 0..;
    }
}

/// Bytes around the parts of a produce request, at the most: the frame's size and header, acks,
/// timeout, the topics' count, and the tagged fields at the end.
pub(crate) const REQUEST_FRAMING: u32 = 4 + 8 + 2 + 1 + 2 + 2 + 4 + 5 + 1;
/// The same around a partition: number, length, batch header, tagged fields.
pub(crate) const PARTITION_FRAMING: u32 = 4 + 5 + BatchHeader::LEN as u32 + 1;
/// The same around a topic, beside its name: the name's length or the id, the partitions' count,
/// tagged fields.
pub(crate) const TOPIC_FRAMING: u32 = 16 + 5 + 1;

/// The room that the head of a request for one batch may need at the most, by the lengths of the
/// client id and of the topic's name.
pub(crate) const fn least_head(client_id: usize, name: usize) -> usize {
    (REQUEST_FRAMING + PARTITION_FRAMING + TOPIC_FRAMING) as usize + client_id + name
}

/// Writes the head of the request, after the frame's header.
pub fn write_head(
    w: &mut Writer<'_>,
    dialect: Dialect,
    transactional_id: Option<&str>,
    acks: i16,
    timeout_ms: i32,
    topics: Count,
) {
    let head = Head { transactional_id, acks, timeout_ms, topics };
    head.write(w, dialect);
}

/// Writes the head of a topic: its name, or from version 13 on its id.
pub fn write_topic(w: &mut Writer<'_>, dialect: Dialect, name: &str, id: Uuid, partitions: Count) {
    let topic = Topic { name: Some(name), id, partitions };
    topic.write(w, dialect);
}

/// Writes the head of a partition. `records_len` bytes of record batch follow.
pub fn write_partition(w: &mut Writer<'_>, dialect: Dialect, index: i32, records_len: u32) {
    w.int32(index);
    // A batch is bounded by a `u32` everywhere; what is no length in this address space is none
    // that can be sent either.
    w.bytes_len(Some(usize::try_from(records_len).unwrap_or(usize::MAX)), dialect);
}

/// Writes the end of a partition, behind its record batch.
pub fn write_partition_end(w: &mut Writer<'_>, dialect: Dialect) {
    w.no_tagged_fields(dialect);
}

/// Writes the end of a topic, behind its partitions.
pub fn write_topic_end(w: &mut Writer<'_>, dialect: Dialect) {
    w.no_tagged_fields(dialect);
}

/// Writes the end of the request, behind its topics.
pub fn write_end(w: &mut Writer<'_>, dialect: Dialect) {
    w.no_tagged_fields(dialect);
}

/// One element of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the reader must know them all
pub enum ProduceRequestItem<'a> {
    /// The head.
    Head(Head<'a>),
    /// A topic.
    Topic(Topic<'a>),
    /// A record batch for a partition of the last topic.
    Partition {
        /// The partition.
        index: i32,
        /// The record batch.
        records: Option<&'a [u8]>,
    },
}

/// A walk over the request, after its header. Its atoms may be of any size: a record batch is
/// one.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ProduceRequest {
    dialect: Dialect,
    at: At,
    topics: Count,
    partitions: Count,
    tags: Tags,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    Head,
    Topic,
    Partition,
    PartitionTags,
    TopicTags,
    Tags,
    End,
}

impl ProduceRequest {
    /// Begins a walk over a request of this version.
    #[must_use]
    pub const fn new(version: i16) -> Self {
        Self {
            dialect: dialect(ApiKey::PRODUCE, version),
            at: At::Head,
            topics: 0,
            partitions: 0,
            tags: Tags::Count,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The bytes are no such request.
    pub fn step<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<Step<ProduceRequestItem<'a>>, DecodeError> {
        let d = self.dialect;
        loop {
            match self.at {
                At::Head => {
                    let Some((used, head)) = large_atom(input, |i| Head::read(i, d))? else {
                        return Ok(Step::Wait);
                    };
                    self.topics = head.topics;
                    self.at = At::Topic;
                    element!(used, ProduceRequestItem::Head(head));
                }
                At::Topic if self.topics == 0 => self.at = At::Tags,
                At::Topic => {
                    let Some((used, topic)) = large_atom(input, |i| Topic::read(i, d))? else {
                        return Ok(Step::Wait);
                    };
                    topic.check(d)?;
                    self.topics = self.topics.saturating_sub(1);
                    self.partitions = topic.partitions;
                    self.at = At::Partition;
                    element!(used, ProduceRequestItem::Topic(topic));
                }
                At::Partition if self.partitions == 0 => self.at = At::TopicTags,
                At::Partition => {
                    let partition = |i| {
                        let (rest, index) = reader::int32(i)?;
                        let (rest, records) = reader::nullable_bytes(rest, d)?;
                        Ok((rest, ProduceRequestItem::Partition { index, records }))
                    };
                    let Some((used, partition)) = large_atom(input, partition)? else {
                        return Ok(Step::Wait);
                    };
                    self.partitions = self.partitions.saturating_sub(1);
                    self.at = At::PartitionTags;
                    element!(used, partition);
                }
                At::PartitionTags => skip!(self, Dull::Tags, At::Partition, input),
                At::TopicTags => skip!(self, Dull::Tags, At::Topic, input),
                At::Tags => skip!(self, Dull::Tags, At::End, input),
                At::End => return Ok(Step::Done { used: 0 }),
            }
        }
    }
}
