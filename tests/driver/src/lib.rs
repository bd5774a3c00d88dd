//! The real driver in the simulator: `ottla-shared`'s engines, drivers, links, delivery table and waiters
//! against model brokers on virtual time, on one thread and from one seed.
//!
//! `tests/scenario` holds the core to what is true; here those who wait are held to be told, in time and
//! without being asked, and the driver to sleep only where nothing is due.
#![allow(clippy::missing_panics_doc, reason = "a test's way of saying no")]

mod net;
mod run;
mod tasks;

pub use net::{Net, Shared, SimLink, SimNet, TOPIC};
pub use run::{Tally, attempt, run};
