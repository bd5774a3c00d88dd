//! Many senders that cancel, give up and wait at will, on a cluster in trouble. Whatever each
//! was told in the end is checked against the log.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::time::Duration;
use std::collections::BTreeMap;

use ottla_adapter_tests::{
    Adapter, Delivery, Producer, Record, RecordOutcome, Topic, on_each, serve,
};
use ottla_core::wire::ErrorCode;
use ottla_model::{Action, BaseOffset, Cluster, Fault};

on_each!(nobody_is_lied_to,);

const TASKS: u64 = 16;
const RECORDS: u64 = 400;
const PARTITIONS: i32 = 4;

/// xorshift: enough for a storm.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn millis(&mut self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }
}

/// What is known of one record at the end; without a delivery it was not taken.
type Sent = (u64, Option<Delivery>);

async fn send_all(on: Adapter, producer: Producer, topic: Topic, task: u64) -> Vec<Sent> {
    let mut dice = Dice(task * 7919 + 17);
    let mut all = Vec::new();
    for number in 0..RECORDS {
        let id = task * RECORDS + number;
        let mut bytes = vec![0; 8 + dice.below(700) as usize];
        bytes[..8].copy_from_slice(&id.to_be_bytes());
        let record = Record { value: Some(&bytes), ..Record::default() };
        let delivery = match dice.below(4) {
            // Gives up the send itself.
            0 => producer.send_within(&topic, &record, dice.millis(5)).await.map(Result::ok),
            1 => Some(
                producer
                    .send(&topic, &Record { timeout: Some(dice.millis(60)), ..record })
                    .await
                    .ok(),
            ),
            _ => Some(producer.send(&topic, &record).await.ok()),
        };
        let delivery = delivery.flatten();
        if let Some(delivery) = &delivery {
            match dice.below(6) {
                0 => drop(delivery.outcome_within(dice.millis(10)).await),
                1 => drop(delivery.cancel()),
                2 => {
                    on.sleep(dice.millis(10)).await;
                    // Twice, and from elsewhere.
                    let other = delivery.clone();
                    let cancel = on.spawn(async move { other.cancel() });
                    let _ = delivery.cancel();
                    cancel.join().await;
                }
                3 => drop(delivery.outcome().await),
                _ => {}
            }
        }
        all.push((id, delivery));
    }
    all
}

fn trouble(cluster: &mut Cluster, dice: &mut Dice) {
    let node = 1 + dice.below(2) as i32;
    let error = ErrorCode::REQUEST_TIMED_OUT;
    let action = match dice.below(9) {
        0 => return cluster.freeze(node).unwrap(),
        1 | 2 => return cluster.thaw(node).unwrap(),
        3 => return cluster.restart(node).unwrap(),
        4 => return cluster.move_leader("t", dice.below(4) as i32, node).unwrap(),
        5 => Action::CloseBefore,
        6 => Action::CloseAfter,
        7 => Action::Swallow,
        _ => Action::AppendThenError { error, base_offset: BaseOffset::Kept },
    };
    cluster.inject(Fault::produce(action));
}

async fn nobody_is_lied_to(on: Adapter) {
    let server = serve(2, &[("t", PARTITIONS as u32)]);
    let servers = server.bootstrap_servers();
    let properties = [
        ("bootstrap.servers", servers.as_str()),
        ("buffer.memory", "16384"),
        ("batch.size", "2048"),
        ("max.request.size", "8192"),
        ("linger.ms", "2"),
        ("request.timeout.ms", "200"),
        ("delivery.timeout.ms", "1000"),
        ("resolve.timeout.ms", "5000"),
        ("retry.backoff.ms", "10"),
        ("retry.backoff.max.ms", "50"),
        ("reconnect.backoff.ms", "10"),
        ("reconnect.backoff.max.ms", "50"),
    ];
    let producer = Producer::builder(on).properties(properties).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let sender = |task| on.spawn(send_all(on, producer.clone(), topic.clone(), task));
    let senders: Vec<_> = (1..=TASKS).map(sender).collect();

    let mut dice = Dice(4711);
    for _ in 0..500 {
        on.sleep(Duration::from_millis(5)).await;
        server.with_cluster(|cluster| trouble(cluster, &mut dice));
    }
    server.with_cluster(|cluster| {
        cluster.clear_faults();
        cluster.thaw(1).unwrap();
        cluster.thaw(2).unwrap();
    });

    let mut all = Vec::new();
    for sender in senders {
        all.extend(sender.join().await);
    }
    producer.flush().await;

    let mut log = BTreeMap::new();
    let mut delivered = BTreeMap::new();
    let mut counts = BTreeMap::<&str, u64>::new();
    for (id, delivery) in all {
        let Some(delivery) = delivery else {
            *counts.entry("not taken").or_default() += 1;
            log.insert(id, false);
            continue;
        };
        let last = delivery.final_outcome_within(Duration::from_secs(10)).await;
        let (name, in_log) = match last.expect("the final outcome does not come") {
            RecordOutcome::Delivered { partition, offset, .. } => {
                delivered.insert(id, (partition, offset));
                ("delivered", Some(true))
            }
            RecordOutcome::NotDelivered(_) => ("not delivered", Some(false)),
            RecordOutcome::Unknown(_) | _ => ("unknown", None),
        };
        *counts.entry(name).or_default() += 1;
        in_log.and_then(|in_log| log.insert(id, in_log));
    }
    println!("{counts:?} {:?}", producer.stats());
    let mut found = BTreeMap::<u64, Vec<(i32, i64)>>::new();
    server.with_cluster(|cluster| {
        for partition in 0..PARTITIONS {
            for record in cluster.log("t", partition) {
                let id = record.value.unwrap().first_chunk().copied().unwrap();
                found.entry(u64::from_be_bytes(id)).or_default().push((partition, record.offset));
            }
        }
    });
    for (id, places) in &found {
        assert_eq!(places.len(), 1, "record {id} is in the log at {places:?}");
    }
    for (id, in_log) in log {
        assert_eq!(found.contains_key(&id), in_log, "record {id}");
    }
    for (id, (partition, offset)) in delivered {
        let (found_partition, found_offset) = found[&id][0];
        assert_eq!(partition, found_partition);
        assert!(offset.is_none_or(|offset| offset == found_offset), "record {id}");
    }
    let stats = producer.stats();
    assert_eq!((stats.queue_depth, stats.waiting), (0, 0));
    assert_eq!(stats.answers.total(), stats.core.records);
    assert!(producer.close(Duration::from_secs(1)).await.complete);
}
