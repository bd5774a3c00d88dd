//! What an application calls: to send, flush, close, and look at counters, over one engine or several.
//!
//! May touch: engines. No socket, and no driver.

pub(crate) mod builder;
pub(crate) mod flush_close;
pub(crate) mod flush_close_all;
pub(crate) mod send;
pub(crate) mod shards;
pub(crate) mod stats;
