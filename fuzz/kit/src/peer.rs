//! A broker to speak to, over plain TCP.

use core::{fmt, net::SocketAddr, time::Duration};
use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    thread,
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    batch::{ReadBatch, read_batches},
    messages::{
        Api, Direction, Frame, Response, Struct, Value, VersionSpan, api, apis, decode_response,
    },
};

/// The largest answer that is read.
const MOST: usize = 64 << 20;
/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(3);
/// How long a topic may take until each of its partitions has a leader.
const TOPIC: Duration = Duration::from_secs(20);
/// The last version of Fetch that names topics.
const FETCH_BY_NAME: i16 = 12;

/// The versions of each API that may be spoken.
pub type Ranges = BTreeMap<i16, VersionSpan>;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A frame, without its size.
    Answer(Vec<u8>),
    /// The connection was closed.
    Closed,
    /// Nothing, in time.
    Silent,
    /// A frame was announced that is larger than any answer.
    TooLarge(u32),
}

/// How a broker is spoken to.
#[derive(Clone, Copy, Debug)]
pub struct Manners {
    /// How long it may take to answer.
    pub answer_within: Duration,
    /// Whether it may be on another machine, because whoever runs this has said that it is theirs.
    pub may_be_remote: bool,
}

/// A broker, or a cluster of them.
#[derive(Debug)]
pub struct Peer {
    name: String,
    seed: SocketAddr,
    manners: Manners,
    /// What the table has and it offers.
    ranges: Ranges,
    connections: BTreeMap<(SocketAddr, usize), TcpStream>,
    /// Where nodes are.
    nodes: BTreeMap<i64, SocketAddr>,
    controller: i64,
    topics: BTreeMap<String, Topic>,
    correlation_id: i32,
}

#[derive(Clone, Debug, Default)]
struct Topic {
    id: [u8; 16],
    leaders: BTreeMap<i32, SocketAddr>,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Peer {
    /// Connects, and asks what is spoken.
    ///
    /// # Errors
    /// There is nobody, nobody who speaks Kafka, or it is on another machine and may not be.
    pub fn new(address: &str, name: &str, manners: Manners) -> Result<Self> {
        let mut addresses = address.to_socket_addrs().with_context(|| address.to_owned())?;
        let seed = addresses.next().with_context(|| format!("{address} has no address"))?;
        let mut peer = Self {
            name: name.to_owned(),
            seed,
            manners,
            ranges: Ranges::new(),
            connections: BTreeMap::new(),
            nodes: BTreeMap::new(),
            controller: -1,
            topics: BTreeMap::new(),
            correlation_id: 0,
        };
        peer.admit(seed)?;
        let versions = api("ApiVersions").context("the table has no ApiVersions")?;
        let told = peer.ask(versions, 0, Struct::default(), seed, 0)?;
        for told in told.structs("api_keys") {
            let Some(known) = apis().iter().find(|api| i64::from(api.key) == told.int("api_key"))
            else {
                continue;
            };
            let bound = |name| i16::try_from(told.int(name)).unwrap_or(-1);
            let offered = VersionSpan { min: bound("min_version"), max: bound("max_version") };
            if let Some(both) = known.versions.meet(offered) {
                peer.ranges.insert(known.key, both);
            }
        }
        ensure!(
            peer.ranges.contains_key(&0) && peer.ranges.contains_key(&3),
            "{address} offers no version of Produce and Metadata that is known here"
        );
        peer.find_nodes()?;
        Ok(peer)
    }

    /// What the table has and it offers.
    #[must_use]
    pub const fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    /// Where it was found.
    #[must_use]
    pub const fn seed(&self) -> SocketAddr {
        self.seed
    }

    /// The id of a topic that was made; zeros where it has none.
    #[must_use]
    pub fn topic_id(&self, topic: &str) -> [u8; 16] {
        self.topics.get(topic).map_or([0; 16], |topic| topic.id)
    }

    /// Who leads a partition of a topic that was made.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: i32) -> SocketAddr {
        let topic = self.topics.get(topic);
        topic.and_then(|topic| topic.leaders.get(&partition)).copied().unwrap_or(self.seed)
    }

    /// The ids of all nodes.
    #[must_use]
    pub fn node_ids(&self) -> Vec<i32> {
        self.nodes.keys().filter_map(|id| i32::try_from(*id).ok()).collect()
    }

    /// A number for the next request.
    pub const fn next_correlation_id(&mut self) -> i32 {
        self.correlation_id = self.correlation_id.wrapping_add(1) & i32::MAX;
        self.correlation_id
    }

    fn admit(&self, address: SocketAddr) -> Result<()> {
        ensure!(
            self.manners.may_be_remote || address.ip().is_loopback(),
            "{address} is not on this machine; --it-is-mine says that the broker is your own"
        );
        Ok(())
    }

    /// Sends bytes on one of the connections to a node, and returns what comes back. A connection that was closed, or on
    /// which nothing came, is opened anew the next time.
    ///
    /// # Errors
    /// The node cannot be connected to.
    pub fn exchange(
        &mut self,
        node: SocketAddr,
        connection: usize,
        bytes: &[u8],
        within: Duration,
    ) -> Result<Reply> {
        let key = (node, connection);
        if !self.connections.contains_key(&key) {
            self.admit(node)?;
            let stream = TcpStream::connect_timeout(&node, CONNECT)
                .with_context(|| format!("connecting to {node}"))?;
            stream.set_nodelay(true)?;
            self.connections.insert(key, stream);
        }
        let Some(stream) = self.connections.get_mut(&key) else {
            bail!("no connection");
        };
        let reply = exchange(stream, bytes, within);
        if !matches!(reply, Reply::Answer(_)) {
            self.connections.remove(&key);
        }
        Ok(reply)
    }

    /// The same where no answer is awaited.
    ///
    /// # Errors
    /// As [`exchange`](Self::exchange).
    pub fn send(&mut self, node: SocketAddr, connection: usize, bytes: &[u8]) -> Result<()> {
        // A request that is answered at once afterwards opens the connection, if there is none.
        self.ping(node, connection)?;
        if let Some(stream) = self.connections.get_mut(&(node, connection))
            && stream.write_all(bytes).is_err()
        {
            self.connections.remove(&(node, connection));
        }
        Ok(())
    }

    /// Closes a connection.
    pub fn hang_up(&mut self, node: SocketAddr, connection: usize) {
        self.connections.remove(&(node, connection));
    }

    /// Asks for versions on a connection, and returns whether there was an answer.
    ///
    /// # Errors
    /// As [`exchange`](Self::exchange).
    pub fn ping(&mut self, node: SocketAddr, connection: usize) -> Result<bool> {
        let versions = api("ApiVersions").context("the table has no ApiVersions")?;
        let correlation_id = self.next_correlation_id();
        let frame = request(versions, 0, correlation_id, Struct::default());
        let within = self.manners.answer_within;
        let reply = self.exchange(node, connection, &frame.encode().bytes, within)?;
        let Reply::Answer(bytes) = reply else {
            return Ok(false);
        };
        let answers = decode_response(versions, 0, &bytes);
        Ok(answers.is_ok_and(|answer| answer.correlation_id == correlation_id))
    }

    /// Asks something that is to be answered.
    ///
    /// # Errors
    /// There was no answer, or one that cannot be read.
    pub fn ask(
        &mut self,
        api: &'static Api,
        version: i16,
        body: Struct,
        node: SocketAddr,
        connection: usize,
    ) -> Result<Struct> {
        let correlation_id = self.next_correlation_id();
        let frame = request(api, version, correlation_id, body);
        let within = self.manners.answer_within;
        let what = format!("{} v{version}", api.name);
        match self.exchange(node, connection, &frame.encode().bytes, within)? {
            Reply::Answer(bytes) => {
                let Response { body, .. } =
                    decode_response(api, version, &bytes).with_context(|| what.clone())?;
                Ok(body)
            }
            Reply::Closed => bail!("{what}: the connection was closed"),
            Reply::Silent => bail!("{what}: no answer within {within:?}"),
            Reply::TooLarge(size) => bail!("{what}: an answer of {size} bytes"),
        }
    }

    fn highest(&self, name: &str, most: i16) -> Option<(&'static Api, i16)> {
        let api = api(name)?;
        let range = self.ranges.get(&api.key)?.meet(VersionSpan { min: 0, max: most })?;
        Some((api, range.max))
    }

    fn metadata(&mut self, topics: Value, create: bool) -> Result<Struct> {
        let (api, version) = self.highest("Metadata", i16::MAX).context("no Metadata")?;
        let body = Struct::of([
            ("topics", topics),
            ("allow_auto_topic_creation", i64::from(create).into()),
        ]);
        let told = self.ask(api, version, body, self.seed, 0)?;
        for node in told.structs("brokers") {
            let address = format!("{}:{}", bare(&node.text("host")), node.int("port"));
            let mut addresses = address.to_socket_addrs().with_context(|| address.clone())?;
            let address = addresses.next().with_context(|| format!("{address} has no address"))?;
            self.admit(address)?;
            self.nodes.insert(node.int("node_id"), address);
        }
        self.controller = told.int("controller_id");
        Ok(told)
    }

    fn find_nodes(&mut self) -> Result<()> {
        // An array of none asks for the brokers alone, from version 1 on.
        self.metadata(Value::Array(Vec::new()), false).map(|_| ())
    }

    /// Makes a topic, by CreateTopics or, where that is not offered, by asking for it, and waits until it is led.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create_topic(&mut self, name: &str, partitions: i32) -> Result<()> {
        let by_asking = if let Some((api, version)) = self.highest("CreateTopics", i16::MAX) {
            let topic = Struct::of([
                ("name", name.into()),
                ("num_partitions", i64::from(partitions).into()),
                ("replication_factor", 1.into()),
            ]);
            let body = Struct::of([
                ("topics", Value::Array(vec![Value::Struct(topic)])),
                ("timeout_ms", 10_000.into()),
            ]);
            let controller = self.nodes.get(&self.controller).copied().unwrap_or(self.seed);
            let told = self.ask(api, version, body, controller, 0)?;
            for topic in told.structs("topics") {
                let error = topic.int("error_code");
                ensure!(
                    error == 0,
                    "creating {name}: error {error} {}",
                    topic.text("error_message")
                );
            }
            false
        } else {
            true
        };
        let begin = Instant::now();
        loop {
            let topic = Struct::of([("name", name.into())]);
            let told = self.metadata(Value::Array(vec![Value::Struct(topic)]), by_asking)?;
            let nodes = self.nodes.clone();
            if let Some(topic) = told.structs("topics").find(|topic| topic.text("name") == name) {
                let leaders: BTreeMap<i32, SocketAddr> = topic
                    .structs("partitions")
                    .filter(|partition| partition.int("error_code") == 0)
                    .filter_map(|partition| {
                        let index = i32::try_from(partition.int("partition_index")).ok()?;
                        Some((index, *nodes.get(&partition.int("leader_id"))?))
                    })
                    .collect();
                let id = match topic.get("topic_id") {
                    Some(Value::Uuid(id)) => *id,
                    _ => [0; 16],
                };
                let led = i32::try_from(leaders.len()).unwrap_or(0);
                let indices: Vec<i32> = leaders.keys().copied().collect();
                self.topics.insert(name.to_owned(), Topic { id, leaders });
                // Who leads may be the last one to hear of it.
                let ready = |peer: &mut Self, index: &i32| {
                    !peer.can_be_read() || peer.read_log(name, *index, 0).is_ok()
                };
                if led > 0
                    && (led == partitions || by_asking)
                    && indices.iter().all(|index| ready(self, index))
                {
                    return Ok(());
                }
            }
            ensure!(begin.elapsed() < TOPIC, "{name} has no leaders after {TOPIC:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// How many partitions a topic that was made has.
    #[must_use]
    pub fn partitions(&self, topic: &str) -> i32 {
        let leaders = self.topics.get(topic).map_or(0, |topic| topic.leaders.len());
        i32::try_from(leaders).unwrap_or(i32::MAX)
    }

    /// Deletes all topics whose names begin like this, where that is offered. Returns how many are left.
    ///
    /// # Errors
    /// There was no answer.
    pub fn delete_topics(&mut self, prefix: &str) -> Result<usize> {
        let told = self.metadata(Value::Null, false)?;
        let names = told.structs("topics").map(|topic| topic.text("name"));
        let names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
        let Some((api, version)) = self.highest("DeleteTopics", 5) else {
            return Ok(names.len());
        };
        let controller = self.nodes.get(&self.controller).copied().unwrap_or(self.seed);
        let names = Value::Array(names.iter().map(|name| name.as_str().into()).collect());
        let body = Struct::of([("topic_names", names), ("timeout_ms", 10_000.into())]);
        let told = self.ask(api, version, body, controller, 0)?;
        Ok(told.structs("responses").filter(|topic| topic.int("error_code") != 0).count())
    }

    /// A new producer id.
    ///
    /// # Errors
    /// None was given.
    pub fn new_producer(&mut self) -> Result<i64> {
        let (api, version) =
            self.highest("InitProducerId", i16::MAX).context("no InitProducerId")?;
        let begin = Instant::now();
        loop {
            let body = Struct::of([
                ("transactional_id", Value::Null),
                ("transaction_timeout_ms", 60_000.into()),
            ]);
            let told = self.ask(api, version, body, self.seed, 0)?;
            match told.int("error_code") {
                0 => return Ok(told.int("producer_id")),
                // It is still beginning.
                14 | 15 if begin.elapsed() < TOPIC => thread::sleep(Duration::from_millis(50)),
                error => bail!("InitProducerId: error {error}"),
            }
        }
    }

    /// Whether logs can be read back.
    #[must_use]
    pub fn can_be_read(&self) -> bool {
        self.highest("Fetch", FETCH_BY_NAME).is_some()
    }

    /// Reads a partition from an offset on to its end, which is returned as well.
    ///
    /// # Errors
    /// It cannot be read: no answer, an error, or an answer with no progress.
    pub fn read_log(
        &mut self,
        topic: &str,
        partition: i32,
        from: i64,
    ) -> Result<(Vec<ReadBatch>, i64)> {
        let (api, version) = self.highest("Fetch", FETCH_BY_NAME).context("no Fetch")?;
        let leader = self.leader(topic, partition);
        let (mut batches, mut next) = (Vec::<ReadBatch>::new(), from);
        loop {
            let asked = Struct::of([
                ("partition", i64::from(partition).into()),
                ("fetch_offset", next.into()),
                ("partition_max_bytes", (1 << 20).into()),
            ]);
            let partitions = Value::Array(vec![Value::Struct(asked)]);
            let asked = Struct::of([("topic", topic.into()), ("partitions", partitions)]);
            let body = Struct::of([
                ("replica_id", (-1).into()),
                ("min_bytes", 0.into()),
                ("max_bytes", (8 << 20).into()),
                ("session_epoch", (-1).into()),
                ("topics", Value::Array(vec![Value::Struct(asked)])),
            ]);
            let told = self.ask(api, version, body, leader, 0)?;
            let told = told.structs("topics").flat_map(|topic| topic.structs("partitions"));
            let told = told.last().context("Fetch tells of no partition")?.clone();
            let error = told.int("error_code");
            ensure!(error == 0, "reading {topic}-{partition} from {next}: error {error}");
            let end = told.int("high_watermark");
            let (read, _) = read_batches(told.get("records").map_or(&[], Value::bytes));
            // A batch that has the offset in its middle is told as a whole.
            let read = read.into_iter().filter(|batch| batch.next_offset() > next);
            let before = batches.len();
            batches.extend(read);
            next = batches.last().map_or(next, ReadBatch::next_offset);
            if next >= end {
                return Ok((batches, end));
            }
            ensure!(
                batches.len() > before,
                "{topic}-{partition} ends at {end}, and nothing can be read from {next} on"
            );
        }
    }
}

/// A request with the header that all have here.
#[must_use]
pub(crate) fn request(api: &'static Api, version: i16, correlation_id: i32, body: Struct) -> Frame {
    let client_id = Some("ottla-fuzz".to_owned());
    Frame { api, direction: Direction::Request, version, correlation_id, client_id, body }
}

/// A host of IPv6 as it stands in an address.
fn bare(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn exchange(stream: &mut TcpStream, bytes: &[u8], within: Duration) -> Reply {
    // What cannot be sent may have been answered all the same.
    let _ = stream.write_all(bytes);
    let until = Instant::now() + within;
    let mut size = [0; 4];
    if let Err(reply) = fill(stream, &mut size, until) {
        return reply;
    }
    let size = u32::from_be_bytes(size);
    let len = usize::try_from(size).unwrap_or(usize::MAX);
    if len > MOST {
        return Reply::TooLarge(size);
    }
    let mut answer = vec![0; len];
    match fill(stream, &mut answer, until) {
        Ok(()) => Reply::Answer(answer),
        Err(reply) => reply,
    }
}

fn fill(stream: &mut TcpStream, mut room: &mut [u8], until: Instant) -> Result<(), Reply> {
    while !room.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Err(Reply::Silent);
        }
        match stream.read(room) {
            Ok(0) => return Err(Reply::Closed),
            Ok(read) => room = room.get_mut(read..).unwrap_or_default(),
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => return Err(Reply::Silent),
                _ => return Err(Reply::Closed),
            },
        }
    }
    Ok(())
}
