//! A client that says on the wire whatever it is told to: for rules that are wrong on purpose.

use core::time::Duration;

use ottla_core::{
    Config, ConnId, Instant, Memory, Output, Producer,
    wire::{
        ApiKey, ErrorCode, Step, Uuid, Writer, dialect, frame,
        produce::{self, ProduceResponse, ProduceResponseItem},
        record::{Attributes, BatchHeader, RecordHead, write_record},
    },
};
use ottla_model::{Cluster, ClusterConfig, Connection};

use crate::{
    ledger::{Ledger, Said},
    tap::{Place, Tap, View},
    world::BOOTSTRAP,
};

const VERSION: i16 = 9;

/// A raw client of a cluster with one node and a topic `t`, whose claims go into a ledger.
#[derive(Debug)]
pub struct RawClient {
    /// The cluster.
    pub cluster: Cluster,
    /// What the client claims.
    pub ledger: Ledger,
    /// Holds what the client sends against the invariants, if it is there.
    pub tap: Option<Tap>,
    /// The client's producer id.
    pub producer_id: i64,
    connection: Connection,
    conn: ConnId,
    correlation_id: i32,
}

impl RawClient {
    /// A client of a cluster whose topic has two partitions; with a tap, or without one.
    ///
    /// # Panics
    ///
    /// Never, with this configuration.
    #[must_use]
    pub fn new(tap: Option<Tap>) -> Self {
        let mut cluster = Cluster::new(ClusterConfig::default());
        cluster.create_topic("t", 2).expect("a topic");
        // Ids of connections are made by the core alone, so a core lends one.
        let config = Config { bootstrap_servers: BOOTSTRAP, ..Config::default() };
        let memory = Memory::heap(ottla_core::Limits::for_config(&config));
        let mut core = Producer::new(&config, memory, 0).expect("a core");
        core.topic(Instant::ZERO, "t").expect("a topic");
        let Some(Output::Connect(conn)) = core.poll_output() else { panic!("a core dials") };
        Self {
            producer_id: cluster.new_producer_id(),
            connection: Connection::new(&cluster, 1),
            cluster,
            ledger: Ledger::default(),
            tap,
            conn,
            correlation_id: 0,
        }
    }

    /// A record that is to be written.
    pub fn want(&mut self) -> u64 {
        self.ledger.wanted(Instant::ZERO, "t")
    }

    /// Sends a batch of records under an epoch and a sequence; returns what the broker answers.
    ///
    /// # Panics
    ///
    /// Where the tap finds that an invariant is broken.
    pub fn produce(
        &mut self,
        partition: i32,
        epoch: i16,
        sequence: i32,
        ids: &[u64],
    ) -> Option<(ErrorCode, i64)> {
        self.correlation_id += 1;
        let batch = batch(self.producer_id, epoch, sequence, ids);
        let request = request(self.correlation_id, partition, &batch);
        if let Some(tap) = &mut self.tap {
            let view = View { cluster: &self.cluster, ledger: &self.ledger };
            let place = Place { conn: self.conn, node: 1 };
            tap.writes(Instant::ZERO, place, &request, request.len(), view);
        }
        self.connection.receive(&mut self.cluster, Duration::ZERO, &request);
        let response = self.connection.take_transmit();
        if let Some(tap) = &mut self.tap {
            tap.reads(Instant::ZERO, self.conn, &response);
        }
        answer(response.get(8..)?)
    }

    /// The connection ends and another one begins.
    pub fn reconnect(&mut self) {
        if let Some(tap) = &mut self.tap {
            tap.closed(self.conn);
        }
        self.connection = Connection::new(&self.cluster, 1);
    }

    /// Claims something of a record.
    ///
    /// # Panics
    ///
    /// Where the claim breaks a law by itself.
    pub fn claim(&mut self, id: u64, partition: i32, said: Said) {
        self.ledger.claim(Instant::ZERO, id, partition, said, &self.cluster);
    }
}

fn written(write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; Writer::measure(&write)];
    write(&mut Writer::new(&mut bytes));
    bytes
}

fn batch(producer_id: i64, producer_epoch: i16, base_sequence: i32, ids: &[u64]) -> Vec<u8> {
    let records = written(|w| {
        for (place, id) in ids.iter().enumerate() {
            let head = RecordHead { attributes: 0, timestamp_delta: 0, offset_delta: place as i32 };
            let value = id.to_be_bytes();
            write_record(w, &head, None, Some(&value), &[]);
        }
    });
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: BatchHeader::batch_length_for(records.len()).expect("a small batch"),
        partition_leader_epoch: -1,
        crc: 0,
        attributes: Attributes::default(),
        last_offset_delta: ids.len() as i32 - 1,
        base_timestamp: 1_700_000_000_000,
        max_timestamp: 1_700_000_000_000,
        producer_id,
        producer_epoch,
        base_sequence,
        records_count: ids.len() as i32,
    };
    let crc = ottla_core::wire::crc32c;
    header.crc = header.checksum(crc, crc(0, &records), records.len());
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend(records);
    bytes
}

fn request(correlation_id: i32, partition: i32, batch: &[u8]) -> Vec<u8> {
    let d = dialect(ApiKey::PRODUCE, VERSION);
    written(|w| {
        let size = frame::begin(w);
        frame::write_request_header(w, ApiKey::PRODUCE, VERSION, correlation_id, None);
        produce::write_head(w, d, None, -1, 1_000, 1);
        produce::write_topic(w, d, "t", Uuid::ZERO, 1);
        produce::write_partition(w, d, partition, batch.len() as u32);
        w.bytes(batch);
        produce::write_partition_end(w, d);
        produce::write_topic_end(w, d);
        produce::write_end(w, d);
        frame::end(w, size, 0);
    })
}

/// The one partition's error and base offset.
fn answer(mut rest: &[u8]) -> Option<(ErrorCode, i64)> {
    let mut walk = ProduceResponse::new(VERSION);
    loop {
        match walk.step(rest).ok()? {
            Step::Element { element: ProduceResponseItem::Partition(part), .. } => {
                return Some((part.error, part.base_offset));
            }
            Step::Element { used, .. } => rest = &rest[used..],
            Step::Skip { used, skip } => rest = &rest[used + skip..],
            Step::Wait | Step::Done { .. } => return None,
        }
    }
}
