//! How producers are forgotten: by the age of their records, at a sweep.

use core::time::Duration;
use std::{
    thread::sleep,
    time::{SystemTime, UNIX_EPOCH},
};

use ottla_kafka::{Cluster, Config, NEWEST};
use ottla_model::{ClusterConfig, TimestampType, TopicConfig};

use crate::{
    Both, await_leader,
    client::{Append, Batch, Client, Flaw, Kafka, Model, TOPIC},
};

/// After this time a producer is forgotten.
const EXPIRATION: Duration = Duration::from_secs(6);
/// How often there is a sweep. Kafka's and the model's are not at the same time, so that nothing is
/// asked about one of these before or after it may matter.
const CHECK: Duration = Duration::from_millis(500);

/// Both with brokers that forget soon, and a topic with timestamps of one kind.
fn forgetful(by: TimestampType) -> Both {
    let version = std::env::var("OTTLA_KAFKA_VERSION").unwrap_or_else(|_| NEWEST.to_owned());
    let ms = |time: Duration| time.as_millis().to_string();
    let config = Config::new(&version, 1)
        .unwrap()
        .with("producer.id.expiration.ms", &ms(EXPIRATION))
        .with("producer.id.expiration.check.interval.ms", &ms(CHECK));
    let cluster = Cluster::start(&config).unwrap();
    let kind = match by {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    };
    cluster.create_topic(TOPIC, PARTITIONS, 1, &[("message.timestamp.type", kind)]).unwrap();
    let mut kafka = Client::new(Kafka::new(cluster.bootstrap()), 0);
    for partition in 0..PARTITIONS {
        await_leader(&mut kafka, partition);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mut model = ottla_model::Cluster::new(ClusterConfig {
        producer_id_expiration: EXPIRATION,
        producer_id_expiration_check: CHECK,
        start_ms: i64::try_from(now).unwrap(),
        ..ClusterConfig::default()
    });
    let topic = TopicConfig { timestamp_type: by, ..TopicConfig::default() };
    model.create_topic_with(TOPIC, PARTITIONS as u32, topic).unwrap();
    println!("Kafka {version}, {kind}");
    let mut both = Both {
        kafka,
        model: Client::new(Model::new(model), 0),
        seen: Default::default(),
        differences: Vec::new(),
        old: false,
        _cluster: cluster,
    };
    both.take_producers(1);
    both
}

/// How old records are, in milliseconds; each has a partition of its own.
const AGES: [i64; 5] = [0, 60 * 60 * 1_000, -50 * 60 * 1_000, NEVER_SET, 5_000];
/// A clock that says 1970.
const NEVER_SET: i64 = i64::MAX;
const PARTITIONS: i32 = AGES.len() as i32;

/// Appends one batch to each partition, and again after two seconds and after eight. Tells at which offset
/// the last copy of each lies.
fn copies(by: TimestampType) -> Vec<i64> {
    let mut both = forgetful(by);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let now = i64::try_from(now).unwrap();
    let mut ends = vec![0; AGES.len()];
    let all: Vec<i32> = (0..PARTITIONS).collect();
    // Log append times differ, and so what is told of them.
    let comparable = by == TimestampType::CreateTime;
    for pause in [0, 2_000, 6_500] {
        sleep(Duration::from_millis(pause));
        if comparable {
            both.describe(&format!("after {pause} ms"), TOPIC, &all);
        }
        for (partition, age) in (0..).zip(AGES) {
            let timestamp = if age == NEVER_SET { 1_000 } else { now - age };
            both.kafka.date(timestamp);
            both.model.date(timestamp);
            let batch = Batch {
                producer: Some(0),
                epoch: 0,
                sequence: 7,
                records: 1,
                value: 10,
                flaw: Flaw::None,
            };
            let append = Append { connection: 0, acks: -1, batches: vec![(partition, batch)] };
            let what = format!("{by:?}, age {age}, after {pause} ms");
            let said = if comparable {
                both.append(&what, &append)
            } else {
                let mut by_kafka = both.kafka.append(&append);
                let mut by_model = both.model.append(&append);
                for said in [&mut by_kafka, &mut by_model].into_iter().flatten().flatten() {
                    assert!(said.log_append_time_ms >= now - 1_000, "{what}: {said:?}");
                    said.log_append_time_ms = 0;
                }
                assert_eq!(by_kafka, by_model, "{what}");
                by_kafka
            };
            let end = &mut ends[partition as usize];
            *end = said.expect("an answer")[0].base_offset.max(*end);
        }
    }
    both.finish();
    ends
}

#[test]
#[ignore = "needs Java and Maven"]
fn the_model_forgets_by_the_age_of_records_as_kafka_does() {
    // Of now: recognised after two seconds, and forgotten after more than six. An hour old, or of 1970:
    // forgotten at each sweep. Of the future: known. Of five seconds ago: forgotten soon, and again.
    assert_eq!(copies(TimestampType::CreateTime), [1, 2, 0, 2, 2]);
}

#[test]
#[ignore = "needs Java and Maven"]
fn the_model_forgets_by_append_times_as_kafka_does() {
    assert_eq!(copies(TimestampType::LogAppendTime), [1; 5]);
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_follower_tells_what_its_own_log_knows() {
    let version = std::env::var("OTTLA_KAFKA_VERSION").unwrap_or_else(|_| NEWEST.to_owned());
    let cluster = Cluster::start(&Config::new(&version, 2).unwrap()).unwrap();
    cluster.create_topic(TOPIC, 1, 2, &[]).unwrap();
    cluster.await_in_sync(TOPIC, 2, Duration::from_secs(60)).unwrap();
    let leader = cluster.leader(TOPIC, 0).unwrap();
    let at = |leads: bool| {
        let addresses = cluster.bootstrap();
        let mut nodes = cluster.node_ids().into_iter().zip(addresses.split(','));
        let (_, address) = nodes.find(|(node, _)| (*node == leader) == leads).unwrap();
        Client::new(Kafka::new(address.to_owned()), 1_700_000_000_000)
    };
    let mut client = at(true);
    client.take_producers(1);
    let batch =
        Batch { producer: Some(0), epoch: 3, sequence: 7, records: 2, value: 10, flaw: Flaw::None };
    client.append(&Append { connection: 0, acks: -1, batches: vec![(0, batch)] }).unwrap();
    let by_leader = client.describe(TOPIC, &[0]);
    let by_follower = at(false).describe(TOPIC, &[0]);
    // Of the client that asks the follower no producer id is known.
    let told = |mut said: Vec<crate::client::Described>| {
        let (_, error, known) = said.remove(0);
        (error, known.into_iter().map(|(_, state)| state).collect::<Vec<_>>())
    };
    let (error, known) = told(by_leader);
    assert_eq!((error.0, known.len(), known[0].last_sequence), (0, 1, 8));
    assert_eq!(told(by_follower), (error, known));
}
