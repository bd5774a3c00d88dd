//! The real adapters in the simulator: `ottla-client`'s engines, drivers, links, delivery table and waiters,
//! and both APIs of `ottla-embedded`, against model brokers on virtual time, on one thread and from one
//! seed.
//!
//! `tests/scenario` holds the core to what is true; here those who wait are held to be told, in time and
//! without being asked, and drivers to sleep only where nothing is due.
#![allow(clippy::missing_panics_doc, reason = "a test's way of saying no")]

mod async_stage;
mod callers;
mod faces;
mod faults;
mod link;
mod net;
mod ports;
mod run;
mod stage;
mod tally;
mod tasks;

pub use async_stage::AsyncStage;
pub use faces::{run_async, run_polled};
pub use run::run;
pub use stage::{Stage, Waiter};
pub use tally::{Tally, attempt, plan};
