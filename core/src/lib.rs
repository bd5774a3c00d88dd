#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code, unused_must_use)]
#![warn(missing_docs, clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

mod backlog;
mod batch;
mod broker_slot;
mod config;
mod conn;
#[cfg_attr(not(feature = "_internal"), allow(dead_code, unreachable_pub))]
mod coverage;
#[cfg(feature = "defmt")]
mod defmt_impls;
mod error;
mod ids_and_events;
mod last_error;
mod list;
mod logging;
mod memory;
mod partition_shard;
mod partition_slot;
pub mod presets;
mod producer;
mod properties;
mod random;
mod record;
#[cfg(feature = "_sasl")]
mod sasl;
mod slots;
mod static_memory;
mod time;
mod topic_slot;
#[cfg(feature = "trace")]
mod trace;
pub mod wire;

pub use backlog::{Backlog, DropPolicy, RecordOutcome, Report, Why};
pub use batch::{BatchTail, StaleTail};
#[cfg(feature = "compression")]
pub use config::Compression;
pub use config::{Acks, Checksum, ChoosePartition, Config, OnForgotten, OnUnknown, Partitioner};
pub use conn::Segments;
#[cfg(feature = "_internal")]
#[doc(hidden)]
pub use coverage::Seen;
pub use error::{
    Cause, ConfigError, Disconnect, NoProducerId, Outcome, ProduceError, ReleaseError, TopicError,
    Verdict,
};
pub use ids_and_events::{
    Address, BatchId, BatchOutcome, BrokerStats, ConnId, Event, Output, Remark, Stats, Ticket,
    TimerKind, TopicId, TopicStatus, Waiting,
};
#[cfg(feature = "compression")]
pub use ids_and_events::{Compressed, CompressionId, CompressionStats};
pub use last_error::{LastError, Loss};
pub use memory::{Limits, Memory};
pub use partition_shard::PartitionShard;
#[cfg(feature = "compression")]
pub use producer::PlainBatch;
pub use producer::{Payload, Producer};
#[doc(hidden)]
pub use properties::nearest as nearest_property;
pub use properties::{Property, PropertyError, properties};
pub use record::{Header, Record};
#[cfg(feature = "oauthbearer")]
pub use sasl::Token;
#[cfg(feature = "_sasl")]
pub use sasl::{
    AuthenticationFailure, Credentials, Entropy, Mechanism, Mechanisms, Sasl, SaslError,
};
#[cfg(all(feature = "_internal", feature = "_scram"))]
#[doc(hidden)]
pub use sasl::{internal_read_scram, internal_scram_keys};
pub use static_memory::StaticMemory;
pub use time::Instant;
#[cfg(feature = "trace")]
pub use trace::{Trace, Turn};
