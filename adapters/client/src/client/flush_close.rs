//! Waiting for all records at once: flush and close.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::sync::Arc;

use ottla_core::Instant;

use crate::{
    delivery::{outcome::OutcomeCounts, undelivered_record::UndeliveredRecord},
    engine::{locked::Locked, locked_core::Engine, state::State},
};

/// The future of a flush: ready once each record that was taken before has an answer,
/// and reports of them were told.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub(crate) struct Flushing {
    engine: Arc<Engine>,
    number: u64,
    before: OutcomeCounts,
    /// Once all is answered: how many reports there were by then.
    reports: Option<u64>,
    key: Option<u64>,
}

/// The future of a close: ready once all is settled, and reports of it were told.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub(crate) struct Closing {
    engine: Arc<Engine>,
    before: OutcomeCounts,
    until: Instant,
    /// As in [`Flushing`].
    reports: Option<u64>,
    key: Option<u64>,
}

/// How a producer ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CloseReport {
    /// The final outcome of each record that had none when `close` was called.
    pub records: OutcomeCounts,
    /// Everything was settled and all connections were closed when `close` returned.
    pub complete: bool,
    /// The records that were not delivered, in no order between partitions: with those whose own deadline was over
    /// while the producer closed, without those that their callers cancelled before they left.
    pub returned: Vec<UndeliveredRecord>,
}

impl fmt::Display for CloseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.complete { "closed" } else { "not closed in time" };
        write!(f, "{state}; {}; {} handed back", self.records, self.returned.len())
    }
}

impl Engine {
    /// Sends what is buffered without waiting for it to linger.
    pub(crate) fn flush(self: &Arc<Self>) -> Flushing {
        let now = self.clock().now();
        let mut state = self.lock();
        state.core.flush(now);
        let (number, before) = (state.table.next_number(), state.table.first);
        self.leave(state);
        Flushing { engine: Arc::clone(self), number, before, reports: None, key: None }
    }

    /// Takes no more records and ends within `timeout`.
    pub(crate) fn close(self: &Arc<Self>, timeout: Duration) -> Closing {
        let now = self.clock().now();
        let until = now.after(timeout);
        let mut state = self.lock();
        if !state.closed {
            state.returned.get_or_insert_default();
            state.core.close(now, until);
            state.wake_senders();
        }
        let before = state.table.last;
        self.leave(state);
        Closing { engine: Arc::clone(self), before, until, reports: None, key: None }
    }
}

impl Closing {
    /// When it is late enough to call [`Closing::give_up`]: a little after the deadline, by which
    /// the driver ends if it runs at all.
    #[must_use]
    pub(crate) const fn wait_until(&self) -> Instant {
        self.until.after(Duration::from_millis(100))
    }

    /// What is known so far.
    #[must_use]
    pub(crate) fn give_up(self) -> CloseReport {
        self.report(&mut self.engine.lock_beside())
    }

    fn report(&self, state: &mut State) -> CloseReport {
        CloseReport {
            records: state.table.last.since(&self.before),
            complete: state.closed,
            returned: state.returned.take().unwrap_or_default(),
        }
    }
}

impl Future for Flushing {
    type Output = OutcomeCounts;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<OutcomeCounts> {
        let this = &mut *self;
        let waker = cx.waker().clone();
        let mut state = this.engine.lock_beside();
        let answered = state.closed || state.table.answered_before(this.number);
        if answered && state.has_told(*this.reports.get_or_insert(state.reports())) {
            return Poll::Ready(state.table.first.since(&this.before));
        }
        let before = state.flushes.wait(&mut this.key, this.number, waker);
        wait(state, before)
    }
}

impl Future for Closing {
    type Output = CloseReport;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReport> {
        let this = &mut *self;
        let waker = cx.waker().clone();
        let mut state = this.engine.lock_beside();
        if state.closed && state.has_told(*this.reports.get_or_insert(state.reports())) {
            let report = this.report(&mut state);
            return Poll::Ready(report);
        }
        let before = state.closes.wait(&mut this.key, (), waker);
        wait(state, before)
    }
}

/// Unlocks, as somebody waits from now on in place of another waker.
fn wait<T>(mut state: Locked<'_>, before: Option<Waker>) -> Poll<T> {
    let wake = state.nudge_for_waiter();
    drop(state);
    drop(before);
    if let Some(waker) = wake {
        waker.wake();
    }
    Poll::Pending
}

impl Drop for Flushing {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let left = self.engine.lock_beside().flushes.leave(key);
            drop(left);
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            let left = self.engine.lock_beside().closes.leave(key);
            drop(left);
        }
    }
}
