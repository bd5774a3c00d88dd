//! The receipt for one record, and waiting for its answer.

use core::time::Duration;
use std::{sync::Arc, time::Instant};

use ottla_core::{Ticket, Verdict};

use crate::{
    block_on::block_on,
    delivery::{
        batch_state::BatchState,
        delivery_future::{self, Receipt},
        outcome::RecordOutcome,
    },
};

/// One record that the producer took.
///
/// Its first answer comes no later than `delivery.timeout.ms`, the record's own deadline or a
/// cancel, whatever the network does; `Unknown` is one. Where it is, the producer goes on to find
/// out, and [`Delivery::final_outcome`] waits for that.
///
/// Dropping it detaches: the record is neither cancelled nor lost, and neither is it by a wait that
/// is given up. A clone waits for the same record, which is never produced twice.
#[derive(Clone, Debug)]
pub struct Delivery(delivery_future::Delivery);

/// The final outcome of one record. Dropping it detaches.
#[derive(Clone, Debug)]
#[must_use = "it tells the record's outcome; drop it to detach"]
pub struct FinalOutcome(delivery_future::Delivery);

impl Receipt for Delivery {
    #[expect(private_interfaces, reason = "nobody else is to implement it")]
    fn new(cell: &Arc<BatchState>, ticket: Ticket) -> Self {
        Self(Receipt::new(cell, ticket))
    }

    fn ticket(&self) -> Ticket {
        self.0.ticket()
    }
}

impl Delivery {
    pub(crate) const fn new(delivery: delivery_future::Delivery) -> Self {
        Self(delivery)
    }

    /// The record's batch and its place in it.
    #[must_use]
    pub const fn ticket(&self) -> Ticket {
        self.0.ticket()
    }

    /// What is known of the record now: the final outcome, or the first answer, or nothing yet.
    #[must_use]
    pub fn try_outcome(&self) -> Option<RecordOutcome> {
        self.0.try_outcome()
    }

    /// Waits for the first answer.
    #[must_use]
    pub fn wait(&self) -> RecordOutcome {
        loop {
            if let Some(outcome) = self.wait_until(None) {
                return outcome;
            }
        }
    }

    /// Waits for the first answer, for so long at most.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<RecordOutcome> {
        self.wait_until(after(timeout))
    }

    /// Waits for the first answer, until then at most.
    #[must_use]
    pub fn wait_deadline(&self, deadline: Instant) -> Option<RecordOutcome> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Option<RecordOutcome> {
        // Once it is there, nothing needs to be set up to wait for it.
        self.0.drive_inline(deadline).or_else(|| block_on(self.0.reattach(), deadline))
    }

    /// Gives up on the record, and says at once what is true of it.
    ///
    /// `NotDelivered`: it is not in the log and never will be. `Unknown`: its bytes had left; the
    /// producer goes on to find out. `AlreadySettled`: the outcome is known already, or about to be told.
    /// No other record notices.
    pub fn cancel(&self) -> Verdict {
        self.0.cancel()
    }

    /// Cancels the record when `timeout` is over, unless it has an answer by then. This holds even
    /// if nobody waits, and after the delivery is dropped. Of several timeouts the earliest counts. False
    /// where there is nothing to set, since the record has an answer.
    pub fn cancel_after(&self, timeout: Duration) -> bool {
        self.0.cancel_after(timeout)
    }

    /// Waits for the same record again, which a clone does as well.
    pub fn reattach(&self) -> Self {
        self.clone()
    }

    /// Waits for the final outcome of the record. It is `Unknown` only if the outcome could not be found
    /// out within `resolve.timeout.ms`, or before the producer was closed.
    pub fn final_outcome(self) -> FinalOutcome {
        FinalOutcome(self.0)
    }
}

impl FinalOutcome {
    /// Waits for the final outcome.
    #[must_use]
    pub fn wait(&self) -> RecordOutcome {
        loop {
            if let Some(outcome) = self.wait_until(None) {
                return outcome;
            }
        }
    }

    /// Waits for the final outcome, for so long at most.
    #[must_use]
    pub fn wait_timeout(&self, timeout: Duration) -> Option<RecordOutcome> {
        self.wait_until(after(timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Option<RecordOutcome> {
        block_on(self.0.reattach().final_outcome(), deadline)
    }
}

/// `None` is never.
#[expect(clippy::disallowed_methods, reason = "callers speak of durations, threads park until")]
fn after(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}
