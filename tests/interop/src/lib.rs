//! ottla against real Kafka: messages to send ([`Lines`]), ways to send them ([`Command`],
//! [`Stream`]), what was told of each ([`Fates`]), and the judge ([`verify`]) that joins that with
//! what Kafka's own consumer reads and Kafka's own tools see in the log ([`LogCount`]).
//!
//! Needs what `ottla-kafka` needs; see `run` for how to start the tests.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

mod client;
mod common_api_versions;
mod compression;
mod durations;
mod embedded_tls;
mod lines;
mod log_contents;
mod outcomes;
mod owned_record;
mod partition_silence;
mod produce_command;
mod recorded_frames;
mod refusal;
mod scene;
mod secured;
mod setup;
mod stream;
mod verify;

pub use client::{Client, Fetch, Receipt};
pub use common_api_versions::spoken;
pub use compression::{COMPRESSIONS, compression, properties_of};
pub use durations::Spread;
pub use embedded_tls::{Device, EmbeddedTls, Said};
pub use lines::{Lines, Mix, SEPARATOR};
pub use log_contents::{LogCount, texts};
pub use outcomes::{Causes, Fate, Fates, Told};
pub use owned_record::{Message, rich};
pub use produce_command::{Command, Ended};
pub use recorded_frames::{Request, correlation_ids, requests, verdicts};
pub use refusal::assert_refused;
pub use scene::Scene;
pub use secured::{MECHANISMS, OTHER, OTHER_PASSWORD, PASSWORD, Protocol, Secured, USER, token};
pub use setup::{Adapter, cluster, oldest_timestamp, version};
pub use stream::{Sent, Stream};
pub use verify::{Count, verify};
