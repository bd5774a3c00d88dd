//! Sending from where reports are told.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::time::Duration;
use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use ottla_blocking::{Producer, Record, SendError, Topic};
use ottla_model::{ClusterConfig, serve::Server};

#[test]
fn sending_from_a_report_never_waits() {
    let any = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(&[any], ClusterConfig::default()).unwrap();
    server.with_cluster(|cluster| cluster.create_topic("t", 2)).unwrap();
    let own = Arc::new(Mutex::new(None::<(Producer, Topic)>));
    let refused = Arc::new(Mutex::new(None));
    let (of, to) = (Arc::clone(&own), Arc::clone(&refused));
    let builder = Producer::builder().property("bootstrap.servers", &server.bootstrap_servers());
    let producer = builder
        .on_report(move |_| {
            let own = of.lock().unwrap();
            let (producer, _) = own.as_ref().unwrap();
            let unknown = producer.topic("unknown").unwrap();
            let record = Record { value: Some(b"b"), ..Record::default() };
            *to.lock().unwrap() = producer.send(&unknown, &record).err();
        })
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    *own.lock().unwrap() = Some((producer.clone(), topic.clone()));
    producer.send_detached(&topic, &Record { token: Some(1), ..Record::default() }).unwrap();
    producer.flush();
    let start = Instant::now();
    while refused.lock().unwrap().is_none() && start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(matches!(*refused.lock().unwrap(), Some(SendError::MetadataPending { .. })));
    own.lock().unwrap().take();
}
