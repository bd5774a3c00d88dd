//! PRODUCE (0): record batches to partitions, and what became of them. Versions 3 to 13, flexible
//! from 9; version 13 names topics by id (KIP-516).

use super::{
    ApiKey, Count, DecodeError, Dialect, ErrorCode, Step, Uuid, Wire, Writer, dialect, reader,
    streaming::{Dull, Tags, atom, element, skip},
    wire_struct::wire_struct,
};

mod request;
mod response;
#[cfg(test)]
mod tests;

pub use super::Text;
pub use request::{
    Head, ProduceRequest, ProduceRequestItem, write_end, write_head, write_partition,
    write_partition_end, write_topic, write_topic_end,
};
pub(crate) use request::{PARTITION_FRAMING, REQUEST_FRAMING, TOPIC_FRAMING, least_head};
pub use response::{
    Details, ProduceResponse, ProduceResponseItem, write_response, write_response_end,
    write_response_partition, write_response_topic, write_response_topic_end,
};

wire_struct! {
    /// The head of a topic, in requests and in responses. Its partitions follow.
    pub struct Topic<'a> {
        /// Its name; `None` from version 13 on, and only there.
        name: Option<&'a str>, 0..=12, else None;
        /// Its id; [`Uuid::ZERO`] below version 13.
        id: Uuid, 13.., else Uuid::ZERO;
        /// How many partitions follow.
        partitions: Count, 0..;
    }
}

impl Topic<'_> {
    /// Fails where the name is null in a version that has one.
    const fn check(&self, dialect: Dialect) -> Result<(), DecodeError> {
        if self.name.is_none() && dialect.version <= 12 {
            return Err(DecodeError::UnexpectedNull);
        }
        Ok(())
    }
}

wire_struct! {
    /// What became of the batch for a partition of the last topic.
    pub struct Partition {
        /// The partition.
        index: i32, 0..;
        /// Why the batch was not appended and acknowledged, if it was not.
        error: ErrorCode, 0..;
        /// The offset of the batch's first record, -1 in an error.
        base_offset: i64, 0..;
        /// The time that the broker gave the batch, in milliseconds since the Unix epoch; -1 where
        /// the topic keeps create times.
        log_append_time_ms: i64, 2.., else -1;
        /// The first offset that is left in the log, -1 where it is not known.
        log_start_offset: i64, 5.., else -1;
    }
}

wire_struct! {
    /// Who leads the last partition now (KIP-951).
    pub struct CurrentLeader {
        /// Its node id, -1 where it is not known.
        leader_id: i32, 10.., else -1;
        /// Its epoch, -1 where it is not known.
        leader_epoch: i32, 10.., else -1;
    }
}

wire_struct! {
    /// Where a current leader is to be found (KIP-951).
    pub struct NodeEndpoint<'a> {
        /// Its node id.
        node_id: i32, 10.., else -1;
        /// Its host.
        host: &'a str, 10.., else "";
        /// Its port.
        port: i32, 10.., else -1;
    }
}
