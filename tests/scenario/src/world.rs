//! The core, a network and a cluster on one virtual clock and one seed.

use std::collections::BTreeMap;

use core::time::Duration;
use ottla_core::{
    BatchOutcome, Config, ConnId, Disconnect, Event, Instant, LastError, Memory, Outcome, Output,
    Payload, ProduceError, Producer, Record, TimerKind, TopicId, TopicStatus, Verdict,
    wire::record::Records,
};
use ottla_model::{Cluster, ClusterConfig, NodeId};

use crate::{
    codec::CodecService,
    dice::{Dice, Random},
    ledger::{Ledger, number},
    login::TokenService,
    network::{Link, Weather},
    tap::{Place, Tap, View},
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

/// A connection on the core's side.
#[derive(Debug)]
enum Socket {
    /// Being opened, until then; it opens if the node is up by then and takes connections.
    Opening(Instant, NodeId),
    Open(Box<Link>),
}

/// How often in a row a timer of the core was due still, after it was told the time and had done all that
/// it could do at that time.
#[derive(Debug, Default)]
struct Overdue(u32);

impl Overdue {
    /// Time moves on by a microsecond then, so that without a law a core that spins goes unnoticed.
    fn look(&mut self, world: &World<'_>) {
        let due = world.producer.poll_timeout();
        assert!(!world.closed || due.is_none(), "a timer after the last output: {due:?}");
        match due.filter(|(at, _)| *at <= world.now) {
            None => self.0 = 0,
            // Iterations of many, each slice of which is due at once.
            Some((_, TimerKind::KeyDerivation)) => {}
            Some(due) => {
                self.0 += 1;
                assert!(self.0 < 20, "the core never comes to rest: {due:?} at {:?}", world.now);
            }
        }
    }
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
    /// Which records are given a key.
    pub keyed: fn(u64) -> bool,
    /// What brokers said of records that they refused: of which, and the words.
    pub remarks: Vec<(Vec<u64>, String)>,
    /// The records that were handed back as not delivered, and why that is.
    pub returned: Vec<(u64, Outcome)>,
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
            keyed: |_| false,
            remarks: Vec::new(),
            returned: Vec::new(),
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
    fn hear(&mut self, conn: Option<ConnId>) {
        let happenings = self.cluster.take_happenings();
        if let Some(hindsight) = &mut self.hindsight {
            hindsight.happened(self.now, conn, &happenings);
        }
        if let Some(trace) = &self.trace {
            trace.borrow_mut().happened(self.now, conn, happenings, &self.tap);
        }
    }

    /// Registers a topic and runs until its partitions are known.
    ///
    /// # Panics
    ///
    /// Where they are not known within ten seconds.
    pub fn topic(&mut self, name: &str) -> TopicId {
        let topic = self.producer.topic(self.now, name).unwrap_or_else(|error| panic!("{error}"));
        let ready = |world: &Self| {
            matches!(world.producer.topic_status(topic), Some(TopicStatus::Ready { .. }))
        };
        assert!(self.run_until(Duration::from_secs(10), ready), "topic {name} is not ready");
        topic
    }

    /// Produces a record that bears its own number, padded to `len` bytes.
    ///
    /// # Errors
    ///
    /// As [`Producer::produce`].
    pub fn produce(
        &mut self,
        topic: TopicId,
        partition: Option<i32>,
        len: usize,
    ) -> Result<u64, ProduceError> {
        let id = self.ledger.next_id();
        let mut value = id.to_be_bytes().to_vec();
        value.resize(len.max(8), b'.');
        if (self.noisy)(id) {
            let mut noise = Random::new(id);
            value.iter_mut().skip(8).for_each(|byte| *byte = noise.roll(0, 255) as u8);
        }
        let timestamp = self.dated.at(self.now);
        let key = (self.keyed)(id).then_some(&b"key"[..]);
        let record = Record { partition, key, value: Some(&value), timestamp, ..Record::default() };
        let ticket = self.producer.produce(self.now, topic, &record)?;
        let name = self.producer.topic_name(topic).unwrap_or_default().to_owned();
        if let Some(trace) = &self.trace {
            trace.borrow_mut().produced(self.now, id);
        }
        Ok(self.ledger.produced(self.now, &name, ticket))
    }

    /// Cancels a record.
    pub fn cancel(&mut self, id: u64) -> Verdict {
        let verdict = self.producer.cancel(self.now, self.ledger.ticket(id));
        if verdict == Verdict::NotDelivered {
            self.tap.denied(&[id]);
        }
        self.tell(Lane::Client, Tone::of(verdict), || format!("cancel record {id}: {verdict:?}"));
        self.ledger.cancelled(self.now, id, verdict);
        verdict
    }

    /// Runs for a time.
    pub fn run_for(&mut self, time: Duration) {
        let _ = self.run_until(time, |_| false);
    }

    /// Runs until something holds, at most for a time; tells whether it held.
    pub fn run_until(&mut self, time: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(time);
        let mut overdue = Overdue::default();
        loop {
            self.settle();
            overdue.look(self);
            if holds(self) {
                return true;
            }
            let next = self.next_event();
            if next > end {
                self.now = end;
                self.producer.handle_timeout(self.now);
                self.settle();
                return holds(self);
            }
            self.now = self.now.max(next);
            if self.reads_first {
                self.settle();
            }
            if self.producer.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
                self.producer.handle_timeout(self.now);
            }
        }
    }

    /// Closes the core and runs until it is closed.
    ///
    /// # Panics
    ///
    /// Where that takes longer than it may.
    pub fn close(&mut self, within: Duration) {
        self.tell(Lane::Client, Tone::Plain, || format!("close within {within:?}"));
        self.producer.close(self.now, self.now.after(within));
        let closed = self.run_until(within + Duration::from_millis(1), |world| world.closed);
        assert!(closed, "not closed in time: {:?}", self.producer);
    }

    /// Ends every connection at once, as a network that went away.
    pub fn cut_all(&mut self) {
        let ids: Vec<ConnId> = self.sockets.keys().copied().collect();
        for id in ids {
            self.cut(id);
        }
    }

    /// Ends one of the connections that are open; tells whether there was one.
    pub fn cut_one(&mut self, which: u64) -> bool {
        let open = self.sockets.iter().filter(|(_, socket)| matches!(socket, Socket::Open(_)));
        let ids: Vec<ConnId> = open.map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return false;
        }
        self.cut(ids[which as usize % ids.len()]);
        true
    }

    /// Has the next connection that writes end after so many more bytes.
    pub fn cut_after(&mut self, bytes: usize) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.cut_after = Some(bytes);
            }
        }
    }

    /// Loses everything that nodes say from now on, on the connections that are open.
    pub fn deafen(&mut self) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.down.dead = true;
            }
        }
    }

    /// Holds up everything that was said to nodes and everything that is said to them from now on,
    /// on the connections that are open: what the core has sent becomes a straggler.
    pub fn hold_up(&mut self) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.up.held = true;
            }
        }
    }

    /// Holds up everything that nodes say on the connections that are open.
    pub fn hold_answers(&mut self) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.down.held = true;
            }
        }
    }

    /// Has what was held up of nodes' answers arrive on the connection that is open now, as over a
    /// line that outlives connections. Returns how many bytes that is.
    pub fn misdirect(&mut self) -> usize {
        let mut stale = Vec::new();
        for ghost in &mut self.ghosts {
            if core::mem::take(&mut ghost.down.held) {
                stale.extend(ghost.down.take_bytes());
            }
        }
        let open = self.sockets.values_mut().find_map(|socket| match socket {
            Socket::Open(link) => Some(link),
            Socket::Opening(..) => None,
        });
        let len = stale.len();
        if let Some(link) = open {
            link.inbox.extend(stale);
        }
        len
    }

    /// Lets go what was held up.
    pub fn release(&mut self) {
        let open = self.sockets.values_mut().filter_map(|socket| match socket {
            Socket::Open(link) => Some(&mut **link),
            Socket::Opening(..) => None,
        });
        for link in open.chain(&mut self.ghosts) {
            link.release();
        }
    }

    /// Holds up what nodes say on the connections that are open after they have said so many more bytes.
    pub fn pause_after(&mut self, bytes: usize) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.pause_after = Some(bytes);
            }
        }
    }

    /// Has nodes close the connections that are open after they have said so many more bytes.
    pub fn hush_after(&mut self, bytes: usize) {
        for socket in self.sockets.values_mut() {
            if let Socket::Open(link) = socket {
                link.hush_after = Some(bytes);
            }
        }
    }

    /// Has an idle partition's chain go on at this epoch and sequence; tells whether the core did.
    pub fn go_on_at(&mut self, topic: TopicId, partition: i32, epoch: i16, sequence: i32) -> bool {
        let moved = self.producer.internal_go_on_at(topic, partition as u32, epoch, sequence);
        if moved {
            let name = self.producer.topic_name(topic).unwrap_or_default().to_owned();
            self.tap.forget(&name, partition);
        }
        moved
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

    fn cut(&mut self, id: ConnId) {
        self.hang_up(id, "cut");
        self.producer.handle_disconnected(self.now, id, Disconnect::Io);
    }

    /// Closes the core's end. What it has sent may still arrive: a straggler.
    fn hang_up(&mut self, id: ConnId, why: &str) {
        self.tap.closed(id);
        if let Some(trace) = &self.trace {
            trace.borrow_mut().closed(self.now, id, why);
        }
        if let Some(Socket::Open(mut link)) = self.sockets.remove(&id) {
            if link.is_staging() {
                self.count("encrypted and lost");
            }
            link.close_up(self.now);
            self.ghosts.push(*link);
        }
    }

    fn latency(&mut self) -> u64 {
        let (low, high) = self.weather.latency;
        self.dice.roll(low, high)
    }

    /// Does all that can be done without time passing.
    fn settle(&mut self) {
        self.hear(None);
        for round in 0.. {
            assert!(round < 100_000, "the core never comes to rest: {:?}", self.producer);
            let mut moved = self.give_token();
            moved |= self.drain();
            moved |= self.compress();
            moved |= self.write();
            moved |= self.move_links();
            moved |= self.read();
            moved |= self.producer.has_output();
            moved |= self.producer.wants_compression() && !self.codec.rests;
            if !moved {
                break;
            }
        }
        let left = self.producer.internal_overlooked();
        let left = left.filter(|_| !(self.codec.rests && self.producer.wants_compression()));
        assert!(left.is_none(), "about to sleep over {}", left.unwrap_or_default());
        let asked = self.cluster.sasl_tally();
        assert!(
            !self.logs_in
                || asked.before.is_empty() && asked.between.is_empty() && asked.believed.is_empty(),
            "what nobody may say to a broker that asks who it is: {asked:?}"
        );
        self.look_inside();
    }

    /// Holds the core's slots against each other: at first each time, and then now and then, since it takes
    /// as long as there are slots.
    fn look_inside(&mut self) {
        self.rests += 1;
        if (self.rests < 10 || self.rests.is_multiple_of(16))
            && let Err((rule, slot)) = self.producer.internal_check()
        {
            panic!("within the core: {rule}, at slot {slot}: {:?}", self.producer);
        }
    }

    /// Holds what is handed back with an event against what the event is about.
    fn take_back(&mut self, settled: &BatchOutcome) {
        let payload = self.producer.payload(settled.batch);
        let bytes: Vec<u8> = payload.into_iter().flatten().flatten().copied().collect();
        let records = Records::new(&bytes).map(|record| record.expect("a record"));
        let kept = records.filter(|record| record.head.attributes & Payload::WITHDRAWN == 0);
        let back: Vec<u64> = kept.filter_map(|record| number(record.value)).collect();
        let keeps = settled.last && !matches!(settled.outcome, Outcome::Delivered { .. });
        let due = if keeps { self.ledger.records_of(settled) } else { Vec::new() };
        assert_eq!(back, due, "handed back with {settled:?}");
        self.returned.extend(back.into_iter().map(|id| (id, settled.outcome)));
    }

    fn drain(&mut self) -> bool {
        let mut moved = false;
        while let Some(output) = self.producer.poll_output() {
            moved = true;
            assert!(!self.closed, "after the last output: {output:?}");
            match output {
                Output::Connect(id) => self.dial(id),
                Output::Disconnect(id) => {
                    if matches!(self.sockets.get(&id), Some(Socket::Opening(..))) {
                        self.sockets.remove(&id);
                    }
                    self.hang_up(id, "by the client");
                }
                Output::Event(Event::BatchOutcome(settled)) => {
                    if !matches!(settled.outcome, Outcome::Delivered { .. }) {
                        self.last_failed = Some((settled, self.producer.last_error(settled.batch)));
                    }
                    if let Outcome::Delivered { base_offset, .. } = settled.outcome {
                        self.last_base_offset = base_offset;
                    }
                    if let Outcome::Delivered { log_append_time: Some(time), .. } = settled.outcome
                    {
                        self.last_append_time = Some(time);
                    }
                    if self.ignore_verdicts {
                        continue;
                    }
                    if matches!(settled.outcome, Outcome::NotDelivered(_)) {
                        self.tap.denied(&self.ledger.records_of(&settled));
                    }
                    if let Some(trace) = &self.trace {
                        let ids = self.ledger.records_of(&settled);
                        trace.borrow_mut().said(self.now, &ids, &settled);
                    }
                    self.take_back(&settled);
                    self.ledger.settled(self.now, &settled, &self.cluster);
                }
                Output::Event(event) => {
                    self.tell(Lane::Client, Tone::Faint, || {
                        if let Event::Disconnected { cause, .. } = &event {
                            format!("is told that a connection ended: {cause}")
                        } else {
                            format!("is told: {event:?}")
                        }
                    });
                    self.events.push((self.now, event));
                }
                Output::Closed => {
                    self.tell(Lane::Client, Tone::Plain, || "closed".to_owned());
                    self.closed = true;
                    assert!(self.sockets.is_empty(), "connections outlive the last output");
                }
                Output::WantToken => self.want_token(),
                other => panic!("output {other:?}"),
            }
        }
        assert!(!self.producer.has_output(), "no output was told, and there is one");
        moved
    }

    fn dial(&mut self, id: ConnId) {
        self.dials.push(self.now);
        let address = self.producer.address(id).expect("a connection to be opened has an address");
        assert!(!address.host.is_empty() && address.port > 0, "a dial to nowhere: {address:?}");
        let to = (address.host.to_owned(), address.port);
        if self.sockets.len() >= self.descriptors {
            self.producer.handle_disconnected(self.now, id, Disconnect::Exhausted);
            return;
        }
        let mut nodes = self.cluster.nodes();
        let node = nodes.find(|node| self.cluster.address(*node) == Some((&to.0, to.1)));
        drop(nodes);
        let wait = 2 * self.latency();
        match node {
            Some(node) => {
                let at = Instant::from_micros(self.now.as_micros() + wait);
                self.sockets.insert(id, Socket::Opening(at, node));
            }
            None => self.producer.handle_disconnected(self.now, id, Disconnect::Refused),
        }
    }

    fn write(&mut self) -> bool {
        let mut moved = false;
        // Those that the core names, and those that did not take all of what they were given.
        let mut ids: Vec<ConnId> = self.sockets.keys().copied().collect();
        ids.retain(|id| self.producer.pending_write(*id).next().is_some());
        while let Some(id) = self.producer.poll_writable(self.now) {
            ids.push(id);
        }
        ids.sort_unstable();
        for id in ids {
            while self.producer.prepare_write(self.now, id) {
                let Some(len) = self.write_some(id) else { break };
                moved = true;
                self.producer.handle_written(self.now, id, len);
                let cut = match self.sockets.get(&id) {
                    Some(Socket::Open(link)) => link.cut_after == Some(0),
                    _ => false,
                };
                if cut {
                    self.cut(id);
                    // What that settled is heard before anything else is written.
                    return true;
                }
            }
        }
        moved
    }

    /// Writes what the socket accepts; `None` where it accepts nothing.
    fn write_some(&mut self, id: ConnId) -> Option<usize> {
        let latency = self.latency();
        let Some(Socket::Open(link)) = self.sockets.get_mut(&id) else { return None };
        assert!(
            !self.producer.internal_is_too_late(id),
            "something begins to be said after the session is over"
        );
        if self.portion.is_some() && (link.is_staging() || link.untold > 0) {
            return None;
        }
        let mut offered = Vec::new();
        for piece in self.producer.pending_write(id) {
            offered.extend_from_slice(piece);
        }
        let place = Place { conn: id, node: link.server.node() };
        let view = View { cluster: &self.cluster, ledger: &self.ledger };
        if link.stalled(self.now).is_some() {
            self.tap.writes(self.now, place, &offered, 0, view);
            return None;
        }
        if self.weather.stalls > 0 && self.dice.once_in(self.weather.stalls) {
            let pause = self.dice.roll(100, 30_000);
            link.stalled_until = Instant::from_micros(self.now.as_micros() + pause);
            self.tap.writes(self.now, place, &offered, 0, view);
            return None;
        }
        if let Some(portion) = self.portion {
            return self.encrypt(id, place, &offered, portion);
        }
        let mut room = link.accepts(&self.weather);
        if self.weather.accepts != usize::MAX && room > 0 {
            room = self.dice.roll(1, room as u64) as usize;
        }
        if let Some(left) = link.cut_after {
            room = room.min(left);
        }
        let bytes = offered[..room.min(offered.len())].to_vec();
        self.tap.writes(self.now, place, &offered, bytes.len(), view);
        if let Some(trace) = &self.trace
            && !bytes.is_empty()
        {
            trace.borrow_mut().wrote(self.now, id, &offered, bytes.len(), &self.tap);
        }
        if let Some(left) = &mut link.cut_after {
            *left -= bytes.len();
        }
        if bytes.is_empty() {
            return (link.cut_after == Some(0)).then_some(0);
        }
        let len = bytes.len();
        self.sent += len as u64;
        link.send_up(Instant::from_micros(self.now.as_micros() + latency), bytes);
        Some(len)
    }

    /// Encrypts at most a portion; nothing that was encrypted before waits.
    fn encrypt(
        &mut self,
        id: ConnId,
        place: Place,
        offered: &[u8],
        portion: usize,
    ) -> Option<usize> {
        let Some(Socket::Open(link)) = self.sockets.get_mut(&id) else { return None };
        let len = offered.len().min(portion);
        let view = View { cluster: &self.cluster, ledger: &self.ledger };
        let told = if self.counts_accepted { 0 } else { len };
        self.tap.writes(self.now, place, offered, told, view);
        if let Some(trace) = &self.trace {
            trace.borrow_mut().wrote(self.now, id, offered, told, &self.tap);
        }
        self.sent += len as u64;
        link.stage(self.now, offered[..len].to_vec());
        if self.counts_accepted {
            link.untold = len;
            return None;
        }
        Some(len)
    }

    /// What is encrypted goes out as far as the sockets accept it.
    fn flush_links(&mut self) -> bool {
        if self.portion.is_none() {
            return false;
        }
        let mut moved = false;
        let ids: Vec<ConnId> = self.sockets.keys().copied().collect();
        for id in ids {
            let latency = self.latency();
            let Some(Socket::Open(link)) = self.sockets.get_mut(&id) else { continue };
            if link.flush_at() > self.now || link.stalled(self.now).is_some() {
                continue;
            }
            let mut room = link.accepts(&self.weather).min(link.staged());
            if self.weather.accepts != usize::MAX && room > 0 {
                room = self.dice.roll(1, room as u64) as usize;
            }
            room = link.cut_after.map_or(room, |left| room.min(left));
            let later = |micros| Instant::from_micros(self.now.as_micros() + micros);
            link.flush(later(latency), room, later(self.dice.roll(10, 3_000)));
            moved |= room > 0;
            if let Some(left) = &mut link.cut_after {
                *left -= room;
                if *left == 0 {
                    self.cut(id);
                    return true;
                }
            }
            if !link.is_staging() && link.untold > 0 {
                let len = core::mem::take(&mut link.untold);
                self.producer.handle_written(self.now, id, len);
            }
        }
        moved
    }

    fn move_links(&mut self) -> bool {
        let mut moved = self.flush_links();
        let ids: Vec<ConnId> = self.sockets.keys().copied().collect();
        for id in ids {
            let latency = self.latency();
            match self.sockets.get_mut(&id) {
                Some(Socket::Opening(at, node)) if *at <= self.now => {
                    let node = *node;
                    if self.unreachable.contains(&node) {
                        *at = Instant::NEVER;
                        self.tell(Lane::Network, Tone::Faint, || {
                            format!("a connection to broker {node} hangs: it is unreachable")
                        });
                    } else if self.cluster.is_up(node) {
                        let link = Box::new(Link::new(&self.cluster, node, Some(id)));
                        self.sockets.insert(id, Socket::Open(link));
                        if let Some(trace) = &self.trace {
                            trace.borrow_mut().opened(self.now, id, node);
                        }
                        self.producer.handle_connected(self.now, id);
                    } else {
                        self.sockets.remove(&id);
                        self.tell(Lane::Network, Tone::Faint, || {
                            format!("a connection to broker {node} is refused: it is down")
                        });
                        self.producer.handle_disconnected(self.now, id, Disconnect::Refused);
                    }
                    moved = true;
                }
                Some(Socket::Open(link)) => {
                    moved |= link.advance(&mut self.cluster, self.now, latency);
                    self.largest_response = self.largest_response.max(link.largest_response);
                    self.hear(Some(id));
                }
                _ => {}
            }
        }
        for place in 0..self.ghosts.len() {
            self.ghosts[place].advance(&mut self.cluster, self.now, 0);
            self.hear(self.ghosts[place].id);
        }
        self.ghosts.retain(|link| !link.is_over());
        moved
    }

    fn read(&mut self) -> bool {
        let mut moved = false;
        let ids: Vec<ConnId> = self.sockets.keys().copied().collect();
        for id in ids {
            while self.producer.wants_read(id) {
                let Some(Socket::Open(link)) = self.sockets.get_mut(&id) else { break };
                let window = self.producer.rx_buffer(id);
                let most = self.weather.arrives.min(window.len()).min(link.inbox.len());
                if most > 0 {
                    for (slot, byte) in window.iter_mut().zip(link.inbox.drain(..most)) {
                        *slot = byte;
                    }
                    self.tap.reads(self.now, id, &window[..most]);
                    if let Some(trace) = &self.trace {
                        trace.borrow_mut().read(self.now, id, &window[..most], &self.tap);
                    }
                    let (ledger, remarks) = (&self.ledger, &mut self.remarks);
                    self.producer.handle_received_with(self.now, id, most, &mut |remark| {
                        let ids = ledger.numbers(remark.batch, remark.first, remark.records);
                        remarks.push((ids, remark.text.to_string()));
                    });
                    moved = true;
                } else {
                    assert!(link.inbox.is_empty() || !window.is_empty(), "no room to read into");
                    if link.eof && link.inbox.is_empty() {
                        self.sockets.remove(&id);
                        self.tap.closed(id);
                        if let Some(trace) = &self.trace {
                            trace.borrow_mut().closed(self.now, id, "by the broker");
                        }
                        self.producer.handle_disconnected(self.now, id, Disconnect::Eof);
                        moved = true;
                    }
                    break;
                }
            }
        }
        moved
    }

    fn next_event(&self) -> Instant {
        let core = self.producer.poll_timeout().map_or(Instant::NEVER, |(at, _)| at);
        let sockets = self.sockets.values().map(|socket| match socket {
            Socket::Opening(at, _) => *at,
            Socket::Open(link) => {
                let stalled = link.stalled(self.now).unwrap_or(Instant::NEVER);
                link.next(&self.cluster).min(stalled).min(link.flush_at())
            }
        });
        let ghosts = self.ghosts.iter().map(|link| link.next(&self.cluster));
        // What is due already is due now: time does not stand still over it.
        let next = sockets.chain(ghosts).fold(core.min(self.tokens.next()), Instant::min);
        let next = next.min(self.codec.next());
        if next <= self.now { Instant::from_micros(self.now.as_micros() + 1) } else { next }
    }
}
