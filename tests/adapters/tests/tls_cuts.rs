//! A line that takes so many bytes of ciphertext, and then stands still or is cut, with a cancel while it does: what
//! is told is true at each border of a TLS record, of a frame, and between, over SSL and over SASL_SSL.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::time::Duration;
use std::collections::BTreeMap;

use ottla_adapter_tests::{
    Adapter, Producer, Record, RecordOutcome, Verdict, on_each, serve_as,
    tls::{Authority, Demands, front},
    valve::Valve,
};
use ottla_model::{
    ClusterConfig,
    sasl::{Mechanism, SaslConfig},
};

on_each!(
    what_is_told_is_true_wherever_a_small_request_is_stopped,
    what_is_told_is_true_wherever_large_requests_are_stopped,
    what_is_told_is_true_wherever_an_authenticated_request_is_stopped,
    what_is_told_is_true_wherever_large_authenticated_requests_are_stopped,
);

/// What goes on after the line has stood still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Cut,
    GoOn,
}

/// Who the client is to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Anyone,
    /// Alice, by SCRAM-SHA-256, in sessions of two seconds: they are renewed while lines are stopped.
    Authenticated,
}

/// So many partitions, so that as many requests may be under way as there can be.
const PARTITIONS: u32 = 12;

async fn what_is_told_is_true_wherever_a_small_request_is_stopped(on: Adapter) {
    stop_small_requests(on, Client::Anyone).await;
}

async fn what_is_told_is_true_wherever_large_requests_are_stopped(on: Adapter) {
    stop_large_requests(on, Client::Anyone).await;
}

async fn what_is_told_is_true_wherever_an_authenticated_request_is_stopped(on: Adapter) {
    stop_small_requests(on, Client::Authenticated).await;
}

async fn what_is_told_is_true_wherever_large_authenticated_requests_are_stopped(on: Adapter) {
    stop_large_requests(on, Client::Authenticated).await;
}

async fn stop_small_requests(on: Adapter, client: Client) {
    // The request, its head of TLS and its tag are 300 bytes or so.
    let cut = (0..360).map(|k| (k, Then::Cut));
    let stops = cut.chain((0..360).step_by(4).map(|k| (k, Then::GoOn)));
    stop_at(on, client, 100, 1, stops).await;
}

/// More than sockets take: one of them is encrypted in part.
async fn stop_large_requests(on: Adapter, client: Client) {
    // A record of TLS has 16 KiB and 22 bytes more.
    let borders = (1..3).flat_map(|n| [-1, 0, 1].map(|by| n * (16_384 + 22) + by));
    let stops = borders.chain([0, 5, 1_000, 100_000, 1_000_000]);
    let then = [Then::Cut, Then::GoOn];
    let stops = stops.flat_map(|k| then.map(|then| (k, then)));
    stop_at(on, client, 900_000, PARTITIONS, stops).await;
}

async fn stop_at(
    on: Adapter,
    client: Client,
    size: usize,
    at_once: u32,
    stops: impl Iterator<Item = (i64, Then)>,
) {
    let sasl = (client == Client::Authenticated).then(|| {
        let accounts = SaslConfig::with(&[Mechanism::ScramSha256]).user("alice", "wonder");
        accounts.max_reauth(Duration::from_secs(2))
    });
    let config = ClusterConfig { sasl, ..ClusterConfig::with_nodes(1) };
    let (server, authority) = (serve_as(config, 1, &[("t", PARTITIONS)]), Authority::new());
    let identity = authority.sign(&["localhost"]);
    let secured = front(&server, "localhost", &identity, &Demands::default());
    let port: u16 = secured.rsplit(':').next().unwrap().parse().unwrap();
    let valve = Valve::new(([127, 0, 0, 1], port).into());
    server
        .with_cluster(|cluster| cluster.set_address(1, "localhost", valve.address().port()))
        .unwrap();
    let builder = Producer::builder(on);
    let builder = match client {
        Client::Anyone => builder.property("security.protocol", "SSL"),
        Client::Authenticated => builder
            .property("security.protocol", "SASL_SSL")
            .property("sasl.mechanism", "SCRAM-SHA-256")
            .property("sasl.username", "alice")
            .property("sasl.password", "wonder"),
    };
    let producer = builder
        .property("bootstrap.servers", &format!("localhost:{}", valve.address().port()))
        .property("ssl.ca.pem", &authority.certificate())
        .property("linger.ms", "0")
        .property("reconnect.backoff.ms", "1")
        .property("reconnect.backoff.max.ms", "5")
        .property("retry.backoff.ms", "1")
        .property("retry.backoff.max.ms", "5")
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    let value = |number: u32| {
        let mut value = number.to_be_bytes().to_vec();
        value.resize(size, 0);
        value
    };
    let mut told = BTreeMap::new();
    let mut verdicts = BTreeMap::new();
    for (number, (stop, then)) in (0..).zip(stops) {
        // A connection that is open, and that the leader answers on.
        let record = Record { value: Some(b"warm"), partition: Some(0), ..Record::default() };
        let warm = producer.send(&topic, &record).await.unwrap().final_outcome().await;
        assert!(matches!(warm, RecordOutcome::Delivered { .. }), "{warm}");

        valve.allow(stop.try_into().unwrap());
        let mut sent = Vec::new();
        for partition in 0..at_once {
            let number = number * PARTITIONS + partition;
            let value = value(number);
            let (value, partition) = (Some(&value[..]), Some(partition as i32));
            let record = Record { value, partition, ..Record::default() };
            sent.push((number, producer.send(&topic, &record).await.unwrap()));
        }
        valve.wait(Duration::from_millis(10));
        let cancelled: Vec<_> = sent.iter().map(|(_, delivery)| delivery.cancel()).collect();
        if then == Then::Cut {
            valve.cut();
        }
        valve.open();
        for ((number, delivery), verdict) in sent.into_iter().zip(cancelled) {
            *verdicts.entry(format!("{verdict:?}")).or_insert(0) += 1;
            let last = delivery.final_outcome().await;
            if verdict == Verdict::NotDelivered {
                assert!(matches!(last, RecordOutcome::NotDelivered(_)), "{stop}, {then:?}: {last}");
            }
            assert!(!matches!(last, RecordOutcome::Unknown(_)), "{stop}, {then:?}: {last}");
            told.insert(number, (stop, then, last));
        }
    }
    assert!(producer.close(Duration::from_secs(10)).await.complete);
    println!("{on:?}, {client:?}: {verdicts:?}");
    let mut times = BTreeMap::new();
    server.with_cluster(|cluster| {
        let sasl = cluster.sasl_tally();
        // Not after the end of a session: that is a matter of how fast this machine is.
        assert!(sasl.before.is_empty() && sasl.between.is_empty(), "{sasl:?}");
        assert_eq!(sasl.authenticated > 0, client == Client::Authenticated, "{sasl:?}");
        let partitions = 0..PARTITIONS as i32;
        for record in partitions.flat_map(|partition| cluster.log("t", partition)) {
            if let Some(number) = record.value.filter(|value| value.len() == size) {
                let number = number[..4].try_into().unwrap();
                *times.entry(u32::from_be_bytes(number)).or_insert(0) += 1;
            }
        }
    });
    for (number, (stop, then, last)) in told {
        let expected = u32::from(matches!(last, RecordOutcome::Delivered { .. }));
        let found = times.get(&number).copied().unwrap_or(0);
        assert_eq!(
            found, expected,
            "record {number}, stopped after {stop} bytes, {then:?}: {last}"
        );
    }
}
