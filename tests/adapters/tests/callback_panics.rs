//! The application's own code panics where the producer calls it.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::time::Duration;
use std::{
    panic::panic_any,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use ottla_adapter_tests::{Adapter, Producer, Record, RecordOutcome, on_each, serve};
use ottla_model::serve::Server;

on_each!(
    a_report_whose_panic_panics_once_more_when_it_is_dropped_ends_nothing,
    a_report_that_panics_leaves_all_others_to_be_told,
);

/// What is panicked with when it is dropped is one of these again.
struct Nasty;

impl Drop for Nasty {
    fn drop(&mut self) {
        panic_any(Self);
    }
}

fn server() -> Server {
    serve(1, &[("t", 1)])
}

async fn a_report_whose_panic_panics_once_more_when_it_is_dropped_ends_nothing(on: Adapter) {
    let server = server();
    let builder = Producer::builder(on).property("bootstrap.servers", &server.bootstrap_servers());
    let producer = builder.on_report(|_| panic_any(Nasty)).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let start = Instant::now();
    for token in 0..3 {
        let record = Record { value: Some(b"v"), token: Some(token), ..Record::default() };
        producer.send_detached(&topic, &record).await.unwrap();
        let tally = producer.flush().await;
        assert_eq!(tally.delivered, 1, "record {token}");
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(producer.close(Duration::from_secs(5)).await.complete);
}

async fn a_report_that_panics_leaves_all_others_to_be_told(on: Adapter) {
    let server = server();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let builder = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("linger.ms", "1000")
        .property("batch.size", "128");
    let notes = Arc::clone(&heard);
    let builder = builder.on_report(move |report| {
        let RecordOutcome::Delivered { offset, .. } = &report.outcome else {
            unreachable!("nothing goes wrong")
        };
        notes.lock().unwrap_or_else(PoisonError::into_inner).push((report.token, *offset));
        if report.token % 3 == 0 {
            panic_any("thrown by every third");
        }
    });
    let producer = builder.build().unwrap();
    let topic = producer.topic("t").unwrap();
    for token in 0..31 {
        let record = Record { value: Some(b"v"), token: Some(token), ..Record::default() };
        producer.send_detached(&topic, &record).await.unwrap();
    }
    producer.flush().await;
    assert!(producer.close(Duration::from_secs(5)).await.complete);
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
    let each_once: Vec<_> = (0..31).map(|token| (token, Some(token as i64))).collect();
    assert_eq!(*heard, each_once);
}
