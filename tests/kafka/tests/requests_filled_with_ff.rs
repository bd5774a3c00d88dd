//! Apache Kafka acts on no part of a request that is filled up with 0xFF, which is how a serial line is
//! hung up.

use core::time::Duration;
use std::{
    io::{Read, Write},
    net::TcpStream,
};

use ottla_core::wire::{
    ApiKey, Uuid, Writer, crc32c, dialect, frame, produce,
    record::{Attributes, BatchHeader, RecordHead, write_record},
};
use ottla_kafka::{Cluster, Config, NEWEST};

fn written(write: impl Fn(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; Writer::measure(&write)];
    write(&mut Writer::new(&mut bytes));
    bytes
}

/// A batch of one record, of a producer that is not idempotent.
fn batch() -> Vec<u8> {
    let head = RecordHead { attributes: 0, timestamp_delta: 0, offset_delta: 0 };
    let records = written(|w| write_record(w, &head, None, Some(b"a reading"), &[]));
    let mut header = BatchHeader {
        base_offset: 0,
        batch_length: BatchHeader::batch_length_for(records.len()).expect("a small batch"),
        partition_leader_epoch: -1,
        crc: 0,
        attributes: Attributes::default(),
        last_offset_delta: 0,
        base_timestamp: 1_790_000_000_000,
        max_timestamp: 1_790_000_000_000,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        records_count: 1,
    };
    header.crc = header.checksum(crc32c, crc32c(0, &records), records.len());
    [header.to_bytes().to_vec(), records].concat()
}

/// A request that writes one batch to each of two partitions.
fn request(version: i16) -> Vec<u8> {
    let d = dialect(ApiKey::PRODUCE, version);
    let batch = batch();
    written(|w| {
        let size = frame::begin(w);
        frame::write_request_header(w, ApiKey::PRODUCE, version, 7, Some("line"));
        produce::write_head(w, d, None, -1, 1_000, 1);
        produce::write_topic(w, d, "t", Uuid::ZERO, 2);
        for partition in 0..2 {
            produce::write_partition(w, d, partition, batch.len() as u32);
            w.bytes(&batch);
            produce::write_partition_end(w, d);
        }
        produce::write_topic_end(w, d);
        produce::write_end(w, d);
        frame::end(w, size, 0);
    })
}

/// What the broker says to these bytes until it closes the connection, or says nothing for a while.
fn say(bootstrap: &str, bytes: &[u8], patience: Duration) -> (Vec<u8>, bool) {
    let mut socket = TcpStream::connect(bootstrap).expect("a broker");
    socket.set_read_timeout(Some(patience)).expect("a time");
    // The broker may close it before it has read all.
    let _ = socket.write_all(bytes);
    let mut said = Vec::new();
    let closed = match socket.read_to_end(&mut said) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    (said, closed)
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_request_that_is_filled_up_is_not_acted_on() {
    let version = std::env::var("OTTLA_KAFKA_VERSION").unwrap_or_else(|_| NEWEST.to_owned());
    let cluster = Cluster::start(&Config::new(&version, 1).unwrap()).unwrap();
    cluster.create_topic("t", 2, 1, &[]).unwrap();
    let bootstrap = cluster.bootstrap();
    let long = Duration::from_secs(10);
    assert_eq!(say(&bootstrap, &[0xff; 4], long), (Vec::new(), true), "a negative size");
    let mut filled = 0;
    for version in [9, 12] {
        let whole = request(version);
        // Around the head, the places where one part ends and another begins, and the end.
        let places = (4..whole.len()).filter(|at| at % 5 == 0 || whole.len() - at <= 12);
        for from in places {
            let mut bytes = whole.clone();
            bytes[from..].fill(0xff);
            bytes.extend([0xff; 4]);
            assert_eq!(say(&bootstrap, &bytes, long), (Vec::new(), true), "{version} from {from}");
            filled += 1;
        }
    }
    assert_eq!(cluster.read("t").unwrap(), [], "{filled} requests were filled up");
    // As they are, they are acted on.
    for version in [9, 12] {
        let (said, closed) = say(&bootstrap, &request(version), Duration::from_secs(2));
        assert!(!said.is_empty() && !closed, "{version}");
    }
    assert_eq!(cluster.read("t").unwrap().len(), 4);
    // In an old version the part that is there is acted on: why a serial line refuses those.
    let mut bytes = request(8);
    let last = bytes.len() - 4;
    bytes[last..].fill(0xff);
    let (said, _) = say(&bootstrap, &bytes, Duration::from_secs(2));
    assert!(!said.is_empty());
    assert_eq!(cluster.read("t").unwrap().len(), 5);
    println!("Kafka {version}: {filled} requests were filled up, and none was acted on");
}
