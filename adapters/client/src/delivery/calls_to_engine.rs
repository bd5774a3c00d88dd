//! What deliveries ask of the engine that took their records.

use core::time::Duration;
use std::time::Instant as StdInstant;

use ottla_core::{Ticket, Verdict};

/// An engine, as those know it who wait for its records.
pub(crate) trait EngineCalls: Send + Sync {
    /// Cancels a record and tells at once what can be known of it.
    fn cancel(&self, ticket: &Ticket) -> Verdict;

    /// Cancels a record when `timeout` is over, unless it has an answer by then. False where
    /// it has one, or is not known.
    fn cancel_after(&self, ticket: &Ticket, timeout: Duration) -> bool;

    /// Answers the records whose deadline is over, if the driver has not come to it: it may run on a
    /// thread that is busy with something else, or not at all. Whoever asks for an answer is awake.
    fn answer_due(&self);

    /// Somebody waits for an answer, and is not to wait for the end of a nap.
    fn begin_waiting(&self);

    /// Somebody waits no longer.
    fn end_waiting(&self);

    /// Drives until `done`, or until then, if the driver lets its callers.
    fn drive_inline(&self, until: Option<StdInstant>, done: &mut dyn FnMut() -> bool);
}
