//! The core and a model of a Kafka cluster on virtual time, without sockets, threads or a clock: a minute of an
//! application passes in some milliseconds, and the same way each time. For tests of what an application
//! does while a broker is silent or away.
//!
//! `cargo run -p ottla-examples --example virtual_time`

use std::{collections::BTreeMap, time::Duration};

use ottla_core::{
    Backlog, Config, ConnId, Disconnect, DropPolicy, Instant, Memory, Output, ProduceError,
    Producer, Record, Report, TopicId, TopicStatus, static_memory,
};
use ottla_model::{Cluster, ClusterConfig, Connection};

/// How long bytes are under way, in each direction.
const LATENCY: Duration = Duration::from_millis(1);

/// Memory for the producer; the simulation borrows it.
pub type Lent = static_memory! {
    connections: 2,
    brokers: 4,
    topics: 1,
    partitions: 4,
    batches: 16,
    pages: 16,
    page_size: 512,
    rx_window: 512,
    tx_window: 512,
    name: 64,
};

/// What is under way between the producer and a node.
enum Parcel {
    Connected(Box<Connection>),
    ToNode(Vec<u8>),
    ToProducer(Vec<u8>),
    Closed(Disconnect),
}

pub struct World<'m> {
    /// Free to be changed between two runs: freeze its nodes, stop them, inject faults.
    pub cluster: Cluster,
    pub producer: Producer<'m>,
    /// What was told of records, and when.
    pub told: Vec<(Instant, Report<u64>)>,
    /// How often a run loop would have woken.
    pub turns: u64,
    backlog: Backlog<u64, 256>,
    topic: TopicId,
    now: Instant,
    lines: BTreeMap<ConnId, Box<Connection>>,
    /// By when they arrive, and in the order in which they were sent.
    parcels: BTreeMap<(Instant, u64), (ConnId, Parcel)>,
    sent: u64,
    start_ms: i64,
}

impl<'m> World<'m> {
    /// A cluster of one node with a topic of two partitions, and a producer that has not begun.
    pub fn new(memory: Memory<'m>, topic: &str, seed: u64) -> Self {
        let mut cluster = Cluster::new(ClusterConfig::with_nodes(1));
        cluster.create_topic(topic, 2).expect("a topic's name");
        let start_ms = cluster.now_ms(Duration::ZERO);
        let (host, port) = cluster.address(1).expect("the first node");
        let bootstrap = format!("{host}:{port}");
        let config = Config { bootstrap_servers: &bootstrap, ..Config::default() };
        let config = Config { batch_size: 1_024, max_request_size: 4_096, ..config };
        let mut producer = Producer::new(&config, memory, seed).expect("a sound configuration");
        producer.set_wall_clock(Instant::ZERO, Some(start_ms));
        let topic = producer.topic(Instant::ZERO, topic).expect("a topic's name");
        Self {
            cluster,
            producer,
            told: Vec::new(),
            turns: 0,
            backlog: Backlog::new(DropPolicy::NewestFirst),
            topic,
            now: Instant::ZERO,
            lines: BTreeMap::new(),
            parcels: BTreeMap::new(),
            sent: 0,
            start_ms,
        }
    }

    /// Whether the topic can be written to.
    pub fn is_ready(&self) -> bool {
        matches!(self.producer.topic_status(self.topic), Some(TopicStatus::Ready { .. }))
    }

    /// Produces a record.
    pub fn produce(
        &mut self,
        token: u64,
        value: &[u8],
        timeout: Option<Duration>,
    ) -> Result<(), ProduceError> {
        let timestamp = self.start_ms + (self.now.as_micros() / 1_000) as i64;
        let record = Record { value: Some(value), timestamp, ..Record::default() };
        self.backlog.produce(&mut self.producer, self.now, self.topic, &record, token, timeout)
    }

    /// Gives a record up; what is true of it is told.
    pub fn cancel(&mut self, token: u64) {
        let _ = self.backlog.cancel(&mut self.producer, self.now, &token);
    }

    /// Lets that much time pass.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        loop {
            self.drain();
            self.serve();
            // Time jumps to whatever comes first.
            let due = self.producer.poll_timeout().map_or(Instant::NEVER, |(at, _)| at);
            let due = due.min(self.backlog.poll_timeout());
            let parcel = self.parcels.keys().next().map_or(Instant::NEVER, |(at, _)| *at);
            let held = self.lines.values().filter_map(|line| line.poll_timeout(&self.cluster));
            let held = held.min().map_or(Instant::NEVER, |at| Instant::ZERO.after(at));
            let next = due.min(parcel).min(held);
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            self.turns += 1;
            while let Some(entry) = self.parcels.first_entry().filter(|e| e.key().0 <= self.now) {
                let (conn, parcel) = entry.remove();
                self.arrive(conn, parcel);
            }
            self.producer.handle_timeout(self.now);
            self.backlog.handle_timeout(&mut self.producer, self.now);
        }
    }

    /// What the producer wants to be done.
    fn drain(&mut self) {
        while self.producer.needs_service() {
            while let Some(output) = self.producer.poll_output() {
                match output {
                    Output::Connect(conn) => {
                        let node = self.producer.address(conn).and_then(|to| {
                            let here = (to.host, to.port);
                            self.cluster.nodes().find(|n| self.cluster.address(*n) == Some(here))
                        });
                        let line = node.map(|node| Box::new(Connection::new(&self.cluster, node)));
                        let parcel = match line.filter(|line| !line.is_closed()) {
                            Some(line) => Parcel::Connected(line),
                            None => Parcel::Closed(Disconnect::Refused),
                        };
                        self.send(conn, parcel);
                    }
                    Output::Disconnect(conn) => {
                        // What was sent is still handled; see `Connection::handle_eof` for stragglers.
                        self.lines.remove(&conn);
                    }
                    Output::Event(event) => self.backlog.handle_event(&self.producer, &event),
                    _ => {}
                }
            }
            while let Some(conn) = self.producer.poll_writable(self.now) {
                while self.producer.prepare_write(self.now, conn) {
                    let bytes: Vec<u8> =
                        self.producer.pending_write(conn).flatten().copied().collect();
                    self.producer.handle_written(self.now, conn, bytes.len());
                    self.send(conn, Parcel::ToNode(bytes));
                }
            }
        }
        self.producer.debug_assert_at_rest();
        let now = self.now;
        self.told
            .extend(core::iter::from_fn(|| self.backlog.poll_report()).map(|told| (now, told)));
    }

    /// What the nodes have to say.
    fn serve(&mut self) {
        let now = Duration::from_micros(self.now.as_micros());
        let mut parcels = Vec::new();
        for (conn, line) in &mut self.lines {
            line.advance(&mut self.cluster, now);
            while line.wants_write() {
                parcels.push((*conn, Parcel::ToProducer(line.take_transmit())));
                line.advance(&mut self.cluster, now);
            }
            if line.is_closed() {
                parcels.push((*conn, Parcel::Closed(Disconnect::Eof)));
            }
        }
        self.lines.retain(|_, line| !line.is_closed());
        parcels.into_iter().for_each(|(conn, parcel)| self.send(conn, parcel));
    }

    fn send(&mut self, conn: ConnId, parcel: Parcel) {
        self.sent += 1;
        self.parcels.insert((self.now.after(LATENCY), self.sent), (conn, parcel));
    }

    fn arrive(&mut self, conn: ConnId, parcel: Parcel) {
        match parcel {
            Parcel::Connected(line) => {
                // Where the core has given it up meanwhile, this is ignored.
                self.producer.handle_connected(self.now, conn);
                if self.producer.wants_read(conn) {
                    self.lines.insert(conn, line);
                }
            }
            Parcel::ToNode(bytes) => {
                if let Some(line) = self.lines.get_mut(&conn) {
                    let now = Duration::from_micros(self.now.as_micros());
                    line.receive(&mut self.cluster, now, &bytes);
                }
            }
            Parcel::ToProducer(bytes) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let room = self.producer.rx_buffer(conn);
                    let len = room.len().min(rest.len());
                    if len == 0 {
                        return;
                    }
                    room[..len].copy_from_slice(&rest[..len]);
                    self.producer.handle_received(self.now, conn, len);
                    rest = &rest[len..];
                }
            }
            Parcel::Closed(cause) => self.producer.handle_disconnected(self.now, conn, cause),
        }
    }
}

fn main() {
    let mut memory = Lent::new();
    let mut world = World::new(memory.lend(), "readings", 42);
    world.pass(Duration::from_secs(1));
    world.cluster.freeze(1).expect("the first node");
    for token in 0..4 {
        let taken = world.produce(token, b"21.5", Some(Duration::from_millis(300)));
        taken.expect("room for four records");
        world.pass(Duration::from_millis(20));
    }
    world.pass(Duration::from_secs(2));
    world.cluster.thaw(1).expect("the first node");
    world.pass(Duration::from_secs(60));
    for (at, report) in &world.told {
        println!("{:>8} us: {report:?}", at.as_micros());
    }
    println!("a minute took {} turns", world.turns);
}
