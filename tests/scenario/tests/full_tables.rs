//! Room that is made: tables that grow, and connections that give way where the machine has no more.

use core::time::Duration;

use ottla_core::{Config, ConfigError, Disconnect, Event, Limits, Memory, Producer, TopicError};
use ottla_model::ClusterConfig;
use ottla_scenario::{BOOTSTRAP, Said, World, quick};

#[test]
fn tables_of_the_heap_grow_to_their_limits_and_not_beyond() {
    let config = Config { limits_topics: 100, limits_partitions: 299, ..quick() };
    let mut world = World::new(&config, ClusterConfig::with_nodes(2), 3);
    let mut topics = Vec::new();
    for number in 0..100 {
        let name = format!("topic-{number}");
        let partitions = if number == 99 { 2 } else { 3 };
        world.cluster.create_topic(&name, partitions).expect("a topic");
        topics.push((world.topic(&name), partitions));
    }
    let full = Err(TopicError::TooManyTopics { max: 100 });
    assert_eq!(world.producer.topic(world.now, "one-more"), full);
    for (number, (topic, partitions)) in topics.iter().enumerate() {
        assert_eq!(topic.index(), number);
        let again = world.producer.topic(world.now, &format!("topic-{number}"));
        assert_eq!(again, Ok(*topic));
        for partition in 0..*partitions {
            let id = world.produce(*topic, Some(partition as i32), 20).expect("room");
            assert_eq!(world.conclude(id), Said::Delivered(Some(0)));
        }
    }
    world.finish();
}

#[test]
fn memory_that_the_machine_has_not_is_refused_and_not_run_into() {
    for buffer_memory in [1 << 50, u64::MAX] {
        let config = Config { bootstrap_servers: BOOTSTRAP, buffer_memory, ..Config::default() };
        let refused = Memory::try_heap(Limits::for_config(&config));
        assert!(matches!(refused, Err(ConfigError::OutOfMemory { .. })), "{buffer_memory}");
    }
    let most = u32::MAX;
    let huge =
        Limits { connections: 1 << 16, rx_window: most, tx_window: most, ..Limits::default() };
    assert!(matches!(Memory::try_heap(huge), Err(ConfigError::OutOfMemory { .. })));
}

/// Its products do not fit 32 bits.
#[test]
fn record_memory_of_more_than_four_gigabytes_has_the_pages_that_were_asked_for() {
    let config =
        Config { bootstrap_servers: BOOTSTRAP, buffer_memory: 5 << 30, ..Config::default() };
    let limits = Limits { batches: 64, ..Limits::for_config(&config) };
    // Never touched, so that it costs nothing; where there is no room for it, there is nothing to see.
    let Ok(memory) = Memory::try_heap(limits) else { return };
    let producer = Producer::new(&config, memory, 1).expect("a producer");
    let stats = producer.stats();
    assert_eq!(u64::from(stats.pages) * u64::from(limits.page_size), 5 << 30);
    let mut world = World::with_memory(
        &config,
        ClusterConfig::with_nodes(1),
        Memory::try_heap(limits).expect("as before"),
        1,
    );
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    let id = world.produce(topic, Some(0), 10_000).expect("room");
    assert_eq!(world.producer.stats().pages_used, 1, "a page of 16 KiB");
    assert_eq!(world.conclude(id), Said::Delivered(Some(0)));
}

#[test]
fn where_descriptors_run_out_idle_connections_give_way() {
    let mut world = World::new(&quick(), ClusterConfig::with_nodes(3), 9);
    world.cluster.create_topic("t", 3).expect("a topic");
    for partition in 0..3 {
        world.cluster.move_leader("t", partition, partition + 1).expect("a leader");
    }
    world.descriptors = 1;
    let topic = world.topic("t");
    for round in 0..4 {
        for partition in 0..3 {
            let id = world.produce(topic, Some(partition), 20).expect("room");
            world.run_for(Duration::from_secs(2));
            assert_eq!(world.last(id), Some(Said::Delivered(Some(round))), "{:?}", world.events);
        }
    }
    // All at a time.
    let ids = [0, 1, 2].map(|partition| world.produce(topic, Some(partition), 20).expect("room"));
    for id in ids {
        assert_eq!(world.conclude(id), Said::Delivered(Some(4)));
    }
    let causes = |cause: Disconnect| {
        let is_it = |event: &&(_, Event)| matches!(event.1, Event::Disconnected { cause: found, .. } if found == cause);
        world.events.iter().filter(is_it).count()
    };
    assert!(causes(Disconnect::Exhausted) > 0 && causes(Disconnect::Replaced) > 0);
    world.finish();
}

/// Found by storms with few slots for brokers: the answer that named the leader was on the connection that made
/// way for it, again and again.
#[test]
fn two_slots_for_brokers_do_for_a_leader_that_is_no_bootstrap_server() {
    let config = quick();
    let limits = Limits { brokers: 2, ..Limits::for_config(&config) };
    let memory = Memory::heap(limits);
    let mut world = World::with_memory(&config, ClusterConfig::with_nodes(3), memory, 9);
    world.cluster.create_topic("t", 2).expect("a topic");
    for leader in [2, 3, 1, 2] {
        world.cluster.move_leader("t", 0, leader).expect("a leader");
        world.cluster.move_leader("t", 1, leader).expect("a leader");
        let topic = world.topic("t");
        for partition in 0..2 {
            let id = world.produce(topic, Some(partition), 20).expect("room");
            assert!(matches!(world.conclude(id), Said::Delivered(Some(_))));
        }
    }
    world.finish();
}
