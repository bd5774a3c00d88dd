//! The application chooses partitions.

use core::time::Duration;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use ottla_adapter_tests::{
    Adapter, Builder, Cause, ProduceError, Producer, Record, RecordOutcome, SendError, on_each,
    serve,
};
use ottla_model::serve::Server;

on_each!(
    a_partitioner_keeps_state_and_sees_topic_record_and_partitions,
    what_a_partitioner_leaves_open_goes_by_the_key_and_what_it_says_wrongly_is_refused,
    the_partitions_of_a_topic_that_grew_are_told_to_the_partitioner,
);

fn server() -> Server {
    serve(1, &[("a", 3), ("b", 5)])
}

fn builder(on: Adapter, server: &Server, shards: usize) -> Builder {
    let builder = Producer::builder(on).property("bootstrap.servers", &server.bootstrap_servers());
    builder.property("linger.ms", "0").property("metadata.max.age.ms", "50").shards(shards)
}

fn placed(outcome: &RecordOutcome) -> i32 {
    let RecordOutcome::Delivered { partition, .. } = outcome else { panic!("{outcome}") };
    *partition
}

async fn a_partitioner_keeps_state_and_sees_topic_record_and_partitions(on: Adapter) {
    for shards in [1, 4] {
        let server = server();
        // In turns, by topic; what names its partition is not asked about.
        let turns = Mutex::new(BTreeMap::<String, u32>::new());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        let producer = builder(on, &server, shards)
            .partitioner(move |topic, record, partitions| {
                told.lock().unwrap().push((topic.to_owned(), record.value.unwrap().to_vec()));
                let mut turns = turns.lock().unwrap();
                let turn = turns.entry(topic.to_owned()).or_default();
                *turn += 1;
                Some((*turn - 1) % partitions)
            })
            .build()
            .unwrap();
        let topics = ["a", "b"].map(|name| producer.topic(name).unwrap());
        let mut expected = Vec::new();
        for number in 0..30_u8 {
            for (topic, partitions) in topics.iter().zip([3, 5]) {
                let record = Record { value: Some(&[number]), ..Record::default() };
                let outcome = producer.send(topic, &record).await.unwrap().outcome().await;
                assert_eq!(placed(&outcome), i32::from(number) % partitions);
                expected.push((topic.name().to_owned(), vec![number]));
            }
        }
        let named = Record { partition: Some(4), value: Some(b"named"), ..Record::default() };
        let outcome = producer.send(&topics[1], &named).await.unwrap().outcome().await;
        assert_eq!(placed(&outcome), 4);
        assert_eq!(*asked.lock().unwrap(), expected, "each record once, with {shards} shards");
        assert!(producer.close(Duration::from_secs(5)).await.complete);
    }
}

async fn what_a_partitioner_leaves_open_goes_by_the_key_and_what_it_says_wrongly_is_refused(
    on: Adapter,
) {
    let server = server();
    let producer = builder(on, &server, 1)
        .partitioner(|_, record, partitions| record.key.is_none().then_some(partitions))
        .build()
        .unwrap();
    let topic = producer.topic("b").unwrap();
    for key in [&b"one"[..], b"two", b"three"] {
        let record = Record { key: Some(key), value: Some(b"v"), ..Record::default() };
        let outcome = producer.send(&topic, &record).await.unwrap().outcome().await;
        assert_eq!(placed(&outcome) as u32, ottla_core::wire::murmur2::partition(key, 5));
    }
    let refused = producer.send(&topic, &Record::default()).await.unwrap_err();
    assert_eq!(refused, SendError::Refused(ProduceError::UnknownPartition { partitions: 5 }));
    // Nothing else is harmed.
    let late = Record { timeout: Some(Duration::ZERO), key: Some(b"k"), ..Record::default() };
    let outcome = producer.send(&topic, &late).await.unwrap().outcome().await;
    assert!(outcome.is_delivered() || outcome.why().unwrap().cause == Cause::Deadline, "{outcome}");
    assert!(producer.close(Duration::from_secs(5)).await.complete);
}

async fn the_partitions_of_a_topic_that_grew_are_told_to_the_partitioner(on: Adapter) {
    let server = server();
    let producer = builder(on, &server, 1)
        .partitioner(|_, _, partitions| Some(partitions - 1))
        .build()
        .unwrap();
    let topic = producer.topic("a").unwrap();
    let record = Record { value: Some(b"v"), ..Record::default() };
    assert_eq!(placed(&producer.send(&topic, &record).await.unwrap().outcome().await), 2);
    server.with_cluster(|cluster| cluster.grow_topic("a", 6)).unwrap();
    while placed(&producer.send(&topic, &record).await.unwrap().outcome().await) != 5 {
        on.sleep(Duration::from_millis(5)).await;
    }
    assert!(producer.close(Duration::from_secs(5)).await.complete);
}
