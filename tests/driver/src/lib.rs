//! The real adapters in the simulator: `ottla-client`'s engines, drivers, links, delivery table and waiters,
//! and both APIs of `ottla-embedded`, against model brokers on virtual time, on one thread and from one
//! seed.
//!
//! `tests/scenario` holds the core to what is true; here those who wait are held to be told, in time and
//! without being asked, and drivers to sleep only where nothing is due.
#![allow(clippy::missing_panics_doc, reason = "a test's way of saying no")]

mod act_on_plan;
mod async_by_hand;
mod callers;
mod callers_of_many;
mod codec;
mod coverage;
mod embedded_network;
mod embedded_storm;
#[cfg(shuttle)]
mod interleaved;
mod network;
mod shared_by_hand;
mod shared_network;
mod shared_storm;
mod tasks;

pub use async_by_hand::AsyncStage;
pub use coverage::{Tally, attempt, compressed, plan};
pub use embedded_storm::{run_async, run_polled};
#[cfg(shuttle)]
pub use interleaved::{
    Caller, Dialler, OnTasks, OnThreads, Scene, SetUp, SimPoller, SimRuntime, Socket, Stream, Way,
    hasty, lingering,
};
pub use shared_by_hand::{Stage, Waiter};
pub use shared_storm::run;
