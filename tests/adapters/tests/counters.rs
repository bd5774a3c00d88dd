//! What is counted is what callers were told.

use core::time::Duration;
use std::sync::{Arc, Mutex};

use ottla_adapter_tests::{
    Adapter, Cause, ErrorCode, LastError, Producer, Record, RecordOutcome, Verdict, on_each, serve,
};
use ottla_model::{Action, Fault, serve::Server};

on_each!(
    what_who_cancels_is_told_is_counted_and_the_last_word_on_it_is_late,
    errors_are_counted_by_code_and_what_waits_is_told_with_why,
);

fn server(partitions: u32) -> Server {
    serve(1, &[("t", partitions)])
}

fn value(bytes: &[u8]) -> Record<'_> {
    Record { value: Some(bytes), ..Record::default() }
}

async fn what_who_cancels_is_told_is_counted_and_the_last_word_on_it_is_late(on: Adapter) {
    let server = server(1);
    let reports = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&reports);
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("linger.ms", "0")
        .on_report(move |report| told.lock().unwrap().push((report.outcome.clone(), report.late)))
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    assert!(producer.send(&topic, &value(b"warm")).await.unwrap().outcome().await.is_delivered());
    let hold = Action::Hold(Duration::from_millis(300));
    server.with_cluster(|cluster| cluster.inject(Fault::produce(hold)));
    let ticket =
        producer.send_detached(&topic, &Record { token: Some(1), ..value(b"a") }).await.unwrap();
    while server.with_cluster(|cluster| cluster.log("t", 0).count()) < 2 {
        on.sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(producer.cancel(&ticket), Verdict::Unknown);
    let stats = producer.stats();
    assert_eq!((stats.answers.unknown, stats.late.total(), stats.core.unknown), (1, 0, 0));
    assert!(producer.close(Duration::from_secs(5)).await.complete);
    let stats = producer.stats();
    // One answer was `Unknown`, and its final outcome is another: both are there to be counted.
    assert_eq!((stats.answers.unknown, stats.late.delivered, stats.late.total()), (1, 1, 1));
    assert_eq!((stats.core.unknown, stats.core.delivered), (0, 2));
    let reports = reports.lock().unwrap();
    assert_eq!(reports[0], (RecordOutcome::Unknown(Cause::Cancelled.into()), false));
    assert!(reports[1].0.is_delivered() && reports[1].1 && reports.len() == 2, "{reports:?}");
}

async fn errors_are_counted_by_code_and_what_waits_is_told_with_why(on: Adapter) {
    let server = server(2);
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("linger.ms", "0")
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    let code = ErrorCode::NOT_ENOUGH_REPLICAS;
    let fault = Fault::produce(Action::Reject(code)).on("t", 1);
    server.with_cluster(|cluster| cluster.inject(fault.times(u32::MAX)));
    let to = |number| Record { partition: Some(number), ..value(b"a") };
    assert!(producer.send(&topic, &to(0)).await.unwrap().outcome().await.is_delivered());
    let waits = producer.send(&topic, &to(1)).await.unwrap();
    assert_eq!(waits.outcome_within(Duration::from_millis(500)).await, None);
    let stats = producer.stats();
    assert!(matches!(stats.errors[..], [(Some(told), times)] if told == code && times > 1));
    let [wait] = &stats.waits[..] else { panic!("{:?}", stats.waits) };
    assert_eq!((wait.topic.as_str(), wait.partitions), ("t", 1));
    assert_eq!(wait.why, LastError::Answer(code));
    server.with_cluster(ottla_model::Cluster::clear_faults);
    assert!(waits.outcome().await.is_delivered());
    assert_eq!(producer.stats().waits, []);
}
