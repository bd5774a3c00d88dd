use ottla_core::wire::murmur2;

use super::*;

fn shards(of: usize, partitioner: Partitioner) -> Shards {
    let bootstrap_servers = "127.0.0.1:1";
    let buffer_memory = 1 << 20;
    let config = Config { bootstrap_servers, buffer_memory, partitioner, ..Config::default() };
    Shards::new(&config, None, Callbacks::default(), of).unwrap()
}

/// The first so many shards hear of so many partitions.
fn learn(topic: &Topic, shards: usize, count: u32) {
    (0..shards).for_each(|shard| topic.partitions.as_ref().unwrap().learn(shard, count));
}

/// The shard, and the partition if it was chosen.
fn route(
    shards: &Shards,
    topic: &Topic,
    mut record: Record<'_>,
    thread: usize,
) -> Option<(usize, Option<i32>)> {
    let engine = shards.many.as_ref().unwrap().route(topic, &mut record, || thread)?;
    let place = shards.engines().iter().position(|other| Arc::ptr_eq(other, engine));
    Some((place.unwrap(), record.partition))
}

#[test]
fn a_key_goes_with_its_partition_while_the_topic_grows() {
    let shards = shards(4, Partitioner::Default);
    let topic = shards.topic("t").unwrap();
    let of_key = |key: u32| {
        let bytes = key.to_be_bytes();
        route(&shards, &topic, Record { key: Some(&bytes), ..Record::default() }, 0)
    };
    let by = |key: u32, count| {
        let partition = murmur2::partition(&key.to_be_bytes(), count);
        Some((partition as usize % 4, Some(partition as i32)))
    };
    assert_eq!(of_key(1), None);
    learn(&topic, 3, 6);
    assert_eq!(of_key(1), None);
    assert!(Arc::ptr_eq(shards.unaware(&topic), &shards.engines()[3]));
    learn(&topic, 4, 6);
    assert!((0..100).all(|key| of_key(key) == by(key, 6)));
    // One that knows of more does not move a key, until all do.
    learn(&topic, 3, 11);
    assert!((0..100).all(|key| of_key(key) == by(key, 6)));
    learn(&topic, 4, 11);
    assert!((0..100).all(|key| of_key(key) == by(key, 11)));
}

#[test]
fn a_named_partition_waits_for_no_other_shard() {
    let shards = shards(4, Partitioner::Default);
    let topic = shards.topic("t").unwrap();
    for partition in [0, 1, 6, 103] {
        let record = Record { partition: Some(partition), ..Record::default() };
        let expected = (partition as usize % 4, Some(partition));
        assert_eq!(route(&shards, &topic, record, 9), Some(expected));
    }
    // Refused by whichever.
    let record = Record { partition: Some(-1), ..Record::default() };
    assert!(route(&shards, &topic, record, 0).is_some());
}

#[test]
fn threads_spread_over_as_many_shards_as_have_partitions() {
    for partitioner in [Partitioner::Default, Partitioner::IgnoreKeys] {
        let shards = shards(4, partitioner);
        let topic = shards.topic("t").unwrap();
        let key = matches!(partitioner, Partitioner::IgnoreKeys).then_some(&b"k"[..]);
        for (count, used) in [(1, 1), (3, 3), (7, 4)] {
            learn(&topic, 4, count);
            for thread in 0..8 {
                let record = Record { key, ..Record::default() };
                let expected = Some((thread % used, None));
                assert_eq!(route(&shards, &topic, record, thread), expected);
            }
        }
    }
    let spawn = |_| std::thread::spawn(this_thread).join().unwrap();
    assert_ne!(spawn(0), spawn(1));
    let before = this_thread();
    assert_eq!(this_thread(), before);
    let at = |millis: u64| Instant::from_micros(millis * 1_000);
    (1..100).for_each(|millis| meet(at(millis)));
    assert_eq!(this_thread(), before, "a driver now and then");
    (0..40).for_each(|_| meet(at(200)));
    assert_eq!(this_thread(), before + 1);
}

#[test]
fn the_applications_own_choice_is_made_before_the_shard_is() {
    let choose = |_: Option<&[u8]>, value: Option<&[u8]>, _| value.unwrap()[0].into();
    let shards = shards(2, Partitioner::Custom(choose));
    let topic = shards.topic("t").unwrap();
    learn(&topic, 2, 5);
    for (byte, partition) in [(0, 0), (3, 3), (6, 1)] {
        let record = Record { value: Some(&[byte]), ..Record::default() };
        let expected = Some((partition as usize % 2, Some(partition)));
        assert_eq!(route(&shards, &topic, record, 0), expected);
    }
}

#[test]
fn topics_have_one_number_in_all_shards_and_one_owner() {
    let (one, other) = (shards(4, Partitioner::Default), shards(4, Partitioner::Default));
    let names = ["a", "b", "a", "c", "b"];
    let topics = names.map(|name| one.topic(name).unwrap());
    assert_eq!(topics.each_ref().map(|topic| topic.id().index()), [0, 1, 0, 2, 1]);
    for engine in one.engines() {
        let state = engine.lock();
        for (topic, name) in topics.iter().zip(names) {
            assert_eq!(state.core.topic_name(topic.id()), Some(name));
        }
    }
    let shared = |topic: &Topic| Arc::clone(topic.partitions.as_ref().unwrap());
    assert!(Arc::ptr_eq(&shared(&topics[0]), &shared(&topics[2])));
    assert!(one.owns(&topics[0]) && !other.owns(&topics[0]));
    let alone = shards(1, Partitioner::Default);
    assert!(alone.topic("a").unwrap().partitions.is_none());
    assert!(!alone.owns(&topics[0]));
}

#[test]
fn memory_is_divided_and_time_is_the_same() {
    let limits = Limits { pages: 1_001, batches: 64, ..Limits::default() };
    let config = Config { bootstrap_servers: "127.0.0.1:1", ..Config::default() };
    let shards = Shards::new(&config, Some(limits), Callbacks::default(), 4).unwrap();
    assert_eq!(shards.engines().len(), 4);
    assert_eq!(shards.stats().core.pages, 4 * 251);
    let at = shards.clock().now();
    let std = shards.clock().std(at);
    assert!(shards.engines().iter().all(|engine| engine.clock().std(at) == std));
    for number in [0, 3, 257, 512, 1 << 16] {
        let refused = Shards::new(&config, None, Callbacks::default(), number);
        assert!(matches!(refused, Err(ConfigError::OutOfRange { property: "shards", .. })));
    }
}
