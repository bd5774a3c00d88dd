//! The core, a network and a cluster on one virtual clock and one seed.

mod client;
mod steps;
mod trouble;
mod wires;

use std::collections::BTreeMap;

use core::time::Duration;
use ottla_core::{
    BatchOutcome, Config, ConnId, Event, Instant, LastError, Memory, Outcome, Producer, TopicId,
};
use ottla_model::{Cluster, ClusterConfig, NodeId};

use crate::{
    codec::CodecService,
    dice::{Dice, Random},
    ledger::Ledger,
    login::TokenService,
    network::{Link, Weather},
    tap::Tap,
    trace::{Lane, Recorder, Tone},
    unavoidable_duplicates::{Excuses, Hindsight},
};

/// The wall clock at the start of the run, in milliseconds since 1970: the brokers' as well.
const START_MS: i64 = 1_700_000_000_000;

/// Which timestamps records are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dated {
    /// The time at which they are produced.
    Now,
    /// So long before: a backlog.
    Ago(Duration),
    /// So long after 1970: of a device whose clock was never set.
    SinceStart,
}

impl Dated {
    /// The timestamp of a record that is produced now, in milliseconds since 1970.
    #[must_use]
    pub fn at(self, now: Instant) -> i64 {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let since_start = (now.as_micros() / 1_000) as i64;
        match self {
            Self::Now => START_MS + since_start,
            Self::Ago(age) => START_MS + since_start - millis(age),
            Self::SinceStart => since_start,
        }
    }
}

/// What a record is made of, beside the number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A value.
    Value,
    /// A null value, and a key that has the number.
    Tombstone,
    /// A value, an empty key, and headers, one of them null.
    Headers,
}

/// A connection on the core's side.
#[derive(Debug)]
enum Socket {
    /// Being opened, until then; it opens if the node is up by then and takes connections.
    Opening(Instant, NodeId),
    Open(Box<Link>),
}

/// Everything there is.
#[derive(Debug)]
pub struct World<'m> {
    /// The time.
    pub now: Instant,
    /// The core.
    pub producer: Producer<'m>,
    /// The brokers.
    pub cluster: Cluster,
    /// How the network behaves.
    pub weather: Weather,
    /// What was said of each record.
    pub ledger: Ledger,
    /// What was sent; holds it against the invariants.
    pub tap: Tap,
    /// Where a timer and bytes are due at the same time, the bytes are read first.
    pub reads_first: bool,
    /// Which timestamps records are given.
    pub dated: Dated,
    /// Of which shape records are.
    pub shape: fn(u64) -> Shape,
    /// Which records are given a key.
    pub keyed: fn(u64) -> bool,
    /// What brokers said of records that they refused: of which, and the words.
    pub remarks: Vec<(Vec<u64>, String)>,
    /// The records that were handed back as not delivered, and why that is.
    pub returned: Vec<(u64, Outcome)>,
    /// Whom the core dialled, by its own ids.
    pub dialled: Vec<ConnId>,
    /// A topic that was released last.
    pub released: Option<TopicId>,
    /// When the core dialled.
    pub dials: Vec<Instant>,
    /// What the world does by chance.
    pub dice: Box<dyn Dice>,
    /// Events other than verdicts, as they came.
    pub events: Vec<(Instant, Event)>,
    /// Nodes that no connection reaches: dials hang.
    pub unreachable: Vec<NodeId>,
    /// So many sockets fit the machine.
    pub descriptors: usize,
    /// `Output::Closed` came.
    pub closed: bool,
    /// Verdicts are of records that the ledger does not know.
    pub ignore_verdicts: bool,
    /// The log-append time of the last batch that had one.
    pub last_append_time: Option<i64>,
    /// What was told last of a batch that is not delivered, or not known to be.
    pub last_failed: Option<(BatchOutcome, Option<LastError>)>,
    /// The base offset of the last batch that was delivered.
    pub last_base_offset: Option<i64>,
    /// The core says who it is.
    pub(crate) logs_in: bool,
    /// Who gives the core tokens.
    pub tokens: TokenService,
    /// Who has the codec.
    pub codec: CodecService,
    /// Which records are of bytes that do not compress.
    pub noisy: fn(u64) -> bool,
    /// Connections are as with TLS: so many bytes at most are encrypted at a time, which is when they are sent,
    /// and go out as the socket accepts them.
    pub portion: Option<usize>,
    /// Such a link tells the core of what the socket accepted, and not of what is encrypted: for the test of the
    /// laws.
    pub counts_accepted: bool,
    /// How often each kind of trouble was made.
    pub faults: BTreeMap<&'static str, u64>,
    /// Bytes that left the core.
    pub sent: u64,
    /// The largest response that was on its way to the core, in bytes.
    pub largest_response: usize,
    /// How often the core came to rest.
    rests: u64,
    overdue: steps::Overdue,
    trace: Option<Recorder>,
    hindsight: Option<Hindsight>,
    sockets: BTreeMap<ConnId, Socket>,
    ghosts: Vec<Link>,
}

/// The bootstrap address of the model's first node.
pub const BOOTSTRAP: &str = "127.0.0.1:9092";

impl World<'static> {
    /// A world whose core has its memory from the heap.
    #[must_use]
    pub fn new(config: &Config<'_>, cluster: ClusterConfig, seed: u64) -> Self {
        let memory = Memory::heap(ottla_core::Limits::for_config(config));
        World::with_memory(config, cluster, memory, seed)
    }
}

impl<'m> World<'m> {
    /// A world whose core has this memory.
    ///
    /// # Panics
    ///
    /// Where the core refuses the configuration.
    #[must_use]
    pub fn with_memory(
        config: &Config<'_>,
        cluster: ClusterConfig,
        memory: Memory<'m>,
        seed: u64,
    ) -> Self {
        let mut config = *config;
        if config.bootstrap_servers.is_empty() {
            config.bootstrap_servers = BOOTSTRAP;
        }
        let producer = Producer::new(&config, memory, seed);
        let mut producer = producer.unwrap_or_else(|error| panic!("{error}"));
        producer.set_wall_clock(Instant::ZERO, Some(START_MS));
        Self {
            now: Instant::from_micros(1_000),
            producer,
            cluster: Cluster::new(cluster),
            weather: Weather::FAIR,
            ledger: Ledger::default(),
            tap: Tap::default(),
            reads_first: false,
            shape: |_| Shape::Value,
            keyed: |_| false,
            remarks: Vec::new(),
            returned: Vec::new(),
            dialled: Vec::new(),
            released: None,
            dials: Vec::new(),
            dated: Dated::Now,
            dice: Box::new(Random::new(seed)),
            events: Vec::new(),
            unreachable: Vec::new(),
            descriptors: usize::MAX,
            closed: false,
            ignore_verdicts: false,
            last_append_time: None,
            last_failed: None,
            last_base_offset: None,
            logs_in: false,
            tokens: TokenService::default(),
            codec: CodecService::default(),
            noisy: |_| false,
            portion: None,
            counts_accepted: false,
            faults: BTreeMap::new(),
            sent: 0,
            largest_response: 0,
            rests: 0,
            overdue: steps::Overdue::default(),
            trace: None,
            hindsight: None,
            sockets: BTreeMap::new(),
            ghosts: Vec::new(),
        }
    }

    /// Has everything recorded that happens from now on.
    pub fn record(&mut self, trace: Recorder) {
        self.cluster.watch();
        self.trace = Some(trace);
    }

    /// Sets the client's wall clock: by how many milliseconds it is ahead of the brokers'; `None` is a
    /// client without one.
    pub fn set_wall_clock(&mut self, ahead: Option<i64>) {
        let now = Dated::Now.at(self.now);
        self.producer.set_wall_clock(self.now, ahead.map(|ahead| now + ahead));
    }

    /// Takes note from now on of what brokers forget and are asked, for [`excuses`](Self::excuses).
    pub fn remember(&mut self) {
        self.cluster.watch();
        self.hindsight.get_or_insert_default();
    }

    /// What cannot be held against the producer; nothing without [`remember`](Self::remember).
    #[must_use]
    pub fn excuses(&self) -> Excuses {
        self.hindsight.as_ref().map_or_else(Excuses::default, |seen| seen.excuses(&self.tap))
    }

    /// Puts something into the trace, if there is one.
    pub fn tell(&self, lane: Lane, tone: Tone, text: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().tell(self.now, lane, tone, text());
        }
    }

    /// Puts what happened in the cluster into the trace.
    pub(super) fn hear(&mut self, conn: Option<ConnId>) {
        let happenings = self.cluster.take_happenings();
        if let Some(hindsight) = &mut self.hindsight {
            hindsight.happened(self.now, conn, &happenings);
        }
        if let Some(trace) = &self.trace {
            trace.borrow_mut().happened(self.now, conn, happenings, &self.tap);
        }
    }

    /// Notes that trouble was made.
    pub fn count(&mut self, what: &'static str) {
        if !what.is_empty() {
            *self.faults.entry(what).or_default() += 1;
        }
    }

    /// The connections that are open, or being opened.
    pub fn open_connections(&self) -> impl Iterator<Item = ConnId> {
        self.sockets.keys().copied()
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.sockets.len()
    }
}
