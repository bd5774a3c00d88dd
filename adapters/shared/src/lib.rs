//! What ottla's adapters for machines with an operating system have in common: all that is
//! neither a socket nor a way of waiting.
//!
//! The core of a producer lives behind one lock in an [`Engine`]. Callers hold the lock for as long
//! as it takes to encode a record; a [`Driver`] holds it while it moves bytes between the core and
//! the links of its [`Network`]. An adapter gives a network, drives the driver from a task or a
//! thread, and wraps [`Shards`], which are all engines of one producer, and [`Sending`] and [`Delivery`], which are plain futures, in its own words.
#![forbid(unsafe_code)]

mod attend;
mod cell;
mod checksum;
mod clock;
mod contain;
mod delivery;
mod dial;
mod driver;
mod engine;
mod error;
mod finish;
mod finish_all;
#[cfg(feature = "_internal")]
pub mod internal;
mod latency;
mod lost;
mod outcome;
mod pace;
mod park;
mod partitions;
mod pump;
mod returned;
mod sending;
mod settings;
mod shards;
mod state;
mod stats;
mod table;
mod waiting;
mod wires;

pub use attend::Attendant;
pub use checksum::checksum;
pub use clock::Clock;
pub use delivery::{Delivery, Late, Receipt};
pub use dial::{Rotation, literal, resolve};
pub use driver::{Driver, Link, Network, Ready, Turn};
pub use engine::Engine;
pub use error::{BuildError, Failure, SendError};
pub use finish_all::{ClosingAll, FlushingAll};
pub use lost::Lost;
pub use outcome::{CloseReport, RecordOutcome, Report, Tally};
pub use park::block_on;
pub use returned::Returned;
pub use sending::{Options, Sending};
pub use settings::Settings;
pub use shards::{Shards, Topic};
pub use stats::{Broker, Latency, Stats};
