#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![forbid(unused_must_use)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod api;
mod append;
mod cluster;
#[cfg(feature = "compression")]
pub mod compression;
mod config;
mod connection;
mod event;
mod fault;
mod hostile;
mod log;
mod producer_state;
mod random;
mod read_logs;
mod record_batch;
pub mod sasl;
pub mod serve;
mod topic;
mod versions;

pub use cluster::{AdminError, Cluster, NodeId};
pub use config::{
    AutoCreate, ClusterConfig, CompressionType, Describers, Duplicates, FirstSequence, LeaderHints,
    NodeConfig, Planted, ProducerWindow, Storage, TimestampType, TopicConfig,
};
pub use connection::Connection;
pub use event::{AnswerFate, Happening, Judgement};
pub use fault::{Action, BaseOffset, Fault};
pub use hostile::Lie;
pub use read_logs::{Counts, Gone, LoggedBatch, LoggedHeader, LoggedRecord};
pub use versions::Versions;
