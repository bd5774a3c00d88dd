//! A sans-IO Kafka producer core.
#![no_std]
#![forbid(unsafe_code, unused_must_use)]
#![warn(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod config;
mod error;
mod memory;
mod producer;
mod properties;
mod record;
mod time;
pub mod wire;

pub use config::{Acks, Checksum, Config, Partitioner};
pub use error::{
    Cause, ConfigError, Disconnect, FatalError, Outcome, ProduceError, TopicError, Verdict,
};
pub use memory::{Limits, Memory};
pub use producer::{
    Address, BatchId, ConnId, Event, Output, Producer, Reason, Segments, Settled, Stats, Ticket,
    TopicId, TopicStatus,
};
pub use properties::{Property, PropertyError, properties};
pub use record::{Header, Record};
pub use time::Instant;
