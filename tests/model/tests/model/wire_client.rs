//! Requests built and answers read by the core's wire crate.

use core::time::Duration;

use ottla_core::{
    Header,
    wire::{
        ApiKey, DecodeError, Dialect, ErrorCode, Step, Uuid, Wire, Writer,
        api_versions::{ApiVersionsItem, ApiVersionsRequest, ApiVersionsResponse},
        crc32c,
        describe_producers::{
            self, DescribeProducersItem, DescribeProducersResponse, ProducerState,
        },
        dialect, frame,
        init_producer_id::{InitProducerIdItem, InitProducerIdRequest, InitProducerIdResponse},
        metadata::{self, MetadataItem, MetadataResponse, RequestTopic},
        produce::{self, CurrentLeader, Partition, ProduceResponse, ProduceResponseItem},
        record::{Attributes, BatchHeader, RecordHead, write_record},
    },
};
use ottla_model::{Cluster, ClusterConfig, Connection, NodeId};

pub(crate) const T0: Duration = Duration::ZERO;
/// The wall clock at [`T0`].
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

pub(crate) fn at_ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A cluster of one node with topic "t" of three partitions.
pub(crate) fn one_node() -> Cluster {
    with_topic(ClusterConfig::default())
}

pub(crate) fn with_topic(config: ClusterConfig) -> Cluster {
    let mut cluster = Cluster::new(config);
    cluster.create_topic("t", 3).unwrap();
    cluster
}

pub(crate) fn written(write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; Writer::measure(&write)];
    let mut w = Writer::new(&mut bytes);
    write(&mut w);
    w.finish().unwrap();
    bytes
}

/// A frame with a request's header and this body.
pub(crate) fn request(
    api: ApiKey,
    version: i16,
    correlation_id: i32,
    body: impl Fn(&mut Writer<'_>, Dialect),
) -> Vec<u8> {
    written(|w| {
        let size = frame::begin(w);
        frame::write_request_header(w, api, version, correlation_id, Some("test"));
        body(w, dialect(api, version));
        frame::end(w, size, 0);
    })
}

/// A batch to be made.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) header: BatchHeader,
    pub(crate) values: Vec<Vec<u8>>,
    pub(crate) keys: bool,
    pub(crate) first_delta: i32,
    pub(crate) timestamps: Vec<i64>,
}

/// A batch of `count` records of producer 7 and `epoch`, with values that tell the sequence
/// number.
pub(crate) fn batch(epoch: i16, sequence: i32, count: i32) -> Batch {
    Batch {
        header: BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            crc: 0,
            attributes: Attributes(0),
            last_offset_delta: count - 1,
            base_timestamp: NOW_MS,
            max_timestamp: NOW_MS,
            producer_id: 7,
            producer_epoch: epoch,
            base_sequence: sequence,
            records_count: count,
        },
        values: (0..count)
            .map(|i| format!("{epoch}/{}", i64::from(sequence) + i64::from(i)).into_bytes())
            .collect(),
        keys: false,
        first_delta: 0,
        timestamps: vec![0; usize::try_from(count).unwrap()],
    }
}

/// A batch of a producer that is not idempotent.
pub(crate) fn plain(count: i32) -> Batch {
    let mut batch = batch(-1, -1, count);
    batch.header.producer_id = -1;
    batch
}

impl Batch {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let records = written(|w| {
            let deltas = self.first_delta..;
            for ((offset_delta, value), timestamp_delta) in
                deltas.zip(&self.values).zip(&self.timestamps)
            {
                let head =
                    RecordHead { attributes: 0, timestamp_delta: *timestamp_delta, offset_delta };
                let headers = [Header { key: "h", value: Some(b"1") }];
                let key = self.keys.then_some(&b"key"[..]);
                write_record(w, &head, key, Some(value), &headers);
            }
        });
        let mut header = self.header;
        header.batch_length = BatchHeader::batch_length_for(records.len()).unwrap();
        header.crc = header.checksum(crc32c, crc32c(0, &records), records.len());
        let mut bytes = header.to_bytes().to_vec();
        bytes.extend_from_slice(&records);
        bytes
    }
}

/// How topics are named in a produce request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: Uuid,
}

pub(crate) fn produce_request(
    version: i16,
    acks: i16,
    topic: Named<'_>,
    batches: &[(i32, Vec<u8>)],
) -> Vec<u8> {
    request(ApiKey::PRODUCE, version, 42, |w, d| {
        produce::write_head(w, d, None, acks, 1_000, 1);
        let count = u32::try_from(batches.len()).unwrap();
        produce::write_topic(w, d, topic.name, topic.id, count);
        for (index, bytes) in batches {
            let len = u32::try_from(bytes.len()).unwrap();
            produce::write_partition(w, d, *index, len);
            w.bytes(bytes);
            produce::write_partition_end(w, d);
        }
        produce::write_topic_end(w, d);
        produce::write_end(w, d);
    })
}

pub(crate) fn init_request(version: i16, transactional_id: Option<&str>) -> Vec<u8> {
    request(ApiKey::INIT_PRODUCER_ID, version, 43, |w, d| {
        let request = InitProducerIdRequest {
            transactional_id,
            transaction_timeout_ms: 1_000,
            producer_id: -1,
            producer_epoch: -1,
        };
        request.write(w, d);
    })
}

pub(crate) fn describe_request(topic: &str, partitions: &[i32]) -> Vec<u8> {
    request(ApiKey::DESCRIBE_PRODUCERS, 0, 46, |w, d| {
        describe_producers::write_request(w, d, 1);
        let count = u32::try_from(partitions.len()).unwrap();
        let head = describe_producers::Topic { name: topic, partitions: count };
        describe_producers::write_request_topic(w, d, &head);
        for index in partitions {
            w.int32(*index);
        }
        describe_producers::write_request_topic_end(w, d);
        describe_producers::write_request_end(w, d);
    })
}

pub(crate) fn versions_request(version: i16) -> Vec<u8> {
    request(ApiKey::API_VERSIONS, version, 44, |w, d| {
        let request =
            ApiVersionsRequest { client_software_name: "ottla", client_software_version: "0.1.0" };
        request.write(w, d);
    })
}

pub(crate) fn metadata_request(
    version: i16,
    topics: Option<&[RequestTopic<'_>]>,
    may_create: bool,
) -> Vec<u8> {
    request(ApiKey::METADATA, version, 45, |w, d| {
        let count = topics.map(|topics| u32::try_from(topics.len()).unwrap());
        metadata::write_request(w, d, count);
        for topic in topics.unwrap_or_default() {
            metadata::write_request_topic(w, d, topic);
        }
        metadata::write_request_end(w, d, may_create);
    })
}

pub(crate) fn by_name(name: &str) -> RequestTopic<'_> {
    RequestTopic { id: Uuid::ZERO, name: Some(name) }
}

/// Reads all of a response's body, by a walk.
pub(crate) fn read<'a, T>(
    frame: &'a [u8],
    mut step: impl FnMut(&'a [u8]) -> Result<Step<T>, DecodeError>,
) -> Vec<T> {
    let size = u32::from_be_bytes(frame[..4].try_into().unwrap());
    assert_eq!(usize::try_from(size).unwrap() + 4, frame.len(), "size");
    let mut input = &frame[8..];
    let mut items = Vec::new();
    loop {
        match step(input).unwrap() {
            Step::Element { used, element } => {
                items.push(element);
                input = &input[used..];
            }
            Step::Skip { used, skip } => input = &input[used + skip..],
            Step::Wait => panic!("truncated"),
            Step::Done { used } => {
                assert_eq!(input.len(), used, "trailing bytes");
                return items;
            }
        }
    }
}

/// What a produce response says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Produced {
    pub(crate) topics: Vec<(Option<String>, Uuid)>,
    pub(crate) partitions: Vec<Partition>,
    pub(crate) record_errors: Vec<i32>,
    /// What is said of records, and then of all of them.
    pub(crate) words: Vec<String>,
    pub(crate) leaders: Vec<CurrentLeader>,
    pub(crate) throttle: i32,
    pub(crate) endpoints: Vec<(i32, String, i32)>,
}

impl Produced {
    /// The error and the base offset of the only partition.
    pub(crate) fn only(&self) -> (ErrorCode, i64) {
        assert_eq!(self.partitions.len(), 1);
        (self.partitions[0].error, self.partitions[0].base_offset)
    }
}

pub(crate) fn read_produced(version: i16, frame: &[u8]) -> Produced {
    let mut walk = ProduceResponse::new(version);
    let mut produced = Produced::default();
    for item in read(frame, |input| walk.step(input)) {
        match item {
            ProduceResponseItem::Topic(topic) => {
                produced.topics.push((topic.name.map(str::to_owned), topic.id));
            }
            ProduceResponseItem::Partition(partition) => produced.partitions.push(partition),
            ProduceResponseItem::RecordError { batch_index, message } => {
                produced.record_errors.push(batch_index);
                produced.words.extend(message.map(|text| text.to_string()));
            }
            ProduceResponseItem::ErrorMessage(message) => {
                produced.words.extend(message.map(|text| text.to_string()));
            }
            ProduceResponseItem::CurrentLeader(leader) => produced.leaders.push(leader),
            ProduceResponseItem::Throttle(ms) => produced.throttle = ms,
            ProduceResponseItem::NodeEndpoint(e) => {
                produced.endpoints.push((e.node_id, e.host.to_owned(), e.port));
            }
        }
    }
    produced
}

pub(crate) fn read_init(version: i16, frame: &[u8]) -> InitProducerIdItem {
    let mut walk = InitProducerIdResponse::new(version);
    read(frame, |input| walk.step(input)).remove(0)
}

pub(crate) fn read_versions(version: i16, frame: &[u8]) -> Vec<ApiVersionsItem> {
    let mut walk = ApiVersionsResponse::new(version);
    read(frame, |input| walk.step(input))
}

/// What is said of the producers of each partition: its number, an error, and who is known.
pub(crate) type Described = Vec<(i32, ErrorCode, Vec<ProducerState>)>;

pub(crate) fn read_described(frame: &[u8]) -> Described {
    let mut walk = DescribeProducersResponse::new(0);
    let mut described = Described::new();
    for item in read(frame, |input| walk.step(input)) {
        match item {
            DescribeProducersItem::Partition(partition) => {
                described.push((partition.index, partition.error, Vec::new()));
            }
            DescribeProducersItem::Producer(producer) => {
                described.last_mut().unwrap().2.push(producer);
            }
            DescribeProducersItem::Throttle(_)
            | DescribeProducersItem::Topic(_)
            | DescribeProducersItem::PartitionEnd => {}
        }
    }
    described
}

pub(crate) fn read_metadata(version: i16, frame: &[u8]) -> Vec<MetadataItem<'_>> {
    let mut walk = MetadataResponse::new(version);
    read(frame, |input| walk.step(input))
}

/// A client of one node.
pub(crate) struct Client {
    pub(crate) connection: Connection,
    pub(crate) version: i16,
    pub(crate) acks: i16,
}

impl Client {
    pub(crate) fn new(cluster: &Cluster, node: NodeId) -> Self {
        Self { connection: Connection::new(cluster, node), version: 13, acks: -1 }
    }

    pub(crate) fn speaking(self, version: i16) -> Self {
        Self { version, ..self }
    }

    /// Sends a frame and takes what is answered at once.
    pub(crate) fn call(&mut self, cluster: &mut Cluster, now: Duration, frame: &[u8]) -> Vec<u8> {
        self.connection.receive(cluster, now, frame);
        self.connection.take_transmit()
    }

    pub(crate) fn request(&self, cluster: &Cluster, partition: i32, bytes: Vec<u8>) -> Vec<u8> {
        let topic = Named { name: "t", id: cluster.topic_id("t").unwrap() };
        produce_request(self.version, self.acks, topic, &[(partition, bytes)])
    }

    /// Produces raw bytes to a partition of "t".
    pub(crate) fn produce_bytes(
        &mut self,
        cluster: &mut Cluster,
        now: Duration,
        partition: i32,
        bytes: Vec<u8>,
    ) -> Produced {
        let frame = self.request(cluster, partition, bytes);
        let answer = self.call(cluster, now, &frame);
        read_produced(self.version, &answer)
    }

    /// Asks who is known of partitions of "t".
    pub(crate) fn describe(
        &mut self,
        cluster: &mut Cluster,
        now: Duration,
        partitions: &[i32],
    ) -> Described {
        let frame = describe_request("t", partitions);
        read_described(&self.call(cluster, now, &frame))
    }

    /// The epoch and last sequence number of the only producer of partition 0 of "t".
    pub(crate) fn knows(&mut self, cluster: &mut Cluster, now: Duration) -> Option<(i32, i32)> {
        let described = self.describe(cluster, now, &[0]);
        let [(0, ErrorCode::NONE, producers)] = &described[..] else {
            panic!("{described:?}");
        };
        assert!(producers.len() <= 1, "{producers:?}");
        producers.first().map(|producer| (producer.producer_epoch, producer.last_sequence))
    }

    /// Produces to partition 0 of "t", at time 0; the error and the base offset.
    pub(crate) fn produce(&mut self, cluster: &mut Cluster, batch: &Batch) -> (ErrorCode, i64) {
        self.produce_to(cluster, 0, batch)
    }

    pub(crate) fn produce_to(
        &mut self,
        cluster: &mut Cluster,
        partition: i32,
        batch: &Batch,
    ) -> (ErrorCode, i64) {
        self.produce_bytes(cluster, T0, partition, batch.bytes()).only()
    }
}

/// The values in a log, as text.
pub(crate) fn values(cluster: &Cluster, partition: i32) -> Vec<String> {
    cluster
        .log("t", partition)
        .map(|record| String::from_utf8(record.value.unwrap().to_vec()).unwrap())
        .collect()
}
