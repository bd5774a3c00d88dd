//! What an application calls, on one engine or several. May touch: engines.
//!
//! To build, send, flush, close, and look at counters. No socket, and no driver.

pub(crate) mod builder;
pub(crate) mod callbacks;
pub(crate) mod flush_close;
pub(crate) mod flush_close_all;
pub(crate) mod producer;
pub(crate) mod send;
pub(crate) mod send_all;
pub(crate) mod shards;
pub(crate) mod stats;
