//! A broker that stops answering makes `Full`, and not growth.
//!
//! In a binary of its own, because it measures the memory of the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::{net::SocketAddr, time::Duration};
use std::time::Instant;

use ottla_adapter_tests::{Adapter, Producer, Record, SendError, Topic};
use ottla_model::{ClusterConfig, Storage, serve::Server};

const PARTITIONS: i32 = 10_000;
const BUFFER: usize = 8 << 20;

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// Offers so many records, one partition after the other; tells how many were taken.
fn offer(producer: &Producer, topic: &Topic, count: i32) -> i32 {
    let value = [7; 100];
    let mut taken = 0;
    for number in 0..count {
        let partition = Some(number % PARTITIONS);
        let record = Record { partition, value: Some(&value), ..Record::default() };
        match producer.try_send(topic, &record) {
            Ok(delivery) => {
                drop(delivery);
                taken += 1;
            }
            Err(SendError::Full { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    taken
}

#[test]
fn ten_thousand_partitions_and_a_silent_broker_make_full_and_not_growth() {
    // One after the other: what is measured is the whole process.
    for adapter in [Adapter::Tokio, Adapter::Threads] {
        adapter.run(full_and_not_growth);
    }
}

async fn full_and_not_growth(on: Adapter) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = ClusterConfig { storage: Storage::Nothing, ..ClusterConfig::default() };
    let server = Server::start(&[any], config).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", PARTITIONS as u32)).unwrap();
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("buffer.memory", &BUFFER.to_string())
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    let warm = Record { partition: Some(0), ..Record::default() };
    producer.send(&topic, &warm).await.unwrap().outcome().await;
    server.with_cluster(|cluster| cluster.freeze(1)).unwrap();
    // Fill it; what the sockets on the way take is taken by then, too, and so is what joins batches
    // that could not leave: they stay open until they are full, and how many those are depends on how the
    // first ones were shared out among the requests that may be in flight.
    let mut taken = 0;
    let mut refused = 0;
    for _ in 0..400 {
        let more = offer(&producer, &topic, 20_000);
        taken += more;
        refused = if more == 0 { refused + 1 } else { 0 };
        if refused == 20 {
            break;
        }
        on.sleep(Duration::from_millis(20)).await;
    }
    assert!(taken >= BUFFER as i32 / 16_384, "{taken} records fitted");
    let stats = producer.stats();
    assert_eq!(stats.core.pages_used, stats.core.pages, "{stats:?}");
    let before = resident();
    let more = offer(&producer, &topic, 400_000);
    let after = resident();
    println!(
        "{taken} records fit {BUFFER} bytes; 400,000 more: {more}; {before} then {after} bytes"
    );
    assert_eq!(more, 0, "full is full");
    assert!(after < before + (1 << 20), "{before} bytes were resident, and then {after}");
    // It answers again: what waited is delivered, and what comes is taken and delivered.
    server.with_cluster(|cluster| cluster.thaw(1)).unwrap();
    let start = Instant::now();
    producer.flush().await;
    for _ in 0..20 {
        taken += offer(&producer, &topic, 400);
        producer.flush().await;
    }
    assert!(start.elapsed() < Duration::from_secs(60), "full speed again");
    let stats = producer.stats();
    assert_eq!(stats.core.delivered, taken as u64 + 1, "{stats:?}");
    assert_eq!(stats.core.pages_used, 0);
    let broker = stats.brokers.iter().find(|broker| broker.leads > 0).unwrap();
    assert!(broker.connected && broker.requests > 0 && broker.bytes > 0, "{broker:?}");
}
