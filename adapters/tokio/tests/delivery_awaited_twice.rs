//! What a delivery is good for.

use core::net::SocketAddr;

use ottla_model::{ClusterConfig, serve::Server};
use ottla_tokio::{Producer, Record};

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

#[tokio::test]
async fn a_delivery_is_waited_for_again_and_dropped_without_a_word() {
    let server = server();
    let producer = producer(&server);
    let topic = producer.topic("t").unwrap();
    let delivery = producer.send(&topic, &value(b"a")).await.unwrap();
    assert!((&delivery).await.is_delivered());
    assert!((&delivery).await.is_delivered());
    assert!(delivery.await.is_delivered());
    // To detach is no mistake, and nobody is warned of it.
    #[deny(unused_must_use)]
    {
        producer.send(&topic, &value(b"b")).await.unwrap();
        producer.try_send(&topic, &value(b"c")).unwrap();
        producer.send_detached(&topic, &value(b"d")).await.unwrap();
    }
    producer.flush().await;
    assert_eq!(
        server.with_cluster(|cluster| cluster.log("t", 0).count() + cluster.log("t", 1).count()),
        4
    );
}
