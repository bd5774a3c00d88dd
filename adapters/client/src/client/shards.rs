//! One producer of several engines, each with partitions of its own.

use core::{
    cell::Cell,
    fmt,
    hash::BuildHasher,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use std::{
    hash::RandomState,
    sync::{Arc, OnceLock, PoisonError, Weak},
};

use ottla_core::{
    Config, ConfigError, Instant, Limits, PartitionShard, Partitioner, ReleaseError, Ticket,
    TopicError, TopicId, Verdict,
};

use crate::{
    client::{
        callbacks::{Callbacks, OwnPartitioner},
        flush_close_all::{CloseAll, FlushAll},
        stats::Stats,
    },
    clock::Clock,
    compression::BatchCompressor,
    delivery::latency::Histogram,
    engine::{
        locked_core::Engine,
        partition_counts::Partitions,
        state::State,
        thread_number::{self, this_thread},
    },
    record::Record,
    sync::Mutex,
};

/// The most engines of one producer. Each has threads, connections and tables of its own.
pub(crate) const MOST: usize = 256;

/// The engines of one producer, over disjoint partitions: partition `p` is the engine's with number
/// `p` modulo their number, whoever sends and whatever else happens. So each partition has one order
/// and one producer id.
///
/// Each engine has its own lock, driver, connections, and part of the memory. Who sends a record
/// reads what they share, and writes to one engine only.
#[derive(Debug)]
pub struct Shards {
    /// The only one, mostly.
    first: Arc<Engine>,
    /// All of them, where there are more, or the application chooses partitions: then they have to be known
    /// before an engine has the record.
    many: Option<Box<Many>>,
}

#[derive(Debug)]
struct Many {
    /// As many as a power of two.
    engines: Box<[Arc<Engine>]>,
    partitioner: Partitioner,
    /// The application's own, which is asked first.
    own: Option<OwnPartitioner>,
    /// By their numbers. Locked while a topic is registered or released, so that it has the same number
    /// everywhere.
    topics: Mutex<Vec<(TopicId, Arc<Partitions>)>>,
}

/// A registered topic of one producer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Topic {
    id: TopicId,
    name: Arc<str>,
    /// The producer's first engine.
    owner: Weak<Engine>,
    /// Where there are several engines.
    partitions: Option<Arc<Partitions>>,
}

impl Topic {
    /// The topic's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topic's number, as it is in reports.
    #[must_use]
    pub const fn id(&self) -> TopicId {
        self.id
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Shards {
    /// Makes so many engines, which have an equal part of `buffer.memory` each, or of the pages and
    /// batches that `limits` says.
    ///
    /// # Errors
    ///
    /// Where the configuration is refused, or the number is no power of two up to 256.
    pub fn new(
        config: &Config<'_>,
        limits: Option<Limits>,
        callbacks: Callbacks,
        shards: usize,
    ) -> Result<Self, ConfigError> {
        Self::compressing(config, limits, callbacks, shards, Vec::new())
    }

    /// As [`Shards::new`], with a compressor for each, or none.
    pub(crate) fn compressing(
        config: &Config<'_>,
        limits: Option<Limits>,
        callbacks: Callbacks,
        shards: usize,
        compressors: Vec<BatchCompressor>,
    ) -> Result<Self, ConfigError> {
        Self::on(Clock::start(), next_owner, config, limits, callbacks, shards, compressors)
    }

    pub(crate) fn on(
        clock: Clock,
        owner: impl FnOnce(u32) -> u32,
        config: &Config<'_>,
        limits: Option<Limits>,
        callbacks: Callbacks,
        shards: usize,
        compressors: Vec<BatchCompressor>,
    ) -> Result<Self, ConfigError> {
        let mut compressors = compressors.into_iter();
        let Callbacks { on_report, partitioner: own } = callbacks;
        let of = u16::try_from(shards).ok().filter(|of| of.is_power_of_two() && shards <= MOST);
        let expected = "a power of two, at most 256";
        let of = of.ok_or(ConfigError::OutOfRange { property: "shards", expected })?;
        let config = Config { buffer_memory: config.buffer_memory / u64::from(of), ..*config };
        let parts = u32::from(of);
        let limits = limits.map_or_else(
            || Limits::for_config(&config),
            |all| Limits {
                pages: all.pages.div_ceil(parts),
                batches: all.batches.div_ceil(parts),
                ..all
            },
        );
        let owner = owner(parts);
        let engine = |index| {
            let config = Config { share: PartitionShard { index, of }, ..config };
            let owner = owner.wrapping_add(u32::from(index));
            let compressor = compressors.next();
            Engine::new(&config, limits, on_report.clone(), clock.twin(), owner, compressor)
        };
        let engines = (0..of).map(engine).collect::<Result<Box<[_]>, _>>()?;
        let first = engines.first().map(Arc::clone);
        let first = first.ok_or(ConfigError::OutOfRange { property: "shards", expected })?;
        let many = (of > 1 || own.is_some()).then(|| {
            let (partitioner, topics) = (config.partitioner, Mutex::default());
            Box::new(Many { engines, partitioner, own, topics })
        });
        Ok(Self { first, many })
    }

    /// The engines, each of which is to get a driver.
    #[must_use]
    pub fn engines(&self) -> &[Arc<Engine>] {
        self.many.as_ref().map_or(core::slice::from_ref(&self.first), |many| &many.engines)
    }

    /// The clock that all of them go by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        self.first.clock()
    }

    /// Registers a topic with all of them, or finds it.
    ///
    /// # Errors
    ///
    /// Where the name is not one for a topic, or there is no room.
    pub fn topic(&self, name: &str) -> Result<Topic, TopicError> {
        let owner = Arc::downgrade(&self.first);
        let Some(many) = &self.many else {
            let id = register(&self.first, 0, name, None)?;
            return Ok(Topic { id, name: Arc::from(name), owner, partitions: None });
        };
        let mut topics = many.topics.lock().unwrap_or_else(PoisonError::into_inner);
        let next = Arc::new(Partitions::new(many.engines.len()));
        let mut known = None;
        for (shard, engine) in many.engines.iter().enumerate() {
            // All have the same tables and the same names in them, so either all refuse or none does.
            let partitions = known.as_ref().map_or(&next, |(_, partitions)| partitions);
            let id = register(engine, shard, name, Some(partitions))?;
            debug_assert!(known.as_ref().is_none_or(|(known, _)| *known == id), "one number");
            if known.is_none() {
                // One that had its number before was another topic, or the same one in another life.
                let place = topics.get(id.index()).filter(|(known, _)| *known == id);
                let partitions = place.map_or(&next, |(_, partitions)| partitions);
                known = Some((id, Arc::clone(partitions)));
            }
        }
        let Some((id, partitions)) = known else {
            return Err(TopicError::TooManyTopics { max: 0 });
        };
        let entry = (id, Arc::clone(&partitions));
        match topics.get_mut(id.index()) {
            Some(place) => *place = entry,
            None => topics.push(entry),
        }
        Ok(Topic { id, name: Arc::from(name), owner, partitions: Some(partitions) })
    }

    /// Forgets a topic of which nothing is open, and gives its room to others. Handles to it are of no
    /// use from then on.
    ///
    /// # Errors
    ///
    /// Where records of it are not settled yet, or it was released before, or is another producer's.
    pub fn release_topic(&self, topic: &Topic) -> Result<(), ReleaseError> {
        if !self.owns(topic) {
            return Err(ReleaseError::UnknownTopic);
        }
        let order = self.many.as_ref().map(|many| &many.topics);
        let order = order.map(|topics| topics.lock().unwrap_or_else(PoisonError::into_inner));
        // All at a time, or none. Nobody else takes the locks of two engines.
        let mut states: Vec<_> = self.engines().iter().map(|engine| engine.lock()).collect();
        states.iter().try_for_each(|state| state.core.may_release(topic.id()))?;
        let now = self.clock().now();
        for state in &mut states {
            state.core.release_topic(now, topic.id())?;
            // Whoever waits for it to be known waits in vain.
            let State { topics, news, .. } = &mut **state;
            topics.wake_where(&mut news.wakes, |()| true);
        }
        for (engine, state) in self.engines().iter().zip(states) {
            engine.leave(state);
        }
        drop(order);
        Ok(())
    }

    /// Whether a topic is this producer's.
    #[inline]
    pub(crate) fn owns(&self, topic: &Topic) -> bool {
        core::ptr::eq(topic.owner.as_ptr(), &raw const *self.first)
    }

    /// The engine that a record is for. A partition that its key leads to is put into the record,
    /// so that the engine cannot come to another one. `None` where not all engines know
    /// the topic yet, so that nobody can say.
    #[inline]
    pub(crate) fn route(&self, topic: &Topic, record: &mut Record<'_>) -> Option<&Arc<Engine>> {
        match &self.many {
            None => Some(&self.first),
            Some(many) => many.route(topic, record, this_thread),
        }
    }

    /// The only engine, if there is no other.
    #[inline]
    pub(crate) fn only(&self) -> Option<&Arc<Engine>> {
        match self.many {
            None => Some(&self.first),
            Some(_) => None,
        }
    }

    /// Any engine.
    pub(crate) const fn first(&self) -> &Arc<Engine> {
        &self.first
    }

    /// An engine that does not know the topic yet: the one to wait for.
    pub(crate) fn unaware(&self, topic: &Topic) -> &Arc<Engine> {
        let shard = topic.partitions.as_ref().and_then(|partitions| partitions.first_unknown());
        shard.and_then(|shard| self.engines().get(shard)).unwrap_or(&self.first)
    }

    /// The engine whose ticket it is; `None` for another producer's.
    fn of_ticket(&self, ticket: &Ticket) -> Option<&Arc<Engine>> {
        // Their marks follow each other.
        let shard = ticket.batch().owner().wrapping_sub(self.first.owner());
        self.engines().get(shard as usize)
    }

    /// Cancels a record and tells at once what can be known of it; [`Verdict::Foreign`] where it is
    /// another producer's.
    pub fn cancel(&self, ticket: &Ticket) -> Verdict {
        self.of_ticket(ticket).map_or(Verdict::Foreign, |engine| engine.cancel(ticket))
    }

    /// Cancels a record at `at`, unless it has an answer by then. False where it has one already, or
    /// is another producer's.
    pub fn set_deadline(&self, ticket: &Ticket, at: Instant) -> bool {
        self.of_ticket(ticket).is_some_and(|engine| engine.set_deadline(ticket, at))
    }

    /// Cancels a record when `timeout` is over, as [`Shards::set_deadline`].
    pub fn cancel_after(&self, ticket: &Ticket, timeout: Duration) -> bool {
        self.set_deadline(ticket, self.clock().now().after(timeout))
    }

    /// Counters and gauges of all together.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut latency = Histogram::new();
        let mut stats = Stats::default();
        for engine in self.engines() {
            stats.add(engine.stats(&mut latency));
        }
        stats.latency = (&latency).into();
        stats
    }

    /// Sends what is buffered without waiting for it to linger.
    pub fn flush(&self) -> FlushAll {
        FlushAll::new(self.engines())
    }

    /// Takes no more records and ends within `timeout`.
    pub fn close(&self, timeout: Duration) -> CloseAll {
        CloseAll::new(self.engines(), timeout)
    }

    /// Closes in the background: for when the last handle is gone and nobody waits.
    pub fn close_unattended(&self) {
        for engine in self.engines() {
            engine.close_unattended();
        }
    }
}

impl Many {
    fn route(
        &self,
        topic: &Topic,
        record: &mut Record<'_>,
        thread: impl FnOnce() -> usize,
    ) -> Option<&Arc<Engine>> {
        if record.partition.is_none() {
            let count = topic.partitions.as_ref()?.known()?;
            let own = self.own.as_ref().and_then(|own| own.choose(&topic.name, record, count));
            match own.or_else(|| self.partitioner.choose(&record.for_core(|| -1), count)) {
                Some(number) => record.partition = Some(number as i32),
                None => {
                    // A shard without a partition of its own has no use.
                    let shards = self.engines.len().min(count as usize);
                    return self.engines.get(thread().checked_rem(shards)?);
                }
            }
        }
        // A number that is no partition's is refused, by whichever engine.
        let number = record.partition? as usize;
        self.engines.get(number & (self.engines.len() - 1))
    }
}

/// The first of so many marks that follow each other and that no engine of this process had, but for
/// one of four billion before.
fn next_owner(count: u32) -> u32 {
    // From somewhere, so that those of two processes are seldom the same.
    static FIRST: OnceLock<u32> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = *FIRST.get_or_init(|| RandomState::new().hash_one("owner") as u32);
    first.wrapping_add(NEXT.fetch_add(count, Ordering::Relaxed))
}

/// A topic's number in one engine, which is to tell of its partitions.
fn register(
    engine: &Engine,
    shard: usize,
    name: &str,
    partitions: Option<&Arc<Partitions>>,
) -> Result<TopicId, TopicError> {
    let now = engine.clock().now();
    let mut state = engine.lock();
    let id = state.core.topic(now, name);
    if let (Ok(id), Some(partitions)) = (&id, partitions) {
        state.partitions.add(shard, *id, partitions);
    }
    engine.leave(state);
    id
}

/// Has this thread pass for the one with that number.
#[cfg(feature = "_internal")]
pub fn be_thread(number: usize) {
    thread_number::set(number);
}

/// So often a thread finds others in its shard, in so many microseconds, before it takes the next one: a
/// driver is there once or twice.
const CROWD: (u32, u64) = (32, 1_000);

/// This thread has met another one in its shard.
#[cold]
pub(crate) fn meet(now: Instant) {
    thread_local! {
        static MET: Cell<(u32, Instant)> = const { Cell::new((0, Instant::ZERO)) };
    }
    let (often, micros) = CROWD;
    let (met, since) = MET.get();
    if now.since(since).as_micros() > u128::from(micros) {
        MET.set((1, now));
    } else if met + 1 < often {
        MET.set((met + 1, since));
    } else {
        MET.set((0, now));
        // Records without a key get their shard from it: threads that send at a time do not wait for each other where
        // there are as many shards.
        thread_number::set(this_thread().wrapping_add(1));
    }
}

#[cfg(test)]
mod tests;
