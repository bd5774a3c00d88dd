//! A batch that a broker finds too large is split, and nobody notices.

use core::time::Duration;

use ottla_core::{Cause, Config, Event, Output, Verdict, wire::ErrorCode};
use ottla_model::{ClusterConfig, TopicConfig};
use ottla_scenario::{Said, Weather, World, quick};

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

#[test]
fn a_record_of_a_part_that_is_on_its_way_is_unknown_when_it_is_cancelled() {
    let ms = Duration::from_millis;
    // Four records, of which no two fit: so many are told of when the others are cancelled.
    for told in 0..=3 {
        let config = Config { linger: ms(5), ..quick() };
        let mut world = World::new(&config, ClusterConfig::default(), 1);
        let narrow = TopicConfig { max_message_bytes: 500, ..TopicConfig::default() };
        world.cluster.create_topic_with("t", 1, narrow).expect("a topic");
        let topic = world.topic("t");
        let ids = [0; 4].map(|_| world.produce(topic, Some(0), 300).expect("room"));
        let count = |world: &World<'_>| ids.iter().filter(|id| world.last(**id).is_some()).count();
        assert!(world.run_until(ms(100), |world| count(world) == told));
        world.cluster.freeze(1).expect("a node");
        world.run_for(ms(10));
        assert_eq!(count(&world), told);
        let unknown = Said::Unknown(Cause::Cancelled);
        for id in &ids[told..] {
            assert_eq!(world.cancel(*id), Verdict::Unknown, "record {id}, {told} are told of");
            assert_eq!(world.first(*id).map(|(said, _)| said), Some(unknown));
        }
        world.cluster.thaw(1).expect("a node");
        for (offset, id) in (0..).zip(ids) {
            assert_eq!(world.conclude(id), Said::Delivered(Some(offset)));
        }
        world.finish();
    }
}

#[test]
fn a_record_of_a_batch_whose_last_part_was_told_is_settled_when_it_is_cancelled() {
    let ms = Duration::from_millis;
    let config = Config { linger: ms(5), delivery_timeout: ms(50), ..quick() };
    let mut world = World::new(&config, ClusterConfig::default(), 1);
    let narrow = TopicConfig { max_message_bytes: 500, ..TopicConfig::default() };
    world.cluster.create_topic_with("t", 1, narrow).expect("a topic");
    let topic = world.topic("t");
    world.run_for(Duration::from_secs(1));
    let ids = [0; 2].map(|_| world.produce(topic, Some(0), 300).expect("room"));
    assert!(world.run_until(ms(20), |world| world.tap.attempts(ids[0]).count() == 2));
    // The first half is on its way, and no socket takes the second before its time is over.
    world.weather = Weather { socket_buffer: 0, ..Weather::FAIR };
    world.run_for(ms(20));
    assert_eq!(world.last(ids[0]), Some(Said::Delivered(Some(0))));
    world.now = world.now.after(ms(50));
    world.producer.handle_timeout(world.now);
    let Some(Output::Event(Event::BatchOutcome(settled))) = world.producer.poll_output() else {
        panic!("the second half's time is over");
    };
    world.ledger.settled(world.now, &settled, &world.cluster);
    assert_eq!(world.last(ids[1]), Some(Said::NotDelivered(Cause::DeliveryTimeout)));
    assert_eq!(ids.map(|id| world.cancel(id)), [Verdict::AlreadySettled; 2]);
    world.weather = Weather::FAIR;
    world.finish();
}
