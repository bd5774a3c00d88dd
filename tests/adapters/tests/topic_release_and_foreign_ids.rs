//! Topics that come and go, and limits that are the producer's own.
#![allow(clippy::disallowed_methods)] // tests look at the time

use core::time::Duration;

use ottla_adapter_tests::{
    Adapter, BuildError, Producer, Record, ReleaseError, SendError, TopicError, Verdict, on_each,
    serve,
};
use ottla_core::{ConfigError, ProduceError};
use ottla_model::serve::Server;

on_each!(
    a_topic_is_released_once_nothing_of_it_is_open_and_its_room_serves_others,
    tickets_and_topics_of_another_producer_are_not_believed,
    memory_that_the_machine_has_not_is_refused_when_the_producer_is_built,
);

const RECORD: &[u8] = b"v";

fn server() -> Server {
    serve(1, &[("a", 4), ("b", 4), ("c", 4), ("large", 9)])
}

fn producer(on: Adapter, server: &Server, shards: usize) -> Producer {
    let builder = Producer::builder(on).property("bootstrap.servers", &server.bootstrap_servers());
    let limits = [("limits.topics", "2"), ("limits.partitions", "8"), ("linger.ms", "60000")];
    builder.properties(limits).shards(shards).build().unwrap()
}

async fn a_topic_is_released_once_nothing_of_it_is_open_and_its_room_serves_others(on: Adapter) {
    let server = server();
    for shards in [1, 4] {
        let producer = producer(on, &server, shards);
        let [a, b] = ["a", "b"].map(|name| producer.topic(name).unwrap());
        let record = |partition| Record {
            partition: Some(partition),
            value: Some(RECORD),
            ..Record::default()
        };
        let mut open = Vec::new();
        for partition in 0..4 {
            open.push(producer.send(&a, &record(partition)).await.unwrap());
        }
        assert!(matches!(producer.topic("c"), Err(TopicError::TooManyTopics { .. })));
        assert_eq!(producer.release_topic(&a), Err(ReleaseError::Busy));
        assert_eq!(producer.flush().await.delivered, 4);
        assert_eq!(producer.release_topic(&a), Ok(()));
        assert_eq!(producer.release_topic(&a), Err(ReleaseError::UnknownTopic));
        let c = producer.topic("c").unwrap();
        assert_ne!(c.id(), a.id());
        let refused = producer.send(&a, &record(0)).await.unwrap_err();
        assert_eq!(refused, SendError::Refused(ProduceError::UnknownTopic));
        for partition in 0..4 {
            open.push(producer.send(&c, &record(partition)).await.unwrap());
            open.push(producer.send(&b, &record(partition)).await.unwrap());
        }
        assert_eq!(producer.flush().await.delivered, 8);
        assert!(open.iter().all(|delivery| delivery.try_outcome().unwrap().is_delivered()));
        // What is too large for the room is told by its own name.
        assert_eq!(producer.release_topic(&b), Ok(()));
        let large = producer.topic("large").unwrap();
        let refused = producer.send(&large, &record(0)).await.unwrap_err();
        let named = ProduceError::TooManyPartitions { partitions: 9 };
        assert_eq!(refused, SendError::Refused(named));
        assert!(producer.close(Duration::from_secs(5)).await.complete);
    }
}

async fn tickets_and_topics_of_another_producer_are_not_believed(on: Adapter) {
    let server = server();
    let [one, other] = [1, 2].map(|shards| producer(on, &server, shards));
    let mut all = Vec::new();
    for producer in [&one, &other] {
        let topic = producer.topic("a").unwrap();
        let record = Record { value: Some(RECORD), ..Record::default() };
        all.push((producer.send(&topic, &record).await.unwrap(), topic));
    }
    let [(mine, my_topic), (others, _)] = &all[..] else { unreachable!() };
    assert_eq!(other.cancel(&mine.ticket()), Verdict::Foreign);
    assert_eq!(one.cancel(&others.ticket()), Verdict::Foreign);
    assert!(!other.cancel_after(&mine.ticket(), Duration::ZERO));
    assert_eq!(other.release_topic(my_topic), Err(ReleaseError::UnknownTopic));
    for producer in [one, other] {
        assert_eq!(producer.flush().await.delivered, 1);
    }
}

async fn memory_that_the_machine_has_not_is_refused_when_the_producer_is_built(on: Adapter) {
    let builder = Producer::builder(on).property("bootstrap.servers", "127.0.0.1:1");
    let refused = builder.property("buffer.memory", "1125899906842624").build();
    let refused = refused.expect_err("a petabyte");
    assert!(matches!(refused, BuildError::Config(ConfigError::OutOfMemory { .. })), "{refused}");
}
