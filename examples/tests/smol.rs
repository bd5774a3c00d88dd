//! The client on smol against the model broker: names, answers, a freeze, back-pressure, deadlines, and the end.
#![allow(dead_code, reason = "the example is a program of its own")]

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use ottla_client::api::{Cause, Record};
use ottla_model::{ClusterConfig, serve::Server};

#[path = "../smol.rs"]
mod example;

use example::{Producer, send_all};

fn server() -> Server {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&[any, any], ClusterConfig::with_nodes(2)).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 2)).unwrap();
    server
}

fn count(server: &Server) -> usize {
    server.with_cluster(|cluster| cluster.log("t", 0).count() + cluster.log("t", 1).count())
}

fn producer(server: &Server, properties: &[(&str, &str)]) -> Producer {
    // By name, so that it is looked up.
    let servers = server.bootstrap_servers().replace("127.0.0.1", "localhost");
    let builder = Producer::builder().property("bootstrap.servers", &servers);
    builder.properties(properties.iter().copied()).build().unwrap()
}

#[test]
fn what_is_sent_on_smol_is_in_the_log() {
    let server = server();
    let producer = producer(&server, &[]);
    let values = (0..1_000).map(|number: u32| number.to_string());
    let report = smol::block_on(send_all(&producer, "t", values)).unwrap();
    assert!(report.complete && report.returned.is_empty(), "{report}");
    assert_eq!(count(&server), 1_000);
}

#[test]
fn memory_that_is_full_is_waited_for_on_smol() {
    let server = server();
    let producer = producer(&server, &[("buffer.memory", "65536"), ("batch.size", "4096")]);
    smol::block_on(async {
        let topic = producer.topic("t").unwrap();
        let value = [7; 500];
        for _ in 0..2_000 {
            let record = Record { value: Some(&value), ..Record::default() };
            producer.send(&topic, &record).await.unwrap();
        }
        producer.flush().await;
        assert_eq!(producer.stats().answers.delivered, 2_000);
    });
    assert_eq!(count(&server), 2_000);
}

#[test]
fn a_freeze_delays_neither_deadlines_nor_close_on_smol() {
    let server = server();
    let producer = producer(&server, &[("linger.ms", "0")]);
    smol::block_on(async {
        let topic = producer.topic("t").unwrap();
        let record = Record { value: Some(b"v"), ..Record::default() };
        assert!(producer.send(&topic, &record).await.unwrap().await.is_delivered());
        server.with_cluster(|cluster| [1, 2].map(|node| cluster.freeze(node).unwrap()));
        let begin = Instant::now();
        let record = Record { timeout: Some(Duration::from_millis(100)), ..record };
        let outcome = producer.send(&topic, &record).await.unwrap().await;
        assert_eq!(outcome.why().map(|why| why.cause), Some(Cause::Deadline), "{outcome}");
        let took = begin.elapsed();
        assert!((Duration::from_millis(100)..Duration::from_secs(2)).contains(&took), "{took:?}");
        producer.close(Duration::from_millis(200)).await;
        assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    });
}
