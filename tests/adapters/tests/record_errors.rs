//! Which records of a refused batch were at fault, and what the broker says of them.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::time::Duration;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use ottla_adapter_tests::{Adapter, Producer, Record, RecordOutcome, UndeliveredRecord, on_each};
use ottla_model::{ClusterConfig, TopicConfig, serve::Server};

on_each!(
    each_record_is_told_whether_it_was_at_fault,
    what_is_handed_back_can_be_sent_again_without_the_guilty,
    many_records_at_fault_have_each_its_own_words,
);

const NO_KEY: &str = "Compacted topic cannot accept message without key in topic partition t-0";
const TEST: Duration = Duration::from_secs(30);

/// A server with the topic `t`, which is compacted, and has one partition.
fn server() -> Server {
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(&[any], ClusterConfig::with_nodes(1)).unwrap();
    let compacted = TopicConfig { compacted: true, ..TopicConfig::default() };
    server.with_cluster(|cluster| cluster.create_topic_with("t", 1, compacted)).unwrap();
    server
}

fn record(keyed: bool) -> Record<'static> {
    let key = if keyed { Some(&b"key"[..]) } else { None };
    Record {
        partition: None,
        key,
        value: Some(b"value"),
        headers: &[],
        timestamp: Some(1_700_000_000_000),
        ..Record::default()
    }
}

/// Whether a record was at fault, where that is told, and the message.
fn told(outcome: &RecordOutcome) -> (Option<bool>, String) {
    let RecordOutcome::NotDelivered(why) = outcome else { panic!("{outcome}") };
    (why.cause.at_fault(), why.message.as_deref().unwrap_or_default().to_owned())
}

async fn each_record_is_told_whether_it_was_at_fault(on: Adapter) {
    let server = server();
    let reports = Arc::new(Mutex::new(BTreeMap::new()));
    let theirs = Arc::clone(&reports);
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("linger.ms", "100")
        .on_report(move |report| {
            theirs.lock().unwrap().insert(report.token, report.outcome.clone());
        })
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    let mut deliveries = Vec::new();
    for number in 0..6 {
        let keyed = number != 1 && number != 4;
        deliveries.push(
            producer.send(&topic, &Record { token: Some(number), ..record(keyed) }).await.unwrap(),
        );
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let outcome = delivery.outcome().await;
        let (at_fault, message) = told(&outcome);
        assert_eq!(at_fault, Some(number == 1 || number == 4), "record {number}: {outcome}");
        if number == 1 || number == 4 {
            assert_eq!(message, NO_KEY);
            let words = "not delivered: INVALID_RECORD (87), and this record is at fault: ";
            assert_eq!(outcome.to_string(), format!("{words}{NO_KEY}"));
        } else {
            assert!(message.starts_with("One or more records have been rejected"), "{message}");
        }
        while !reports.lock().unwrap().contains_key(&(number as u64)) {
            on.sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(reports.lock().unwrap().get(&(number as u64)), Some(&outcome));
    }
    assert_eq!(producer.stats().answers.not_delivered, 6);
    drop(producer.close(TEST).await);
}

async fn what_is_handed_back_can_be_sent_again_without_the_guilty(on: Adapter) {
    let server = server();
    let bootstrap = server.bootstrap_servers();
    let properties = [("bootstrap.servers", bootstrap.as_str()), ("linger.ms", "1000")];
    let producer = Producer::builder(on).properties(properties).build().unwrap();
    let topic = producer.topic("t").unwrap();
    for number in 0..6 {
        drop(producer.send(&topic, &record(number != 1 && number != 4)).await.unwrap());
    }
    let report = producer.close(TEST).await;
    let fates: Vec<_> = report.returned.iter().map(|back| told(&back.outcome)).collect();
    let at_fault: Vec<_> = fates.iter().filter_map(|(at_fault, _)| *at_fault).collect();
    assert_eq!(at_fault, [false, true, false, false, true, false]);
    assert_eq!((fates[1].1.as_str(), fates[4].1.as_str()), (NO_KEY, NO_KEY));
    let producer = Producer::builder(on).properties(properties).build().unwrap();
    let topic = producer.topic("t").unwrap();
    // The topic is known once one is sent.
    drop(producer.send(&topic, &record(true)).await.unwrap());
    let innocent = |at: &&UndeliveredRecord| told(&at.outcome).0 == Some(false);
    for back in report.returned.iter().filter(innocent) {
        drop(back.with_record(|record| producer.try_send(&topic, record)).unwrap());
    }
    drop(producer.close(TEST).await);
    assert_eq!(server.with_cluster(|cluster| cluster.log("t", 0).count()), 1 + 4);
}

async fn many_records_at_fault_have_each_its_own_words(on: Adapter) {
    let server = server();
    let recent = TopicConfig { timestamp_before_max_ms: Some(3_600_000), ..TopicConfig::default() };
    server.with_cluster(|cluster| cluster.create_topic_with("recent", 1, recent)).unwrap();
    let bootstrap = server.bootstrap_servers();
    let properties = [("bootstrap.servers", bootstrap.as_str()), ("linger.ms", "1000")];
    let producer = Producer::builder(on).properties(properties).build().unwrap();
    let topic = producer.topic("recent").unwrap();
    let mut deliveries = Vec::new();
    for number in 0..400 {
        // All of them, one another's neighbours or not.
        let timestamp = 1_000_000 + number;
        let record = Record { timestamp: Some(timestamp), ..record(true) };
        deliveries.push((timestamp, producer.send(&topic, &record).await.unwrap()));
    }
    producer.flush().await;
    for (timestamp, delivery) in deliveries {
        let outcome = delivery.outcome().await;
        let (at_fault, message) = told(&outcome);
        assert_eq!(at_fault, Some(true), "{outcome}");
        assert!(message.starts_with(&format!("Timestamp {timestamp} of message ")), "{message}");
    }
    drop(producer.close(TEST).await);
}
