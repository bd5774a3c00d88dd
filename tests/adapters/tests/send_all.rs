//! Many records in one call, on loopback: the model broker's log is the truth.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::time::Duration;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use ottla_adapter_tests::{
    Adapter, Builder, Cause, Delivery, Header, ProduceError, Producer, Record, RecordOutcome,
    SendAllError, SendError, Verdict, on_each, serve,
};
use ottla_model::serve::Server;

on_each!(
    records_of_one_call_are_there_once_in_order_and_each_has_its_answer,
    keyed_records_keep_their_order_on_each_of_several_cores,
    a_record_at_fault_in_the_middle_ends_the_call_and_the_rest_can_be_sent_from_there,
    where_memory_is_full_it_is_told_how_many_were_taken_and_the_rest_goes_later,
    a_call_that_waits_for_memory_goes_on_and_ends_when_its_time_is_over,
    records_wait_together_until_the_topic_is_known,
    tokens_are_reported_and_refused_where_nobody_listens,
    each_record_has_its_own_timeout_and_ticket,
    a_timeout_that_is_over_before_its_batch_leaves_is_reported_at_once,
    a_record_whose_time_was_over_before_its_turn_is_taken_out_for_certain,
    a_record_is_the_same_in_one_call_with_others_and_alone,
    a_call_is_ended_by_a_close_and_says_what_was_taken,
    the_records_may_be_made_by_whoever_uses_the_producer,
    a_partitioner_is_asked_once_for_each_record,
);
on_each!(
    [Tokio, TokioAlone]:
    a_task_that_sends_many_can_be_spawned_whatever_makes_them,
    a_call_that_is_dropped_in_the_middle_has_the_deliveries_of_what_was_taken,
);

const SHORT: Duration = Duration::from_secs(5);

fn server(partitions: u32) -> Server {
    serve(1, &[("t", partitions)])
}

fn builder(on: Adapter, server: &Server) -> Builder {
    Producer::builder(on).property("bootstrap.servers", &server.bootstrap_servers())
}

fn numbers(range: core::ops::Range<u32>) -> Vec<[u8; 4]> {
    range.map(u32::to_be_bytes).collect()
}

fn records(values: &[[u8; 4]]) -> impl Iterator<Item = Record<'_>> {
    values.iter().map(|value| Record { value: Some(value), ..Record::default() })
}

/// The numbers in each partition's log, in order.
fn log(server: &Server) -> BTreeMap<i32, Vec<u32>> {
    server.with_cluster(|cluster| {
        let of = |partition| {
            let number = |value: &[u8]| u32::from_be_bytes(value[..4].try_into().unwrap());
            let records = cluster.log("t", partition);
            (partition, records.map(|record| number(record.value.unwrap())).collect())
        };
        (0..cluster.partitions("t") as i32).map(of).collect()
    })
}

fn all(log: &BTreeMap<i32, Vec<u32>>) -> Vec<u32> {
    let mut all: Vec<_> = log.values().flatten().copied().collect();
    all.sort_unstable();
    all
}

fn assert_in_order(log: &BTreeMap<i32, Vec<u32>>) {
    for (partition, numbers) in log {
        assert!(numbers.is_sorted(), "partition {partition}: {numbers:?}");
    }
}

/// Memory for some thirty records of a kilobyte.
const SMALL: [(&str, &str); 4] = [
    ("buffer.memory", "32768"),
    ("batch.size", "4096"),
    ("max.request.size", "8192"),
    ("linger.ms", "0"),
];

fn large(count: u32) -> Vec<Vec<u8>> {
    let value = |number: u32| {
        let mut value = number.to_be_bytes().to_vec();
        value.resize(1_000, b'.');
        value
    };
    (0..count).map(value).collect()
}

fn values(values: &[Vec<u8>]) -> impl Iterator<Item = Record<'_>> {
    values.iter().map(|value| Record { value: Some(value), ..Record::default() })
}

async fn records_of_one_call_are_there_once_in_order_and_each_has_its_answer(on: Adapter) {
    let server = server(6);
    let producer = builder(on, &server).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let values = numbers(0..10_000);
    let mut deliveries = Vec::new();
    assert_eq!(producer.send_all(&topic, records(&[]), &mut deliveries).await, Ok(0));
    let taken = producer.send_all(&topic, records(&values), &mut deliveries).await;
    assert_eq!((taken, deliveries.len()), (Ok(10_000), 10_000));
    // References do as well, and what was there stays.
    let last = [Record { value: Some(&[0, 0, 0x27, 0x10]), ..Record::default() }];
    assert_eq!(producer.send_all(&topic, &last, &mut deliveries).await, Ok(1));
    let mut told = BTreeMap::<i32, BTreeMap<i64, u32>>::new();
    for (number, delivery) in (0..).zip(&deliveries) {
        let outcome = delivery.outcome().await;
        let RecordOutcome::Delivered { partition, offset: Some(offset), .. } = outcome else {
            panic!("record {number}: {outcome}")
        };
        assert_eq!(told.entry(partition).or_default().insert(offset, number), None);
    }
    let log = log(&server);
    for (partition, told) in told {
        assert!(log[&partition].iter().eq(told.values()), "partition {partition}");
    }
    assert_in_order(&log);
    assert_eq!(all(&log), (0..=10_000).collect::<Vec<_>>());
    let stats = producer.stats();
    assert_eq!((stats.answers.delivered, stats.latency.count), (10_001, 10_001));
    assert_eq!(stats.queue_depth, 0);
}

async fn keyed_records_keep_their_order_on_each_of_several_cores(on: Adapter) {
    let server = server(6);
    let producer = builder(on, &server).shards(4).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let values = numbers(0..3_000);
    let keyed = values.iter().map(|value| {
        let key = (value[3] % 4 > 0).then_some(&value[3..]);
        Record { key, value: Some(value), ..Record::default() }
    });
    let mut deliveries = Vec::new();
    assert_eq!(producer.send_all(&topic, keyed, &mut deliveries).await, Ok(3_000));
    let mut home = BTreeMap::new();
    for (value, delivery) in values.iter().zip(&deliveries) {
        let RecordOutcome::Delivered { partition, .. } = delivery.outcome().await else {
            panic!("{delivery:?}")
        };
        if value[3] % 4 > 0 {
            assert_eq!(*home.entry(value[3]).or_insert(partition), partition, "one key");
        }
    }
    let log = log(&server);
    assert_in_order(&log);
    assert_eq!(all(&log), (0..3_000).collect::<Vec<_>>());
    assert!(log.values().all(|records| !records.is_empty()));
}

async fn a_record_at_fault_in_the_middle_ends_the_call_and_the_rest_can_be_sent_from_there(
    on: Adapter,
) {
    let server = server(2);
    for shards in [1, 2] {
        let builder = builder(on, &server).property("max.request.size", "8192");
        let producer = builder.shards(shards).build().unwrap();
        let topic = producer.topic("t").unwrap();
        let value = [7; 16];
        let too_large = vec![7; 10_000];
        let record = |place: usize| {
            let value = if place == 100 { &too_large[..] } else { &value[..] };
            let partition = Some(if place == 150 { 9 } else { place as i32 % 2 });
            Record { partition, value: Some(value), ..Record::default() }
        };
        let mut deliveries = Vec::new();
        let mut call = async |range: core::ops::Range<usize>| {
            let before = deliveries.len();
            let sent = producer.send_all(&topic, range.map(record), &mut deliveries).await;
            (sent, deliveries.len() - before)
        };
        let (sent, grown) = call(0..200).await;
        let Err(error) = sent else { panic!("{sent:?}") };
        assert_eq!((error.taken, grown), (100, 100));
        assert!(!error.is_temporary());
        assert!(matches!(error.error, SendError::Refused(ProduceError::RecordTooLarge { .. })));
        assert!(error.to_string().ends_with("; 100 records were taken before"), "{error}");
        let (sent, grown) = call(101..200).await;
        let refused = |error: &SendAllError| error.error.clone();
        let unknown = SendError::Refused(ProduceError::UnknownPartition { partitions: 2 });
        assert_eq!(sent.as_ref().map_err(refused), Err(unknown));
        assert_eq!((sent.unwrap_err().taken, grown), (49, 49));
        assert_eq!(call(151..200).await, (Ok(49), 49));
        for delivery in &deliveries {
            assert!(delivery.outcome().await.is_delivered());
        }
    }
}

async fn where_memory_is_full_it_is_told_how_many_were_taken_and_the_rest_goes_later(on: Adapter) {
    let server = server(1);
    let producer = builder(on, &server).properties(SMALL).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let values_of = large(200);
    assert!(
        producer.send(&topic, &Record::default()).await.unwrap().outcome().await.is_delivered()
    );
    server.with_cluster(|cluster| cluster.freeze(1)).unwrap();
    let mut deliveries = Vec::new();
    let mut sent = 0;
    let full = producer.try_send_all(&topic, values(&values_of), &mut deliveries).unwrap_err();
    assert!(matches!(full.error, SendError::Full { .. }) && full.is_temporary(), "{full}");
    assert!((10..40).contains(&full.taken), "{full}");
    assert_eq!(deliveries.len(), full.taken);
    sent += full.taken;
    server.with_cluster(|cluster| cluster.thaw(1)).unwrap();
    while sent < 200 {
        let left = values(&values_of).skip(sent);
        match producer.try_send_all(&topic, left, &mut deliveries) {
            Ok(taken) => sent += taken,
            Err(full) => {
                assert!(full.is_temporary(), "{full}");
                sent += full.taken;
                on.sleep(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(deliveries.len(), sent);
    }
    for delivery in &deliveries {
        assert!(delivery.outcome().await.is_delivered());
    }
    // The first was empty.
    let in_log: usize = server.with_cluster(|cluster| cluster.log("t", 0).count());
    assert_eq!(in_log, 201);
    server.with_cluster(|cluster| {
        let numbers = cluster.log("t", 0).skip(1).map(|record| record.value.unwrap()[..4].to_vec());
        assert!(numbers.eq((0..200_u32).map(|number| number.to_be_bytes().to_vec())));
    });
}

async fn a_call_that_waits_for_memory_goes_on_and_ends_when_its_time_is_over(on: Adapter) {
    let server = server(1);
    let builder = builder(on, &server).properties(SMALL).property("max.block.ms", "400");
    let producer = builder.property("delivery.timeout.ms", "60000").build().unwrap();
    let topic = producer.topic("t").unwrap();
    let values_of = large(500);
    let mut deliveries = Vec::new();
    let sent = producer.send_all(&topic, values(&values_of), &mut deliveries).await;
    assert_eq!((sent, deliveries.len()), (Ok(500), 500));
    producer.flush().await;
    server.with_cluster(|cluster| cluster.freeze(1)).unwrap();
    deliveries.clear();
    let start = Instant::now();
    let full = producer.send_all(&topic, values(&values_of), &mut deliveries).await.unwrap_err();
    let waited = start.elapsed();
    assert!(matches!(full.error, SendError::Full { .. }), "{full}");
    assert_eq!(deliveries.len(), full.taken);
    assert!(waited > Duration::from_millis(350) && waited < SHORT, "{waited:?}");
    server.with_cluster(|cluster| cluster.thaw(1)).unwrap();
    for delivery in &deliveries {
        assert!(delivery.outcome().await.is_delivered());
    }
    assert_eq!(all(&log(&server)).len(), 500 + full.taken);
}

/// Thaws the broker after a while.
async fn thaw_later(on: Adapter, server: Arc<Server>) {
    on.sleep(Duration::from_millis(300)).await;
    server.with_cluster(|cluster| cluster.thaw(1)).unwrap();
}

async fn records_wait_together_until_the_topic_is_known(on: Adapter) {
    for shards in [1, 4] {
        let server = Arc::new(server(8));
        server.with_cluster(|cluster| cluster.freeze(1)).unwrap();
        let producer = builder(on, &server).shards(shards).build().unwrap();
        let topic = producer.topic("t").unwrap();
        let values = numbers(0..1_000);
        let keyed = values.iter().map(|value| {
            let key = Some(&value[3..]);
            Record { key, value: Some(value), ..Record::default() }
        });
        let mut deliveries = Vec::new();
        let before = producer.try_send_all(&topic, keyed.clone(), &mut deliveries).unwrap_err();
        assert!(matches!(before.error, SendError::MetadataPending { .. }), "{before}");
        assert_eq!((before.taken, deliveries.len()), (0, 0));
        let thaw = on.spawn(thaw_later(on, Arc::clone(&server)));
        assert_eq!(producer.send_all(&topic, keyed, &mut deliveries).await, Ok(1_000));
        thaw.join().await;
        producer.flush().await;
        let log = log(&server);
        assert_in_order(&log);
        assert_eq!(all(&log), (0..1_000).collect::<Vec<_>>());
    }
}

async fn tokens_are_reported_and_refused_where_nobody_listens(on: Adapter) {
    let server = server(3);
    let values = numbers(0..1_000);
    let with_tokens = || {
        (0..1_000).zip(records(&values)).map(|(token, record)| {
            let token = (token >= 10).then_some(token);
            Record { token, ..record }
        })
    };
    let deaf = builder(on, &server).build().unwrap();
    let topic = deaf.topic("t").unwrap();
    let mut tickets = Vec::new();
    let refused = deaf.send_all_detached(&topic, with_tokens(), &mut tickets).await.unwrap_err();
    assert_eq!((refused.taken, refused.error), (10, SendError::NoReportCallback));
    deaf.flush().await;
    assert_eq!(all(&log(&server)), (0..10).collect::<Vec<_>>());
    let heard = Arc::new(Mutex::new(BTreeMap::new()));
    let told = Arc::clone(&heard);
    let builder = builder(on, &server).on_report(move |report| {
        let before = told.lock().unwrap().insert(report.token, report.outcome.is_delivered());
        assert_eq!(before, None, "told once");
    });
    let producer = builder.build().unwrap();
    let others = deaf.topic("t").unwrap();
    let wrong = producer.send_all_detached(&others, with_tokens(), &mut tickets).await;
    assert_eq!(wrong.unwrap_err().error, SendError::WrongProducer);
    let topic = producer.topic("t").unwrap();
    tickets.clear();
    assert_eq!(producer.send_all_detached(&topic, with_tokens(), &mut tickets).await, Ok(1_000));
    assert_eq!(tickets.len(), 1_000);
    producer.flush().await;
    let heard = heard.lock().unwrap();
    assert!(heard.keys().copied().eq(10..1_000));
    assert!(heard.values().all(|delivered| *delivered));
}

async fn each_record_has_its_own_timeout_and_ticket(on: Adapter) {
    let server = server(1);
    let producer = builder(on, &server).property("linger.ms", "100").build().unwrap();
    let topic = producer.topic("t").unwrap();
    assert!(
        producer.send(&topic, &Record::default()).await.unwrap().outcome().await.is_delivered()
    );
    server.with_cluster(|cluster| cluster.freeze(1)).unwrap();
    let values = numbers(0..90);
    let timeout = Duration::from_millis(300);
    let dated = (0..90).zip(records(&values)).map(|(place, record)| {
        let timeout = (place % 3 == 1).then_some(timeout);
        Record { timeout, ..record }
    });
    let start = Instant::now();
    let mut deliveries = Vec::new();
    assert_eq!(producer.send_all(&topic, dated, &mut deliveries).await, Ok(90));
    for delivery in deliveries.iter().skip(2).step_by(3) {
        assert_eq!(producer.cancel(&delivery.ticket()), Verdict::NotDelivered);
    }
    for delivery in deliveries.iter().skip(1).step_by(3) {
        let outcome = delivery.outcome().await;
        assert!(
            matches!(&outcome, RecordOutcome::Unknown(why) | RecordOutcome::NotDelivered(why)
                if why.cause == Cause::Deadline),
            "{outcome}"
        );
    }
    let waited = start.elapsed();
    assert!(waited >= timeout && waited < SHORT, "{waited:?}");
    server.with_cluster(|cluster| cluster.thaw(1)).unwrap();
    for delivery in deliveries.iter().step_by(3) {
        assert!(delivery.outcome().await.is_delivered());
    }
    producer.close(SHORT).await;
    let log: Vec<_> = server.with_cluster(|cluster| {
        cluster.log("t", 0).skip(1).map(|record| record.value.unwrap()[3]).collect()
    });
    assert!(log.iter().all(|number| number % 3 < 2), "what was cancelled is not there: {log:?}");
    assert!(log.iter().filter(|number| **number % 3 == 0).count() == 30, "{log:?}");
}

async fn a_timeout_that_is_over_before_its_batch_leaves_is_reported_at_once(on: Adapter) {
    let server = server(1);
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let builder = builder(on, &server).property("linger.ms", "20000").on_report(move |report| {
        heard.lock().unwrap().push((report.token, report.outcome.is_delivered()));
    });
    let producer = builder.build().unwrap();
    let topic = producer.topic("t").unwrap();
    let first = producer.send(&topic, &Record::default()).await.unwrap();
    // The driver sleeps by now, until the batch of the first has lingered.
    on.sleep(Duration::from_millis(100)).await;
    let dated = (1..4).map(|token| Record {
        token: Some(token),
        timeout: (token == 2).then_some(Duration::from_millis(50)),
        ..Record::default()
    });
    let start = Instant::now();
    let mut tickets = Vec::new();
    assert_eq!(producer.send_all_detached(&topic, dated, &mut tickets).await, Ok(3));
    while told.lock().unwrap().is_empty() {
        assert!(start.elapsed() < SHORT, "never reported");
        on.sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(*told.lock().unwrap(), [(2, false)]);
    producer.flush().await;
    assert!(first.outcome().await.is_delivered());
    assert_eq!(*told.lock().unwrap(), [(2, false), (1, true), (3, true)]);
}

async fn a_record_whose_time_was_over_before_its_turn_is_taken_out_for_certain(on: Adapter) {
    let server = Arc::new(server(1));
    let producer = builder(on, &server).properties(SMALL).build().unwrap();
    let topic = producer.topic("t").unwrap();
    assert!(
        producer.send(&topic, &Record::default()).await.unwrap().outcome().await.is_delivered()
    );
    server.with_cluster(|cluster| cluster.freeze(1)).unwrap();
    let values_of = large(200);
    let mut before = Vec::new();
    let full = producer.try_send_all(&topic, values(&values_of), &mut before).unwrap_err();
    // The first waits for memory meanwhile.
    let second = [0xFE; 4];
    let dated = [
        Record { value: Some(&[0xFF; 4]), ..Record::default() },
        Record {
            value: Some(&second),
            timeout: Some(Duration::from_millis(50)),
            ..Record::default()
        },
        Record { value: Some(&[0xFD; 4]), ..Record::default() },
    ];
    let thaw = on.spawn(thaw_later(on, Arc::clone(&server)));
    let mut deliveries = Vec::new();
    let sent = producer.send_all(&topic, dated, &mut deliveries).await;
    thaw.join().await;
    assert_eq!((sent, deliveries.len()), (Ok(3), 3));
    let outcome = deliveries[1].outcome().await;
    assert!(
        matches!(&outcome, RecordOutcome::NotDelivered(why) if why.cause == Cause::Deadline),
        "{outcome}"
    );
    producer.flush().await;
    let logged: Vec<_> = server.with_cluster(|cluster| {
        let values = cluster.log("t", 0).skip(1 + full.taken);
        values.map(|record| record.value.unwrap()[0]).collect()
    });
    assert_eq!(logged, [0xFF, 0xFD]);
}

async fn a_record_is_the_same_in_one_call_with_others_and_alone(on: Adapter) {
    let server = server(3);
    let producer = builder(on, &server).build().unwrap();
    let topic = producer.topic("t").unwrap();
    let headers = [
        Header { key: "a", value: Some(b"1") },
        Header { key: "a", value: None },
        Header { key: "", value: Some(b"") },
    ];
    let long = vec![b'x'; 20_000];
    let timestamp = Some(1_700_000_000_123);
    let plain = Record { partition: Some(0), timestamp, ..Record::default() };
    let kinds = [
        plain,
        Record { key: Some(b""), value: Some(b""), ..plain },
        Record { key: Some(b"key"), value: None, ..plain },
        Record { headers: &headers, value: Some(b"value"), ..plain },
        Record { partition: None, key: Some(b"some key"), value: Some(b"keyed"), ..plain },
        Record { partition: Some(2), value: Some(&long), ..plain },
        Record { timestamp: Some(-1), headers: &headers[..1], ..plain },
        Record { timestamp: Some(1_600_000_000_000), value: Some(b"late"), ..plain },
    ];
    let many: Vec<_> = kinds.into_iter().cycle().take(100).collect();
    for record in &many {
        producer.send(&topic, record).await.unwrap();
    }
    producer.flush().await;
    let seen = |skip: &[usize]| -> Vec<Vec<String>> {
        server.with_cluster(|cluster| {
            let log = |partition: usize| {
                let records = cluster.log("t", partition as i32);
                let skipped = records.skip(skip.get(partition).copied().unwrap_or(0));
                skipped
                    .map(|record| {
                        format!(
                            "{:?} {:?} {:?} {:?}",
                            record.key, record.value, record.headers, record.timestamp
                        )
                    })
                    .collect()
            };
            (0..3).map(log).collect()
        })
    };
    let alone = seen(&[]);
    let ends: Vec<_> = alone.iter().map(Vec::len).collect();
    assert_eq!(ends.iter().sum::<usize>(), 100);
    let mut deliveries = Vec::new();
    assert_eq!(producer.send_all(&topic, &many, &mut deliveries).await, Ok(100));
    producer.flush().await;
    assert!(seen(&ends) == alone, "{:?} and {alone:?}", seen(&ends));
}

async fn a_task_that_sends_many_can_be_spawned_whatever_makes_them(on: Adapter) {
    let server = server(2);
    let Producer::Tokio(producer) = builder(on, &server).build().unwrap() else {
        panic!("tokio's")
    };
    let topic = producer.topic("t").unwrap();
    let task = tokio::spawn(async move {
        let values = numbers(0..100);
        let keys: Vec<_> = values.iter().map(|value| [value[3]]).collect();
        let mut deliveries = Vec::new();
        let made =
            values.iter().zip(&keys).filter(|(value, _)| value[3] % 2 == 0).map(|(value, key)| {
                Record { key: Some(key), value: Some(value), ..Record::default() }
            });
        producer.send_all(&topic, made, &mut deliveries).await.unwrap();
        let some: Vec<_> = records(&values).collect();
        let mut tickets = Vec::new();
        producer.send_all_detached(&topic, &some[..10], &mut tickets).await.unwrap();
        producer.send_all_detached(&topic, some.iter().skip(90), &mut tickets).await.unwrap();
        producer.flush().await;
        (deliveries.len(), tickets.len())
    });
    assert_eq!(task.await.unwrap(), (50, 20));
    assert_eq!(all(&log(&server)).len(), 70);
}

async fn a_call_is_ended_by_a_close_and_says_what_was_taken(on: Adapter) {
    let server = server(1);
    let producer = builder(on, &server).properties(SMALL).build().unwrap();
    let topic = producer.topic("t").unwrap();
    assert!(
        producer.send(&topic, &Record::default()).await.unwrap().outcome().await.is_delivered()
    );
    server.with_cluster(|cluster| cluster.freeze(1)).unwrap();
    let sender = producer.clone();
    let call = on.spawn(async move {
        let values_of = large(200);
        let mut deliveries = Vec::new();
        let sent = sender.send_all(&topic, values(&values_of), &mut deliveries).await;
        (sent, deliveries)
    });
    while producer.stats().core.pages_used < 4 {
        on.sleep(Duration::from_millis(5)).await;
    }
    on.sleep(Duration::from_millis(100)).await;
    let report = producer.close(Duration::from_millis(200)).await;
    let (sent, deliveries): (_, Vec<Delivery>) = call.join().await;
    let error = sent.unwrap_err();
    assert_eq!(error.error, SendError::Refused(ProduceError::Closing));
    assert_eq!(error.taken, deliveries.len());
    assert!(error.taken > 0);
    for delivery in &deliveries {
        assert!(delivery.try_outcome().is_some(), "{report:?}");
    }
}

/// What makes records is called with no lock held.
async fn the_records_may_be_made_by_whoever_uses_the_producer(on: Adapter) {
    let server = server(1);
    let producer = builder(on, &server).build().unwrap();
    let topic = producer.topic("t").unwrap();
    assert!(
        producer.send(&topic, &Record::default()).await.unwrap().outcome().await.is_delivered()
    );
    let others = Mutex::new(Vec::new());
    let values = numbers(0..100);
    let made = records(&values).inspect(|record| {
        others.lock().unwrap().push(producer.try_send(&topic, record).unwrap());
        assert!(producer.stats().core.records > 0);
    });
    let mut deliveries = Vec::new();
    assert_eq!(producer.send_all(&topic, made, &mut deliveries).await, Ok(100));
    producer.flush().await;
    assert_eq!(others.lock().unwrap().len(), 100);
    assert_eq!(server.with_cluster(|cluster| cluster.log("t", 0).count()), 201);
}

async fn a_partitioner_is_asked_once_for_each_record(on: Adapter) {
    for shards in [1, 2] {
        let server = server(4);
        let asked = Arc::new(Mutex::new(0_u32));
        let count = Arc::clone(&asked);
        let builder = builder(on, &server).shards(shards).partitioner(move |_, _, partitions| {
            let mut asked = count.lock().unwrap();
            *asked += 1;
            Some((*asked - 1) % partitions)
        });
        let producer = builder.build().unwrap();
        let topic = producer.topic("t").unwrap();
        let first = Record { partition: Some(0), ..Record::default() };
        producer.send(&topic, &first).await.unwrap().outcome().await;
        while producer.send(&topic, &Record { partition: Some(3), ..first }).await.is_err() {}
        let values = numbers(0..400);
        let mut deliveries = Vec::new();
        assert_eq!(producer.send_all(&topic, records(&values), &mut deliveries).await, Ok(400));
        let before = *asked.lock().unwrap();
        assert!((400..=401).contains(&before), "asked {before} times");
        producer.close(SHORT).await;
    }
}

async fn a_call_that_is_dropped_in_the_middle_has_the_deliveries_of_what_was_taken(on: Adapter) {
    let server = server(1);
    let Producer::Tokio(producer) = builder(on, &server).properties(SMALL).build().unwrap() else {
        panic!("tokio's")
    };
    let topic = producer.topic("t").unwrap();
    producer.send(&topic, &Record::default()).await.unwrap().await;
    server.with_cluster(|cluster| cluster.freeze(1)).unwrap();
    let values_of = large(200);
    let mut deliveries = Vec::new();
    let call = producer.send_all(&topic, values(&values_of), &mut deliveries);
    assert!(tokio::time::timeout(Duration::from_millis(200), call).await.is_err());
    let taken = deliveries.len();
    assert!((10..40).contains(&taken), "{taken}");
    server.with_cluster(|cluster| cluster.thaw(1)).unwrap();
    let rest = values(&values_of).skip(taken);
    assert_eq!(producer.send_all(&topic, rest, &mut deliveries).await, Ok(200 - taken));
    for delivery in &deliveries {
        assert!(delivery.await.is_delivered());
    }
    server.with_cluster(|cluster| {
        let numbers = cluster.log("t", 0).skip(1).map(|record| record.value.unwrap()[..4].to_vec());
        assert!(numbers.eq((0..200_u32).map(|number| number.to_be_bytes().to_vec())));
    });
}
