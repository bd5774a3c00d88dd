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
mod config;
mod connection;
mod fault;
mod happening;
mod hostile;
mod log;
mod producer_state;
mod random;
mod record_batch;
pub mod serve;
mod topic;
mod truth;
mod versions;

pub use cluster::{AdminError, Cluster, NodeId};
pub use config::{
    AutoCreate, ClusterConfig, Describers, Duplicates, FirstSequence, LeaderHints, NodeConfig,
    ProducerWindow, Storage, TimestampType, TopicConfig,
};
pub use connection::Connection;
pub use fault::{Action, BaseOffset, Fault};
pub use happening::{AnswerFate, Happening, Judgement};
pub use hostile::Lie;
pub use truth::{Counts, Gone, LoggedBatch, LoggedHeader, LoggedRecord};
pub use versions::Versions;
