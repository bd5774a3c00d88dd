//! The producer as threads have it, over whatever a [`Poller`] supplies.
//!
//! May touch: all of the layers below. No socket but by [`Poller`]; threads are started here.

pub(crate) mod delivery;
pub(crate) mod drive;
pub(crate) mod poller;
pub(crate) mod producer;
pub(crate) mod resolver;

pub use delivery::{Delivery, Late};
pub use poller::Poller;
pub use producer::{Producer, Threads};
pub use resolver::{Lookup, Resolver};
