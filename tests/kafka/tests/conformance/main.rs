//! The model answers as Apache Kafka does: the same raw requests to both, answer for answer.
//!
//! `OTTLA_KAFKA_VERSION` takes another version than the newest, `OTTLA_SEQUENCES` another number
//! of random sequences.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

mod client;
mod producer_expiry;
mod random_requests;
mod sasl;
mod table;

use core::time::Duration;
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use client::{Append, Batch, Client, Described, Flaw, Kafka, Model, Said, TOPIC};
use ottla_core::wire::ErrorCode;
use ottla_kafka::{Cluster, Config, NEWEST};
use ottla_model::{ClusterConfig, TopicConfig};

/// The largest batch, in bytes.
const LARGEST: usize = 4_000;

/// Apache Kafka and the model side by side.
struct Both {
    kafka: Client<Kafka>,
    model: Client<Model>,
    /// Answers compared, by error.
    seen: BTreeMap<String, usize>,
    /// What they said differently.
    differences: Vec<String>,
    /// Kafka 2.8 does not ask every batch for its producer id first; 3.9 does.
    old: bool,
    _cluster: Cluster,
}

impl Both {
    fn new(partitions: i32) -> Self {
        let version = std::env::var("OTTLA_KAFKA_VERSION").unwrap_or_else(|_| NEWEST.to_owned());
        // Room for the indices of many partitions.
        let config = Config::new(&version, 1).unwrap().with("log.index.size.max.bytes", "4096");
        let cluster = Cluster::start(&config).unwrap();
        let largest = LARGEST.to_string();
        cluster
            .create_topic(TOPIC, partitions, 1, &[("max.message.bytes", largest.as_str())])
            .unwrap();
        let mut model = ottla_model::Cluster::new(ClusterConfig::default());
        let topic = TopicConfig { max_message_bytes: LARGEST, ..TopicConfig::default() };
        model.create_topic_with(TOPIC, partitions as u32, topic).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let now = i64::try_from(now).unwrap();
        println!("Kafka {version}");
        let mut kafka = Client::new(Kafka::new(cluster.bootstrap()), now);
        for partition in 0..partitions {
            await_leader(&mut kafka, partition);
        }
        Self {
            kafka,
            model: Client::new(Model::new(model), now),
            seen: BTreeMap::new(),
            differences: Vec::new(),
            old: config.version < "3.9.0".parse().unwrap(),
            _cluster: cluster,
        }
    }

    fn take_producers(&mut self, count: usize) {
        self.kafka.take_producers(count);
        self.model.take_producers(count);
    }

    /// Sends the same to both, and compares what they say. Returns what Kafka says.
    fn append(&mut self, what: &str, append: &Append) -> Said {
        let by_kafka = self.kafka.append(append);
        let by_model = self.model.append(append);
        match &by_kafka {
            None => *self.seen.entry("closed".to_owned()).or_default() += 1,
            Some(said) => {
                for partition in said {
                    *self.seen.entry(partition.error.to_string()).or_default() += 1;
                }
            }
        }
        if by_kafka != by_model {
            self.differences.push(format!(
                "{what}: {append:?}\n  Kafka says {by_kafka:?}\n  the model {by_model:?}"
            ));
        }
        by_kafka
    }

    /// Asks both who is known of partitions, and compares what they say. Returns what Kafka says.
    fn describe(&mut self, what: &str, topic: &str, partitions: &[i32]) -> Vec<Described> {
        let by_kafka = self.kafka.describe(topic, partitions);
        let by_model = self.model.describe(topic, partitions);
        for (_, error, known) in &by_kafka {
            let what = format!("described, {} known, {error}", known.len());
            *self.seen.entry(what).or_default() += 1;
        }
        if by_kafka != by_model {
            self.differences.push(format!(
                "{what}: {topic}-{partitions:?}\n  Kafka says {by_kafka:?}\n  the model {by_model:?}"
            ));
        }
        by_kafka
    }

    fn finish(&self) {
        println!("{} answers: {:?}", self.seen.values().sum::<usize>(), self.seen);
        let some = &self.differences[..self.differences.len().min(40)];
        assert!(some.is_empty(), "{} differ:\n{}", self.differences.len(), some.join("\n"));
    }
}

/// Waits until the node has heard that it leads a partition, by a batch that it will not take.
fn await_leader(kafka: &mut Client<Kafka>, partition: i32) {
    let batch = Batch {
        producer: None,
        epoch: -1,
        sequence: -1,
        records: 1,
        value: 0,
        flaw: Flaw::Checksum,
    };
    let append = Append { connection: 0, acks: -1, batches: vec![(partition, batch)] };
    loop {
        let said = kafka.append(&append).expect("an answer");
        match said[0].error {
            ErrorCode::CORRUPT_MESSAGE => return,
            ErrorCode::NOT_LEADER_OR_FOLLOWER | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                std::thread::sleep(Duration::from_millis(20));
            }
            error => panic!("{error} from partition {partition}"),
        }
    }
}

#[test]
#[ignore = "needs Java and Maven"]
fn the_model_answers_as_kafka_does() {
    let sequences = std::env::var("OTTLA_SEQUENCES").ok().and_then(|text| text.parse().ok());
    let sequences = sequences.unwrap_or(400);
    let mut both = Both::new(table::PARTITIONS + 2 * sequences);
    table::run(&mut both);
    for number in 0..sequences {
        random_requests::run(&mut both, number, table::PARTITIONS + 2 * number);
    }
    both.finish();
}
