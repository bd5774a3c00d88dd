//! `ottla-fuzz example-client`: a small idempotent producer, to see what `ottla-fuzz client` does, and with faults that are
//! planted in it, for who tries the judge. It sends one record at a time and waits for its answer.

use core::{net::SocketAddr, time::Duration};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use ottla_core::wire::{ErrorCode, Evidence};
use ottla_fuzz::{
    batch::{Batch, advance},
    messages::{Direction, Frame, Struct, Value, api, decode_response},
};

use crate::args::{ExampleClient, PlantInClient};

/// How long an answer is awaited.
const ANSWER: Duration = Duration::from_millis(1_000);
/// How long it waits before it tries again.
const BACKOFF: Duration = Duration::from_millis(100);
/// How long it waits between records.
const PAUSE: Duration = Duration::from_millis(2);
/// The versions that it speaks.
const PRODUCE: i16 = 9;
const METADATA: i16 = 9;
const INIT_PRODUCER_ID: i16 = 4;

pub(crate) fn run(args: &ExampleClient) -> Result<()> {
    let mut client = Client {
        bootstrap: args.bootstrap.clone(),
        topic: args.topic.clone(),
        plant: args.plant,
        streams: BTreeMap::new(),
        leaders: Vec::new(),
        producer: None,
        next: BTreeMap::new(),
        correlation_id: 0,
    };
    for number in 0_u64.. {
        client.produce(&format!("record-{number}"));
        thread::sleep(PAUSE);
    }
    Ok(())
}

struct Client {
    bootstrap: String,
    topic: String,
    plant: Option<PlantInClient>,
    streams: BTreeMap<SocketAddr, TcpStream>,
    /// Who leads each partition.
    leaders: Vec<(i32, SocketAddr)>,
    /// Id and epoch.
    producer: Option<(i64, i16)>,
    /// The next sequence number of each partition.
    next: BTreeMap<i32, i32>,
    correlation_id: i32,
}

/// What a client may know after an attempt.
enum Told {
    /// It is in the log.
    Acknowledged(i64),
    /// It is not, by this attempt.
    Refused(i16),
    /// Who knows.
    Unknown,
}

impl Client {
    /// Sends a record until it is known what became of it.
    fn produce(&mut self, value: &str) {
        let partition = loop {
            match self.prepare() {
                Ok(()) if !self.leaders.is_empty() => break self.choose(value),
                _ => self.back_off(),
            }
        };
        let mut may_be_there = false;
        loop {
            let sequence = self.next.get(&partition).copied().unwrap_or(0);
            match self.attempt(partition, sequence, value) {
                Told::Acknowledged(offset) => {
                    self.next.insert(partition, advance(sequence, 1));
                    say(partition, offset, value);
                    return;
                }
                Told::Refused(error) if self.is_fatal(error) => {
                    // A chain that is broken begins anew, and the record is given up: it may be there.
                    self.producer = None;
                    if may_be_there {
                        return;
                    }
                }
                Told::Refused(_) => {}
                Told::Unknown => {
                    may_be_there = true;
                    match self.plant {
                        Some(PlantInClient::Resequence) => {
                            self.next.insert(partition, advance(sequence, 1));
                        }
                        Some(PlantInClient::FalseAck) => {
                            say(partition, 0, value);
                            return;
                        }
                        Some(PlantInClient::Spin) | None => {}
                    }
                }
            }
            self.back_off();
            while self.prepare().is_err() {
                self.back_off();
            }
        }
    }

    fn choose(&self, value: &str) -> i32 {
        let sum: usize = value.bytes().map(usize::from).sum();
        let at = sum.checked_rem(self.leaders.len()).unwrap_or(0);
        self.leaders.get(at).map_or(0, |(partition, _)| *partition)
    }

    fn is_fatal(&self, error: i16) -> bool {
        let error = ErrorCode(error);
        let fatal = [
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            ErrorCode::UNKNOWN_PRODUCER_ID,
            ErrorCode::INVALID_PRODUCER_EPOCH,
        ];
        fatal.contains(&error)
    }

    fn back_off(&mut self) {
        if self.plant != Some(PlantInClient::Spin) {
            thread::sleep(BACKOFF);
        }
        self.leaders.clear();
    }

    /// Has a producer id, and knows who leads.
    fn prepare(&mut self) -> Result<()> {
        let address = self.bootstrap.to_socket_addrs()?.next().context("no address")?;
        if self.producer.is_none() {
            let body = Struct::of([
                ("transactional_id", Value::Null),
                ("transaction_timeout_ms", 60_000.into()),
                ("producer_id", (-1).into()),
                ("producer_epoch", (-1).into()),
            ]);
            let told = self.ask(address, "InitProducerId", INIT_PRODUCER_ID, body)?;
            ensure!(told.int("error_code") == 0, "no producer id");
            let epoch = i16::try_from(told.int("producer_epoch"))?;
            self.producer = Some((told.int("producer_id"), epoch));
            self.next.clear();
        }
        if self.leaders.is_empty() {
            let topic = Struct::of([("name", self.topic.as_str().into())]);
            let body = Struct::of([("topics", Value::Array(vec![Value::Struct(topic)]))]);
            let told = self.ask(address, "Metadata", METADATA, body)?;
            let mut nodes = BTreeMap::new();
            for node in told.structs("brokers") {
                let address = format!("{}:{}", node.text("host"), node.int("port"));
                if let Some(address) = address.to_socket_addrs()?.next() {
                    nodes.insert(node.int("node_id"), address);
                }
            }
            for partition in told.structs("topics").flat_map(|topic| topic.structs("partitions")) {
                if let Some(leader) = nodes.get(&partition.int("leader_id")) {
                    let index = i32::try_from(partition.int("partition_index"))?;
                    self.leaders.push((index, *leader));
                }
            }
        }
        Ok(())
    }

    fn attempt(&mut self, partition: i32, sequence: i32, value: &str) -> Told {
        let leader = self.leaders.iter().find(|(index, _)| *index == partition);
        let (Some((_, leader)), Some((producer_id, epoch))) = (leader.copied(), self.producer)
        else {
            return Told::Refused(-1);
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now_ms = i64::try_from(since).unwrap_or(0);
        let values = vec![value.as_bytes().to_vec()];
        let batch = Batch { producer_id, epoch, sequence, ..Batch::new(values, now_ms) };
        let told = Struct::of([
            ("index", i64::from(partition).into()),
            ("records", Value::Bytes(batch.encode())),
        ]);
        let topic = Struct::of([
            ("name", self.topic.as_str().into()),
            ("partitions", Value::Array(vec![Value::Struct(told)])),
        ]);
        let body = Struct::of([
            ("acks", (-1).into()),
            ("timeout_ms", 1_000.into()),
            ("topics", Value::Array(vec![Value::Struct(topic)])),
        ]);
        let Ok(told) = self.ask(leader, "Produce", PRODUCE, body) else {
            return Told::Unknown;
        };
        let told = told.structs("topics").flat_map(|topic| topic.structs("partitions"));
        let ours = told.into_iter().find(|told| told.int("index") == i64::from(partition)).cloned();
        let Some(told) = ours else {
            return Told::Unknown;
        };
        let error = i16::try_from(told.int("error_code")).unwrap_or(-1);
        match ErrorCode(error).evidence() {
            Evidence::Appended if error == 0 => Told::Acknowledged(told.int("base_offset")),
            Evidence::NotAppended => Told::Refused(error),
            Evidence::Appended | Evidence::Ambiguous => Told::Unknown,
        }
    }

    fn ask(&mut self, node: SocketAddr, name: &str, version: i16, body: Struct) -> Result<Struct> {
        let asked = self.try_ask(node, name, version, body);
        if asked.is_err() {
            self.streams.remove(&node);
        }
        asked
    }

    fn try_ask(
        &mut self,
        node: SocketAddr,
        name: &str,
        version: i16,
        body: Struct,
    ) -> Result<Struct> {
        let api = api(name).context("no such API")?;
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let correlation_id = self.correlation_id;
        let client_id = Some("example".to_owned());
        let direction = Direction::Request;
        let frame = Frame { api, direction, version, correlation_id, client_id, body };
        let stream = match self.streams.entry(node) {
            Entry::Occupied(stream) => stream.into_mut(),
            Entry::Vacant(room) => {
                let stream = TcpStream::connect_timeout(&node, ANSWER)?;
                stream.set_nodelay(true)?;
                room.insert(stream)
            }
        };
        stream.write_all(&frame.encode().bytes)?;
        let until = Instant::now() + ANSWER;
        let mut size = [0; 4];
        read(stream, &mut size, until)?;
        let len = usize::try_from(u32::from_be_bytes(size))?;
        ensure!(len < 1 << 20, "an answer of {len} bytes");
        let mut answer = vec![0; len];
        read(stream, &mut answer, until)?;
        let answer = decode_response(api, version, &answer)?;
        ensure!(answer.correlation_id == correlation_id, "an answer to something else");
        Ok(answer.body)
    }
}

fn read(stream: &mut TcpStream, mut room: &mut [u8], until: Instant) -> Result<()> {
    while !room.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "no answer in time");
        stream.set_read_timeout(Some(left))?;
        match stream.read(room)? {
            0 => bail!("the connection was closed"),
            read => room = room.get_mut(read..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// As `ottla-fuzz client` wants it. Whoever reads it may be gone.
fn say(partition: i32, offset: i64, value: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "ack {partition} {offset} {value}").and_then(|()| out.flush());
}
