//! What a caller waits for: deliveries, outcomes, reports, and the table from batches to records. Nothing
//! here touches the core, a lock of the engine, or a socket.

pub(crate) mod batch_state;
pub(crate) mod entry;
pub(crate) mod handle;
pub(crate) mod latency;
pub(crate) mod notifications;
pub(crate) mod outcome;
pub(crate) mod tracker;
pub(crate) mod undelivered;
