//! A record's options, and what a delivery is good for.

use core::{net::SocketAddr, time::Duration};

use ottla_blocking::{Cause, Producer, Record};
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
fn a_records_options_are_its_own_and_its_outcome_is_a_result() {
    let server = server();
    let producer = producer(&server);
    let topic = producer.topic("t").unwrap();
    let record = Record {
        partition: Some(1),
        timestamp: Some(4_711),
        timeout: Some(Duration::from_secs(10)),
        ..value(b"a")
    };
    let delivered = producer.send(&topic, &record).unwrap().wait().into_result().unwrap();
    assert_eq!((delivered.partition, delivered.offset, delivered.unique), (1, Some(0), true));
    server.with_cluster(|cluster| [1, 2].map(|node| cluster.freeze(node).unwrap()));
    let record = Record { timeout: Some(Duration::from_millis(20)), ..value(b"b") };
    let error = producer.send(&topic, &record).unwrap().wait().into_result().unwrap_err();
    assert_eq!(error.why().cause, Cause::Deadline, "{error}");
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
