//! The application's own code panics where the producer calls it.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::{net::SocketAddr, time::Duration};
use std::{panic::panic_any, time::Instant};

use ottla_blocking::{Producer, Record};
use ottla_model::{ClusterConfig, serve::Server};

/// What is panicked with when it is dropped is one of these again.
struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        panic_any(Self);
    }
}

fn server() -> Server {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&[any], ClusterConfig::with_nodes(1)).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 1)).unwrap();
    server
}

#[test]
fn a_report_whose_panic_panics_once_more_when_it_is_dropped_ends_nothing() {
    let server = server();
    let builder = Producer::builder().property("bootstrap.servers", &server.bootstrap_servers());
    let producer = builder.on_report(|_| panic_any(Nasty)).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let start = Instant::now();
    for token in 0..3 {
        let record = Record { value: Some(b"v"), token: Some(token), ..Record::default() };
        producer.send_detached(&topic, &record).unwrap();
        let tally = producer.flush();
        assert_eq!(tally.delivered, 1, "record {token}");
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(producer.close(Duration::from_secs(5)).complete);
}
