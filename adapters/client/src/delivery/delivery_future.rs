//! The receipt for one record, and the future of its answer.

use core::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{sync::Arc, time::Instant as StdInstant};

use ottla_core::{Ticket, Verdict};

use crate::delivery::{
    batch_state::{Answer, BatchState},
    calls_to_engine::EngineCalls,
    outcome::RecordOutcome,
};

/// One record that the producer took: a future of its outcome.
///
/// It is ready with the first answer, and `Unknown` is one: no later than `delivery.timeout.ms`,
/// the record's own deadline or a cancel, whatever the network does. Where the answer is `Unknown`
/// the producer goes on to find out; [`Delivery::final_outcome`] waits for that.
///
/// Dropping it detaches: the record is neither cancelled nor lost, so giving up the wait by a
/// timeout is safe. A clone waits for the same record, which is never produced twice.
pub struct Delivery {
    cell: Arc<BatchState>,
    ticket: Ticket,
    place: Option<usize>,
}

/// What a caller gets for a record that was taken.
pub trait Receipt: fmt::Debug {
    #[doc(hidden)]
    #[expect(private_interfaces, reason = "nobody else is to implement it")]
    fn new(cell: &Arc<BatchState>, ticket: Ticket) -> Self;
    #[doc(hidden)]
    fn ticket(&self) -> Ticket;
}

impl Receipt for Delivery {
    #[expect(private_interfaces, reason = "nobody else is to implement it")]
    fn new(cell: &Arc<BatchState>, ticket: Ticket) -> Self {
        Self::of(Arc::clone(cell), ticket)
    }

    fn ticket(&self) -> Ticket {
        self.ticket
    }
}

/// For who is told by a report: it costs less than a [`Delivery`], which holds on to its batch.
impl Receipt for Ticket {
    #[expect(private_interfaces, reason = "nobody else is to implement it")]
    fn new(_: &Arc<BatchState>, ticket: Ticket) -> Self {
        ticket
    }

    fn ticket(&self) -> Ticket {
        *self
    }
}

impl Delivery {
    const fn of(cell: Arc<BatchState>, ticket: Ticket) -> Self {
        Self { cell, ticket, place: None }
    }

    /// The record's batch and its place in it.
    #[must_use]
    pub const fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// What is known of the record now: the final outcome, or the first answer, or nothing yet.
    #[must_use]
    pub fn try_outcome(&self) -> Option<RecordOutcome> {
        self.known().or_else(|| {
            self.engine()?.answer_due();
            self.known()
        })
    }

    /// Drives until the first answer is there, or until then, if the driver lets its callers. `None` where
    /// the answer is to be waited for.
    #[doc(hidden)]
    #[must_use]
    pub fn drive_inline(&self, until: Option<StdInstant>) -> Option<RecordOutcome> {
        let outcome = self.try_outcome();
        if outcome.is_some() {
            return outcome;
        }
        self.engine()?.drive_inline(until, &mut || self.known().is_some());
        self.known()
    }

    fn known(&self) -> Option<RecordOutcome> {
        self.cell.lock().first(self.ticket.index())
    }

    #[cfg(feature = "_internal")]
    pub(crate) fn is_known(&self, which: Answer) -> bool {
        self.cell.lock().answer(which, self.ticket.index()).is_some()
    }

    /// Gives up on the record, and says at once what is true of it.
    ///
    /// `NotDelivered`: it is not in the log and never will be. `Unknown`: its bytes had left; the
    /// producer goes on to find out. `AlreadySettled`: the outcome is known already, or about to be told.
    /// No other record notices.
    pub fn cancel(&self) -> Verdict {
        // It stands, even where the core knows the batch no more.
        let before = self.cell.lock().verdict(self.ticket.index());
        if before == Some(Verdict::NotDelivered) {
            return Verdict::NotDelivered;
        }
        // Without an engine there is no driver, and all batches were settled when it ended.
        let engine = self.engine();
        engine.map_or(Verdict::AlreadySettled, |engine| engine.cancel(&self.ticket))
    }

    /// Cancels the record when `timeout` is over, unless it has an answer by then. This holds even
    /// if nobody waits, and after the delivery is dropped. Of several timeouts the earliest counts. False
    /// where there is nothing to set, since the record has an answer.
    pub fn cancel_after(&self, timeout: Duration) -> bool {
        self.engine().is_some_and(|engine| engine.cancel_after(&self.ticket, timeout))
    }

    /// Waits for the same record again.
    pub fn reattach(&self) -> Self {
        Self::of(Arc::clone(&self.cell), self.ticket)
    }

    /// Waits for the final outcome of the record. It is `Unknown` only if the outcome could not be found
    /// out within `resolve.timeout.ms`, or before the producer was closed.
    #[must_use = "a future does nothing until it is polled"]
    pub fn final_outcome(self) -> FinalOutcome {
        FinalOutcome(self.reattach())
    }

    fn engine(&self) -> Option<Arc<dyn EngineCalls>> {
        self.cell.engine.upgrade()
    }

    fn poll(&mut self, which: Answer, cx: &mut Context<'_>) -> Poll<RecordOutcome> {
        let index = self.ticket.index();
        // Cloned with the lock free, as it is dropped: a waker is not ours.
        let mut waker = None;
        let mut looked = false;
        loop {
            let mut state = self.cell.lock();
            if let Some(outcome) = state.answer(which, index) {
                drop(state);
                self.detach(which);
                return Poll::Ready(outcome);
            }
            if !core::mem::replace(&mut looked, true) {
                drop(state);
                if let Some(engine) = self.engine() {
                    engine.answer_due();
                }
                continue;
            }
            if state.waits(which, index, self.place, cx.waker()) {
                return Poll::Pending;
            }
            let Some(waker) = waker.take() else {
                drop(state);
                waker = Some(cx.waker().clone());
                continue;
            };
            let begins = self.place.is_none();
            let before = state.wait(which, index, &mut self.place, waker);
            drop(state);
            drop(before);
            if begins && let Some(engine) = self.engine() {
                engine.begin_waiting();
            }
            return Poll::Pending;
        }
    }

    fn detach(&mut self, which: Answer) {
        if let Some(place) = self.place.take() {
            let waker = self.cell.lock().leave(which, self.ticket.index(), place);
            drop(waker);
            if let Some(engine) = self.engine() {
                engine.end_waiting();
            }
        }
    }
}

impl Clone for Delivery {
    fn clone(&self) -> Self {
        self.reattach()
    }
}

impl Future for Delivery {
    type Output = RecordOutcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RecordOutcome> {
        Self::poll(self.get_mut(), Answer::First, cx)
    }
}

/// Waits for the same record, as [`Delivery::reattach`]: `(&delivery).await`.
impl IntoFuture for &Delivery {
    type Output = RecordOutcome;
    type IntoFuture = Delivery;

    fn into_future(self) -> Delivery {
        self.reattach()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.detach(Answer::First);
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("ticket", &self.ticket)
            .field("outcome", &self.try_outcome())
            .finish()
    }
}

/// The future of the final outcome of a record. Dropping it detaches.
#[derive(Debug)]
pub struct FinalOutcome(Delivery);

impl FinalOutcome {
    /// Waits for the first answer again, or for nothing.
    pub fn delivery(&self) -> Delivery {
        self.0.reattach()
    }
}

impl Future for FinalOutcome {
    type Output = RecordOutcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<RecordOutcome> {
        self.get_mut().0.poll(Answer::Last, cx)
    }
}

impl Drop for FinalOutcome {
    fn drop(&mut self) {
        // Before the delivery's own drop, which would look for its place among the others.
        self.0.detach(Answer::Last);
    }
}
