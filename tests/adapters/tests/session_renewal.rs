//! Whoever sends a little now and then is answered at once, wherever in a session that is: while it is renewed, as it
//! ends, and afterwards. After a burst nothing else wakes the driver, so that what is overlooked is seen.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::time::Duration;
use std::time::Instant;

use ottla_adapter_tests::{Adapter, Producer, Record, on_each, serve_as};
use ottla_model::{
    ClusterConfig,
    sasl::{Mechanism, SaslConfig},
};

on_each!(a_burst_is_answered_wherever_in_a_session_it_comes);

/// Where a machine is as busy as can be.
const LATE: Duration = Duration::from_secs(10);

/// For how long each mechanism: `OTTLA_SESSION_SECONDS`, 5 by itself.
fn watched() -> Duration {
    let seconds = std::env::var("OTTLA_SESSION_SECONDS").ok();
    Duration::from_secs(seconds.map_or(5, |text| text.parse().unwrap()))
}

async fn a_burst_is_answered_wherever_in_a_session_it_comes(on: Adapter) {
    let sasl = SaslConfig::with(&Mechanism::ALL).user("alice", "wonderland");
    let sasl = sasl.max_reauth(Duration::from_millis(1_200));
    let server = serve_as(
        ClusterConfig { sasl: Some(sasl), ..ClusterConfig::with_nodes(1) },
        1,
        &[("t", 1)],
    );
    let mut random = fastrand::Rng::with_seed(3);
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let bootstrap = server.bootstrap_servers();
        let properties = [
            ("bootstrap.servers", &*bootstrap),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", mechanism),
            ("sasl.username", "alice"),
            ("sasl.password", "wonderland"),
            ("linger.ms", "0"),
        ];
        let producer = Producer::builder(on).properties(properties).build().unwrap();
        let topic = producer.topic("t").unwrap();
        let record = Record { value: Some(b"v"), ..Record::default() };
        let (begun, mut bursts) = (Instant::now(), 0);
        while begun.elapsed() < watched() {
            let mut open = Vec::new();
            for _ in 0..random.usize(1..=4) {
                open.push(producer.send(&topic, &record).await.unwrap());
                std::thread::sleep(Duration::from_millis(random.u64(..3)));
            }
            let sent = Instant::now();
            for delivery in open {
                while delivery.try_outcome().is_none() {
                    assert!(sent.elapsed() < LATE, "{mechanism}: no answer to burst {bursts}");
                    std::thread::sleep(Duration::from_micros(100));
                }
                assert!(delivery.try_outcome().unwrap().is_delivered());
            }
            bursts += 1;
            std::thread::sleep(Duration::from_millis(random.u64(..30)));
        }
        let renewed = server.with_cluster(|cluster| cluster.sasl_tally().clone());
        println!("{mechanism}: {bursts} bursts, {} renewals in all", renewed.reauthenticated);
        assert!(renewed.reauthenticated > 0 && renewed.violations() == 0, "{renewed:?}");
        assert!(producer.close(LATE).await.complete);
    }
}
