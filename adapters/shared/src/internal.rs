//! For tests alone: the engines on a simulator's clock, and a look at who waits for them.
#![doc(hidden)]
#![allow(missing_docs, reason = "no part of what is promised")]

use core::sync::atomic::AtomicU64;
use std::sync::Arc;

use ottla_core::{Config, ConfigError, Instant, Limits};

use crate::{
    clock::Clock,
    engine::{Engine, OnReport},
    shards::{Shards, pass_for},
};

/// What an engine holds for those who wait: all 0 when nobody does and all is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    pub books: usize,
    pub deadlines: usize,
    pub unanswered: usize,
    /// For memory, topics, flushes and closes.
    pub waiters: [usize; 4],
    pub waiting: usize,
    pub actions: usize,
    pub pages: u32,
    pub batches: u32,
}

impl Shards {
    /// Engines on a clock that shows `now`, in microseconds. What it shows first is the seed, too.
    ///
    /// # Errors
    ///
    /// As [`Shards::new`].
    pub fn simulated(
        now: &Arc<AtomicU64>,
        config: &Config<'_>,
        limits: Option<Limits>,
        on_report: Option<OnReport>,
        shards: usize,
    ) -> Result<Self, ConfigError> {
        let clock = Clock::simulated(Arc::clone(now));
        Self::on(clock, |_| 1, config, limits, on_report, shards)
    }
}

impl Engine {
    #[must_use]
    pub fn held(&self) -> Held {
        let state = self.lock();
        let stats = state.core.stats();
        let (books, deadlines, unanswered) = state.table.held();
        let waiters =
            [state.full.len(), state.topics.len(), state.flushes.len(), state.closes.len()];
        Held {
            books,
            deadlines,
            unanswered,
            waiters,
            waiting: self.waiting(),
            actions: state.actions.len(),
            pages: stats.pages_used,
            batches: stats.batches,
        }
    }

    /// What the driver would sleep over.
    #[must_use]
    pub fn overlooked(&self) -> Option<&'static str> {
        self.lock().core.internal_overlooked()
    }

    /// When the driver is to wake by itself at the latest.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.lock().wake_time()
    }

    /// Whether something is to leave that nobody sees to.
    #[must_use]
    pub fn is_left_to_write(&self) -> bool {
        self.lock().core.has_urgent_write()
    }

    /// Records without an answer.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.lock().table.pending()
    }
}

/// Has this thread pass for the one with that number, where engines are chosen by threads.
pub fn be_thread(number: usize) {
    pass_for(number);
}
