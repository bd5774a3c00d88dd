//! Waiting for all records of all engines: flush and close.

use core::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::sync::Arc;

use ottla_core::Instant;

use crate::{
    client::flush_close::{CloseReport, Closing, Flushing},
    delivery::outcome::OutcomeCounts,
    engine::locked_core::Engine,
};

/// The future of a flush: ready once each record that was taken before has an answer,
/// and reports of them were told.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct FlushAll {
    left: Vec<Flushing>,
    sum: OutcomeCounts,
}

/// The future of a close: ready once all is settled, and reports of it were told.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct CloseAll {
    left: Vec<Closing>,
    sum: CloseReport,
    wait_until: Instant,
}

impl FlushAll {
    /// Begins to flush all of them, before it waits for any.
    pub(crate) fn new(engines: &[Arc<Engine>]) -> Self {
        Self { left: engines.iter().map(Engine::flush).collect(), sum: OutcomeCounts::default() }
    }
}

impl CloseAll {
    /// Begins to close all of them, before it waits for any.
    pub(crate) fn new(engines: &[Arc<Engine>], timeout: Duration) -> Self {
        let left: Vec<_> = engines.iter().map(|engine| engine.close(timeout)).collect();
        let wait_until = left.iter().map(Closing::wait_until).max().unwrap_or(Instant::ZERO);
        let sum = CloseReport { complete: true, ..CloseReport::default() };
        Self { left, sum, wait_until }
    }

    /// When it is late enough to call [`CloseAll::give_up`]: a little after the deadline, by which
    /// the drivers end if they run at all.
    #[must_use]
    pub const fn wait_until(&self) -> Instant {
        self.wait_until
    }

    /// What is known so far.
    #[must_use]
    pub fn give_up(mut self) -> CloseReport {
        for closing in self.left.drain(..) {
            self.sum.add(closing.give_up());
        }
        self.sum
    }
}

impl CloseReport {
    fn add(&mut self, other: Self) {
        let Self { records, complete, returned } = other;
        self.records = self.records.plus(&records);
        self.complete &= complete;
        self.returned.extend(returned);
    }
}

/// Polls those that are left, and passes on what they come to.
fn poll_left<F: Future + Unpin>(
    left: &mut Vec<F>,
    cx: &mut Context<'_>,
    mut add: impl FnMut(F::Output),
) -> Poll<()> {
    left.retain_mut(|future| match Pin::new(future).poll(cx) {
        Poll::Ready(output) => {
            add(output);
            false
        }
        Poll::Pending => true,
    });
    if left.is_empty() { Poll::Ready(()) } else { Poll::Pending }
}

impl Future for FlushAll {
    type Output = OutcomeCounts;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<OutcomeCounts> {
        let Self { left, sum } = self.get_mut();
        let done = poll_left(left, cx, |tally| *sum = sum.plus(&tally));
        done.map(|()| *sum)
    }
}

impl Future for CloseAll {
    type Output = CloseReport;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReport> {
        let Self { left, sum, .. } = self.get_mut();
        let done = poll_left(left, cx, |report| sum.add(report));
        done.map(|()| mem::take(sum))
    }
}
