//! For tests alone: the engines on a simulator's clock, and a look at who waits for them.
#![doc(hidden)]
#![allow(missing_docs, reason = "no part of what is promised")]

use core::{sync::atomic::AtomicU64, time::Duration};
use std::sync::Arc;

use ottla_core::{CompressionStats, Config, ConfigError, Instant, Limits, TopicId, TopicStatus};

#[cfg(feature = "sasl")]
use crate::engine::token_source::{OAuthToken, TokenSource, TokenWanted};
use crate::{
    CompressionType, Compressor,
    client::{callbacks::Callbacks, shards::Shards},
    clock::Clock,
    compression::{BatchCompressor, codecs},
    delivery::{batch_state::Answer, delivery_future::Delivery},
    engine::{
        locked_core::{Engine, OnReport},
        seats,
        state::State,
    },
};
pub use crate::{
    client::shards::be_thread,
    compression::MakeCompressor,
    gap::{Gap, set_in_gaps},
};

/// The compressor that is built in, at a level that it has: 0 where it has none.
#[must_use]
pub fn compressor(kind: CompressionType, level: i32) -> Option<Box<dyn Compressor>> {
    codecs::built_in(kind, level)
}

/// Decompresses as the self-test of compressors does, to `most` bytes at most.
///
/// # Errors
///
/// What is wrong with it.
pub fn decompress(
    kind: CompressionType,
    compressed: &[u8],
    most: usize,
) -> Result<Vec<u8>, &'static str> {
    codecs::decode(kind, compressed, most)
}

/// What a turn may be late by.
const LATE: Duration = Duration::from_millis(1);

/// What an engine holds for those who wait: all 0 when nobody does and all is settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    pub entries: usize,
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
    /// Engines on a clock that shows `now`, in microseconds. What it shows first is the seed, too. What compresses is not
    /// tested before.
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
        compressor: Option<(CompressionType, MakeCompressor)>,
    ) -> Result<Self, ConfigError> {
        seats::forget_all();
        let clock = Clock::simulated(Arc::clone(now));
        let callbacks = Callbacks { on_report, ..Callbacks::default() };
        let compressors = compressor.into_iter().flat_map(|(kind, make)| {
            (0..shards).map(move |_| BatchCompressor::untested(kind, Arc::clone(&make)))
        });
        Self::on(clock, |_| 1, config, limits, callbacks, shards, compressors.collect())
    }

    /// Has all engines say who they are; tokens are had at once.
    ///
    /// # Panics
    ///
    /// Where the core refuses that.
    #[cfg(feature = "sasl")]
    pub fn log_in(&self, credentials: &ottla_core::Credentials<'_>, token: &'static str) {
        let source = TokenSource::new(move |wanted: TokenWanted| {
            wanted.answer(Ok(OAuthToken::new(token, Duration::from_secs(1))));
        });
        for engine in self.engines() {
            engine.set_sasl(ottla_core::Sasl::heap(credentials).unwrap(), Some(&source));
        }
    }
}

impl Engine {
    #[must_use]
    pub fn held(&self) -> Held {
        let state = self.lock_beside();
        let stats = state.core.stats();
        let (entries, deadlines, unanswered) = state.table.held();
        let waiters =
            [state.full.len(), state.topics.len(), state.flushes.len(), state.closes.len()];
        Held {
            entries,
            deadlines,
            unanswered,
            waiters,
            waiting: self.waiting(),
            actions: state.actions.len(),
            pages: stats.pages_used,
            batches: stats.batches,
        }
    }

    /// From now on there is a crowd of senders, if records linger.
    pub fn crowd(&self) {
        let mut state = self.lock();
        if state.lingers() {
            state.crowd.stay();
            self.lanes.set_crowded(true);
        }
    }

    /// How many records came by lanes.
    #[must_use]
    pub fn by_lanes(&self) -> u64 {
        self.lock_beside().crowd.total
    }

    /// How many lanes are open.
    #[must_use]
    pub fn open_lanes(&self) -> usize {
        self.lock_beside().lanes.len()
    }

    #[must_use]
    pub fn compression(&self) -> CompressionStats {
        self.lock().core.stats().compression
    }

    /// What the driver would sleep over.
    #[must_use]
    pub fn overlooked(&self) -> Option<&'static str> {
        self.lock_beside().core.internal_overlooked()
    }

    /// Has a partition's chain go on elsewhere, as if it had come there; false where it cannot.
    #[must_use]
    pub fn go_on_at(&self, topic: TopicId, partition: u32, epoch: i16, sequence: i32) -> bool {
        self.lock().core.internal_go_on_at(topic, partition, epoch, sequence)
    }

    /// When the driver is to wake by itself at the latest.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.lock_beside().wake_time()
    }

    /// Whether something is to leave that nobody sees to.
    #[must_use]
    pub fn is_left_to_write(&self) -> bool {
        self.lock_beside().core.has_urgent_write()
    }

    /// Who sleeps though what it waits for is there, or was chosen to be woken and was not; for when
    /// everything is at rest. With so many pages free, and batches unsettled at most, any record is taken.
    /// So many, at the most, wait for another topic than this one.
    #[must_use]
    pub fn sleeper(
        &self,
        topic: TopicId,
        elsewhere: usize,
        pages: u32,
        batches: u32,
    ) -> Option<&'static str> {
        let state = self.lock_beside();
        let State { core, table, full, topics, flushes, closes, closed, .. } = &*state;
        let [memory, status, answers, end] = [
            full.asleep().count(),
            topics.asleep().count(),
            flushes.asleep().count(),
            closes.asleep().count(),
        ];
        if [memory, status, answers, end] != [full.len(), topics.len(), flushes.len(), closes.len()]
        {
            return Some("who was to be woken");
        }
        let stats = core.stats();
        let free = stats.pages.saturating_sub(stats.pages_used + stats.pages_reserved);
        let roomy = free >= pages && stats.batches <= batches;
        let refused = *closed || core.internal_takes_nothing();
        let pending = matches!(core.topic_status(topic), Some(TopicStatus::Pending(_)));
        if memory > 0 && refused {
            Some("who waits for memory, and is refused")
        } else if memory > 0
            && let Some(at) = state.hold.next_look()
        {
            let late = at.after(LATE) < self.clock().now();
            late.then_some("who is held back, and was to be let go")
        } else if memory > 0 && state.relief.is_none() && roomy {
            Some("who waits for memory, of which there is enough")
        } else if memory > 0 && state.relief.is_some_and(|at| at.after(LATE) < self.clock().now()) {
            Some("who waits for memory, and was to be told that there is some")
        } else if (status > 0 && refused) || (status > elsewhere && !pending) {
            Some("who waits for a topic, and is to hear of it")
        } else if flushes.asleep().any(|number| *closed || table.answered_before(*number)) {
            Some("who flushes, and has its answers")
        } else if end > 0 && *closed {
            Some("who closes, and is done")
        } else {
            None
        }
    }

    /// Whether what comes on the connection of a slot is to be read, and whether it has bytes to write.
    #[must_use]
    pub fn wants(&self, slot: usize) -> (bool, bool) {
        let (reads, writes, _) = self.lock_beside().core.internal_wants(slot);
        (reads, writes)
    }

    /// Records without an answer.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.lock_beside().table.pending()
    }
}

impl Delivery {
    /// Whether the first answer, or the last, is there, without asking as a waiter would.
    #[must_use]
    pub fn is_told(&self, last: bool) -> bool {
        self.is_known(if last { Answer::Last } else { Answer::First })
    }
}
