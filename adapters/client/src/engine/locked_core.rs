//! The core behind its lock, as callers see it.

use core::{fmt, hash::BuildHasher, time::Duration};
use std::{
    hash::RandomState,
    sync::{Arc, OnceLock, PoisonError, TryLockError, Weak},
    time::Instant as StdInstant,
};

use ottla_core::{
    Cause, Compression, Config, ConfigError, Instant, Limits, Memory, Partitioner, ProduceError,
    Producer, Ticket, TopicId, Verdict,
};

use crate::{
    clock::Clock,
    compression::BatchCompressor,
    delivery::{
        calls_to_engine::EngineCalls,
        delivery_future::Receipt,
        notifications::{Notifications, Progress},
        outcome::Report,
    },
    engine::{
        codec::{Codec, Compressing},
        driver_sleep::{Gather, Nudge},
        hold::{DEFAULT_HOLD, Hold},
        lanes::Lanes,
        locked::Locked,
        state::State,
    },
    gap::{self, Gap},
    hardware_crc32c::checksum,
    panic_containment::contain,
    record::Record,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
        spin_loop,
    },
};

/// Bytes of batches that gather at most while the driver sleeps, though they could leave, and of free
/// memory while somebody waits for it.
const GATHER: u64 = 256 * 1024;

/// How often to look whether the lock is free before sleeping for it: some microseconds.
const SPINS: u32 = if cfg!(shuttle) { 2 } else { 500 };

fn calls(engine: &Weak<Engine>) -> Weak<dyn EngineCalls> {
    let engine: Weak<Engine> = Weak::clone(engine);
    engine
}

/// A seed from the operating system that makes a core with this mark.
fn seed(owner: u32, clock: &Clock) -> u64 {
    let random = match clock.seed() {
        Some(seed) => seed,
        None => RandomState::new().hash_one("ottla"),
    };
    // The mark is one half exclusive-or the other one.
    random & !u64::from(u32::MAX) | ((random >> 32) ^ u64::from(owner))
}

/// Moves bytes in the driver's stead.
pub(crate) trait InlineWriter: Send + Sync {
    /// Writes what is to leave and, while the driver naps, reads what has come. True where the driver has
    /// to see to the rest, or is at work and will.
    fn write_now(&self, engine: &Engine) -> bool;
}

/// A driver that a caller can take over while it naps. To hand an answer from thread to thread costs as
/// much as the answer itself took.
pub trait InlineDriver: Send + Sync {
    /// Drives until `done`, or until then. Does nothing where the driver does not nap.
    fn drive_inline(&self, until: Option<StdInstant>, done: &mut dyn FnMut() -> bool);
}

/// Whom to report to.
pub(crate) type OnReport = Arc<dyn Fn(&Report) + Send + Sync>;

/// With cache lines of its own: what lies beside it is read without the lock.
#[repr(align(128))]
struct Apart<T>(T);

/// One producer, or one shard of it: the core behind its lock, the clock, and all who wait.
///
/// With cache lines of its own, since others may lie beside it that have nothing else in common.
#[repr(align(128))]
pub struct Engine {
    /// The core's mark, which tickets bear.
    owner: u32,
    clock: Clock,
    max_block: Duration,
    delivery_timeout: Duration,
    on_report: Option<OnReport>,
    partitioner: Partitioner,
    pub(crate) lanes: Lanes,
    state: Apart<Mutex<State>>,
    /// Whether the driver naps, or did lately: to be read without the lock.
    pub(super) naps: AtomicBool,
    /// How many wait for the answer to a single record.
    pub(super) waiting: AtomicUsize,
    /// How often somebody began to wait; it wraps.
    waits: AtomicU32,
    /// When the first record's deadline is over, in microseconds: the table's.
    pub(super) due: Arc<AtomicU64>,
    /// Where to write; the driver sets it.
    inline_writer: OnceLock<Weak<dyn InlineWriter>>,
    /// Who lets callers drive.
    inline_driver: OnceLock<Weak<dyn InlineDriver>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes a producer with the fastest checksum there is and a seed from the operating system,
    /// such that its mark is `owner`.
    ///
    /// # Errors
    ///
    /// Where the configuration is refused, or there is not as much memory.
    pub(crate) fn new(
        config: &Config<'_>,
        limits: Limits,
        on_report: Option<OnReport>,
        clock: Clock,
        owner: u32,
        compressor: Option<BatchCompressor>,
    ) -> Result<Arc<Self>, ConfigError> {
        let compression =
            compressor.as_ref().map_or(Compression::None, |compressor| compressor.kind().core());
        let config = Config { checksum: checksum(), compression, ..*config };
        let mut core = Producer::new(&config, Memory::try_heap(limits)?, seed(owner, &clock))?;
        core.set_wall_clock(clock.now(), clock.trusted_wall_ms(clock.now()));
        let bytes = GATHER.min(config.buffer_memory / 8);
        let count = |each: u32| u32::try_from(bytes / u64::from(each.max(1))).unwrap_or(u32::MAX);
        let gather = Gather {
            lingers: !config.linger.is_zero(),
            batches: count(config.batch_size).max(1),
            pages: count(limits.page_size),
        };
        let due = Arc::new(AtomicU64::new(u64::MAX));
        let compressing = Compressing::new(compressor.map(Codec::new));
        Ok(Arc::new_cyclic(|engine| Self {
            owner,
            clock,
            max_block: config.max_block,
            delivery_timeout: config.delivery_timeout,
            on_report,
            partitioner: config.partitioner,
            lanes: Lanes::new(),
            state: Apart(Mutex::new(State::new(
                core,
                calls(engine),
                Arc::clone(&due),
                gather,
                Hold::new(DEFAULT_HOLD, config.batch_size, config.buffer_memory),
                compressing,
            ))),
            naps: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            waits: AtomicU32::new(0),
            due,
            inline_writer: OnceLock::new(),
            inline_driver: OnceLock::new(),
        }))
    }

    /// The mark that tickets of this engine bear.
    pub(crate) const fn owner(&self) -> u32 {
        self.owner
    }

    /// The producer's clock.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// `max.block.ms`.
    #[must_use]
    pub const fn max_block(&self) -> Duration {
        self.max_block
    }

    #[inline]
    pub(super) const fn partitioner(&self) -> Partitioner {
        self.partitioner
    }

    /// The driver begins with a turn.
    pub(crate) fn begin_turn(&self) {
        let mut state = self.lock_beside();
        state.awake();
        self.lanes.set_crowded(state.is_crowded());
        self.set_naps(false);
    }

    /// Cancels a record and tells at once what can be known of it.
    pub fn cancel(&self, ticket: &Ticket) -> Verdict {
        let now = self.clock.now();
        let mut state = self.lock();
        let verdict = state.cancel(now, ticket, Cause::Cancelled);
        if state.news.is_empty() {
            // Nobody waits for it: the driver may sleep on, unless others may go ahead now.
            let wake = state.nudge(true);
            drop(state);
            if let Some(waker) = wake {
                waker.wake();
            }
        } else {
            self.leave(state);
        }
        verdict
    }

    /// Cancels a record at `at`, unless it has an answer by then.
    /// False where it has one, or is not known.
    pub fn set_deadline(&self, ticket: &Ticket, at: Instant) -> bool {
        let mut state = self.lock();
        let set = state.table.set_deadline(ticket, at);
        self.leave(state);
        set
    }

    /// Closes in the background: for when the last handle is gone and nobody waits.
    pub fn close_unattended(&self) {
        let now = self.clock.now();
        let mut state = self.lock();
        if !state.closed {
            state.core.close(now, now.after(self.delivery_timeout));
            state.wake_senders();
        }
        self.leave(state);
    }

    /// Locks the core, with all records that were taken by now.
    pub(crate) fn lock(&self) -> Locked<'_> {
        let mut state = Locked::new(self.state.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.close_lanes(&mut state);
        state
    }

    /// Brings in what lies in lanes, before more is done with the core than to give it records and to write.
    #[inline]
    pub(crate) fn close_lanes(&self, state: &mut State) {
        if !state.lanes.is_empty() {
            self.lanes.close_all(state);
        }
    }

    /// As [`Engine::lock`], where records come as fast as they can: then the lock is held for most of the
    /// time, but never for long. To sleep for it would cost both a system call, again and again, since
    /// the one who had it is there first when the other one wakes.
    #[inline]
    pub(crate) fn lock_busy(&self) -> Locked<'_> {
        self.lock_or(|| {})
    }

    /// As [`Engine::lock_busy`], and calls `taken` where somebody has the lock.
    #[inline]
    pub(crate) fn lock_or(&self, taken: impl FnOnce()) -> Locked<'_> {
        let mut state = self.lock_beside_or(taken);
        self.close_lanes(&mut state);
        state
    }

    /// As [`Engine::lock_busy`], for who gives a record to the core, or writes, and does no more with it: lanes stay
    /// open, and may have records.
    #[inline]
    pub(crate) fn lock_beside(&self) -> Locked<'_> {
        self.lock_beside_or(|| {})
    }

    /// As [`Engine::lock_beside`], and calls `taken` where somebody has the lock.
    #[inline]
    pub(crate) fn lock_beside_or(&self, taken: impl FnOnce()) -> Locked<'_> {
        self.try_lock().unwrap_or_else(|| {
            taken();
            self.spin()
        })
    }

    #[cold]
    fn spin(&self) -> Locked<'_> {
        for _ in 0..SPINS {
            if let Some(state) = self.try_lock() {
                return state;
            }
            spin_loop();
        }
        Locked::new(self.state.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// `None` where somebody has the lock.
    #[inline]
    fn try_lock(&self) -> Option<Locked<'_>> {
        match self.state.0.try_lock() {
            Ok(state) => Some(Locked::new(state)),
            Err(TryLockError::Poisoned(poisoned)) => Some(Locked::new(poisoned.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn set_inline_writer(&self, writer: Weak<dyn InlineWriter>) {
        // A second driver would have nothing to do.
        drop(self.inline_writer.set(writer));
    }

    /// Moves bytes in the driver's stead: the caller is awake, and to wake another thread costs more. The
    /// driver is woken where it is at work, or has to do what follows.
    pub(crate) fn write_now(&self) {
        let writer = self.inline_writer.get().and_then(Weak::upgrade);
        loop {
            let again = writer.as_ref().is_none_or(|writer| writer.write_now(self));
            gap::pass(Gap::Written);
            match self.lock_busy().nudge_after_writes(again) {
                Nudge::Nothing | Nudge::Compress => return,
                Nudge::Write => {}
                Nudge::Wake(waker) => return waker.wake(),
            }
        }
    }

    /// Somebody waits for an answer, but not for the driver.
    pub(crate) fn count_wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
        self.waiting.fetch_add(1, Ordering::SeqCst);
    }

    /// How often somebody began to wait; it wraps.
    pub(crate) fn waits(&self) -> u32 {
        self.waits.load(Ordering::Relaxed)
    }

    /// Sets who lets callers drive.
    pub fn set_inline_driver(&self, driver: Weak<dyn InlineDriver>) {
        // A second driver would have nothing to do.
        drop(self.inline_driver.set(driver));
    }

    /// Who lets callers drive, unless reports are to be told: that is for the driver's own thread.
    pub(crate) fn inline_driver(&self) -> Option<Arc<dyn InlineDriver>> {
        if self.reports() { None } else { self.inline_driver.get()?.upgrade() }
    }

    /// Whether nobody waits for the answer to a single record. Who begins to from here on wakes the driver, as one that
    /// naps, unless [`Engine::set_naps`] takes that back: so either the driver sees who waits, or is seen.
    pub(crate) fn nobody_waits_yet(&self) -> bool {
        self.naps.store(true, Ordering::SeqCst);
        self.waiting.load(Ordering::SeqCst) == 0
    }

    #[cfg(feature = "_internal")]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn set_naps(&self, naps: bool) {
        self.naps.store(naps, Ordering::Relaxed);
    }

    /// Unlocks after a call that has left something to do for the driver.
    pub(crate) fn leave(&self, mut state: Locked<'_>) {
        let wake = state.rouse();
        // Nobody would tell the news otherwise.
        let mut news = state.closed.then(Notifications::default);
        if let Some(news) = &mut news {
            state.take_news(news);
        }
        drop(state);
        if let Some(waker) = wake {
            waker.wake();
        }
        if let Some(mut news) = news {
            self.tell(&mut news);
        }
    }

    /// Does what a caller is to do with the lock free.
    pub(crate) fn follow(&self, nudge: Nudge) {
        match nudge {
            Nudge::Nothing => {}
            Nudge::Compress => self.compress_now(),
            Nudge::Write => self.write_now(),
            Nudge::Wake(waker) => waker.wake(),
        }
    }

    /// Gives a record to the core, and enters it in the table.
    #[inline]
    pub(crate) fn produce<R: Receipt>(
        &self,
        state: &mut State,
        now: Instant,
        topic: TopicId,
        record: &Record<'_>,
    ) -> Result<R, ProduceError> {
        let given = record.for_core(|| self.clock.wall_ms(now));
        let ticket = state.core.produce(now, topic, &given)?;
        let cell = state.table.enter(now, topic, &ticket, record.token);
        Ok(R::new(cell, ticket))
    }

    pub(crate) const fn reports(&self) -> bool {
        self.on_report.is_some()
    }

    /// Reports, and then wakes, with the lock free: whoever has waited for a flush or a close has
    /// heard all reports by then.
    pub(crate) fn tell(&self, news: &mut Notifications) {
        if let Some(on_report) = &self.on_report {
            let mut progress = Progress::default();
            // The application's fault must not end the driver, on which others depend.
            while !contain(|| news.tell(&mut progress, &**on_report)) {
                let token = progress.token;
                contain(|| tracing::error!(token, "`on_report` panicked"));
            }
        }
        news.log();
        if news.has_reports() {
            self.lock_beside().heard(news);
        }
        news.wakes.wake();
    }

    /// The driver's end, for whatever reason: whoever waits for anything is told that no more will come.
    pub(crate) fn end(&self, news: &mut Notifications) {
        // What the driver was about to tell.
        self.tell(news);
        let now = self.clock.now();
        let mut state = self.lock_busy();
        state.end(now);
        state.take_news(news);
        drop(state);
        self.tell(news);
        self.lock_busy().nobody_tells_more(news);
        self.tell(news);
    }
}
