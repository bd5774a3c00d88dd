//! The broker's side of the wire: what a frame asks, and the bytes of an answer.

use ottla_core::wire::{
    ApiKey, Dialect, ErrorCode, Step, Uuid, Wire as _, Writer, api_versions, describe_producers,
    dialect,
    frame::{self, RequestHeader},
    init_producer_id::InitProducerIdItem,
    metadata,
    produce::{self, CurrentLeader, ProduceRequest, ProduceRequestItem},
    record::{BatchHeader, Records},
};

use crate::broker::{Batch, Broker, Verdict};

/// The one topic.
pub const TOPIC: &str = "t";
/// The port of the first node; the other one has the next.
pub const PORT: u16 = 9000;

/// What the wall clock shows, and the timestamp of all records: the broker is sure to remember them.
pub const WALL_MS: i64 = 1_700_000_000_000;

/// A request as it lies in a broker's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What its answer bears.
    pub correlation_id: i32,
    /// Its version.
    pub version: i16,
    /// What it asks.
    pub asks: Asks,
}

/// What a request asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// For something that is answered at once.
    AtOnce(ApiKey),
    /// To append a batch.
    Append(Batch),
}

impl Request {
    /// Reads a whole frame, its size included.
    ///
    /// # Panics
    /// Where it is none: the core writes no such thing.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let (body, header) = RequestHeader::read(&bytes[4..]).expect("a header");
        let asks = match header.api_key {
            ApiKey::PRODUCE => Asks::Append(batch(body, header.api_version)),
            api => Asks::AtOnce(api),
        };
        Self { correlation_id: header.correlation_id, version: header.api_version, asks }
    }
}

fn batch(mut body: &[u8], version: i16) -> Batch {
    let mut walk = ProduceRequest::new(version);
    let mut found = None;
    loop {
        let used = match walk.step(body).expect("a produce request") {
            Step::Element { used, element } => {
                if let ProduceRequestItem::Partition { records: Some(records), .. } = element {
                    assert!(found.is_none(), "one partition, one batch");
                    found = Some(read_batch(records));
                }
                used
            }
            Step::Skip { used, skip } => used + skip,
            Step::Wait => panic!("half a produce request"),
            Step::Done { .. } => return found.expect("a batch"),
        };
        body = &body[used..];
    }
}

fn read_batch(bytes: &[u8]) -> Batch {
    let (rest, header) = BatchHeader::read(bytes).expect("a batch");
    let records = Records::new(rest).map(|record| {
        let record = record.expect("a record");
        record.value.and_then(|value| value.first().copied()).expect("a record's number")
    });
    let records: Vec<u8> = records.collect();
    assert_eq!(records.len(), header.records_count as usize, "records in {header:?}");
    Batch { origin: (header.producer_id, header.producer_epoch, header.base_sequence), records }
}

/// Writes the answer to something that is answered at once.
pub fn at_once(broker: &mut Broker, request: &Request, api: ApiKey) -> Vec<u8> {
    let d = dialect(api, request.version);
    let producer = if api == ApiKey::INIT_PRODUCER_ID { broker.new_producer() } else { -1 };
    write(api, request, |w| match api {
        ApiKey::API_VERSIONS => write_versions(w, d),
        ApiKey::METADATA => write_metadata(w, d, broker),
        ApiKey::INIT_PRODUCER_ID => InitProducerIdItem {
            throttle_ms: 0,
            error: ErrorCode::NONE,
            producer_id: producer,
            producer_epoch: 0,
        }
        .write(w, d),
        ApiKey::DESCRIBE_PRODUCERS => write_producers(w, d, broker),
        other => panic!("request {other:?}"),
    })
}

fn write_versions(w: &mut Writer<'_>, d: Dialect) {
    let apis = [
        (ApiKey::PRODUCE, 11),
        (ApiKey::METADATA, 9),
        (ApiKey::INIT_PRODUCER_ID, 4),
        (ApiKey::DESCRIBE_PRODUCERS, 0),
        (ApiKey::API_VERSIONS, 3),
    ];
    api_versions::write_response(w, d, ErrorCode::NONE, apis.len() as u32);
    for (key, max) in apis {
        api_versions::write_response_api(w, d, &api_versions::Api { key, min: 0, max });
    }
    api_versions::write_response_end(w, d, 0);
}

fn write_metadata(w: &mut Writer<'_>, d: Dialect, broker: &Broker) {
    metadata::write_response(w, d, 0, 2);
    for node in 0..2 {
        let port = i32::from(PORT) + node;
        let told = metadata::Broker { node_id: node, host: "h", port };
        metadata::write_response_broker(w, d, &told, None);
    }
    metadata::write_response_cluster(w, d, None, 0, 1);
    let topic = metadata::Topic {
        error: ErrorCode::NONE,
        name: Some(TOPIC),
        id: Uuid::ZERO,
        internal: false,
        partitions: 1,
    };
    metadata::write_response_topic(w, d, &topic);
    let partition = metadata::Partition {
        error: ErrorCode::NONE,
        index: 0,
        leader_id: i32::from(broker.leader),
        leader_epoch: broker.leader_epoch,
    };
    let all = [0, 1];
    let replicas = metadata::Replicas { all: &all, in_sync: &all, offline: &[] };
    metadata::write_response_partition(w, d, &partition, &replicas);
    metadata::write_response_topic_end(w, d);
    metadata::write_response_end(w, d, ErrorCode::NONE);
}

/// What is known of each producer, on the one partition. As Kafka's, a node does not ask whether it leads.
fn write_producers(w: &mut Writer<'_>, d: Dialect, broker: &Broker) {
    let known: Vec<_> = broker.producers().collect();
    describe_producers::write_response(w, d, 0, 1);
    let topic = describe_producers::Topic { name: TOPIC, partitions: 1 };
    describe_producers::write_response_topic(w, d, &topic);
    let head = describe_producers::Partition { index: 0, error: ErrorCode::NONE };
    describe_producers::write_response_partition(w, d, &head, None, &known);
    describe_producers::write_response_topic_end(w, d);
    describe_producers::write_response_end(w, d);
}

/// Writes what became of a batch.
#[must_use]
pub fn verdict(request: &Request, verdict: &Verdict) -> Vec<u8> {
    let api = ApiKey::PRODUCE;
    let d = dialect(api, request.version);
    write(api, request, |w| {
        produce::write_response(w, d, 1);
        let topic = produce::Topic { name: Some(TOPIC), id: Uuid::ZERO, partitions: 1 };
        produce::write_response_topic(w, d, &topic);
        let partition = produce::Partition {
            index: 0,
            error: ErrorCode(verdict.error),
            base_offset: verdict.base_offset,
            log_append_time_ms: if verdict.duplicate { WALL_MS } else { -1 },
            log_start_offset: 0,
        };
        let current_leader = verdict
            .leader
            .map(|(node, leader_epoch)| CurrentLeader { leader_id: i32::from(node), leader_epoch });
        let details = produce::Details { current_leader, ..produce::Details::default() };
        produce::write_response_partition(w, d, &partition, &details);
        produce::write_response_topic_end(w, d);
        produce::write_response_end(w, d, 0, &[]);
    })
}

fn write(api: ApiKey, request: &Request, body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; 512];
    let mut w = Writer::new(&mut bytes);
    let size = frame::begin(&mut w);
    frame::write_response_header(&mut w, api, request.version, request.correlation_id);
    body(&mut w);
    frame::end(&mut w, size, 0);
    let len = w.finish().expect("512 bytes are enough");
    bytes.truncate(len);
    bytes
}
