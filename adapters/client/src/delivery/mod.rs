//! What a caller waits for. May touch: what is noted of batches and records, and what the core says of a batch.
//!
//! Deliveries, outcomes, reports, and the table from batches to records. The engine is known by [`engine_calls`] alone,
//! and its lock not at all; no socket, no clock.

pub(crate) mod arrivals;
pub(crate) mod batch_entry;
pub(crate) mod batch_state;
pub(crate) mod broker_messages;
pub(crate) mod calls_to_engine;
pub(crate) mod cancelled;
pub(crate) mod delivery_future;
pub(crate) mod delivery_table;
pub(crate) mod latency;
pub(crate) mod notifications;
pub(crate) mod outcome;
mod record_error_messages;
pub(crate) mod spare_cells;
pub(crate) mod undelivered_record;
pub(crate) mod waiters;
