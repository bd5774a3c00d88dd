//! The producer as tasks of an async runtime have it. May touch: all layers below, and what a [`Runtime`] supplies.
//!
//! No socket and no timer of its own.

pub(crate) mod cooperative_yield;
pub(crate) mod drive;
pub(crate) mod link;
pub(crate) mod producer;
pub(crate) mod ready;
pub(crate) mod runtime;
pub(crate) mod send;
pub(crate) mod send_all;

pub use producer::{Producer, Tasks};
pub use runtime::Runtime;
