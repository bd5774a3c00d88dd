//! What a delivery is good for, and sending from where reports are told.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::{net::SocketAddr, time::Duration};
use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use ottla_blocking::{Producer, Record, SendError, Topic};
use ottla_model::{ClusterConfig, serve::Server};

fn server() -> Server {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&[any, any], ClusterConfig::with_nodes(2)).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 2)).unwrap();
    server
}

fn producer(server: &Server) -> Producer {
    let servers = server.bootstrap_servers();
    Producer::from_properties([("bootstrap.servers", servers.as_str()), ("linger.ms", "0")])
        .unwrap()
}

fn value(bytes: &[u8]) -> Record<'_> {
    Record { value: Some(bytes), ..Record::default() }
}

#[test]
fn a_delivery_is_waited_for_again_and_dropped_without_a_word() {
    let server = server();
    let producer = producer(&server);
    let topic = producer.topic("t").unwrap();
    let delivery = producer.send(&topic, &value(b"a")).unwrap();
    assert!(delivery.wait().is_delivered() && delivery.reattach().wait().is_delivered());
    // To detach is no mistake, and nobody is warned of it.
    #[deny(unused_must_use)]
    {
        producer.send(&topic, &value(b"b")).unwrap();
        producer.try_send(&topic, &value(b"c")).unwrap();
        producer.send_detached(&topic, &value(b"d")).unwrap();
    }
    producer.flush();
    assert_eq!(
        server.with_cluster(|cluster| cluster.log("t", 0).count() + cluster.log("t", 1).count()),
        4
    );
}

#[test]
fn sending_from_a_report_never_waits() {
    let server = server();
    let own = Arc::new(Mutex::new(None::<(Producer, Topic)>));
    let refused = Arc::new(Mutex::new(None));
    let (of, to) = (Arc::clone(&own), Arc::clone(&refused));
    let builder = Producer::builder().property("bootstrap.servers", &server.bootstrap_servers());
    let producer = builder
        .on_report(move |_| {
            let own = of.lock().unwrap();
            let (producer, _) = own.as_ref().unwrap();
            let unknown = producer.topic("unknown").unwrap();
            *to.lock().unwrap() = producer.send(&unknown, &value(b"b")).err();
        })
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    *own.lock().unwrap() = Some((producer.clone(), topic.clone()));
    producer.send_detached(&topic, &Record { token: Some(1), ..value(b"a") }).unwrap();
    producer.flush();
    let start = Instant::now();
    while refused.lock().unwrap().is_none() && start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(matches!(*refused.lock().unwrap(), Some(SendError::MetadataPending { .. })));
    own.lock().unwrap().take();
}
