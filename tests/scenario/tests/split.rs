//! A batch that a broker finds too large is split, and nobody notices.

use core::time::Duration;

use ottla_core::{Cause, Config, wire::ErrorCode};
use ottla_model::{ClusterConfig, TopicConfig};
use ottla_scenario::{Said, World};

#[test]
fn a_batch_too_large_for_the_topic_arrives_in_parts_in_order() {
    for (limit, records, len) in [(600, 40, 30), (200, 64, 60), (1_500, 100, 40), (20_000, 90, 900)]
    {
        let config = Config { batch_size: 100_000, ..Config::default() };
        let mut world = World::new(&config, ClusterConfig::with_nodes(1), 4);
        let narrow = TopicConfig { max_message_bytes: limit, ..TopicConfig::default() };
        world.cluster.create_topic_with("t", 1, narrow).expect("a topic");
        let topic = world.topic("t");
        for _ in 0..records {
            world.produce(topic, None, len).expect("room");
        }
        // Others wait behind it.
        world.run_for(Duration::from_millis(6));
        for _ in 0..records {
            world.produce(topic, None, len).expect("room");
        }
        world.close(Duration::from_secs(30));
        for (place, entry) in world.ledger.entries().enumerate() {
            let offset = Some(place as i64);
            assert_eq!(entry.last, Some(Said::Delivered(offset)), "record {place} of {records}");
        }
        let stats = world.producer.stats();
        assert_eq!((stats.epoch_bumps, stats.pages_used), (0, 0));
        let mut next = 0;
        for batch in world.cluster.batches("t", 0) {
            assert!(batch.bytes.len() <= limit);
            assert_eq!((batch.header.base_sequence, batch.header.producer_epoch), (next, 0));
            next += batch.header.records_count;
        }
        world.ledger.check(&world.cluster, true);
    }
}

#[test]
fn a_record_too_large_for_the_topic_is_not_delivered_and_its_neighbours_are() {
    let config = Config { batch_size: 100_000, ..Config::default() };
    let mut world = World::new(&config, ClusterConfig::with_nodes(1), 4);
    let narrow = TopicConfig { max_message_bytes: 500, ..TopicConfig::default() };
    world.cluster.create_topic_with("t", 1, narrow).expect("a topic");
    let topic = world.topic("t");
    for number in 0..30 {
        world.produce(topic, None, if number == 17 { 600 } else { 30 }).expect("room");
    }
    world.close(Duration::from_secs(30));
    for (place, entry) in world.ledger.entries().enumerate() {
        match (place, entry.last) {
            (17, Some(Said::NotDelivered(Cause::Broker(ErrorCode::MESSAGE_TOO_LARGE)))) => {}
            (17, other) => panic!("{other:?}"),
            (_, Some(Said::Delivered(Some(_)))) => {}
            (_, other) => panic!("record {place}: {other:?}"),
        }
    }
    assert_eq!(world.producer.stats().epoch_bumps, 1, "the gap where record 17 was");
    world.ledger.check(&world.cluster, true);
}
