//! A client that says what it is told to, to Apache Kafka and to the model alike.

use core::time::Duration;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Instant,
};

use ottla_core::wire::{
    ApiKey, ErrorCode, Step, Uuid, Wire as _, Writer, crc32c,
    describe_producers::{self, DescribeProducersItem, DescribeProducersResponse, ProducerState},
    dialect,
    frame::{self, RequestHeader},
    init_producer_id::{InitProducerIdItem, InitProducerIdRequest},
    produce::{self, Partition, ProduceResponse, ProduceResponseItem},
    record::{BatchHeader, RecordHead, headers_size, record_size, write_record},
};
use ottla_model::{Cluster, Connection};

/// The topic of all tests.
pub(crate) const TOPIC: &str = "t";
/// The last version that names topics: every Kafka from 2.8 on has it.
const VERSION: i16 = 9;

/// Somebody who answers.
pub(crate) trait Peer {
    /// Sends a frame on one of the connections, and returns the answer without its size; `None`
    /// where the connection was closed instead. It is opened anew then.
    fn ask(&mut self, connection: usize, frame: &[u8]) -> Option<Vec<u8>>;
}

/// Apache Kafka.
pub(crate) struct Kafka {
    address: String,
    connections: Vec<Option<TcpStream>>,
}

impl Kafka {
    pub(crate) fn new(address: String) -> Self {
        Self { address, connections: Vec::new() }
    }
}

impl Peer for Kafka {
    fn ask(&mut self, connection: usize, frame: &[u8]) -> Option<Vec<u8>> {
        if self.connections.len() <= connection {
            self.connections.resize_with(connection + 1, || None);
        }
        let slot = &mut self.connections[connection];
        let stream = slot.get_or_insert_with(|| {
            let stream = TcpStream::connect(&self.address).expect("Kafka listens");
            stream.set_nodelay(true).expect("a socket");
            stream.set_read_timeout(Some(Duration::from_secs(40))).expect("a socket");
            stream
        });
        let mut answer = || {
            stream.write_all(frame)?;
            let mut size = [0; 4];
            stream.read_exact(&mut size)?;
            let mut answer = vec![0; u32::from_be_bytes(size) as usize];
            stream.read_exact(&mut answer)?;
            std::io::Result::Ok(answer)
        };
        match answer() {
            Ok(answer) => Some(answer),
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "Kafka does not answer");
                *slot = None;
                None
            }
        }
    }
}

/// The model.
pub(crate) struct Model {
    pub(crate) cluster: Cluster,
    began: Instant,
    connections: Vec<Option<Connection>>,
}

impl Model {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster, began: Instant::now(), connections: Vec::new() }
    }
}

impl Peer for Model {
    fn ask(&mut self, connection: usize, frame: &[u8]) -> Option<Vec<u8>> {
        if self.connections.len() <= connection {
            self.connections.resize_with(connection + 1, || None);
        }
        let slot = &mut self.connections[connection];
        let open = slot.get_or_insert_with(|| Connection::new(&self.cluster, 1));
        open.receive(&mut self.cluster, self.began.elapsed(), frame);
        let bytes = open.take_transmit();
        if open.is_closed() {
            *slot = None;
        }
        (!bytes.is_empty()).then(|| bytes[4..].to_vec())
    }
}

/// A batch as the client wants it, right or wrong.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Which of the client's producer ids; `None` for none.
    pub(crate) producer: Option<usize>,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
    /// Records in it.
    pub(crate) records: i32,
    /// Bytes of each value.
    pub(crate) value: usize,
    pub(crate) flaw: Flaw,
}

/// What is wrong with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// A bit of the checksum is wrong.
    Checksum,
    /// The count is so much more than there are records; the last offset delta follows or not.
    Count(i32, bool),
    /// The last offset delta is so much more than it should be.
    LastDelta(i32),
    /// The base offset is not 0.
    BaseOffset,
    /// The magic is another one.
    Magic(u8),
    /// The last byte is missing, and the length says so or not.
    Short(bool),
    /// The length is this.
    Length(i32),
    /// It ends after so many bytes, and its length says so.
    Cut(usize),
    /// There are two batches.
    Two,
    /// There is nothing.
    Empty,
}

/// A request to append batches, by partition.
#[derive(Clone, Debug)]
pub(crate) struct Append {
    pub(crate) connection: usize,
    pub(crate) acks: i16,
    pub(crate) batches: Vec<(i32, Batch)>,
}

/// What is known of the producers of a partition: its number, an error, and each of them by its place
/// among the client's.
pub(crate) type Described = (i32, ErrorCode, Vec<(Option<usize>, ProducerState)>);

/// What all answers to one request say of its partitions; `None` where there is no answer.
pub(crate) type Said = Option<Vec<Partition>>;

/// A client of one peer, with its producer ids.
pub(crate) struct Client<P> {
    pub(crate) peer: P,
    producers: Vec<i64>,
    timestamp: i64,
    correlation_id: i32,
}

impl<P: Peer> Client<P> {
    pub(crate) const fn new(peer: P, timestamp: i64) -> Self {
        Self { peer, producers: Vec::new(), timestamp, correlation_id: 0 }
    }

    fn request(
        &mut self,
        connection: usize,
        api: ApiKey,
        version: i16,
        body: impl Fn(&mut Writer<'_>),
    ) -> Option<Vec<u8>> {
        self.correlation_id += 1;
        let correlation_id = self.correlation_id;
        let whole = |w: &mut Writer<'_>| {
            let size = frame::begin(w);
            RequestHeader {
                api_key: api,
                api_version: version,
                correlation_id,
                client_id: Some("conformance"),
            }
            .write(w);
            body(w);
            frame::end(w, size, 0);
        };
        let mut bytes = vec![0; Writer::measure(whole)];
        whole(&mut Writer::new(&mut bytes));
        let answer = self.peer.ask(connection, &bytes)?;
        assert_eq!(answer[..4], correlation_id.to_be_bytes(), "correlation id");
        Some(answer[4..].to_vec())
    }

    /// Gets new producer ids instead of those it has. Waits until there are some.
    pub(crate) fn take_producers(&mut self, count: usize) {
        self.producers.clear();
        while self.producers.len() < count {
            let d = dialect(ApiKey::INIT_PRODUCER_ID, 1);
            let answer = self.request(0, ApiKey::INIT_PRODUCER_ID, 1, |w| {
                InitProducerIdRequest {
                    transactional_id: None,
                    transaction_timeout_ms: 60_000,
                    producer_id: -1,
                    producer_epoch: -1,
                }
                .write(w, d);
            });
            let answer = answer.expect("an answer");
            let (_, item) = InitProducerIdItem::read(&answer, d).expect("a producer id");
            match item.error {
                ErrorCode::NONE => self.producers.push(item.producer_id),
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// From now on batches have this timestamp.
    pub(crate) const fn date(&mut self, timestamp: i64) {
        self.timestamp = timestamp;
    }

    /// Asks what is known of the producers of partitions.
    pub(crate) fn describe(&mut self, topic: &str, partitions: &[i32]) -> Vec<Described> {
        let d = dialect(ApiKey::DESCRIBE_PRODUCERS, 0);
        let answer = self.request(0, ApiKey::DESCRIBE_PRODUCERS, 0, |w| {
            describe_producers::write_request(w, d, 1);
            let partitions_len = partitions.len() as u32;
            let head = describe_producers::Topic { name: topic, partitions: partitions_len };
            describe_producers::write_request_topic(w, d, &head);
            for index in partitions {
                w.int32(*index);
            }
            describe_producers::write_request_topic_end(w, d);
            describe_producers::write_request_end(w, d);
        });
        let answer = answer.expect("an answer");
        let (mut rest, mut said) = (&answer[..], Vec::<Described>::new());
        let mut walk = DescribeProducersResponse::new(0);
        loop {
            let used = match walk.step(rest).expect("an answer") {
                Step::Element { used, element } => {
                    match element {
                        DescribeProducersItem::Partition(partition) => {
                            said.push((partition.index, partition.error, Vec::new()));
                        }
                        DescribeProducersItem::Producer(producer) => {
                            let mut ids = self.producers.iter();
                            let place = ids.position(|id| *id == producer.producer_id);
                            let (.., known) = said.last_mut().expect("of a partition");
                            known.push((place, ProducerState { producer_id: 0, ..producer }));
                        }
                        DescribeProducersItem::Throttle(_)
                        | DescribeProducersItem::Topic(_)
                        | DescribeProducersItem::PartitionEnd => {}
                    }
                    used
                }
                Step::Skip { used, skip } => used + skip,
                Step::Wait => panic!("half an answer"),
                Step::Done { .. } => break,
            };
            rest = &rest[used..];
        }
        said.sort_by_key(|(index, ..)| *index);
        for (.., known) in &mut said {
            known.sort_by_key(|(place, _)| *place);
        }
        said
    }

    /// Sends batches, and returns what is said of them.
    pub(crate) fn append(&mut self, append: &Append) -> Said {
        let d = dialect(ApiKey::PRODUCE, VERSION);
        let batches: Vec<(i32, Vec<u8>)> =
            append.batches.iter().map(|(index, batch)| (*index, self.encode(batch))).collect();
        let answer = self.request(append.connection, ApiKey::PRODUCE, VERSION, |w| {
            produce::write_head(w, d, None, append.acks, 30_000, 1);
            produce::write_topic(w, d, TOPIC, Uuid::ZERO, batches.len() as u32);
            for (index, bytes) in &batches {
                produce::write_partition(w, d, *index, bytes.len() as u32);
                w.bytes(bytes);
                produce::write_partition_end(w, d);
            }
            produce::write_topic_end(w, d);
            produce::write_end(w, d);
        })?;
        let (mut rest, mut said) = (&answer[..], Vec::new());
        let mut walk = ProduceResponse::new(VERSION);
        loop {
            let used = match walk.step(rest).expect("an answer") {
                Step::Element { used, element } => {
                    if let ProduceResponseItem::Partition(partition) = element {
                        said.push(partition);
                    }
                    used
                }
                Step::Skip { used, skip } => used + skip,
                Step::Wait => panic!("half an answer"),
                Step::Done { .. } => break,
            };
            rest = &rest[used..];
        }
        said.sort_by_key(|partition| partition.index);
        Some(said)
    }

    fn encode(&self, batch: &Batch) -> Vec<u8> {
        if batch.flaw == Flaw::Empty {
            return Vec::new();
        }
        let value = vec![b'.'; batch.value];
        let mut bytes = vec![0; BatchHeader::LEN];
        for offset_delta in 0..batch.records {
            let head = RecordHead { attributes: 0, timestamp_delta: 0, offset_delta };
            let at = bytes.len();
            bytes.resize(at + record_size(&head, None, Some(value.len()), headers_size(&[])), 0);
            let mut w = Writer::new(&mut bytes[at..]);
            write_record(&mut w, &head, None, Some(&value), &[]);
            assert!(w.finish().is_ok(), "the record was measured");
        }
        if matches!(batch.flaw, Flaw::Short(_)) {
            bytes.pop();
        }
        let long = i32::from(batch.flaw == Flaw::Short(false));
        let records_len = bytes.len() - BatchHeader::LEN;
        let (more, last_more) = match batch.flaw {
            Flaw::Count(more, true) => (more, more),
            Flaw::Count(more, false) => (more, 0),
            Flaw::LastDelta(more) => (0, more),
            Flaw::None
            | Flaw::Checksum
            | Flaw::BaseOffset
            | Flaw::Magic(_)
            | Flaw::Short(_)
            | Flaw::Length(_)
            | Flaw::Cut(_)
            | Flaw::Two
            | Flaw::Empty => (0, 0),
        };
        let mut header = BatchHeader {
            base_offset: i64::from(batch.flaw == Flaw::BaseOffset),
            batch_length: BatchHeader::batch_length_for(records_len).expect("a length") + long,
            partition_leader_epoch: -1,
            crc: 0,
            attributes: Default::default(),
            last_offset_delta: batch.records - 1 + last_more,
            base_timestamp: self.timestamp,
            max_timestamp: self.timestamp,
            producer_id: batch.producer.map_or(-1, |producer| self.producers[producer]),
            producer_epoch: batch.epoch,
            base_sequence: batch.sequence,
            records_count: batch.records + more,
        };
        bytes[..BatchHeader::LEN].copy_from_slice(&header.to_bytes());
        header.crc = crc32c(0, &bytes[BatchHeader::CHECKED_FROM..]);
        header.crc ^= u32::from(batch.flaw == Flaw::Checksum);
        bytes[..BatchHeader::LEN].copy_from_slice(&header.to_bytes());
        if let Flaw::Magic(magic) = batch.flaw {
            bytes[BatchHeader::CRC_AT - 1] = magic;
        }
        if let Flaw::Length(length) = batch.flaw {
            bytes[8..BatchHeader::UNCOUNTED].copy_from_slice(&length.to_be_bytes());
        }
        if let Flaw::Cut(len) = batch.flaw {
            let length = len as i32 - BatchHeader::UNCOUNTED as i32;
            bytes[8..BatchHeader::UNCOUNTED].copy_from_slice(&length.to_be_bytes());
            bytes.truncate(len);
        }
        if batch.flaw == Flaw::Two {
            bytes.extend_from_within(..);
        }
        bytes
    }
}
