//! A producer of which every step is taken by hand, against the model broker, in memory.

use core::time::Duration;

use ottla_core::{
    BatchOutcome, Config, ConnId, Event, Instant, Limits, Memory, Output, Producer, Record, Ticket,
    TopicId, TopicStatus,
};
use ottla_model::{Cluster, ClusterConfig, Connection, Storage};

/// How the producer is to be.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Partitions of the topic that is written to.
    pub partitions: u32,
    /// Partitions of a topic that nothing is written to; none where 0.
    pub idle: u32,
    /// `batch.size`.
    pub batch_size: u32,
    /// `buffer.memory`.
    pub buffer_memory: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { partitions: 6, idle: 0, batch_size: 16_384, buffer_memory: 32 << 20 }
    }
}

/// A producer, one broker, and the connections between them. Time stands still.
#[derive(Debug)]
pub struct Rig {
    /// The producer.
    pub producer: Producer<'static>,
    /// The topic that is written to.
    pub topic: TopicId,
    cluster: Cluster,
    links: Vec<(ConnId, Connection)>,
}

/// The time at which everything happens.
pub const NOW: Instant = Instant::from_micros(1_000_000);

impl Rig {
    /// A producer that is connected and knows its topics.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let config = Config {
            bootstrap_servers: "model-1:9092",
            linger: Duration::from_secs(3_600),
            batch_size: shape.batch_size,
            buffer_memory: shape.buffer_memory,
            checksum: crc32c::crc32c_append,
            ..Config::default()
        };
        let memory = Memory::heap(Limits::for_config(&config));
        let mut producer = Producer::new(&config, memory, 42).expect("a sound configuration");
        let storage = Storage::Newest { bytes: 4 << 20 };
        let mut cluster = Cluster::new(ClusterConfig { storage, ..ClusterConfig::default() });
        cluster.create_topic("busy", shape.partitions).expect("a topic");
        let topic = producer.topic(NOW, "busy").expect("a topic");
        let idle = (shape.idle > 0).then(|| {
            cluster.create_topic("idle", shape.idle).expect("a topic");
            producer.topic(NOW, "idle").expect("a topic")
        });
        let mut rig = Self { producer, topic, cluster, links: Vec::new() };
        for topic in idle.into_iter().chain([topic]) {
            for _ in 0..20 {
                rig.turn();
            }
            let status = rig.producer.topic_status(topic);
            assert!(matches!(status, Some(TopicStatus::Ready { .. })), "{status:?}");
        }
        // The first batch of each partition is alone in flight; those after it need not wait.
        for partition in 0..shape.partitions {
            rig.produce(Some(partition as i32), 8);
        }
        rig.settle();
        rig
    }

    /// Produces a record of `len` bytes.
    ///
    /// # Panics
    /// Where the producer does not take it.
    pub fn produce(&mut self, partition: Option<i32>, len: usize) -> Ticket {
        const VALUE: [u8; 10_000] = [7; 10_000];
        let record = Record { value: VALUE.get(..len), partition, ..Record::default() };
        self.producer.produce(NOW, self.topic, &record).expect("room")
    }

    /// Produces so many records of so many bytes in one call.
    ///
    /// # Panics
    /// Where the producer does not take them.
    pub fn produce_all(&mut self, count: usize, len: usize) {
        const VALUE: [u8; 10_000] = [7; 10_000];
        let record = Record { value: VALUE.get(..len), ..Record::default() };
        let records = core::iter::repeat_n(record, count);
        let taken = |ticket: Ticket| {
            core::hint::black_box(ticket);
        };
        self.producer.produce_all(NOW, self.topic, records, taken).expect("room");
    }

    /// The connection that next has something to write.
    pub fn compose(&mut self) -> Option<ConnId> {
        self.producer.poll_writable(NOW)
    }

    /// Has the socket accept all of a connection's request. What was written is not handed on.
    pub fn transmit(&mut self, conn: ConnId) -> usize {
        let len = self.lent(conn);
        self.producer.handle_written(NOW, conn, len);
        len
    }

    /// How many bytes a connection's request has, as it is lent for writing.
    pub fn lent(&self, conn: ConnId) -> usize {
        self.producer.pending_write(conn).map(core::hint::black_box).map(<[u8]>::len).sum()
    }

    /// Brings a connection's request to the broker and its answer back.
    pub fn finish(&mut self, conn: ConnId) {
        let answer = self.exchange(conn);
        self.receive(conn, &answer);
    }

    /// Brings a connection's request to the broker, and returns its answer.
    pub fn exchange(&mut self, conn: ConnId) -> Vec<u8> {
        let mut request = Vec::new();
        self.producer.pending_write(conn).for_each(|piece| request.extend_from_slice(piece));
        self.producer.handle_written(NOW, conn, request.len());
        let time = Duration::from_micros(NOW.as_micros());
        let link = self.links.iter_mut().find(|(id, _)| *id == conn);
        let Some((_, link)) = link else { return Vec::new() };
        link.receive(&mut self.cluster, time, &request);
        link.take_transmit()
    }

    /// Has a connection receive an answer.
    pub fn receive(&mut self, conn: ConnId, mut answer: &[u8]) {
        while !answer.is_empty() {
            let window = self.producer.rx_buffer(conn);
            let (head, tail) = answer.split_at(window.len().min(answer.len()));
            window[..head.len()].copy_from_slice(head);
            self.producer.handle_received(NOW, conn, head.len());
            answer = tail;
        }
    }

    /// Takes the next batch that was settled.
    pub fn settled(&mut self) -> Option<BatchOutcome> {
        loop {
            match self.producer.poll_output()? {
                Output::Event(Event::BatchOutcome(settled)) => return Some(settled),
                Output::Connect(conn) => {
                    self.links.push((conn, Connection::new(&self.cluster, 1)));
                    self.producer.handle_connected(NOW, conn);
                }
                Output::Disconnect(_) | Output::Event(_) | Output::Closed | _ => {}
            }
        }
    }

    /// Goes on until every record has its outcome.
    ///
    /// # Panics
    /// Where that takes too long.
    pub fn settle(&mut self) {
        self.producer.flush(NOW);
        for place in 0..self.links.len() {
            // A request may be under way.
            self.finish(self.links[place].0);
        }
        for _ in 0..1_000 {
            self.turn();
            if self.producer.stats().batches == 0 {
                return;
            }
        }
        panic!("not settled: {:?}", self.producer.stats());
    }

    /// Does all that is to be done now.
    pub fn turn(&mut self) {
        while let Some(conn) = self.compose() {
            self.finish(conn);
        }
        if self.producer.poll_timeout().is_some_and(|(at, _)| at <= NOW) {
            self.producer.handle_timeout(NOW);
        }
        while self.settled().is_some() {}
    }
}
