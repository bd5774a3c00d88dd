//! What deliveries ask of the engine.

use core::{sync::atomic::Ordering, time::Duration};
use std::time::Instant as StdInstant;

use ottla_core::{Ticket, Verdict};

use crate::{delivery::calls_to_engine::EngineCalls, engine::locked_core::Engine};

impl EngineCalls for Engine {
    fn cancel(&self, ticket: &Ticket) -> Verdict {
        self.cancel(ticket)
    }

    fn cancel_after(&self, ticket: &Ticket, timeout: Duration) -> bool {
        self.set_deadline(ticket, self.clock().now().after(timeout))
    }

    fn answer_due(&self) {
        let due = self.due.load(Ordering::Relaxed);
        if due == u64::MAX {
            return;
        }
        let now = self.clock().now();
        if now.as_micros() < due {
            return;
        }
        let mut state = self.lock();
        state.answer_due(now);
        let wakes = core::mem::take(&mut state.news.wakes);
        self.leave(state);
        drop(wakes);
    }

    fn begin_waiting(&self) {
        self.count_wait();
        if self.naps.load(Ordering::SeqCst) {
            let wake = self.lock_busy().rouse();
            if let Some(waker) = wake {
                waker.wake();
            }
        }
    }

    fn end_waiting(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    fn drive_inline(&self, until: Option<StdInstant>, done: &mut dyn FnMut() -> bool) {
        if let Some(driver) = self.inline_driver() {
            driver.drive_inline(until, done);
        }
    }
}
