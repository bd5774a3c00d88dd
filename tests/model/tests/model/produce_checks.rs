//! The checks of a broker, and their order.

use ottla_core::wire::{
    ErrorCode, Uuid,
    record::{Attributes, Batch as WireBatch, BatchHeader},
};
use ottla_model::{Action, ClusterConfig, Fault, TimestampType, TopicConfig};

use crate::wire_client::{
    Batch, Client, NOW_MS, Named, T0, at_ms, batch, one_node, plain, produce_request,
    read_produced, with_topic,
};

const OK: ErrorCode = ErrorCode::NONE;

/// What the answer to one batch is, on a cluster of its own.
fn error_of(batch: &Batch) -> ErrorCode {
    error_of_bytes(batch.bytes())
}

fn error_of_bytes(bytes: Vec<u8>) -> ErrorCode {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let produced = client.produce_bytes(&mut cluster, T0, 0, bytes);
    let (error, base_offset) = produced.only();
    if !error.is_none() {
        assert_eq!(base_offset, -1);
        assert_eq!(cluster.end_offset("t", 0), 0);
    }
    error
}

fn with(change: impl FnOnce(&mut Batch)) -> ErrorCode {
    let mut batch = batch(0, 0, 3);
    change(&mut batch);
    error_of(&batch)
}

#[test]
fn a_good_batch_is_taken_in_every_version() {
    for version in 3..=13 {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1).speaking(version);
        assert_eq!(client.produce(&mut cluster, &batch(0, 0, 3)), (OK, 0));
    }
}

#[test]
fn batches_must_be_whole_and_single() {
    let good = batch(0, 0, 3).bytes();
    let cut = good[..good.len() - 1].to_vec();
    assert_eq!(error_of_bytes(cut), ErrorCode::INVALID_RECORD);
    assert_eq!(error_of_bytes(Vec::new()), ErrorCode::INVALID_RECORD);
    let two = [good.clone(), batch(0, 3, 1).bytes()].concat();
    assert_eq!(error_of_bytes(two), ErrorCode::INVALID_RECORD);
    // Part of another batch is cut off.
    let more = [good.clone(), good[..20].to_vec()].concat();
    assert_eq!(error_of_bytes(more), OK);
    let mut short = good.clone();
    short[8..12].copy_from_slice(&13_i32.to_be_bytes());
    assert_eq!(error_of_bytes(short), ErrorCode::CORRUPT_MESSAGE);
}

#[test]
fn the_magic_must_be_2() {
    let mut bytes = batch(0, 0, 3).bytes();
    bytes[16] = 1;
    assert_eq!(error_of_bytes(bytes.clone()), ErrorCode::INVALID_RECORD);
    bytes[16] = 3;
    assert_eq!(error_of_bytes(bytes), ErrorCode::CORRUPT_MESSAGE);
}

#[test]
fn a_wrong_checksum_is_corrupt() {
    let good = batch(0, 0, 3).bytes();
    for at in BatchHeader::CRC_AT..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert_eq!(error_of_bytes(bytes), ErrorCode::CORRUPT_MESSAGE, "{at}");
    }
}

#[test]
fn the_checksum_may_be_left_unchecked() {
    let mut cluster = with_topic(ClusterConfig { check_crc: false, ..ClusterConfig::default() });
    let mut client = Client::new(&cluster, 1);
    let mut bytes = batch(0, 0, 3).bytes();
    bytes[BatchHeader::CRC_AT] ^= 1;
    let produced = client.produce_bytes(&mut cluster, T0, 0, bytes);
    assert_eq!(produced.only(), (OK, 0));
}

#[test]
fn the_header_must_agree_with_itself() {
    let invalid = ErrorCode::INVALID_RECORD;
    assert_eq!(with(|b| b.header.base_offset = 1), invalid);
    assert_eq!(with(|b| b.header.records_count = 4), invalid);
    assert_eq!(with(|b| b.header.records_count = 0), invalid);
    assert_eq!(with(|b| b.header.records_count = -1), invalid);
    assert_eq!(with(|b| b.header.last_offset_delta = 1), invalid);
    assert_eq!(with(|b| b.header.last_offset_delta = i32::MAX), invalid);
    assert_eq!(with(|b| b.header.base_sequence = -1), invalid);
    assert_eq!(with(|b| b.header.attributes = Attributes::CONTROL), invalid);
    assert_eq!(with(|b| b.first_delta = 1), invalid);
    let more_records = |b: &mut Batch| {
        b.header.records_count = 2;
        b.header.last_offset_delta = 1;
    };
    assert_eq!(with(more_records), invalid);
}

#[test]
fn kafka_does_not_look_at_offset_deltas() {
    let mut cluster =
        with_topic(ClusterConfig { check_offset_deltas: false, ..ClusterConfig::default() });
    let mut client = Client::new(&cluster, 1);
    let mut odd = batch(0, 0, 3);
    odd.first_delta = 5;
    assert_eq!(client.produce(&mut cluster, &odd), (OK, 0));
}

#[test]
fn transactions_are_refused() {
    let error = with(|b| b.header.attributes = Attributes::TRANSACTIONAL);
    assert_eq!(error, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
}

#[cfg(not(feature = "compression"))]
#[test]
fn zstd_needs_version_7_and_is_believed() {
    for (version, expected) in [(6, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE), (7, OK)] {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1).speaking(version);
        let mut zstd = batch(0, 0, 1);
        zstd.header.attributes = Attributes(4);
        assert_eq!(client.produce(&mut cluster, &zstd).0, expected);
        assert_eq!(cluster.log("t", 0).count(), 0, "not unpacked");
    }
}

#[test]
fn a_batch_may_be_as_large_as_the_bound() {
    let good = batch(0, 0, 3).bytes();
    for (max_message_bytes, expected) in
        [(good.len(), OK), (good.len() - 1, ErrorCode::MESSAGE_TOO_LARGE)]
    {
        let mut cluster = with_topic(ClusterConfig {
            topic: TopicConfig { max_message_bytes, ..TopicConfig::default() },
            ..ClusterConfig::default()
        });
        let mut client = Client::new(&cluster, 1);
        assert_eq!(client.produce(&mut cluster, &batch(0, 0, 3)).0, expected);
    }
}

#[test]
fn wrong_timestamps_are_told_by_record() {
    let config = ClusterConfig {
        topic: TopicConfig {
            timestamp_before_max_ms: Some(1_000),
            timestamp_after_max_ms: Some(500),
            ..TopicConfig::default()
        },
        ..ClusterConfig::default()
    };
    for version in [7, 8, 13] {
        let mut cluster = with_topic(config.clone());
        let now_ms = cluster.now_ms(at_ms(5_000));
        let mut client = Client::new(&cluster, 1).speaking(version);
        let mut batch = batch(0, 0, 4);
        batch.header.base_timestamp = now_ms;
        batch.timestamps = vec![-1_000, -1_001, 500, 501];
        let produced = client.produce_bytes(&mut cluster, at_ms(5_000), 0, batch.bytes());
        assert_eq!(produced.only().0, ErrorCode::INVALID_TIMESTAMP);
        assert_eq!(produced.partitions[0].log_start_offset, 0);
        let told: &[i32] = if version >= 8 { &[1, 3] } else { &[] };
        assert_eq!(produced.record_errors, told);
    }
}

#[test]
fn compacted_topics_want_keys() {
    let mut cluster = with_topic(ClusterConfig {
        topic: TopicConfig { compacted: true, ..TopicConfig::default() },
        ..ClusterConfig::default()
    });
    let mut client = Client::new(&cluster, 1);
    let mut batch = batch(0, 0, 2);
    let produced = client.produce_bytes(&mut cluster, T0, 0, batch.bytes());
    assert_eq!(produced.only().0, ErrorCode::INVALID_RECORD);
    assert_eq!(produced.record_errors, [0, 1]);
    batch.keys = true;
    assert_eq!(client.produce(&mut cluster, &batch), (OK, 0));
}

#[test]
fn log_append_time_is_answered_and_written() {
    let mut cluster = with_topic(ClusterConfig {
        topic: TopicConfig {
            timestamp_type: TimestampType::LogAppendTime,
            ..TopicConfig::default()
        },
        ..ClusterConfig::default()
    });
    let mut client = Client::new(&cluster, 1);
    let now = at_ms(123);
    let now_ms = cluster.now_ms(now);
    let produced = client.produce_bytes(&mut cluster, now, 0, batch(0, 0, 2).bytes());
    assert_eq!(produced.partitions[0].log_append_time_ms, now_ms);
    assert!(cluster.log("t", 0).all(|record| record.timestamp == now_ms));
    // A duplicate gets the first time again.
    let produced = client.produce_bytes(&mut cluster, at_ms(500), 0, batch(0, 0, 2).bytes());
    assert_eq!(produced.partitions[0].log_append_time_ms, now_ms);
    let mut wrong = batch(0, 2, 1);
    wrong.header.attributes = Attributes::LOG_APPEND_TIME;
    let (error, _) = client.produce(&mut cluster, &wrong);
    assert_eq!(error, ErrorCode::INVALID_TIMESTAMP);
}

#[test]
fn a_duplicate_has_a_log_append_time_even_where_create_times_are_kept() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    let mut first = batch(0, 0, 2);
    first.timestamps = vec![0, 20];
    let produced = client.produce_bytes(&mut cluster, T0, 0, first.bytes());
    assert_eq!(produced.partitions[0].log_append_time_ms, -1);
    let produced = client.produce_bytes(&mut cluster, T0, 0, first.bytes());
    assert_eq!(produced.partitions[0].log_append_time_ms, NOW_MS + 20);
}

#[test]
fn what_is_logged_is_a_whole_batch_with_offset_epoch_and_checksum() {
    let mut cluster = one_node();
    cluster.move_leader("t", 0, 1).unwrap();
    let mut client = Client::new(&cluster, 1);
    let mut first = batch(0, 0, 2);
    // A maximum that is too low is set right.
    first.timestamps = vec![0, 50];
    client.produce(&mut cluster, &first);
    client.produce(&mut cluster, &batch(0, 2, 2));
    let batches: Vec<_> = cluster.batches("t", 0).collect();
    assert_eq!(batches.len(), 2);
    for (batch, base_offset) in batches.iter().zip([0, 2]) {
        let (parsed, rest) = WireBatch::split(batch.bytes).unwrap();
        assert!(rest.is_empty());
        assert!(parsed.is_intact(ottla_core::wire::crc32c));
        assert_eq!(parsed.header, batch.header);
        assert_eq!(parsed.header.base_offset, base_offset);
        assert_eq!(parsed.header.partition_leader_epoch, 1);
        // The core's reader and the model's own agree.
        let ours: Vec<_> = batch.records().collect();
        let theirs: Vec<_> = parsed.iter().map(Result::unwrap).collect();
        assert_eq!(ours.len(), theirs.len());
        for (our, their) in ours.iter().zip(&theirs) {
            assert_eq!((our.key, our.value), (their.key, their.value));
            assert_eq!(our.headers.len(), 1);
            assert_eq!(our.headers[0].key, b"h");
        }
    }
    assert_eq!(batches[0].header.max_timestamp, NOW_MS + 50);
    let offsets: Vec<_> = cluster.log("t", 0).map(|r| r.offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3]);
}

#[test]
fn acks_are_minus_1_0_or_1() {
    for acks in [-2, 2, i16::MAX] {
        let mut cluster = one_node();
        let mut client = Client::new(&cluster, 1);
        client.acks = acks;
        let error = ErrorCode::INVALID_REQUIRED_ACKS;
        assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (error, -1));
    }
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.acks = 1;
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
}

#[test]
fn acks_0_has_no_answer_and_an_error_closes() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.acks = 0;
    let frame = client.request(&cluster, 0, batch(0, 0, 1).bytes());
    assert!(client.call(&mut cluster, T0, &frame).is_empty());
    assert!(!client.connection.is_closed());
    assert_eq!(cluster.end_offset("t", 0), 1);
    let frame = client.request(&cluster, 9, batch(0, 1, 1).bytes());
    assert!(client.call(&mut cluster, T0, &frame).is_empty());
    assert!(client.connection.is_closed());
}

#[test]
fn too_few_replicas_matter_with_acks_all() {
    let mut cluster = with_topic(ClusterConfig {
        topic: TopicConfig { min_in_sync_replicas: 2, ..TopicConfig::default() },
        ..ClusterConfig::with_nodes(3)
    });
    let mut client = Client::new(&cluster, 1);
    cluster.set_in_sync_replicas("t", 0, 1).unwrap();
    let (error, _) = client.produce(&mut cluster, &batch(0, 0, 1));
    assert_eq!(error, ErrorCode::NOT_ENOUGH_REPLICAS);
    client.acks = 1;
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
}

#[test]
fn checks_come_in_the_order_of_kafka() {
    // Each has all faults of those before it; the first one in Kafka's order is told.
    let mut cluster = with_topic(ClusterConfig {
        topic: TopicConfig {
            min_in_sync_replicas: 2,
            max_message_bytes: 100,
            ..TopicConfig::default()
        },
        ..ClusterConfig::with_nodes(2)
    });
    cluster.set_in_sync_replicas("t", 0, 1).unwrap();
    let mut bad = batch(0, 5, 3).bytes();
    bad[16] = 1;
    bad[30] ^= 1;
    let mut wrong = Client::new(&cluster, 2);
    let mut right = Client::new(&cluster, 1);
    let tell = |client: &mut Client, cluster: &mut _, partition, bytes: &[u8]| {
        let produced = client.produce_bytes(cluster, T0, partition, bytes.to_vec());
        produced.only().0
    };
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(tell(&mut wrong, &mut cluster, 7, &bad), unknown);
    let magic = ErrorCode::INVALID_RECORD;
    assert_eq!(tell(&mut wrong, &mut cluster, 0, &bad), magic);
    bad[16] = 2;
    let leader = ErrorCode::NOT_LEADER_OR_FOLLOWER;
    assert_eq!(tell(&mut wrong, &mut cluster, 0, &bad), leader);
    let replicas = ErrorCode::NOT_ENOUGH_REPLICAS;
    assert_eq!(tell(&mut right, &mut cluster, 0, &bad), replicas);
    cluster.set_in_sync_replicas("t", 0, 2).unwrap();
    let size = ErrorCode::MESSAGE_TOO_LARGE;
    assert!(bad.len() > 100);
    assert_eq!(tell(&mut right, &mut cluster, 0, &bad), size);
    let mut topic = cluster.config().topic.clone();
    topic.max_message_bytes = 1_000;
    cluster.set_topic_config("t", topic).unwrap();
    let crc = ErrorCode::CORRUPT_MESSAGE;
    assert_eq!(tell(&mut right, &mut cluster, 0, &bad), crc);
}

#[test]
fn a_retry_that_is_refused_may_have_been_appended() {
    // Size comes before the duplicate (semantics.md §3.2).
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 3));
    cluster
        .set_topic_config("t", TopicConfig { max_message_bytes: 10, ..TopicConfig::default() })
        .unwrap();
    let (error, _) = client.produce(&mut cluster, &batch(0, 0, 3));
    assert_eq!(error, ErrorCode::MESSAGE_TOO_LARGE);
    assert_eq!(cluster.end_offset("t", 0), 3);
}

#[test]
fn topics_are_unknown_by_name_and_by_id() {
    let mut cluster = one_node();
    let nowhere = Named { name: "nowhere", id: Uuid([9; 16]) };
    for (version, expected) in
        [(12, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), (13, ErrorCode::UNKNOWN_TOPIC_ID)]
    {
        let mut client = Client::new(&cluster, 1);
        let bytes = batch(0, 0, 1).bytes();
        let frame = produce_request(version, -1, nowhere, &[(0, bytes)]);
        let answer = client.call(&mut cluster, T0, &frame);
        let produced = read_produced(version, &answer);
        assert_eq!(produced.only(), (expected, -1));
        let named = match version {
            12 => (Some("nowhere".to_owned()), Uuid::ZERO),
            _ => (None, nowhere.id),
        };
        assert_eq!(produced.topics, [named]);
    }
}

#[test]
fn partitions_of_one_request_are_judged_apart() {
    let mut cluster = one_node();
    cluster.inject(Fault::produce(Action::Reject(ErrorCode::KAFKA_STORAGE_ERROR)).on("t", 1));
    let mut client = Client::new(&cluster, 1);
    let topic = Named { name: "t", id: cluster.topic_id("t").unwrap() };
    let batches = [
        (0, batch(0, 0, 1).bytes()),
        (1, batch(0, 0, 1).bytes()),
        (2, plain(4).bytes()),
        (3, plain(4).bytes()),
    ];
    let frame = produce_request(13, -1, topic, &batches);
    let answer = client.call(&mut cluster, T0, &frame);
    let produced = read_produced(13, &answer);
    let told: Vec<_> = produced.partitions.iter().map(|p| (p.index, p.error)).collect();
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let storage = ErrorCode::KAFKA_STORAGE_ERROR;
    assert_eq!(told, [(0, OK), (1, storage), (2, OK), (3, unknown)]);
    assert_eq!(cluster.end_offset("t", 1), 0);
    assert_eq!(cluster.end_offset("t", 2), 4);
}
