//! A record's options, and what a delivery is good for.

use core::{net::SocketAddr, time::Duration};
use std::time::SystemTime;

use ottla_model::{ClusterConfig, serve::Server};
use ottla_tokio::{Cause, Producer, Record};

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

#[allow(clippy::disallowed_methods)] // tests look at the time
fn wall_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

fn value(bytes: &[u8]) -> Record<'_> {
    Record { value: Some(bytes), ..Record::default() }
}

#[tokio::test]
async fn a_records_options_are_its_own_and_its_outcome_is_a_result() {
    let server = server();
    let producer = producer(&server);
    let topic = producer.topic("t").unwrap();
    let record = Record {
        partition: Some(1),
        timestamp: Some(4_711),
        timeout: Some(Duration::from_secs(10)),
        ..value(b"a")
    };
    let delivered = producer.send(&topic, &record).await.unwrap().await.into_result().unwrap();
    assert_eq!((delivered.partition, delivered.offset, delivered.unique), (1, Some(0), true));
    server.with_cluster(|cluster| [1, 2].map(|node| cluster.freeze(node).unwrap()));
    let record = Record { timeout: Some(Duration::from_millis(20)), ..value(b"b") };
    let error = producer.send(&topic, &record).await.unwrap().await.into_result().unwrap_err();
    assert_eq!(error.why().cause, Cause::Deadline, "{error}");
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

/// Brokers delete what is older than `retention.ms`, and 1970 is.
#[tokio::test]
async fn a_record_by_default_bears_the_time_of_sending() {
    let server = server();
    let producer = producer(&server);
    let topic = producer.topic("t").unwrap();
    let before = wall_ms();
    let record = Record { partition: Some(0), ..value(b"a") };
    assert!(producer.send(&topic, &record).await.unwrap().await.is_delivered());
    let time = server.with_cluster(|cluster| cluster.log("t", 0).next().unwrap().timestamp);
    assert!((before - 1_000..=wall_ms() + 1_000).contains(&time), "{time}");
}
