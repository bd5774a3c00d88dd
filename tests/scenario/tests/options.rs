//! What the application chooses: partitions, acknowledgements, batches, headers, timestamps.

use core::time::Duration;

use ottla_core::{
    Acks, Cause, Config, Header, Memory, Partitioner, ProduceError, Producer, Record, TopicError,
    TopicId, wire::murmur2,
};
use ottla_model::{Action, ClusterConfig, Fault, TimestampType, TopicConfig};
use ottla_scenario::{BOOTSTRAP, Said, World};

const SECOND: Duration = Duration::from_secs(1);

fn world(config: &Config<'_>, partitions: u32) -> (World<'static>, TopicId) {
    let mut world = World::new(config, ClusterConfig::with_nodes(1), 17);
    world.cluster.create_topic("t", partitions).expect("a topic");
    let topic = world.topic("t");
    (world, topic)
}

fn counts(world: &World<'_>, partitions: i32) -> Vec<i64> {
    (0..partitions).map(|partition| world.cluster.end_offset("t", partition)).collect()
}

#[test]
fn records_with_a_key_go_where_java_puts_them() {
    let (mut world, topic) = world(&Config::default(), 7);
    for number in 0..500_u32 {
        let key = number.to_be_bytes();
        let record = Record { key: Some(&key), value: Some(b"v"), ..Record::default() };
        world.producer.produce(world.now, topic, &record).expect("room");
    }
    world.producer.flush(world.now);
    while world.producer.poll_writable(world.now).is_some() {}
    let memory = world.producer.stats();
    assert_eq!(memory.records, 500);
    // The batches are on their way; what arrives lies where murmur2 says.
    let ended = |world: &World<'_>| counts(world, 7).iter().sum::<i64>() == 500;
    world.ignore_verdicts = true;
    assert!(world.run_until(SECOND, ended));
    for partition in 0..7 {
        for record in world.cluster.log("t", partition) {
            let key = record.key.expect("a key");
            assert_eq!(murmur2::partition(key, 7), partition as u32);
        }
    }
}

#[test]
fn records_without_a_key_stay_on_a_partition_for_a_batch_and_spread_in_the_end() {
    let config = Config { batch_size: 1_000, ..Config::default() };
    let (mut world, topic) = world(&config, 4);
    for _ in 0..2_000 {
        world.produce(topic, None, 84).expect("room");
    }
    world.close(SECOND);
    let counts = counts(&world, 4);
    assert_eq!(counts.iter().sum::<i64>(), 2_000);
    assert!(counts.iter().all(|count| (300..=700).contains(count)), "{counts:?}");
    let batches: usize =
        (0..4).map(|partition| world.cluster.batches("t", partition).count()).sum();
    assert!(batches <= 2_000 / 9 + 4, "{batches} batches: not full");
    world.ledger.check(&world.cluster, true);
}

#[test]
fn a_slow_partition_gets_fewer_records_without_a_key() {
    let config = Config { batch_size: 500, buffer_memory: 4 << 20, ..Config::default() };
    let mut world = World::new(&config, ClusterConfig::with_nodes(2), 17);
    world.cluster.create_topic("t", 2).expect("a topic");
    world.cluster.move_leader("t", 0, 1).expect("a leader");
    world.cluster.move_leader("t", 1, 2).expect("a leader");
    let topic = world.topic("t");
    world.cluster.freeze(2).expect("a node");
    for _ in 0..300 {
        for _ in 0..5 {
            world.produce(topic, None, 84).expect("room");
        }
        world.run_for(Duration::from_millis(2));
    }
    let before = counts(&world, 2);
    assert!(before[0] > 1_000, "{before:?}");
    world.cluster.thaw(2).expect("a node");
    world.close(SECOND);
    world.ledger.check(&world.cluster, true);
}

#[test]
fn the_callers_own_partitioner_and_an_explicit_partition_are_heeded() {
    let partitioner = Partitioner::Custom(|key, _, _| key.map_or(0, |key| u32::from(key[0])));
    let config = Config { partitioner, linger: Duration::ZERO, ..Config::default() };
    let (mut world, topic) = world(&config, 3);
    world.ignore_verdicts = true;
    for (key, partition) in [(2, None), (4, None), (0, Some(2))] {
        let key = [key];
        let record = Record { key: Some(&key), partition, ..Record::default() };
        world.producer.produce(world.now, topic, &record).expect("room");
    }
    world.run_for(SECOND);
    assert_eq!(counts(&world, 3), [0, 1, 2]);
    let record = Record { partition: Some(3), ..Record::default() };
    let error = world.producer.produce(world.now, topic, &record);
    assert_eq!(error, Err(ProduceError::UnknownPartition { partitions: 3 }));
    let record = Record { partition: Some(-1), ..Record::default() };
    assert!(world.producer.produce(world.now, topic, &record).is_err());
}

#[test]
fn keys_values_headers_and_times_arrive_as_they_were_given() {
    let config = Config { linger: Duration::ZERO, batch_size: 300, ..Config::default() };
    let (mut world, topic) = world(&config, 1);
    world.ignore_verdicts = true;
    let headers = [
        Header { key: "trace", value: Some(b"abc") },
        Header { key: "", value: None },
        Header { key: "trace", value: Some(b"") },
    ];
    let records = [
        Record { value: Some(b"v"), timestamp: 1_000, ..Record::default() },
        Record { key: Some(b""), value: Some(b""), timestamp: 999, ..Record::default() },
        Record { key: Some(b"k"), value: None, timestamp: 5_000_000_000_000, ..Record::default() },
        Record { key: None, value: None, headers: &headers, timestamp: 1_001, ..Record::default() },
    ];
    for record in &records {
        world.producer.produce(world.now, topic, record).expect("room");
    }
    world.run_for(SECOND);
    let log: Vec<_> = world.cluster.log("t", 0).collect();
    assert_eq!(log.len(), 4);
    for (logged, given) in log.iter().zip(&records) {
        assert_eq!((logged.key, logged.value), (given.key, given.value));
        assert_eq!(logged.timestamp, given.timestamp);
        assert_eq!(logged.headers.len(), given.headers.len());
        for (logged, given) in logged.headers.iter().zip(given.headers) {
            assert_eq!((logged.key, logged.value), (given.key.as_bytes(), given.value));
        }
    }
}

/// Not 1970, by which brokers would delete it: none, for whoever knows the time to fill in.
#[test]
fn a_record_by_default_has_no_create_time() {
    let config = Config { linger: Duration::ZERO, ..Config::default() };
    let (mut world, topic) = world(&config, 1);
    world.ignore_verdicts = true;
    let record = Record { value: Some(b"v"), ..Record::default() };
    world.producer.produce(world.now, topic, &record).expect("room");
    world.run_for(SECOND);
    assert_eq!(world.cluster.log("t", 0).next().expect("a record").timestamp, -1);
}

#[test]
fn a_topic_that_stamps_records_itself_says_when() {
    let mut world = World::new(&Config::default(), ClusterConfig::with_nodes(1), 1);
    let stamped =
        TopicConfig { timestamp_type: TimestampType::LogAppendTime, ..TopicConfig::default() };
    world.cluster.create_topic_with("t", 1, stamped).expect("a topic");
    let topic = world.topic("t");
    world.produce(topic, None, 8).expect("room");
    world.close(SECOND);
    let time = world.cluster.log("t", 0).next().expect("a record").timestamp;
    assert_eq!(world.last_append_time, Some(time));
}

#[test]
fn acks_one_is_answered_and_acks_zero_is_unknown() {
    for (acks, expected) in
        [(Acks::Leader, Said::Delivered(Some(0))), (Acks::None, Said::Unknown(Cause::NoAcks))]
    {
        let config = Config { acks, enable_idempotence: false, ..Config::default() };
        let (mut world, topic) = world(&config, 1);
        let id = world.produce(topic, None, 20).expect("room");
        world.run_for(SECOND);
        assert_eq!(world.ledger.entry(id).last, Some(expected));
        assert_eq!(world.cluster.end_offset("t", 0), 1);
        assert_eq!(world.cluster.log("t", 0).next().expect("a record").producer_id, -1);
        world.close(SECOND);
    }
}

#[test]
fn without_idempotence_one_batch_is_in_flight_and_order_holds_over_a_retry() {
    let config = Config {
        enable_idempotence: false,
        linger: Duration::ZERO,
        batch_size: 100,
        ..Config::default()
    };
    let (mut world, topic) = world(&config, 1);
    let refuse = Action::Reject(ottla_core::wire::ErrorCode::NOT_ENOUGH_REPLICAS);
    world.cluster.inject(Fault::produce(refuse).times(2));
    for _ in 0..20 {
        world.produce(topic, None, 60).expect("room");
    }
    world.close(10 * SECOND);
    assert_eq!(world.cluster.end_offset("t", 0), 20);
    world.ledger.check(&world.cluster, true);
}

#[test]
fn what_cannot_work_is_refused_by_name() {
    let refused = |config: Config<'_>| {
        let memory = Memory::heap(ottla_core::Limits::default());
        Producer::new(&config, memory, 0).expect_err("a refusal").to_string()
    };
    let good = Config { bootstrap_servers: BOOTSTRAP, ..Config::default() };
    assert_eq!(refused(Config::default()), "bootstrap.servers is empty");
    assert_eq!(
        refused(Config { bootstrap_servers: "a:1,b", ..good }),
        "bootstrap.servers: entry 2 is not host:port"
    );
    for servers in ["a:0", ":9092", "a:99999", "::1:9092", "[::1:9092"] {
        let error = refused(Config { bootstrap_servers: servers, ..good });
        assert!(error.contains("entry 1"), "{servers}: {error}");
    }
    assert_eq!(
        refused(Config { acks: Acks::Leader, ..good }),
        "acks: expected all, because enable.idempotence=true"
    );
    assert_eq!(
        refused(Config { max_in_flight: 6, ..good }),
        "max.in.flight.requests.per.connection: expected 1 to 5"
    );
    let memory = Memory::heap(ottla_core::Limits { topics: 1, ..ottla_core::Limits::default() });
    let mut producer = Producer::new(&good, memory, 0).expect("a producer");
    let now = ottla_core::Instant::ZERO;
    assert_eq!(producer.topic(now, "a b"), Err(TopicError::InvalidName));
    assert_eq!(producer.topic(now, &"x".repeat(250)), Err(TopicError::NameTooLong { max: 249 }));
    let topic = producer.topic(now, "a").expect("room");
    assert_eq!(producer.topic(now, "a"), Ok(topic));
    assert_eq!(producer.topic(now, "b"), Err(TopicError::TooManyTopics { max: 1 }));
    let refused = producer.produce(now, topic, &Record::default());
    assert_eq!(refused, Err(ProduceError::MetadataPending));
}

#[test]
fn a_record_larger_than_a_request_is_refused_and_the_largest_that_fits_arrives() {
    let config = Config { max_request_size: 100_000, ..Config::default() };
    let (mut world, topic) = world(&config, 1);
    let error = world.produce(topic, None, 100_000).expect_err("too large");
    let ProduceError::RecordTooLarge { size, max } = error else { panic!("{error}") };
    assert!(size > 100_000 && max < 100_000, "{error}");
    let id = world.produce(topic, None, max as usize - 16).expect("room");
    world.close(SECOND);
    assert_eq!(world.ledger.entry(id).last, Some(Said::Delivered(Some(0))));
    world.ledger.check(&world.cluster, true);
}
