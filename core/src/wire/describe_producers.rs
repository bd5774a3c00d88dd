//! DESCRIBE_PRODUCERS (61): what a leader knows of the producers that wrote to a partition
//! (KIP-664). Version 0, flexible.

use super::{
    ApiKey, Count, DecodeError, Dialect, ErrorCode, Step, Wire, Writer, dialect, reader,
    streaming::{Dull, Tags, atom, element, large_atom, skip},
    wire_struct::wire_struct,
};

wire_struct! {
    /// The head of a topic, in the request and in the response. Its partitions follow.
    pub struct Topic<'a> {
        /// Its name.
        name: &'a str, 0..;
        /// How many partitions follow.
        partitions: Count, 0..;
    }
}

wire_struct! {
    /// The head of a partition in the response.
    pub struct Partition {
        /// Its number.
        index: i32, 0..;
        /// Why nothing is told of its producers, if nothing is.
        error: ErrorCode, 0..;
    }
}

wire_struct! {
    /// What the leader knows of one producer on one partition.
    pub struct ProducerState {
        /// Its id.
        producer_id: i64, 0..;
        /// The epoch of its last batch. Wider here than anywhere else.
        producer_epoch: i32, 0..;
        /// The sequence number of the last record of its last batch, which may not be committed
        /// yet; -1 where there is no batch.
        last_sequence: i32, 0..;
        /// The largest timestamp of its last batch, in milliseconds since 1970; -1 where there is
        /// none.
        last_timestamp: i64, 0..;
        /// The epoch of the coordinator of its transaction; -1 or 0 without.
        coordinator_epoch: i32, 0..;
        /// Where its open transaction begins; -1 without.
        current_txn_start_offset: i64, 0..;
    }
}

/// Writes the head of the request, after the frame's header. The topics follow.
pub fn write_request(w: &mut Writer<'_>, dialect: Dialect, topics: Count) {
    topics.write(w, dialect);
}

/// Writes the head of a topic. The numbers of its partitions follow, an INT32 each.
pub fn write_request_topic(w: &mut Writer<'_>, dialect: Dialect, topic: &Topic<'_>) {
    topic.write(w, dialect);
}

/// Writes the end of a topic, behind its partitions.
pub fn write_request_topic_end(w: &mut Writer<'_>, dialect: Dialect) {
    w.no_tagged_fields(dialect);
}

/// Writes the end of the request, behind its topics.
pub fn write_request_end(w: &mut Writer<'_>, dialect: Dialect) {
    w.no_tagged_fields(dialect);
}

/// One element of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the reader must know them all
pub enum DescribeProducersRequestItem<'a> {
    /// The head of a topic.
    Topic(Topic<'a>),
    /// The number of a partition of the topic before.
    Partition(i32),
}

/// A walk over the request, after its header. Its atoms may be of any size.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DescribeProducersRequest {
    dialect: Dialect,
    at: Ask,
    topics: Count,
    partitions: Count,
    tags: Tags,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Ask {
    Count,
    Topic,
    Partition,
    TopicTags,
    Tags,
    End,
}

impl DescribeProducersRequest {
    /// Begins a walk over a request of this version.
    #[must_use]
    pub const fn new(version: i16) -> Self {
        Self {
            dialect: dialect(ApiKey::DESCRIBE_PRODUCERS, version),
            at: Ask::Count,
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
    ) -> Result<Step<DescribeProducersRequestItem<'a>>, DecodeError> {
        let d = self.dialect;
        loop {
            match self.at {
                Ask::Count => {
                    let (used, topics) = atom!(input, |i| reader::count(i, d));
                    self.topics = topics;
                    self.at = Ask::Topic;
                    return Ok(Step::Skip { used, skip: 0 });
                }
                Ask::Topic if self.topics == 0 => self.at = Ask::Tags,
                Ask::Topic => {
                    let Some((used, topic)) = large_atom(input, |i| Topic::read(i, d))? else {
                        return Ok(Step::Wait);
                    };
                    self.topics = self.topics.saturating_sub(1);
                    self.partitions = topic.partitions;
                    self.at = Ask::Partition;
                    element!(used, DescribeProducersRequestItem::Topic(topic));
                }
                Ask::Partition if self.partitions == 0 => self.at = Ask::TopicTags,
                Ask::Partition => {
                    let (used, index) = atom!(input, reader::int32);
                    self.partitions = self.partitions.saturating_sub(1);
                    element!(used, DescribeProducersRequestItem::Partition(index));
                }
                Ask::TopicTags => skip!(self, Dull::Tags, Ask::Topic, input),
                Ask::Tags => skip!(self, Dull::Tags, Ask::End, input),
                Ask::End => return Ok(Step::Done { used: 0 }),
            }
        }
    }
}

/// One element of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the reader must know them all
pub enum DescribeProducersItem<'a> {
    /// For how many milliseconds the broker throttles this client. Comes first.
    Throttle(i32),
    /// The head of a topic.
    Topic(Topic<'a>),
    /// The head of a partition of the topic before.
    Partition(Partition),
    /// A producer that the leader of the partition before knows.
    Producer(ProducerState),
    /// All that the leader knows of the partition before was told: who was not named is not known.
    PartitionEnd,
}

/// A walk over the response: over all that follows the correlation id. A partition may have
/// thousands of producers; they come one at a time.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DescribeProducersResponse {
    dialect: Dialect,
    at: At,
    topics: Count,
    partitions: Count,
    producers: Count,
    tags: Tags,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    Header,
    Throttle,
    TopicCount,
    Topic,
    Partition,
    ErrorMessage,
    ProducerCount,
    Producer,
    ProducerTags,
    PartitionEnd,
    PartitionTags,
    TopicTags,
    Tags,
    End,
}

impl DescribeProducersResponse {
    /// Begins a walk over the answer to a request of this version.
    #[must_use]
    pub const fn new(version: i16) -> Self {
        Self {
            dialect: dialect(ApiKey::DESCRIBE_PRODUCERS, version),
            at: At::Header,
            topics: 0,
            partitions: 0,
            producers: 0,
            tags: Tags::Count,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The bytes are no such response.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn step<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<Step<DescribeProducersItem<'a>>, DecodeError> {
        let d = self.dialect;
        loop {
            let (dull, next) = match self.at {
                At::Header => (Dull::Tags, At::Throttle),
                At::Throttle => {
                    let (used, throttle) = atom!(input, reader::int32);
                    self.at = At::TopicCount;
                    element!(used, DescribeProducersItem::Throttle(throttle));
                }
                At::TopicCount => {
                    let (used, topics) = atom!(input, |i| reader::count(i, d));
                    self.topics = topics;
                    self.at = At::Topic;
                    return Ok(Step::Skip { used, skip: 0 });
                }
                At::Topic if self.topics == 0 => (Dull::Nothing, At::Tags),
                At::Topic => {
                    let (used, topic) = atom!(input, |i| Topic::read(i, d));
                    self.topics = self.topics.saturating_sub(1);
                    self.partitions = topic.partitions;
                    self.at = At::Partition;
                    element!(used, DescribeProducersItem::Topic(topic));
                }
                At::Partition if self.partitions == 0 => (Dull::Nothing, At::TopicTags),
                At::Partition => {
                    let (used, partition) = atom!(input, |i| Partition::read(i, d));
                    self.partitions = self.partitions.saturating_sub(1);
                    self.at = At::ErrorMessage;
                    element!(used, DescribeProducersItem::Partition(partition));
                }
                At::ErrorMessage => (Dull::String, At::ProducerCount),
                At::ProducerCount => {
                    let (used, producers) = atom!(input, |i| reader::count(i, d));
                    self.producers = producers;
                    self.at = At::Producer;
                    return Ok(Step::Skip { used, skip: 0 });
                }
                At::Producer if self.producers == 0 => (Dull::Nothing, At::PartitionEnd),
                At::Producer => {
                    let (used, producer) = atom!(input, |i| ProducerState::read(i, d));
                    self.producers = self.producers.saturating_sub(1);
                    self.at = At::ProducerTags;
                    element!(used, DescribeProducersItem::Producer(producer));
                }
                At::ProducerTags => (Dull::Tags, At::Producer),
                At::PartitionEnd => {
                    // Every version has tagged fields, so that there is a byte to stand for the end.
                    let (used, fields) = atom!(input, reader::uvarint);
                    self.tags = Tags::Fields(fields);
                    self.at = At::PartitionTags;
                    element!(used, DescribeProducersItem::PartitionEnd);
                }
                At::PartitionTags => (Dull::Tags, At::Partition),
                At::TopicTags => (Dull::Tags, At::Topic),
                At::Tags => (Dull::Tags, At::End),
                At::End => return Ok(Step::Done { used: 0 }),
            };
            skip!(self, dull, next, input);
        }
    }
}

/// Writes the head of the response, after the frame's header. The topics follow.
pub fn write_response(w: &mut Writer<'_>, dialect: Dialect, throttle_ms: i32, topics: Count) {
    w.int32(throttle_ms);
    topics.write(w, dialect);
}

/// Writes the head of a topic. Its partitions follow.
pub fn write_response_topic(w: &mut Writer<'_>, dialect: Dialect, topic: &Topic<'_>) {
    topic.write(w, dialect);
}

/// Writes a partition, with what went wrong in words, and its producers.
pub fn write_response_partition(
    w: &mut Writer<'_>,
    dialect: Dialect,
    partition: &Partition,
    error_message: Option<&str>,
    producers: &[ProducerState],
) {
    partition.write(w, dialect);
    w.nullable_string(error_message, dialect);
    w.bytes_len(Some(producers.len()), dialect);
    for producer in producers {
        producer.write(w, dialect);
        w.no_tagged_fields(dialect);
    }
    w.no_tagged_fields(dialect);
}

/// Writes the end of a topic.
pub fn write_response_topic_end(w: &mut Writer<'_>, dialect: Dialect) {
    w.no_tagged_fields(dialect);
}

/// Writes the end of the response.
pub fn write_response_end(w: &mut Writer<'_>, dialect: Dialect) {
    w.no_tagged_fields(dialect);
}
