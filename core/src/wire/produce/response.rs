//! The answer to a request to produce.

use super::{
    ApiKey, Count, CurrentLeader, DecodeError, Dialect, Dull, NodeEndpoint, Partition, Step, Tags,
    Text, Topic, Wire, Writer, atom, dialect, element, reader, skip,
};
use crate::wire::streaming::{Skipped, Tag};

/// Whether the walk tells what is said of single records; otherwise it passes over that.
const TOLD: bool = cfg!(feature = "record-errors");

/// One element of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the reader must know them all
pub enum ProduceResponseItem<'a> {
    /// A topic; its partitions follow.
    Topic(Topic<'a>),
    /// What became of the batch for a partition of the last topic.
    Partition(Partition),
    /// A record for which the batch of the last partition was refused (version 8, KIP-467). Told with the
    /// feature `record-errors`.
    RecordError {
        /// The record's number in the batch, from 0.
        batch_index: i32,
        /// What is wrong with it.
        message: Option<Text<'a>>,
    },
    /// Why the batch of the last partition was refused (version 8). Told with the feature `record-errors`, of
    /// each that has an error, and behind its record errors.
    ErrorMessage(Option<Text<'a>>),
    /// Who leads the last partition now (version 10, KIP-951).
    CurrentLeader(CurrentLeader),
    /// For how many milliseconds the broker throttles this client.
    Throttle(i32),
    /// Where a current leader is to be found (version 10, KIP-951). These come last.
    NodeEndpoint(NodeEndpoint<'a>),
}

/// A walk over the response: over all that follows the correlation id.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
// So that what is zero where a walk begins is in one piece.
#[cfg_attr(not(target_pointer_width = "64"), repr(C))]
pub struct ProduceResponse {
    topics: Count,
    partitions: Count,
    /// Record errors of the partition, or endpoints of nodes, that are still to come.
    parts: Count,
    /// The section of tagged fields that the walk is in.
    tags: Tags,
    /// Where the walk is in the tagged fields of an endpoint, within a tagged field itself.
    inner: Tags,
    /// Bytes that are left of the tagged field, or of the text, that the walk is in.
    left: usize,
    at: At,
    /// The partition has an error.
    refused: bool,
    dialect: Dialect,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    Header,
    TopicCount,
    Topic,
    Partition,
    RecordErrorCount,
    RecordError,
    RecordErrorMessage,
    RecordErrorRest,
    RecordErrorTags,
    ErrorMessage,
    ErrorMessageRest,
    PartitionTags,
    CurrentLeader,
    CurrentLeaderRest,
    TopicTags,
    Throttle,
    Tags,
    Endpoints(Endpoints),
    End,
}

/// Within the tagged field of node endpoints.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum Endpoints {
    Count,
    Endpoint,
    Rack,
    Tags,
}

impl ProduceResponse {
    /// Begins a walk over the answer to a request of this version.
    #[must_use]
    pub const fn new(version: i16) -> Self {
        Self {
            dialect: dialect(ApiKey::PRODUCE, version),
            at: At::Header,
            topics: 0,
            partitions: 0,
            parts: 0,
            tags: Tags::Count,
            inner: Tags::Count,
            left: 0,
            refused: false,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The bytes are no such response.
    pub fn step<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<Step<ProduceResponseItem<'a>>, DecodeError> {
        let d = self.dialect;
        loop {
            match self.at {
                At::Header => skip!(self, Dull::Tags, At::TopicCount, input),
                At::TopicCount => {
                    let (used, topics) = atom!(input, |i| reader::count(i, d));
                    self.topics = topics;
                    self.at = At::Topic;
                    return Ok(Step::Skip { used, skip: 0 });
                }
                At::Topic if self.topics == 0 => self.at = At::Throttle,
                At::Topic => {
                    let (used, topic) = atom!(input, |i| Topic::read(i, d));
                    topic.check(d)?;
                    self.topics = self.topics.saturating_sub(1);
                    self.partitions = topic.partitions;
                    self.at = At::Partition;
                    element!(used, ProduceResponseItem::Topic(topic));
                }
                At::Partition if self.partitions == 0 => self.at = At::TopicTags,
                At::Partition => {
                    let (used, partition) = atom!(input, |i| Partition::read(i, d));
                    self.partitions = self.partitions.saturating_sub(1);
                    self.refused = !partition.error.is_none();
                    self.at = At::RecordErrorCount;
                    element!(used, ProduceResponseItem::Partition(partition));
                }
                At::RecordErrorCount if d.version < 8 => self.at = At::PartitionTags,
                At::RecordErrorCount => {
                    let (used, errors) = atom!(input, |i| reader::count(i, d));
                    self.parts = errors;
                    self.at = At::RecordError;
                    return Ok(Step::Skip { used, skip: 0 });
                }
                At::RecordError if self.parts == 0 => self.at = At::ErrorMessage,
                At::RecordError if !TOLD => {
                    let (used, _) = atom!(input, reader::int32);
                    self.parts = self.parts.saturating_sub(1);
                    self.at = At::RecordErrorMessage;
                    return Ok(Step::Skip { used, skip: 0 });
                }
                At::RecordErrorMessage => skip!(self, Dull::String, At::RecordErrorTags, input),
                At::RecordError => {
                    let (used, (batch_index, (message, left))) = atom!(input, |i| {
                        let (rest, batch_index) = reader::int32(i)?;
                        let (rest, message) = Text::read(rest, d)?;
                        Ok((rest, (batch_index, message)))
                    });
                    self.parts = self.parts.saturating_sub(1);
                    self.left = left;
                    self.at = At::RecordErrorRest;
                    element!(used, ProduceResponseItem::RecordError { batch_index, message });
                }
                At::RecordErrorRest => {
                    skip!(self, Dull::Bytes(self.left), At::RecordErrorTags, input);
                }
                At::RecordErrorTags => skip!(self, Dull::Tags, At::RecordError, input),
                At::ErrorMessage if !TOLD || !self.refused => {
                    skip!(self, Dull::String, At::PartitionTags, input);
                }
                At::ErrorMessage => {
                    let (used, (message, left)) = atom!(input, |i| Text::read(i, d));
                    self.left = left;
                    self.at = At::ErrorMessageRest;
                    element!(used, ProduceResponseItem::ErrorMessage(message));
                }
                At::ErrorMessageRest => {
                    skip!(self, Dull::Bytes(self.left), At::PartitionTags, input);
                }
                At::PartitionTags => {
                    if let Some(step) = self.tags(input, At::CurrentLeader, At::Partition)? {
                        return Ok(step);
                    }
                }
                At::CurrentLeader => {
                    let (used, leader) = atom!(input, |i| CurrentLeader::read(i, d));
                    self.spend(used)?;
                    self.at = At::CurrentLeaderRest;
                    element!(used, ProduceResponseItem::CurrentLeader(leader));
                }
                At::CurrentLeaderRest => {
                    skip!(self, Dull::Bytes(self.left), At::PartitionTags, input);
                }
                At::TopicTags => skip!(self, Dull::Tags, At::Topic, input),
                At::Throttle => {
                    let (used, throttle) = atom!(input, reader::int32);
                    self.at = At::Tags;
                    element!(used, ProduceResponseItem::Throttle(throttle));
                }
                At::Tags => {
                    let endpoints = At::Endpoints(Endpoints::Count);
                    if let Some(step) = self.tags(input, endpoints, At::End)? {
                        return Ok(step);
                    }
                }
                At::Endpoints(endpoints) => {
                    if let Some(step) = self.endpoints(endpoints, input)? {
                        return Ok(step);
                    }
                }
                At::End => return Ok(Step::Done { used: 0 }),
            }
        }
    }

    /// Goes on in a section of tagged fields of which tag 0 is known from version 10 on: its
    /// content is read at `known`, and behind the section the walk goes on at `next`.
    fn tags<E>(
        &mut self,
        input: &[u8],
        known: At,
        next: At,
    ) -> Result<Option<Step<E>>, DecodeError> {
        Ok(match self.tags.step(input, self.dialect)? {
            Tag::Field { used, tag: 0, size } if self.dialect.version >= 10 => {
                self.left = size;
                self.at = known;
                Some(Step::Skip { used, skip: 0 })
            }
            Tag::Field { used, size, .. } => Some(Step::Skip { used, skip: size }),
            Tag::Count { used } => Some(Step::Skip { used, skip: 0 }),
            Tag::Wait => Some(Step::Wait),
            Tag::Over => {
                self.at = next;
                None
            }
        })
    }

    /// Reads on within the tagged field of node endpoints, and keeps account of its bytes.
    fn endpoints<'a>(
        &mut self,
        at: Endpoints,
        input: &'a [u8],
    ) -> Result<Option<Step<ProduceResponseItem<'a>>>, DecodeError> {
        let step = self.endpoint_step(at, input)?;
        let (used, skip) = match &step {
            Step::Element { used, .. } | Step::Done { used } => (*used, 0),
            Step::Skip { used, skip } => (*used, *skip),
            Step::Wait => return Ok(Some(step)),
        };
        self.spend(used.saturating_add(skip))?;
        Ok((used > 0 || skip > 0).then_some(step))
    }

    /// Takes a step within the tagged field of node endpoints, which may be one over no bytes.
    fn endpoint_step<'a>(
        &mut self,
        at: Endpoints,
        input: &'a [u8],
    ) -> Result<Step<ProduceResponseItem<'a>>, DecodeError> {
        let d = self.dialect;
        let (dull, next) = match at {
            Endpoints::Count => {
                let (used, endpoints) = atom!(input, |i| reader::count(i, d));
                self.parts = endpoints;
                self.at = At::Endpoints(Endpoints::Endpoint);
                return Ok(Step::Skip { used, skip: 0 });
            }
            Endpoints::Endpoint if self.parts > 0 => {
                let (used, endpoint) = atom!(input, |i| NodeEndpoint::read(i, d));
                self.parts = self.parts.saturating_sub(1);
                self.at = At::Endpoints(Endpoints::Rack);
                element!(used, ProduceResponseItem::NodeEndpoint(endpoint));
            }
            Endpoints::Endpoint => (Dull::Bytes(self.left), At::Tags),
            Endpoints::Rack => (Dull::String, At::Endpoints(Endpoints::Tags)),
            Endpoints::Tags => (Dull::Tags, At::Endpoints(Endpoints::Endpoint)),
        };
        Ok(match dull.skip(&mut self.inner, input, d)? {
            Skipped::Past { used, skip } => {
                self.at = next;
                Step::Skip { used, skip }
            }
            Skipped::Within { used, skip } => Step::Skip { used, skip },
            Skipped::Wait => Step::Wait,
            Skipped::Over => {
                self.at = next;
                Step::Skip { used: 0, skip: 0 }
            }
        })
    }

    fn spend(&mut self, used: usize) -> Result<(), DecodeError> {
        self.left = self.left.checked_sub(used).ok_or(DecodeError::WrongLength)?;
        Ok(())
    }
}

/// Writes the head of the response, after the frame's header. The topics follow.
pub fn write_response(w: &mut Writer<'_>, dialect: Dialect, topics: Count) {
    topics.write(w, dialect);
}

/// Writes the head of a topic. Its partitions follow.
pub fn write_response_topic(w: &mut Writer<'_>, dialect: Dialect, topic: &Topic<'_>) {
    topic.write(w, dialect);
}

/// What a partition's answer may have besides its fixed part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // the schema's fields, built by literal
pub struct Details<'a> {
    /// The records for which the batch was refused, by their number in the batch, and why.
    pub record_errors: &'a [(i32, Option<&'a str>)],
    /// Why the batch was refused.
    pub error_message: Option<&'a str>,
    /// Who leads the partition now.
    pub current_leader: Option<CurrentLeader>,
}

/// Writes what became of the batch for a partition, as far as the version can say it.
pub fn write_response_partition(
    w: &mut Writer<'_>,
    dialect: Dialect,
    partition: &Partition,
    details: &Details<'_>,
) {
    partition.write(w, dialect);
    if dialect.version >= 8 {
        w.bytes_len(Some(details.record_errors.len()), dialect);
        for (batch_index, message) in details.record_errors {
            w.int32(*batch_index);
            w.nullable_string(*message, dialect);
            w.no_tagged_fields(dialect);
        }
        w.nullable_string(details.error_message, dialect);
    }
    match details.current_leader {
        Some(leader) if dialect.version >= 10 => {
            w.uvarint(1);
            w.tagged_field(0, |w| {
                leader.write(w, dialect);
                w.no_tagged_fields(dialect);
            });
        }
        Some(_) | None => w.no_tagged_fields(dialect),
    }
}

/// Writes the end of a topic.
pub fn write_response_topic_end(w: &mut Writer<'_>, dialect: Dialect) {
    w.no_tagged_fields(dialect);
}

/// Writes the end of the response, with the endpoints of current leaders and their racks as far
/// as the version can say it.
pub fn write_response_end(
    w: &mut Writer<'_>,
    dialect: Dialect,
    throttle_ms: i32,
    endpoints: &[(NodeEndpoint<'_>, Option<&str>)],
) {
    w.int32(throttle_ms);
    if dialect.version < 10 || endpoints.is_empty() {
        return w.no_tagged_fields(dialect);
    }
    w.uvarint(1);
    w.tagged_field(0, |w| {
        w.bytes_len(Some(endpoints.len()), dialect);
        for (endpoint, rack) in endpoints {
            endpoint.write(w, dialect);
            w.nullable_string(*rack, dialect);
            w.no_tagged_fields(dialect);
        }
    });
}
