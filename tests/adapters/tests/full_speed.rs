//! Records as fast as they are taken, so that the driver naps and callers move the bytes: whatever else
//! is asked for in between, each record gets its one answer, and the answer is true.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use ottla_adapter_tests::{
    Adapter, Delivery, Producer, Record, RecordOutcome, Topic, on_each, serve,
};
use ottla_core::wire::ErrorCode;
use ottla_model::{Action, BaseOffset, Fault, serve::Server};

on_each!([Tokio, TokioAlone, Threads]:
    each_record_gets_its_one_true_answer,
    trouble_in_the_middle_of_it_is_seen_to,
    those_that_wait_drive,
    four_that_send_have_their_share_each,
);

const PARTITIONS: u32 = 6;
const RECORDS: u64 = 60_000;

/// Answers by token: the first, and a late one.
#[derive(Default)]
struct Heard(Mutex<BTreeMap<u64, Vec<RecordOutcome>>>);

impl Heard {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<RecordOutcome>>> {
        self.0.lock().unwrap()
    }
}

fn server() -> Server {
    serve(2, &[("t", PARTITIONS)])
}

fn producer(on: Adapter, server: &Server, buffer: &str, heard: Option<&Arc<Heard>>) -> Producer {
    let mut builder = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .property("buffer.memory", buffer)
        .property("request.timeout.ms", "500")
        .property("retry.backoff.ms", "10")
        .property("reconnect.backoff.ms", "10");
    if let Some(heard) = heard {
        let heard = Arc::clone(heard);
        builder = builder.on_report(move |report| {
            heard.lock().entry(report.token).or_default().push(report.outcome.clone());
        });
    }
    builder.build().unwrap()
}

fn value(number: u64) -> [u8; 32] {
    let mut value = [0; 32];
    value[..8].copy_from_slice(&number.to_be_bytes());
    value
}

/// Where each number is in the log; each is there at most once.
fn log(server: &Server) -> BTreeMap<u64, (i32, i64)> {
    let mut log = BTreeMap::new();
    server.with_cluster(|cluster| {
        for partition in 0..PARTITIONS as i32 {
            for record in cluster.log("t", partition) {
                let value = record.value.unwrap();
                let number = u64::from_be_bytes(value[..8].try_into().unwrap());
                let before = log.insert(number, (partition, record.offset));
                assert_eq!(before, None, "{number} twice");
            }
        }
    });
    log
}

fn check(number: u64, outcome: &RecordOutcome, log: &BTreeMap<u64, (i32, i64)>) {
    match outcome {
        RecordOutcome::Delivered { partition, offset, .. } => {
            assert_eq!(log.get(&number), Some(&(*partition, offset.unwrap())), "{number}");
        }
        RecordOutcome::NotDelivered(_) => assert_eq!(log.get(&number), None, "{number}"),
        other @ (RecordOutcome::Unknown(_) | _) => panic!("{number}: {other}"),
    }
}

async fn send(producer: &Producer, topic: &Topic, number: u64, token: bool) -> Option<Delivery> {
    let value = value(number);
    let record =
        Record { value: Some(&value), token: token.then_some(number), ..Record::default() };
    if token {
        producer.send_detached(topic, &record).await.unwrap();
        return None;
    }
    Some(producer.send(topic, &record).await.unwrap())
}

/// Sends its share, and now and then waits, cancels or flushes.
async fn send_share(producer: Producer, topic: Topic, share: u64, of: u64) -> Vec<(u64, Delivery)> {
    let mut kept = Vec::new();
    for number in (share..RECORDS).step_by(of as usize) {
        let Some(delivery) = send(&producer, &topic, number, number % 10 != 0).await else {
            continue;
        };
        match number % 1_000 {
            0 => assert!(delivery.outcome().await.is_delivered()),
            500 => drop(delivery.cancel()),
            510 => drop(delivery.outcome_within(Duration::from_micros(200)).await),
            700 => drop(producer.flush().await),
            _ => {}
        }
        kept.push((number, delivery));
    }
    kept
}

async fn each_record_gets_its_one_true_answer(on: Adapter) {
    for (tasks, buffer) in [(1, "33554432"), (3, "1048576")] {
        let server = server();
        let heard = Arc::new(Heard::default());
        let producer = producer(on, &server, buffer, Some(&heard));
        let topic = producer.topic("t").unwrap();
        let shares = (0..tasks)
            .map(|share| on.spawn(send_share(producer.clone(), topic.clone(), share, tasks)));
        let shares: Vec<_> = shares.collect();
        let mut kept = Vec::new();
        for share in shares {
            kept.extend(share.join().await);
        }
        let report = producer.close(Duration::from_secs(30)).await;
        assert!(report.complete, "{report:?}");

        let log = log(&server);
        for (number, delivery) in &kept {
            check(*number, &delivery.try_outcome().expect("an outcome"), &log);
        }
        let heard = heard.lock();
        for (number, outcomes) in heard.iter() {
            assert_eq!(outcomes.len(), 1, "{number}");
            check(*number, &outcomes[0], &log);
        }
        assert_eq!(kept.len() + heard.len(), RECORDS as usize);
        let lost = kept.len() + heard.len() - log.len();
        assert!(lost <= (RECORDS / 1_000) as usize, "{lost} cancelled");
    }
}

async fn trouble_in_the_middle_of_it_is_seen_to(on: Adapter) {
    let server = server();
    let heard = Arc::new(Heard::default());
    let producer = producer(on, &server, "2097152", Some(&heard));
    let topic = producer.topic("t").unwrap();
    let error = ErrorCode::REQUEST_TIMED_OUT;
    let faults = [
        Action::CloseBefore,
        Action::CloseAfter,
        Action::Swallow,
        Action::AppendThenError { error, base_offset: BaseOffset::Kept },
    ];
    for number in 0..RECORDS {
        send(&producer, &topic, number, true).await;
        if number % 10_000 == 5_000 {
            let action = faults[(number / 10_000) as usize % faults.len()].clone();
            server.with_cluster(|cluster| cluster.inject(Fault::produce(action)));
        }
        if number == RECORDS / 2 {
            server.with_cluster(|cluster| cluster.move_leader("t", 0, 2)).unwrap();
        }
    }
    let tally = producer.flush().await;
    assert!(producer.close(Duration::from_secs(30)).await.complete);
    let (log, heard) = (log(&server), heard.lock());
    assert_eq!(heard.len(), RECORDS as usize, "{tally:?}");
    heard.iter().for_each(|(number, outcomes)| check(*number, outcomes.last().unwrap(), &log));
    assert_eq!(log.len(), RECORDS as usize);
}

/// With those that wait for each record and no reports: on threads, they drive.
async fn those_that_wait_drive(on: Adapter) {
    let server = server();
    let producer = producer(on, &server, "1048576", None);
    let topic = producer.topic("t").unwrap();
    let one_by_one = |share: u64, of: u64| {
        let (producer, topic) = (producer.clone(), topic.clone());
        on.spawn(async move {
            for number in (share..4_000).step_by(of as usize) {
                let delivery = send(&producer, &topic, number, false).await.unwrap();
                let outcome = delivery.outcome_within(Duration::from_secs(10)).await;
                assert!(outcome.unwrap().is_delivered());
                if number % 100 == 0 {
                    // Nobody waits for this one.
                    drop(send(&producer, &topic, 1_000_000 + number, false).await);
                }
            }
        })
    };
    one_by_one(0, 4).join().await;
    for other in [one_by_one(1, 4), one_by_one(2, 4), one_by_one(3, 4)] {
        other.join().await;
    }
    producer.flush().await;
    assert_eq!(log(&server).len(), 4_040);
    // What nobody waits for is written and answered all the same.
    let last = send(&producer, &topic, 5_000_000, false).await.unwrap();
    while last.try_outcome().is_none() {
        on.sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(producer.stats().answers.delivered, 4_041);
    assert!(producer.close(Duration::from_secs(10)).await.complete);
}

/// Sends for a second, or until all together have sent so many. Returns how many are its own.
async fn send_for_a_second(
    producer: Producer,
    topic: Topic,
    sent: Arc<AtomicU64>,
    started: Instant,
) -> u64 {
    let mut own = 0;
    while sent.load(Ordering::Relaxed) < MOST && started.elapsed() < Duration::from_secs(1) {
        for _ in 0..64 {
            send(&producer, &topic, own, true).await;
            own += 1;
        }
        sent.fetch_add(64, Ordering::Relaxed);
    }
    own
}

/// So many records are enough to see who sends them.
const MOST: u64 = 1_000_000;

async fn four_that_send_have_their_share_each(on: Adapter) {
    let server = server();
    let reported = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&reported);
    let producer = Producer::builder(on)
        .property("bootstrap.servers", &server.bootstrap_servers())
        .on_report(move |report| {
            assert!(report.outcome.is_delivered());
            counts.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .unwrap();
    let topic = producer.topic("t").unwrap();
    send(&producer, &topic, 0, true).await;
    producer.flush().await;
    let (sent, started) = (Arc::default(), Instant::now());
    let four = [0; 4].map(|_| {
        on.spawn(send_for_a_second(producer.clone(), topic.clone(), Arc::clone(&sent), started))
    });
    let mut shares = Vec::new();
    for sender in four {
        shares.push(sender.join().await);
    }
    let all: u64 = shares.iter().sum();
    assert!(shares.iter().all(|share| share * 8 >= all), "less than half of its share: {shares:?}");
    println!("{shares:?}");
    assert!(producer.close(Duration::from_secs(60)).await.complete);
    assert_eq!(reported.load(Ordering::Relaxed), all + 1);
}
