//! The whole way, on loopback: a producer and the model broker, whose log is the truth.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::time::Duration;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Instant, SystemTime},
};

use ottla_adapter_tests::{
    Adapter, Cause, Header, Producer, Record, RecordOutcome, Report, SendError, Verdict, Why,
    on_each, serve,
};
use ottla_model::{Action, Fault, TopicConfig, serve::Server};

on_each!(
    ten_thousand_records_are_where_their_outcomes_say,
    back_pressure_loses_nobody,
    unknown_at_once_the_truth_later_and_no_duplicate,
    cancelled_before_it_left_it_is_not_in_the_log_and_offsets_stay_true,
    a_frozen_broker_delays_neither_deadline_nor_close,
    a_refused_port_is_named_when_the_wait_is_over,
    a_missing_topic_is_named_when_the_wait_is_over,
    reports_come_for_tokens,
    the_last_handle_leaves_nothing_behind,
    parts_of_a_batch_that_was_split_have_their_own_answers,
    fifty_deadlines_are_kept_and_answered_with_the_truth,
    a_record_by_default_bears_the_time_of_sending,
    a_name_is_looked_up,
    a_name_that_nobody_has_is_named_when_the_wait_is_over,
    a_records_options_are_its_own_and_its_outcome_is_a_result,
    a_record_whose_own_deadline_ends_it_while_the_producer_closes_is_handed_back,
);

fn server(partitions: u32) -> Server {
    serve(2, &[("t", partitions)])
}

fn producer(on: Adapter, server: &Server, properties: &[(&str, &str)]) -> Producer {
    let builder = Producer::builder(on).property("bootstrap.servers", &server.bootstrap_servers());
    builder.properties(properties.iter().copied()).build().unwrap()
}

fn value(bytes: &[u8]) -> Record<'_> {
    Record { value: Some(bytes), ..Record::default() }
}

/// A server with the topic `narrow`, whose one partition takes no larger batches.
fn narrow_server(max_message_bytes: usize) -> Server {
    let server = server(1);
    let narrow = TopicConfig { max_message_bytes, ..TopicConfig::default() };
    server.with_cluster(|cluster| cluster.create_topic_with("narrow", 1, narrow)).unwrap();
    server
}

/// The values in the log of `t`, by partition and offset.
fn log(server: &Server) -> BTreeMap<(i32, i64), Vec<u8>> {
    log_of(server, "t")
}

fn log_of(server: &Server, topic: &str) -> BTreeMap<(i32, i64), Vec<u8>> {
    server.with_cluster(|cluster| {
        let partitions = 0..cluster.partitions(topic) as i32;
        let of = |partition| {
            let records = cluster.log(topic, partition);
            let at = move |offset| (partition, offset);
            records.map(move |record| (at(record.offset), record.value.unwrap().to_vec()))
        };
        partitions.flat_map(of).collect()
    })
}

async fn ten_thousand_records_are_where_their_outcomes_say(on: Adapter) {
    let server = server(6);
    let producer = producer(on, &server, &[]);
    let topic = producer.topic("t").unwrap();
    let mut deliveries = Vec::new();
    for number in 0..10_000_u32 {
        let bytes = number.to_be_bytes();
        deliveries.push((number, producer.send(&topic, &value(&bytes)).await.unwrap()));
    }
    let mut told = BTreeMap::new();
    for (number, delivery) in deliveries {
        let RecordOutcome::Delivered { partition, offset: Some(offset), .. } =
            delivery.outcome().await
        else {
            panic!("record {number} was not delivered")
        };
        told.insert((partition, offset), number.to_be_bytes().to_vec());
    }
    assert_eq!(told.len(), 10_000);
    assert_eq!(log(&server), told);
    let report = producer.close(Duration::from_secs(5)).await;
    assert!(report.complete, "{report:?}");
    let stats = producer.stats();
    assert_eq!(stats.answers.delivered, 10_000);
    assert_eq!(stats.latency.count, 10_000);
    assert_eq!(stats.latency.buckets.iter().map(|(_, records)| records).sum::<u64>(), 10_000);
    assert_eq!(stats.queue_depth, 0);
}

async fn back_pressure_loses_nobody(on: Adapter) {
    let server = server(3);
    let small = [("buffer.memory", "32768"), ("batch.size", "2048"), ("linger.ms", "0")];
    let producer = producer(on, &server, &[&small[..], &[("max.request.size", "8192")]].concat());
    let topic = producer.topic("t").unwrap();
    let tasks: Vec<_> = (0..20_u8)
        .map(|task| {
            let (producer, topic) = (producer.clone(), topic.clone());
            on.spawn(async move {
                let bytes = vec![task; 900];
                for _ in 0..100 {
                    let delivery = producer.send(&topic, &value(&bytes)).await.unwrap();
                    // Half of them wait, half detach.
                    if task % 2 == 0 {
                        assert!(delivery.outcome().await.is_delivered());
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.join().await;
    }
    producer.flush().await;
    assert_eq!(log(&server).len(), 2_000);
    assert_eq!(producer.stats().waiting, 0);
}

async fn unknown_at_once_the_truth_later_and_no_duplicate(on: Adapter) {
    let server = server(1);
    let producer = producer(on, &server, &[("linger.ms", "0")]);
    let topic = producer.topic("t").unwrap();
    assert!(producer.send(&topic, &value(b"warm")).await.unwrap().outcome().await.is_delivered());
    let hold = Action::Hold(Duration::from_millis(400));
    server.with_cluster(|cluster| cluster.inject(Fault::produce(hold)));
    let delivery = producer.send(&topic, &value(b"a")).await.unwrap();
    while log(&server).len() < 2 {
        on.sleep(Duration::from_millis(5)).await;
    }
    let start = Instant::now();
    assert_eq!(delivery.cancel(), Verdict::Unknown);
    assert_eq!(delivery.outcome().await, RecordOutcome::Unknown(Cause::Cancelled.into()));
    assert!(start.elapsed() < Duration::from_millis(300));
    assert_eq!(delivery.final_outcome_within(Duration::ZERO).await, None);
    let late = delivery.final_outcome().await;
    assert!(matches!(late, RecordOutcome::Delivered { offset: Some(1), .. }), "{late}");
    assert_eq!(log(&server).len(), 2);
    let stats = producer.stats();
    assert_eq!((stats.answers.unknown, stats.late.delivered, stats.core.unknown), (1, 1, 0));
}

async fn cancelled_before_it_left_it_is_not_in_the_log_and_offsets_stay_true(on: Adapter) {
    let server = server(1);
    let producer = producer(on, &server, &[("linger.ms", "300")]);
    let topic = producer.topic("t").unwrap();
    let mut deliveries = Vec::new();
    for bytes in [b"a", b"b", b"c", b"d"] {
        deliveries.push(producer.send(&topic, &value(bytes)).await.unwrap());
    }
    assert_eq!(deliveries[1].cancel(), Verdict::NotDelivered);
    assert_eq!(deliveries[1].cancel(), Verdict::NotDelivered);
    producer.flush().await;
    let mut offsets = Vec::new();
    for delivery in deliveries {
        offsets.push(match delivery.outcome().await {
            RecordOutcome::Delivered { offset, .. } => offset.unwrap(),
            outcome @ (RecordOutcome::NotDelivered(_) | RecordOutcome::Unknown(_) | _) => {
                assert_eq!(outcome, RecordOutcome::NotDelivered(Cause::Cancelled.into()));
                -1
            }
        });
    }
    assert_eq!(offsets, [0, -1, 1, 2]);
    let log: Vec<_> = log(&server).into_values().collect();
    assert_eq!(log, [b"a", b"c", b"d"]);
}

async fn a_frozen_broker_delays_neither_deadline_nor_close(on: Adapter) {
    let server = server(1);
    let producer = producer(on, &server, &[("linger.ms", "0"), ("max.in.flight", "2")]);
    let topic = producer.topic("t").unwrap();
    assert!(producer.send(&topic, &value(b"warm")).await.unwrap().outcome().await.is_delivered());
    server.with_cluster(|cluster| (cluster.freeze(1).unwrap(), cluster.freeze(2).unwrap()));
    let start = Instant::now();
    let deadline = Duration::from_millis(50);
    let sent =
        producer.send(&topic, &Record { timeout: Some(deadline), ..value(b"a") }).await.unwrap();
    assert_eq!(sent.outcome().await, RecordOutcome::Unknown(Cause::Deadline.into()));
    assert!(start.elapsed() >= deadline && start.elapsed() < deadline * 20);
    // Nobody waits for this one: it gets its answer all the same.
    drop(producer.send(&topic, &Record { timeout: Some(deadline), ..value(b"b") }).await.unwrap());
    on.sleep(deadline * 3).await;
    assert_eq!(producer.stats().answers.unknown, 2);
    // In flight are as many as may be, so this one does not leave.
    let header = Header { key: "h", value: Some(b"v") };
    let last = Record { key: Some(b"k"), headers: &[header], timestamp: Some(4711), ..value(b"c") };
    drop(producer.send(&topic, &last).await.unwrap());
    let start = Instant::now();
    let report = producer.close(Duration::from_millis(200)).await;
    assert!(start.elapsed() < Duration::from_millis(1200), "{:?}", start.elapsed());
    assert!(report.complete);
    assert_eq!((report.records.unknown, report.records.not_delivered), (2, 1));
    let returned: Vec<_> = report.returned.iter().map(|r| r.value.as_deref().unwrap()).collect();
    assert_eq!(returned, [b"a", b"b", b"c"]);
    let last = report.returned.last().unwrap();
    assert_eq!(last.outcome, RecordOutcome::NotDelivered(Cause::Closed.into()));
    assert_eq!((last.timestamp, last.key.as_deref()), (4711, Some(&b"k"[..])));
    last.with_record(|record| assert_eq!(record.headers, [header]));
}

async fn a_refused_port_is_named_when_the_wait_is_over(on: Adapter) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = free.local_addr().unwrap().to_string();
    drop(free);
    let properties = [("bootstrap.servers", refused.as_str()), ("max.block.ms", "200")];
    let producer = Producer::builder(on).properties(properties).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let start = Instant::now();
    let error = producer.send(&topic, &value(b"a")).await.unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(200));
    assert!(start.elapsed() < Duration::from_millis(1200));
    assert!(matches!(error, SendError::MetadataPending { failure: Some(_), .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&refused) && text.contains("could not be set up"), "{text}");
    assert!(text.contains("(connection refused)"), "{text}");
    assert!(producer.close(Duration::from_secs(1)).await.complete);
}

async fn a_missing_topic_is_named_when_the_wait_is_over(on: Adapter) {
    let server = server(1);
    let properties = [("max.block.ms", "300"), ("allow.auto.create.topics", "false")];
    let producer = producer(on, &server, &properties);
    let topic = producer.topic("nowhere").unwrap();
    let error = producer.send(&topic, &value(b"a")).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("nowhere") && text.contains("UNKNOWN_TOPIC"), "{text}");
}

async fn reports_come_for_tokens(on: Adapter) {
    let server = server(2);
    let reports = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&reports);
    let servers = server.bootstrap_servers();
    // Only what is flushed or does not fit leaves.
    let builder = Producer::builder(on).property("linger.ms", "60000");
    let builder = builder.property("bootstrap.servers", &servers);
    let on_report = move |report: &Report| {
        // Whoever waits for the end of a flush waits for the last of them.
        if report.token.is_multiple_of(100) {
            std::thread::sleep(Duration::from_millis(1));
        }
        to.lock().unwrap().push(report.clone());
    };
    let producer = builder.on_report(on_report).build().unwrap();
    let topic = producer.topic("t").unwrap();
    for token in 0..1_000 {
        producer
            .send_detached(&topic, &Record { token: Some(token), ..value(b"x") })
            .await
            .unwrap();
    }
    let ticket = producer
        .send_detached(&topic, &Record { token: Some(1_000), ..value(b"y") })
        .await
        .unwrap();
    assert_eq!(producer.cancel(&ticket), Verdict::NotDelivered);
    producer.flush().await;
    assert_eq!(reports.lock().unwrap().len(), 1_001);
    assert_eq!(producer.stats().answers.total(), 1_001);
    producer.close(Duration::from_secs(5)).await;
    let mut reports = reports.lock().unwrap();
    reports.sort_by_key(|report: &Report| report.token);
    let tokens: Vec<_> = reports.iter().map(|report| report.token).collect();
    assert_eq!(tokens, (0..=1_000).collect::<Vec<_>>());
    let delivered = reports.iter().filter(|report| report.outcome.is_delivered());
    assert_eq!(delivered.count(), 1_000);
}

async fn the_last_handle_leaves_nothing_behind(on: Adapter) {
    let server = server(1);
    let producer = producer(on, &server, &[("linger.ms", "10000")]);
    let topic = producer.topic("t").unwrap();
    let delivery = producer.send(&topic, &value(b"a")).await.unwrap();
    drop(producer);
    assert!(delivery.outcome().await.is_delivered());
    assert_eq!(log(&server).len(), 1);
}

async fn parts_of_a_batch_that_was_split_have_their_own_answers(on: Adapter) {
    let server = narrow_server(600);
    let reports = Arc::new(Mutex::new(BTreeMap::new()));
    let to = Arc::clone(&reports);
    let builder = Producer::builder(on).on_report(move |report| {
        let before = to.lock().unwrap().insert(report.token, report.outcome.clone());
        assert_eq!((before, report.late), (None, false));
    });
    let builder = builder.property("bootstrap.servers", &server.bootstrap_servers());
    let builder = builder.property("linger.ms", "60000").property("batch.size", "100000");
    let producer = builder.build().unwrap();
    let topic = producer.topic("narrow").unwrap();
    let mut deliveries = Vec::new();
    for number in 0..60_u8 {
        let bytes = vec![number; if number == 37 { 700 } else { 30 }];
        let record = Record { token: Some(number.into()), ..value(&bytes) };
        let sent = producer.send(&topic, &record).await;
        deliveries.push((bytes, sent.unwrap()));
    }
    assert_eq!(deliveries[20].1.cancel(), Verdict::NotDelivered);
    producer.flush().await;
    let mut told = BTreeMap::new();
    for (number, (bytes, delivery)) in deliveries.into_iter().enumerate() {
        let outcome = delivery.final_outcome().await;
        assert_eq!(reports.lock().unwrap().get(&(number as u64)), Some(&outcome));
        match outcome {
            RecordOutcome::Delivered { partition, offset: Some(offset), .. } => {
                told.insert((partition, offset), bytes);
            }
            RecordOutcome::NotDelivered(Why { cause: Cause::Cancelled, .. }) if number == 20 => {}
            RecordOutcome::NotDelivered(cause) if number == 37 => {
                assert!(cause.to_string().contains("MESSAGE_TOO_LARGE"), "{cause}");
            }
            outcome @ (RecordOutcome::Delivered { .. }
            | RecordOutcome::NotDelivered(_)
            | RecordOutcome::Unknown(_)
            | _) => {
                panic!("record {number}: {outcome}")
            }
        }
    }
    assert_eq!(told.len(), 58);
    assert_eq!(log_of(&server, "narrow"), told);
    let stats = producer.stats();
    assert_eq!((stats.answers.delivered, stats.answers.not_delivered), (58, 2));
    assert_eq!((stats.latency.count, stats.queue_depth), (58, 0));
    let report = producer.close(Duration::from_secs(5)).await;
    assert!(report.complete && report.returned.is_empty(), "{report:?}");
}

async fn fifty_deadlines_are_kept_and_answered_with_the_truth(on: Adapter) {
    let server = server(1);
    let producer = producer(on, &server, &[("linger.ms", "0"), ("max.in.flight", "1")]);
    let topic = producer.topic("t").unwrap();
    assert!(producer.send(&topic, &value(b"warm")).await.unwrap().outcome().await.is_delivered());
    // As soon as bytes of the next record have arrived.
    server.with_cluster(|cluster| cluster.inject(Fault::produce(Action::Freeze)));
    let out = producer.send(&topic, &value(&[0])).await.unwrap();
    while !server.with_cluster(|cluster| cluster.is_frozen(1) || cluster.is_frozen(2)) {
        on.sleep(Duration::from_millis(1)).await;
    }
    let deadline = Duration::from_millis(200);
    let start = Instant::now();
    assert!(out.cancel_after(deadline));
    let mut deliveries = vec![out];
    for number in 1..50 {
        let sent =
            producer.send(&topic, &Record { timeout: Some(deadline), ..value(&[number]) }).await;
        deliveries.push(sent.unwrap());
    }
    let mut answers = Vec::new();
    for delivery in &deliveries {
        answers.push(delivery.outcome().await);
    }
    assert!(start.elapsed() >= deadline);
    // The bytes of the first are out. Nothing follows it, as the broker is silent.
    assert_eq!(answers[0], RecordOutcome::Unknown(Cause::Deadline.into()));
    assert!(answers[1..].iter().all(|a| *a == RecordOutcome::NotDelivered(Cause::Deadline.into())));
    // `Unknown` is an answer: nobody waits for it to be flushed.
    assert_eq!(producer.flush().await.total(), 0);
    assert_eq!(producer.stats().queue_depth, 0);
    server.with_cluster(|cluster| (cluster.thaw(1).unwrap(), cluster.thaw(2).unwrap()));
    assert!(deliveries.swap_remove(0).final_outcome().await.is_delivered());
    assert!(producer.close(Duration::from_secs(5)).await.complete);
    let log: Vec<_> = log(&server).into_values().collect();
    assert_eq!(log, [&b"warm"[..], &[0]]);
}

/// Brokers delete what is older than `retention.ms`, and 1970 is.
async fn a_record_by_default_bears_the_time_of_sending(on: Adapter) {
    let wall_ms = || {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        i64::try_from(now.as_millis()).unwrap()
    };
    let server = server(1);
    let producer = producer(on, &server, &[]);
    let topic = producer.topic("t").unwrap();
    let before = wall_ms();
    assert!(producer.send(&topic, &value(b"a")).await.unwrap().outcome().await.is_delivered());
    let time = server.with_cluster(|cluster| cluster.log("t", 0).next().unwrap().timestamp);
    assert!((before - 1_000..=wall_ms() + 1_000).contains(&time), "{time}");
}

async fn a_name_is_looked_up(on: Adapter) {
    let server = server(1);
    let port = server.addresses()[0].port();
    let servers = format!("localhost:{port}");
    let producer = Producer::builder(on).property("bootstrap.servers", &servers).build().unwrap();
    let topic = producer.topic("t").unwrap();
    assert!(producer.send(&topic, &value(b"a")).await.unwrap().outcome().await.is_delivered());
}

async fn a_name_that_nobody_has_is_named_when_the_wait_is_over(on: Adapter) {
    let properties = [("bootstrap.servers", "no.such.host.invalid:9092"), ("max.block.ms", "3000")];
    let producer = Producer::builder(on).properties(properties).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let text = producer.send(&topic, &value(b"a")).await.unwrap_err().to_string();
    assert!(text.contains("no.such.host.invalid:9092"), "{text}");
}

async fn a_records_options_are_its_own_and_its_outcome_is_a_result(on: Adapter) {
    let server = server(2);
    let producer = producer(on, &server, &[("linger.ms", "0")]);
    let topic = producer.topic("t").unwrap();
    let record = Record {
        partition: Some(1),
        timestamp: Some(4_711),
        timeout: Some(Duration::from_secs(10)),
        ..value(b"a")
    };
    let outcome = producer.send(&topic, &record).await.unwrap().outcome().await;
    let delivered = outcome.into_result().unwrap();
    assert_eq!((delivered.partition, delivered.offset, delivered.unique), (1, Some(0), true));
    server.with_cluster(|cluster| [1, 2].map(|node| cluster.freeze(node).unwrap()));
    let record = Record { timeout: Some(Duration::from_millis(20)), ..value(b"b") };
    let outcome = producer.send(&topic, &record).await.unwrap().outcome().await;
    let error = outcome.into_result().unwrap_err();
    assert_eq!(error.why().cause, Cause::Deadline, "{error}");
}

async fn a_record_whose_own_deadline_ends_it_while_the_producer_closes_is_handed_back(on: Adapter) {
    let server = server(1);
    let producer = producer(on, &server, &[("linger.ms", "0"), ("max.in.flight", "1")]);
    let topic = producer.topic("t").unwrap();
    assert!(producer.send(&topic, &value(b"warm")).await.unwrap().outcome().await.is_delivered());
    // As soon as bytes of the next record have arrived.
    server.with_cluster(|cluster| cluster.inject(Fault::produce(Action::Freeze)));
    let sent = |number: u16, timeout| {
        let (producer, topic) = (producer.clone(), topic.clone());
        let bytes = number.to_be_bytes();
        async move {
            let record = Record { key: Some(b"k"), timeout, ..value(&bytes) };
            producer.send(&topic, &record).await.unwrap()
        }
    };
    // The first leaves, and what comes behind it waits.
    let first = sent(0, None).await;
    while !server.with_cluster(|cluster| cluster.is_frozen(1) || cluster.is_frozen(2)) {
        on.sleep(Duration::from_millis(1)).await;
    }
    let deadline = Duration::from_millis(100);
    for number in 1..400 {
        drop(sent(number, (number % 10 != 0).then_some(deadline)).await);
    }
    let cancelled = sent(400, Some(deadline)).await;
    assert_eq!(cancelled.cancel(), Verdict::NotDelivered);
    let report = producer.close(Duration::from_millis(500)).await;
    assert!(report.complete, "{report:?}");
    let mut back = BTreeMap::new();
    for record in &report.returned {
        let number = u16::from_be_bytes(record.value.as_deref().unwrap().try_into().unwrap());
        assert_eq!(
            (&*record.topic, record.partition, record.key.as_deref()),
            ("t", 0, Some(&b"k"[..]))
        );
        assert_eq!(
            back.insert(number, record.outcome.why().unwrap().cause),
            None,
            "{number} twice"
        );
    }
    assert_eq!(back.keys().copied().collect::<Vec<_>>(), (0..400).collect::<Vec<_>>());
    let ended_by =
        |number: u16| if number.is_multiple_of(10) { Cause::Closed } else { Cause::Deadline };
    assert!(back.iter().skip(1).all(|(number, cause)| *cause == ended_by(*number)), "{back:?}");
    assert!(matches!(first.outcome().await, RecordOutcome::Unknown(_)));
}
