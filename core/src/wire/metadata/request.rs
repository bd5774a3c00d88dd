//! The request for metadata.

use super::{ApiKey, Count, DecodeError, Dialect, Step, Tags, Uuid, Wire, Writer, dialect, reader};
use crate::wire::{
    streaming::{Dull, element, large_atom, skip},
    wire_struct::wire_struct,
};

wire_struct! {
    /// A topic that is asked for.
    pub struct RequestTopic<'a> tagged_fields {
        /// Its id; [`Uuid::ZERO`] where it is asked for by its name. Brokers heed it from version
        /// 12 on.
        id: Uuid, 10.., else Uuid::ZERO;
        /// Its name; `None`, from version 10 on, where it is asked for by its id.
        name: Option<&'a str>, 0..;
    }
}

wire_struct! {
    /// The end of the request.
    pub struct End tagged_fields {
        /// Whether the broker may create topics that are asked for and do not exist.
        allow_auto_topic_creation: bool, 4.., else true;
        /// Whether to tell what this client may do to the cluster.
        include_cluster_authorized_operations: bool, 8..=10, else false;
        /// Whether to tell what this client may do to each topic.
        include_topic_authorized_operations: bool, 8.., else false;
    }
}

/// Writes the head of the request, after the frame's header: how many topics follow. 0 asks for
/// brokers alone, `None` for all topics.
pub fn write_request(w: &mut Writer<'_>, dialect: Dialect, topics: Option<Count>) {
    topics.write(w, dialect);
}

/// Writes a topic to ask for.
pub fn write_request_topic(w: &mut Writer<'_>, dialect: Dialect, topic: &RequestTopic<'_>) {
    topic.write(w, dialect);
}

/// Writes the end of the request; authorized operations are not asked for. Versions below 4 have
/// no say in whether topics are created.
pub fn write_request_end(w: &mut Writer<'_>, dialect: Dialect, allow_auto_topic_creation: bool) {
    let end = End {
        allow_auto_topic_creation,
        include_cluster_authorized_operations: false,
        include_topic_authorized_operations: false,
    };
    end.write(w, dialect);
}

/// One element of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the reader must know them all
pub enum MetadataRequestItem<'a> {
    /// How many topics are asked for; `None` is all.
    Topics(Option<Count>),
    /// A topic.
    Topic(RequestTopic<'a>),
    /// The end, from version 4 on. Below it the broker may create topics.
    End(End),
}

/// A walk over the request, after its header. Its atoms may be of any size.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct MetadataRequest {
    dialect: Dialect,
    at: At,
    topics: Count,
    tags: Tags,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    Count,
    Topic,
    End,
    Tags,
    Over,
}

impl MetadataRequest {
    /// Begins a walk over a request of this version.
    #[must_use]
    pub const fn new(version: i16) -> Self {
        Self {
            dialect: dialect(ApiKey::METADATA, version),
            at: At::Count,
            topics: 0,
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
    ) -> Result<Step<MetadataRequestItem<'a>>, DecodeError> {
        let d = self.dialect;
        loop {
            match self.at {
                At::Count => {
                    let atom = large_atom(input, |i| reader::nullable_count(i, d))?;
                    let Some((used, topics)) = atom else {
                        return Ok(Step::Wait);
                    };
                    self.topics = topics.unwrap_or(0);
                    self.at = At::Topic;
                    element!(used, MetadataRequestItem::Topics(topics));
                }
                At::Topic if self.topics == 0 => self.at = At::End,
                At::Topic => {
                    let Some((used, topic)) = large_atom(input, |i| RequestTopic::read(i, d))?
                    else {
                        return Ok(Step::Wait);
                    };
                    if topic.name.is_none() && d.version < 10 {
                        return Err(DecodeError::UnexpectedNull);
                    }
                    self.topics = self.topics.saturating_sub(1);
                    element!(used, MetadataRequestItem::Topic(topic));
                }
                At::End if d.version < 4 => self.at = At::Tags,
                At::End => {
                    let Some((used, end)) = large_atom(input, |i| End::read(i, d.classic()))?
                    else {
                        return Ok(Step::Wait);
                    };
                    self.at = At::Tags;
                    element!(used, MetadataRequestItem::End(end));
                }
                At::Tags => skip!(self, Dull::Tags, At::Over, input),
                At::Over => return Ok(Step::Done { used: 0 }),
            }
        }
    }
}
