//! The producer as threads have it. May touch: all layers below, threads, and what a [`Poller`] supplies.
//!
//! No socket of its own.

pub(crate) mod delivery;
pub(crate) mod drive;
pub(crate) mod poller;
pub(crate) mod producer;
pub(crate) mod resolver;
pub(crate) mod send_all;

pub use delivery::{Delivery, FinalOutcome};
pub use poller::Poller;
pub use producer::{Producer, Threads};
pub use resolver::{Lookup, Resolver};
