//! INIT_PRODUCER_ID (22): a producer's id and epoch. Versions 0 to 5, flexible from 2.

use super::{
    ApiKey, DecodeError, Dialect, ErrorCode, Step, Wire, dialect,
    streaming::{Dull, Tags, atom, element, skip},
    wire_struct::wire_struct,
};

wire_struct! {
    /// The request.
    pub struct InitProducerIdRequest<'a> tagged_fields {
        /// The transactional id; `None` for a producer that is idempotent and no more.
        transactional_id: Option<&'a str>, 0..;
        /// After how many milliseconds the broker aborts an idle transaction; of no effect without
        /// a transactional id.
        transaction_timeout_ms: i32, 0..;
        /// The producer id to go on with, -1 for a new one (KIP-360).
        producer_id: i64, 3.., else -1;
        /// The epoch to go on from, -1 for a new one.
        producer_epoch: i16, 3.., else -1;
    }
}

wire_struct! {
    /// The response's one element, and, written by itself, its whole body.
    pub struct InitProducerIdItem tagged_fields {
        /// For how many milliseconds the broker throttles this client.
        throttle_ms: i32, 0..;
        /// Why there is no producer id, if there is none.
        error: ErrorCode, 0..;
        /// The producer id, -1 in an error.
        producer_id: i64, 0..;
        /// Its epoch.
        producer_epoch: i16, 0..;
    }
}

/// A walk over the response: over all that follows the correlation id.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct InitProducerIdResponse {
    dialect: Dialect,
    at: At,
    tags: Tags,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    Header,
    Item,
    Tags,
    End,
}

impl InitProducerIdResponse {
    /// Begins a walk over the answer to a request of this version.
    #[must_use]
    pub const fn new(version: i16) -> Self {
        Self {
            dialect: dialect(ApiKey::INIT_PRODUCER_ID, version),
            at: At::Header,
            tags: Tags::Count,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The bytes are no such response.
    pub fn step(&mut self, input: &[u8]) -> Result<Step<InitProducerIdItem>, DecodeError> {
        let d = self.dialect;
        loop {
            let (dull, next) = match self.at {
                At::Header => (Dull::Tags, At::Item),
                At::Item => {
                    // Without the tagged fields, which may be larger than the window.
                    let (used, item) = atom!(input, |i| InitProducerIdItem::read(i, d.classic()));
                    self.at = At::Tags;
                    element!(used, item);
                }
                At::Tags => (Dull::Tags, At::End),
                At::End => return Ok(Step::Done { used: 0 }),
            };
            skip!(self, dull, next, input);
        }
    }
}
