//! A waker that panics where the producer wakes it.

use core::{
    future::Future,
    net::SocketAddr,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};
use std::{sync::Arc, task::Wake};

use ottla_model::{ClusterConfig, serve::Server};
use ottla_tokio::{Producer, Record};

fn server() -> Server {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&[any], ClusterConfig::with_nodes(1)).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 1)).unwrap();
    server
}

struct Bad;

impl Wake for Bad {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waker_that_panics_harms_nobody_else() {
    let server = server();
    let builder = Producer::builder().property("bootstrap.servers", &server.bootstrap_servers());
    let producer = builder.property("linger.ms", "50").build().unwrap();
    let topic = producer.topic("t").unwrap();
    let record = Record { value: Some(b"v"), ..Record::default() };
    let mut bad = producer.send(&topic, &record).await.unwrap();
    let other = producer.send(&topic, &record).await.unwrap();
    let waker = Waker::from(Arc::new(Bad));
    assert!(pin!(&mut bad).poll(&mut Context::from_waker(&waker)).is_pending());
    let waits = tokio::spawn(other);
    let limit = Duration::from_secs(5);
    let tally = tokio::time::timeout(limit, producer.flush()).await.expect("flush hangs");
    assert_eq!(tally.delivered, 2);
    let outcome = tokio::time::timeout(limit, waits).await.expect("the other one hangs").unwrap();
    assert!(outcome.is_delivered());
    assert!(bad.await.is_delivered());
    assert!(producer.close(limit).await.complete);
}
