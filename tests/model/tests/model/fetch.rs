//! Reading logs back. `ottla-fuzz` reads the same answers by its table of messages.

use ottla_core::wire::ApiKey;

use crate::wire_client::{Client, T0, batch, one_node, request};

/// A request for all of partition 0 from an offset on, in version 4.
fn fetch(topic: &str, offset: i64, most: i32) -> Vec<u8> {
    request(ApiKey(1), 4, 7, |w, d| {
        // Replica, longest wait, least bytes, most bytes, isolation level.
        for number in [-1, 100, 1, i32::MAX] {
            w.int32(number);
        }
        w.int8(0);
        w.count(Some(1), d);
        w.string(topic, d);
        w.count(Some(1), d);
        w.int32(0);
        w.int64(offset);
        w.int32(most);
    })
}

/// The error, the high watermark and the records of the one partition.
fn read(answer: &[u8]) -> (i16, i64, Vec<u8>) {
    // Size, correlation id, throttle, topics, the name "t", partitions, index.
    let partition = &answer[4 + 4 + 4 + 4 + 3 + 4 + 4..];
    let error = i16::from_be_bytes(*partition.first_chunk().unwrap());
    let end = i64::from_be_bytes(*partition[2..].first_chunk().unwrap());
    // The high watermark, the last stable offset, no transactions, the records' size.
    let records = &partition[2 + 8 + 8 + 4..];
    let size = i32::from_be_bytes(*records.first_chunk().unwrap());
    assert_eq!(usize::try_from(size).unwrap(), records.len() - 4);
    (error, end, records[4..].to_vec())
}

#[test]
fn the_log_is_read_from_an_offset_on() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 3));
    client.produce(&mut cluster, &batch(0, 3, 2));
    let logged: Vec<Vec<u8>> = cluster.batches("t", 0).map(|batch| batch.bytes.to_vec()).collect();
    for (offset, expected) in [
        (0, logged.concat()),
        // In the middle of a batch the whole batch is told.
        (2, logged.concat()),
        (3, logged[1].clone()),
        (5, Vec::new()),
    ] {
        let answer = client.call(&mut cluster, T0, &fetch("t", offset, 1_000_000));
        assert_eq!(read(&answer), (0, 5, expected), "from {offset}");
    }
    // At least one batch, however little is wanted.
    let answer = client.call(&mut cluster, T0, &fetch("t", 0, 1));
    assert_eq!(read(&answer), (0, 5, logged[0].clone()));
}

#[test]
fn what_is_not_there_is_refused() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    for offset in [-1, 1] {
        let answer = client.call(&mut cluster, T0, &fetch("t", offset, 100));
        assert_eq!(read(&answer), (1, -1, Vec::new()), "OFFSET_OUT_OF_RANGE at {offset}");
    }
    let answer = client.call(&mut cluster, T0, &fetch("x", 0, 100));
    assert_eq!(read(&answer), (3, -1, Vec::new()), "UNKNOWN_TOPIC_OR_PARTITION");
    cluster.remove_leader("t", 0).unwrap();
    let answer = client.call(&mut cluster, T0, &fetch("t", 0, 100));
    assert_eq!(read(&answer), (6, -1, Vec::new()), "NOT_LEADER_OR_FOLLOWER");
}
