//! Several cores behind one handle, on loopback: the model broker's log is the truth.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::time::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Instant,
};

use ottla_adapter_tests::{
    Adapter, Cause, Producer, Record, RecordOutcome, Report, SendError, Ticket, Topic, Verdict,
    on_each, serve,
};
use ottla_core::wire::murmur2;
use ottla_model::serve::Server;

on_each!(
    every_record_is_there_once_and_in_order_and_told_once,
    a_ticket_of_any_shard_is_cancelled_or_gets_its_deadline,
    a_topic_that_grows_keeps_the_order_and_uses_the_new_partitions,
    records_wait_until_the_topic_is_known_and_go_to_their_shard_then,
    a_topic_of_one_partition_has_one_writer,
    close_hands_back_what_no_shard_delivered,
    topics_of_others_and_numbers_that_are_no_power_of_two_are_refused,
    who_waits_for_one_record_after_the_other_is_answered,
);

const SHARDS: usize = 4;
const SECOND: Duration = Duration::from_secs(1);

fn server(partitions: u32) -> Server {
    serve(3, &[("t", partitions)])
}

/// What was reported of each token, in order.
#[derive(Clone, Debug, Default)]
struct Reports(Arc<Mutex<BTreeMap<u64, Vec<RecordOutcome>>>>);

impl Reports {
    fn note(&self, report: &Report) {
        let mut reports = self.0.lock().unwrap();
        reports.entry(report.token).or_default().push(report.outcome.clone());
    }

    fn of(&self, token: u64) -> Vec<RecordOutcome> {
        self.0.lock().unwrap().get(&token).cloned().unwrap_or_default()
    }
}

fn producer(on: Adapter, server: &Server, properties: &[(&str, &str)]) -> (Producer, Reports) {
    let reports = Reports::default();
    let heard = reports.clone();
    let builder = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .properties(properties.iter().copied())
        .on_report(move |report| heard.note(report));
    (builder.shards(SHARDS).build().unwrap(), reports)
}

/// A record's thread, key and number; and the key as bytes.
fn value(thread: u32, key: u32, number: u32) -> Vec<u8> {
    [thread, key, number].map(u32::to_be_bytes).concat()
}

fn token(thread: u32, number: u32) -> u64 {
    u64::from(thread) << 32 | u64::from(number)
}

/// What lies where, as thread, key and number.
fn log(server: &Server) -> BTreeMap<(i32, i64), [u32; 3]> {
    server.with_cluster(|cluster| {
        let mut found = BTreeMap::new();
        for partition in 0..cluster.partitions("t") as i32 {
            for record in cluster.log("t", partition) {
                let mut words = record.value.unwrap().chunks_exact(4);
                let mut word = || u32::from_be_bytes(words.next().unwrap().try_into().unwrap());
                found.insert((partition, record.offset), [word(), word(), word()]);
            }
        }
        found
    })
}

/// The producer ids that wrote to each partition that was written to.
fn writers(server: &Server) -> BTreeMap<i32, BTreeSet<i64>> {
    server.with_cluster(|cluster| {
        let mut writers = BTreeMap::<_, BTreeSet<_>>::new();
        let topic = cluster.topic_id("t").unwrap();
        for partition in 0..cluster.partitions("t") as i32 {
            for batch in cluster.batches_of(topic, partition) {
                writers.entry(partition).or_default().insert(batch.header.producer_id);
            }
        }
        writers
    })
}

/// Each partition has one writer, the same as others of its shard.
fn assert_one_writer_each(server: &Server) {
    let mut of_shard = BTreeMap::<_, BTreeSet<_>>::new();
    for (partition, ids) in writers(server) {
        of_shard.entry(partition as usize % SHARDS).or_default().extend(ids);
    }
    assert!(of_shard.values().all(|ids| ids.len() == 1), "{of_shard:?}");
    let all: BTreeSet<_> = of_shard.values().flatten().collect();
    assert_eq!(all.len(), of_shard.len(), "{of_shard:?}");
}

/// Of each thread's records with one key, none lies behind a later one on its partition.
fn assert_in_order(log: &BTreeMap<(i32, i64), [u32; 3]>) {
    let mut last = BTreeMap::new();
    for (&(partition, offset), &[thread, key, number]) in log {
        let before = last.insert((partition, thread, key), number);
        assert!(before.is_none_or(|before| before < number), "{partition} {offset}");
    }
}

/// Keys from here on are none.
const NO_KEY: u32 = 100;

/// Sends records with keys, without, and for partitions that they name, in turn.
async fn send_all(producer: &Producer, thread: u32, records: u32, partitions: u32) {
    let topic = producer.topic("t").unwrap();
    for number in 0..records {
        let key = match number % 3 {
            0 => number % 17,
            1 => NO_KEY,
            _ => NO_KEY + 1 + number % partitions,
        };
        let (value, bytes) = (value(thread, key, number), key.to_be_bytes());
        let record = Record {
            key: (key < NO_KEY).then_some(&bytes[..]),
            partition: key.checked_sub(NO_KEY + 1).map(|partition| partition as i32),
            value: Some(&value),
            token: Some(token(thread, number)),
            ..Record::default()
        };
        let sent = producer.send_detached(&topic, &record);
        sent.await.unwrap();
    }
}

/// Sends a record to the partition of its number, with that for a token.
async fn send_to_one_of_eight(producer: &Producer, topic: &Topic, number: u32) -> Ticket {
    let value = value(0, NO_KEY, number);
    let record = Record {
        partition: Some((number % 8) as i32),
        value: Some(&value),
        token: Some(number.into()),
        ..Record::default()
    };
    producer.send_detached(topic, &record).await.unwrap()
}

async fn every_record_is_there_once_and_in_order_and_told_once(on: Adapter) {
    const RECORDS: u32 = 3_000;
    let server = server(10);
    let (producer, reports) = producer(on, &server, &[("batch.size", "4096"), ("linger.ms", "1")]);
    let tasks = [0, 1, 2, 3].map(|thread| {
        let producer = producer.clone();
        on.spawn(async move { send_all(&producer, thread, RECORDS, 10).await })
    });
    for task in tasks {
        task.join().await;
    }
    let tally = producer.flush().await;
    assert!(tally.delivered <= 12_000);
    let log = log(&server);
    assert_eq!(log.len(), 12_000);
    assert_in_order(&log);
    let mut placed = 0;
    for (&(partition, offset), &[thread, key, number]) in &log {
        let told = reports.of(token(thread, number));
        let [RecordOutcome::Delivered { partition: said, offset: Some(at), .. }] = told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((said, at), (partition, offset));
        match key {
            ..NO_KEY => {
                assert_eq!(partition as u32, murmur2::partition(&key.to_be_bytes(), 10));
                placed += 1;
            }
            NO_KEY => {}
            _ => assert_eq!(partition as u32, key - NO_KEY - 1),
        }
    }
    assert_eq!(placed, 4_000);
    assert_one_writer_each(&server);
    let stats = producer.stats();
    assert_eq!((stats.answers.delivered, stats.latency.count), (12_000, 12_000));
    assert_eq!((stats.core.records, stats.queue_depth, stats.waiting), (12_000, 0, 0));
    let nodes: Vec<_> = stats.brokers.iter().filter_map(|broker| broker.node_id).collect();
    assert_eq!(nodes.iter().collect::<BTreeSet<_>>().len(), nodes.len(), "{nodes:?}");
    let leads: u32 = stats.brokers.iter().map(|broker| broker.leads).sum();
    assert_eq!((nodes.len(), leads), (3, 10));
    let report = producer.close(5 * SECOND).await;
    assert!(report.complete && report.returned.is_empty(), "{report:?}");
}

async fn a_ticket_of_any_shard_is_cancelled_or_gets_its_deadline(on: Adapter) {
    let server = server(8);
    let (producer, reports) = producer(on, &server, &[("linger.ms", "60000")]);
    let topic = producer.topic("t").unwrap();
    let mut tickets = Vec::new();
    for number in 0..16_u32 {
        tickets.push(send_to_one_of_eight(&producer, &topic, number).await);
    }
    let first = tickets[0].batch().owner();
    let of_ticket = |number: usize| tickets[number].batch().owner().wrapping_sub(first) as usize;
    assert!((0..16).all(|number| of_ticket(number) == number % SHARDS));
    assert_eq!(tickets.iter().collect::<std::collections::HashSet<_>>().len(), 16);
    for ticket in &tickets[..8] {
        assert_eq!(producer.cancel(ticket), Verdict::NotDelivered);
    }
    for ticket in &tickets[8..12] {
        assert!(producer.cancel_after(ticket, Duration::from_millis(20)));
    }
    let start = Instant::now();
    while reports.0.lock().unwrap().len() < 12 {
        assert!(start.elapsed() < 10 * SECOND);
        on.sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(producer.flush().await.delivered, 4);
    for number in 0..16_u64 {
        let told = reports.of(number);
        match number {
            0..8 => assert_eq!(told, [RecordOutcome::NotDelivered(Cause::Cancelled.into())]),
            8..12 => assert_eq!(told, [RecordOutcome::NotDelivered(Cause::Deadline.into())]),
            _ => assert!(told.len() == 1 && told[0].is_delivered(), "{told:?}"),
        }
    }
    let mut numbers: Vec<_> = log(&server).into_values().map(|[_, _, number]| number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [12, 13, 14, 15]);
}

async fn a_topic_that_grows_keeps_the_order_and_uses_the_new_partitions(on: Adapter) {
    let server = server(1);
    let age = [("metadata.max.age.ms", "50"), ("linger.ms", "0")];
    let (producer, _) = producer(on, &server, &age);
    let topic = producer.topic("t").unwrap();
    let start = Instant::now();
    let mut number = 0;
    // Where the keys lead once all shards know of all partitions.
    let last: BTreeSet<_> =
        (0..40_u32).map(|key| murmur2::partition(&key.to_be_bytes(), 12) as i32).collect();
    while !last.is_subset(&writers(&server).into_keys().collect()) {
        assert!(start.elapsed() < 20 * SECOND, "{:?} of {last:?}", writers(&server));
        if number == 50 {
            server.with_cluster(|cluster| cluster.grow_topic("t", 6)).unwrap();
        }
        if number == 400 {
            server.with_cluster(|cluster| cluster.grow_topic("t", 12)).unwrap();
        }
        for key in 0..40_u32 {
            let (value, bytes) = (value(0, key, number), key.to_be_bytes());
            let record = Record { key: Some(&bytes), value: Some(&value), ..Record::default() };
            drop(producer.send(&topic, &record).await.unwrap());
        }
        number += 1;
        on.sleep(Duration::from_millis(1)).await;
    }
    producer.flush().await;
    let log = log(&server);
    assert_eq!(log.len(), 40 * number as usize);
    assert_in_order(&log);
    assert_one_writer_each(&server);
    for (&(partition, _), &[_, key, _]) in &log {
        let chosen = [1, 6, 12].map(|count| murmur2::partition(&key.to_be_bytes(), count));
        assert!(chosen.contains(&(partition as u32)), "{key} on {partition}");
    }
}

async fn records_wait_until_the_topic_is_known_and_go_to_their_shard_then(on: Adapter) {
    let server = server(8);
    server.with_cluster(|cluster| [1, 2, 3].map(|node| cluster.freeze(node).unwrap()));
    let (producer, _) = producer(on, &server, &[]);
    let topic = producer.topic("t").unwrap();
    let bytes = value(0, 0, 0);
    let record = Record { key: Some(b"k"), value: Some(&bytes), ..Record::default() };
    let refused = producer.try_send(&topic, &record);
    assert!(matches!(refused, Err(SendError::MetadataPending { .. })), "{refused:?}");
    let tasks: Vec<_> = (0..20_u32)
        .map(|number| {
            let (producer, topic, bytes) = (producer.clone(), topic.clone(), bytes.clone());
            on.spawn(async move {
                let key = Some(&b"k"[..]).filter(|_| number % 2 == 0);
                let record = Record { key, value: Some(&bytes), ..Record::default() };
                let sent = producer.send(&topic, &record).await.unwrap();
                assert!(sent.outcome().await.is_delivered());
            })
        })
        .collect();
    on.sleep(Duration::from_millis(100)).await;
    assert!(log(&server).is_empty());
    server.with_cluster(|cluster| [1, 2, 3].map(|node| cluster.thaw(node).unwrap()));
    for task in tasks {
        task.join().await;
    }
    assert_one_writer_each(&server);
    let log = log(&server);
    assert_eq!(log.len(), 20);
    let of_key: BTreeSet<_> = log.keys().map(|(partition, _)| *partition as u32).collect();
    assert!(of_key.contains(&murmur2::partition(b"k", 8)));
}

async fn a_topic_of_one_partition_has_one_writer(on: Adapter) {
    let server = server(1);
    let (producer, _) = producer(on, &server, &[]);
    let tasks = [0, 1, 2, 3].map(|thread| {
        let producer = producer.clone();
        on.spawn(async move {
            let topic = producer.topic("t").unwrap();
            for number in 0..100 {
                let bytes = value(thread, NO_KEY, number);
                let record = Record { value: Some(&bytes), ..Record::default() };
                drop(producer.send(&topic, &record).await.unwrap());
            }
        })
    });
    for task in tasks {
        task.join().await;
    }
    producer.flush().await;
    assert_eq!(log(&server).len(), 400);
    assert_eq!(writers(&server)[&0].len(), 1);
}

async fn close_hands_back_what_no_shard_delivered(on: Adapter) {
    let server = server(8);
    let (producer, reports) = producer(on, &server, &[("linger.ms", "60000")]);
    let topic = producer.topic("t").unwrap();
    for number in 0..40_u32 {
        send_to_one_of_eight(&producer, &topic, number).await;
    }
    server.with_cluster(|cluster| [1, 2, 3].map(|node| cluster.freeze(node).unwrap()));
    let start = Instant::now();
    let report = producer.close(Duration::from_millis(200)).await;
    assert!(start.elapsed() < 2 * SECOND, "{:?}", start.elapsed());
    assert!(report.complete);
    assert_eq!((report.records.total(), report.returned.len()), (40, 40));
    let given: BTreeSet<_> = report.returned.iter().map(|record| record.value.clone()).collect();
    assert_eq!(given.len(), 40);
    assert!((0..40).all(|token| reports.of(token).len() == 1));
    let refused = producer.try_send(&topic, &Record::default());
    assert!(matches!(refused, Err(SendError::Refused(_))), "{refused:?}");
}

async fn topics_of_others_and_numbers_that_are_no_power_of_two_are_refused(on: Adapter) {
    let server = server(8);
    let ((one, _), (other, _)) = (producer(on, &server, &[]), producer(on, &server, &[]));
    let [first, second, again] = ["t", "u", "t"].map(|name| one.topic(name).unwrap());
    assert_eq!((first.id(), second.id().index()), (again.id(), 1));
    let foreign = other.topic("t").unwrap();
    let sent = one.send(&foreign, &Record::default()).await;
    assert!(matches!(sent, Err(SendError::WrongProducer)), "{sent:?}");
    let refused = one.topic("no/name").unwrap_err();
    assert_eq!(one.topic("").unwrap_err(), refused);
    for shards in [0, 3, 512] {
        let builder = Producer::builder(on).property("bootstrap.servers", "127.0.0.1:1");
        let refused = builder.shards(shards).build().unwrap_err().to_string();
        assert_eq!(refused, "shards: expected a power of two, at most 256");
    }
}

/// Threads that wait for their own records drive the shards themselves.
async fn who_waits_for_one_record_after_the_other_is_answered(on: Adapter) {
    let server = server(8);
    let (producer, _) = producer(on, &server, &[]);
    let tasks = [0, 1, 2, 3].map(|thread| {
        let producer = producer.clone();
        on.spawn(async move {
            let topic = producer.topic("t").unwrap();
            for number in 0..500_u32 {
                let (value, bytes) = (value(thread, NO_KEY, number), number.to_be_bytes());
                let key = Some(&bytes[..]).filter(|_| number % 2 == 0);
                let record = Record { key, value: Some(&value), ..Record::default() };
                let sent = producer.send(&topic, &record).await.unwrap();
                assert!(sent.outcome().await.is_delivered());
            }
        })
    });
    for task in tasks {
        task.join().await;
    }
    let log = log(&server);
    assert_eq!(log.len(), 2_000);
    assert_one_writer_each(&server);
    assert!(producer.close(5 * SECOND).await.complete);
}
