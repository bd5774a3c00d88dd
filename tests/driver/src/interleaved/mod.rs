//! Producers of which a checker chooses who runs next: each lock, atomic and thread of `ottla-client` is shuttle's, and
//! so are the sockets and the broker here.
//!
//! No time passes, so that nothing helps who was not woken: no timer, no end of a nap. Shuttle tells when nobody can go on.

mod on_tasks;
mod on_threads;
mod wire;

use core::{fmt, time::Duration};
use std::sync::{Arc, Weak, atomic::AtomicU64};

use ottla_client::{
    CloseReport, CompressionType, Engine, Record, RecordOutcome, Report, SendAllError, SendError,
    Shards, Topic,
    internal::{self, MakeCompressor},
};
use ottla_core::{Config, Limits, Verdict};
use ottla_scenario::BOOTSTRAP;
use shuttle::thread::{self, JoinHandle};

use crate::network::TOPIC;
pub use on_tasks::{OnTasks, SimRuntime, Stream};
pub use on_threads::{Dialler, OnThreads, SimPoller, Socket};
use wire::{PARTITIONS, Wire};

/// What is told of records with tokens.
type OnReport = Arc<dyn Fn(&Report) + Send + Sync>;

/// What a producer runs on.
pub trait Way: Clone + fmt::Debug + Send + 'static {
    /// One record that it took.
    type Delivery: Clone + Send + 'static;

    /// Starts one.
    fn start(shards: Shards) -> Self;
    /// Registers a topic.
    fn topic(&self, name: &str) -> Topic;
    /// Sends a record, for which this may wait.
    ///
    /// # Errors
    ///
    /// Where it is not taken.
    fn send(&self, topic: &Topic, record: &Record<'_>) -> Result<Self::Delivery, SendError>;
    /// Sends records in one call, for which this may wait. What was taken has its delivery in `deliveries`.
    ///
    /// # Errors
    ///
    /// Where one is not taken.
    fn send_all(
        &self,
        topic: &Topic,
        records: &[Record<'_>],
        deliveries: &mut Vec<Self::Delivery>,
    ) -> Result<usize, SendAllError>;
    /// Sends what is buffered, and waits for it.
    fn flush(&self);
    /// Takes no more, and waits until all is over.
    fn close(&self) -> CloseReport;
    /// How many records have no answer.
    fn queue_depth(&self) -> u64;
    /// Waits for the first answer.
    fn wait(delivery: &Self::Delivery) -> RecordOutcome;
    /// Does not.
    fn try_outcome(delivery: &Self::Delivery) -> Option<RecordOutcome>;
    /// Gives up on a record.
    fn cancel(delivery: &Self::Delivery) -> Verdict;
}

/// A producer, its driver, and a broker.
#[derive(Debug)]
pub struct Scene<W> {
    producer: W,
    topic: Topic,
    wire: Wire,
    broker: JoinHandle<()>,
    engine: Weak<Engine>,
}

/// What one thread sends with.
#[derive(Clone, Debug)]
pub struct Caller<W> {
    producer: W,
    topic: Topic,
}

/// What a producer is set up with, beside its configuration.
#[derive(Clone, Default)]
pub struct SetUp {
    /// Its memory.
    pub limits: Option<Limits>,
    /// Who is told of records with tokens.
    pub on_report: Option<OnReport>,
    /// Whether it compresses by LZ4.
    pub compresses: bool,
    /// Whether it takes its callers for a crowd, so that records go by lanes.
    pub is_crowded: bool,
}

impl fmt::Debug for SetUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetUp").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<W: Way> Scene<W> {
    /// To be called within an execution of shuttle's.
    ///
    /// # Panics
    ///
    /// Where the configuration is none.
    #[must_use]
    pub fn new(config: &Config<'static>, set_up: SetUp) -> Self {
        let SetUp { limits, on_report, compresses, is_crowded } = set_up;
        let wire = Wire::new();
        let config = Config { bootstrap_servers: BOOTSTRAP, ..*config };
        let lz4 = CompressionType::Lz4;
        let make: MakeCompressor = Arc::new(move || internal::compressor(lz4, 0));
        let compressor = compresses.then_some((lz4, make));
        let clock = Arc::new(AtomicU64::new(0));
        let shards = Shards::simulated(&clock, &config, limits, on_report, 1, compressor);
        let shards = shards.expect("sound");
        let engine = Arc::downgrade(&shards.engines()[0]);
        if is_crowded {
            shards.engines()[0].crowd();
        }
        let broker = wire.clone();
        let broker = thread::spawn(move || broker.serve());
        wire.be_next();
        let producer = W::start(shards);
        let topic = producer.topic(TOPIC);
        Self { producer, topic, wire, broker, engine }
    }

    /// The same, which has connected, so that what follows finds everything known.
    ///
    /// # Panics
    ///
    /// Where that fails.
    #[must_use]
    pub fn warm(config: &Config<'static>, set_up: SetUp) -> Self {
        let scene = Self::new(config, set_up);
        let sent = scene.caller().send(0, 1).expect("taken");
        scene.producer.flush();
        assert!(W::try_outcome(&sent).expect("an answer").is_delivered());
        scene
    }

    /// How many records came by lanes so far.
    ///
    /// # Panics
    ///
    /// Where the producer is over.
    #[must_use]
    pub fn by_lanes(&self) -> u64 {
        self.engine.upgrade().expect("a producer").by_lanes()
    }

    /// For a thread of its own.
    #[must_use]
    pub fn caller(&self) -> Caller<W> {
        Caller { producer: self.producer.clone(), topic: self.topic.clone() }
    }

    /// Has threads do something at a time, each with a number, and waits for all of them.
    ///
    /// # Panics
    ///
    /// Where one of them does.
    pub fn together<T: Send + 'static>(
        &self,
        threads: i32,
        act: impl Fn(&Caller<W>, i32) -> T + Clone + Send + 'static,
    ) -> Vec<T> {
        let spawn = |number| {
            let (caller, act) = (self.caller(), act.clone());
            thread::spawn(move || act(&caller, number))
        };
        let threads: Vec<_> = (0..threads).map(spawn).collect();
        threads.into_iter().map(|thread| thread.join().expect("it ends well")).collect()
    }

    /// Closes the producer. Returns how many records are in the log.
    ///
    /// # Panics
    ///
    /// Where something is left over.
    pub fn close(self) -> usize {
        let report = self.producer.close();
        assert!(report.complete, "{report}");
        self.end()
    }

    /// Closes the producer. Returns what the values of the records in each log begin with.
    ///
    /// # Panics
    ///
    /// Where something is left over, or a value is empty.
    pub fn close_and_read(self) -> Vec<Vec<u8>> {
        let wire = self.wire.clone();
        self.close();
        let net = wire.net();
        let log = |partition| {
            let records = net.cluster.log(TOPIC, partition);
            records.map(|record| record.value.expect("a value")[0]).collect()
        };
        (0..PARTITIONS as i32).map(log).collect()
    }

    /// Lets the last handle go. Returns how many records are in the log.
    ///
    /// # Panics
    ///
    /// Where the broker does.
    pub fn end(self) -> usize {
        self.end_after(|| {})
    }

    /// The same, once those have what they wait for who have no handle.
    ///
    /// # Panics
    ///
    /// Where the broker does.
    pub fn end_after(self, wait: impl FnOnce()) -> usize {
        let Self { producer, topic, wire, broker, .. } = self;
        drop((producer, topic));
        wait();
        wire.end();
        broker.join().expect("the broker has ended well");
        let net = wire.net();
        (0..PARTITIONS).map(|partition| net.cluster.log(TOPIC, partition as i32).count()).sum()
    }
}

impl<W: Way> Caller<W> {
    /// Sends a record of so many bytes.
    ///
    /// # Errors
    ///
    /// Where it is not taken.
    pub fn send(&self, partition: i32, len: usize) -> Result<W::Delivery, SendError> {
        let value = vec![b'.'; len];
        self.producer.send(
            &self.topic,
            &Record { partition: Some(partition), value: Some(&value), ..Record::default() },
        )
    }

    /// Sends so many records of so many bytes in one call. Returns those that were taken, and why not all were.
    ///
    /// # Panics
    ///
    /// Where it is told otherwise how many were.
    pub fn send_all(
        &self,
        partition: i32,
        count: usize,
        len: usize,
    ) -> (Vec<W::Delivery>, Option<SendError>) {
        let value = vec![b'.'; len];
        let record =
            Record { partition: Some(partition), value: Some(&value), ..Record::default() };
        let mut deliveries = Vec::new();
        let sent = self.producer.send_all(&self.topic, &vec![record; count], &mut deliveries);
        let taken = sent.as_ref().map_or_else(|error| error.taken, |taken| *taken);
        assert_eq!(taken, deliveries.len());
        assert_eq!(sent.is_ok(), taken == count);
        (deliveries, sent.err().map(|error| error.error))
    }

    /// Sends a record of so many bytes, the first of which is this one, to that partition or to any.
    ///
    /// # Errors
    ///
    /// Where it is not taken.
    pub fn send_marked(
        &self,
        partition: Option<i32>,
        mark: u8,
        len: usize,
    ) -> Result<W::Delivery, SendError> {
        let value = vec![mark; len];
        self.producer
            .send(&self.topic, &Record { partition, value: Some(&value), ..Record::default() })
    }

    /// The same, of which `on_report` is told.
    ///
    /// # Errors
    ///
    /// Where it is not taken.
    pub fn send_reported(&self, partition: i32, token: u64) -> Result<W::Delivery, SendError> {
        self.producer.send(
            &self.topic,
            &Record {
                partition: Some(partition),
                value: Some(b"reported"),
                token: Some(token),
                ..Record::default()
            },
        )
    }

    /// The producer.
    #[must_use]
    pub const fn producer(&self) -> &W {
        &self.producer
    }
}

/// As configurations for what happens without time: records leave at once.
#[must_use]
pub fn hasty() -> Config<'static> {
    Config { linger: Duration::ZERO, ..Config::default() }
}

/// Records wait for others, or for somebody who flushes.
#[must_use]
pub fn lingering() -> Config<'static> {
    Config { linger: Duration::from_secs(1), ..Config::default() }
}
