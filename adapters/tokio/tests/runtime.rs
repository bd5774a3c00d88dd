//! What runtime a producer is built on, where it is used from, and a waker that panics where it is woken.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::{
    future::Future,
    net::SocketAddr,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{sync::Arc, task::Wake, thread::sleep};

use ottla_client::block_on;
use ottla_model::{ClusterConfig, serve::Server};
use ottla_tokio::{BuildError, Cause, Producer, Record, RecordOutcome};
use tokio::runtime::{Builder, Runtime};

fn server() -> Server {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Server::start(&[any], ClusterConfig::with_nodes(1)).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 1)).unwrap();
    server
}

fn build(runtime: &Runtime, servers: &str) -> Result<Producer, BuildError> {
    let builder = Producer::builder().property("bootstrap.servers", servers);
    builder.property("linger.ms", "60000").runtime(runtime.handle().clone()).build()
}

fn record() -> Record<'static> {
    Record { value: Some(b"v"), ..Record::default() }
}

#[test]
fn a_runtime_without_io_or_time_is_refused_when_the_producer_is_built() {
    let without = |what: &str, runtime: Runtime| {
        let refused = build(&runtime, "127.0.0.1:1").expect_err(what);
        assert!(matches!(refused, BuildError::RuntimeWithout(found) if found == what), "{refused}");
    };
    without("time", Builder::new_current_thread().enable_io().build().unwrap());
    without("io", Builder::new_current_thread().enable_time().build().unwrap());
    let whole = Builder::new_current_thread().enable_all().build().unwrap();
    assert!(build(&whole, "127.0.0.1:1").is_ok());
}

#[test]
fn a_producer_is_used_from_outside_of_its_runtime() {
    let server = server();
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let producer = build(&runtime, &server.bootstrap_servers()).unwrap();
    let topic = producer.topic("t").unwrap();
    // It has to wait until the topic is known.
    let delivery = block_on(producer.send(&topic, &record()), None).unwrap().unwrap();
    assert_eq!(block_on(producer.flush(), None).unwrap().delivered, 1);
    assert!(delivery.try_outcome().unwrap().is_delivered());
    assert!(block_on(producer.close(Duration::from_secs(5)), None).unwrap().complete);
}

#[test]
fn a_deadline_is_answered_to_who_asks_while_the_runtime_does_not_run() {
    let server = server();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let producer = build(&runtime, &server.bootstrap_servers()).unwrap();
    let topic = producer.topic("t").unwrap();
    let limit = Duration::from_millis(500);
    let send = || {
        runtime
            .block_on(producer.send(&topic, &Record { timeout: Some(limit), ..record() }))
            .unwrap()
    };
    let [asked, mut polled] = [send(), send()];
    assert_eq!(asked.try_outcome(), None);
    sleep(limit + Duration::from_millis(20));
    let gone = RecordOutcome::NotDelivered(Cause::Deadline.into());
    assert_eq!(asked.try_outcome(), Some(gone.clone()));
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(pin!(&mut polled).poll(&mut context), Poll::Ready(gone));
    assert!(runtime.block_on(producer.close(Duration::from_secs(5))).complete);
}

#[test]
fn a_runtime_that_ends_takes_nobody_hostage() {
    let server = server();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let producer = build(&runtime, &server.bootstrap_servers()).unwrap();
    let topic = producer.topic("t").unwrap();
    let delivery = runtime.block_on(producer.send(&topic, &record())).unwrap();
    drop(runtime);
    assert_eq!(delivery.try_outcome(), Some(RecordOutcome::NotDelivered(Cause::Closed.into())));
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
    let mut bad = producer.send(&topic, &record()).await.unwrap();
    let other = producer.send(&topic, &record()).await.unwrap();
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
