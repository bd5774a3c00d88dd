//! A real Kafka for tests: [`Cluster`] runs one or three nodes of a chosen version, [`FaultProxy`]
//! stands before every broker and breaks connections on demand, and the read-back oracles
//! ([`Cluster::read`], [`Cluster::dump_log`], [`Tool::partitions_for`]) are Kafka's own clients and
//! tools, so that ottla is never judged by ottla.
//!
//! Needs a JDK (17 or newer for Kafka 4), Maven, and, on Linux, util-linux.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

mod cluster;
mod config;
mod dump_log_segments;
mod jars;
mod node;
mod node_metadata;
mod ports;
mod process;
mod properties;
mod proxy;
mod record;
mod storage_and_zookeeper;
mod tool;
mod version;

pub use cluster::Cluster;
pub use config::Config;
pub use dump_log_segments::Batch;
pub use jars::{Jars, cache_dir};
pub use process::{Process, guarded};
pub use proxy::{Counters, Direction, FaultProxy, Hangup, Heard, Links};
pub use record::Record;
pub use tool::{Partition, Tool};
pub use version::{NEWEST, VERSIONS, Version};
