//! Connections: one a broker, versions that both sides speak, patience, backoff, and the way back.

use core::time::Duration;

use ottla_core::{Config, Disconnect, Event, Limits, Memory, wire::ApiKey};
use ottla_model::{Action, ClusterConfig, Fault, NodeConfig, Versions};
use ottla_scenario::{Said, World};

const SECOND: Duration = Duration::from_secs(1);

fn disconnects(world: &World<'_>) -> Vec<Disconnect> {
    let cause = |event: &Event| {
        if let Event::Disconnected { cause, .. } = event { Some(*cause) } else { None }
    };
    world.events.iter().filter_map(|(_, event)| cause(event)).collect()
}

/// Three nodes, a topic with a partition on each.
fn three_nodes(config: &Config<'_>) -> World<'static> {
    spread(World::new(config, ClusterConfig::with_nodes(3), 3))
}

fn spread(mut world: World<'static>) -> World<'static> {
    world.cluster.create_topic("t", 3).expect("a topic");
    for partition in 0..3 {
        world.cluster.move_leader("t", partition, partition + 1).expect("a leader");
    }
    world
}

fn deliver(world: &mut World<'_>, partition: i32) {
    let topic = world.topic("t");
    let id = world.produce(topic, Some(partition), 50).expect("room");
    let delivered =
        |world: &World<'_>| matches!(world.ledger.entry(id).last, Some(Said::Delivered(_)));
    assert!(world.run_until(10 * SECOND, delivered), "{:?}", world.ledger.entry(id));
}

#[test]
fn there_is_one_connection_a_broker_and_the_first_serves_the_bootstrap_server_too() {
    let mut world = three_nodes(&Config::default());
    for partition in 0..3 {
        deliver(&mut world, partition);
    }
    assert_eq!(world.producer.stats().connections, 3);
    assert_eq!(world.connections(), 3);
    assert_eq!(disconnects(&world), []);
}

/// After a timeout the metadata is asked for anew, and opening a connection may take longer than the
/// broker's own backoff: on a serial line it takes a second.
#[test]
fn a_broker_that_is_the_bootstrap_server_too_is_dialled_once_after_a_timeout() {
    let config = Config {
        linger: Duration::ZERO,
        request_timeout: SECOND,
        reconnect_backoff: Duration::from_micros(10),
        ..Config::default()
    };
    let limits = Limits { connections: 1, ..Limits::for_config(&config) };
    let cluster = ClusterConfig::with_nodes(1);
    let mut world = World::with_memory(&config, cluster, Memory::heap(limits), 3);
    world.cluster.create_topic("t", 1).expect("a topic");
    deliver(&mut world, 0);
    for _ in 0..10 {
        let topic = world.topic("t");
        world.cluster.freeze(1).expect("a node");
        world.produce(topic, Some(0), 50).expect("room");
        let timeouts = |world: &World<'_>| disconnects(world).len();
        let before = timeouts(&world);
        assert!(world.run_until(5 * SECOND, |world| timeouts(world) > before));
        world.cluster.thaw(1).expect("a node");
        deliver(&mut world, 0);
    }
    assert_eq!(disconnects(&world), [Disconnect::RequestTimedOut; 10]);
}

#[test]
fn one_connection_slot_serves_a_cluster_of_three() {
    let config = Config { linger: Duration::ZERO, ..Config::default() };
    let limits = Limits { connections: 1, ..Limits::for_config(&config) };
    let world = World::with_memory(&config, ClusterConfig::with_nodes(3), Memory::heap(limits), 3);
    let mut world = spread(world);
    for round in 0..4 {
        for partition in 0..3 {
            deliver(&mut world, (partition + round) % 3);
        }
    }
    assert!(disconnects(&world).iter().all(|cause| *cause == Disconnect::Replaced));
    // All three at once, too: no broker starves.
    let topic = world.topic("t");
    for _ in 0..20 {
        for partition in 0..3 {
            world.produce(topic, Some(partition), 50).expect("room");
        }
        world.run_for(Duration::from_millis(5));
    }
    world.close(10 * SECOND);
    assert!(world.ledger.entries().all(|entry| matches!(entry.last, Some(Said::Delivered(_)))));
    world.ledger.check(&world.cluster, true);
}

#[test]
fn every_version_of_kafka_is_spoken_to_in_its_own_versions() {
    for versions in [Versions::kafka_2_8(), Versions::kafka_3_9(), Versions::kafka_4()] {
        let node = NodeConfig::new(1).speaking(versions);
        let cluster = ClusterConfig { nodes: vec![node], ..ClusterConfig::default() };
        let mut world = World::new(&Config::default(), cluster, 1);
        world.cluster.create_topic("t", 1).expect("a topic");
        deliver(&mut world, 0);
        world.close(SECOND);
        world.ledger.check(&world.cluster, true);
    }
}

#[test]
fn a_broker_that_does_not_know_our_api_versions_is_asked_in_version_zero() {
    for max in 0..4 {
        let versions = Versions::kafka_4().with(ApiKey::API_VERSIONS, 0, max);
        let node = NodeConfig::new(1).speaking(versions);
        let cluster = ClusterConfig { nodes: vec![node], ..ClusterConfig::default() };
        let mut world = World::new(&Config::default(), cluster, 1);
        world.cluster.create_topic("t", 1).expect("a topic");
        deliver(&mut world, 0);
        assert_eq!(disconnects(&world), [], "ApiVersions up to {max}");
    }
}

#[test]
fn each_produce_version_works_alone() {
    for version in 3..=13 {
        let versions = Versions::kafka_4().with(ApiKey::PRODUCE, version, version);
        let node = NodeConfig::new(1).speaking(versions);
        let cluster = ClusterConfig { nodes: vec![node], ..ClusterConfig::default() };
        let mut world = World::new(&Config::default(), cluster, 1);
        world.cluster.create_topic("t", 1).expect("a topic");
        deliver(&mut world, 0);
        world.close(SECOND);
        world.ledger.check(&world.cluster, true);
    }
}

#[test]
fn topic_ids_are_not_used_where_metadata_has_none() {
    // Produce 13 knows topics by id alone, and Metadata has ids from version 10 on.
    let versions = Versions::kafka_4().with(ApiKey::METADATA, 1, 9);
    let node = NodeConfig::new(1).speaking(versions);
    let cluster = ClusterConfig { nodes: vec![node], ..ClusterConfig::default() };
    let mut world = World::new(&Config::default(), cluster, 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    deliver(&mut world, 0);
}

#[test]
fn a_broker_with_no_version_in_common_is_named_as_such() {
    let versions = Versions::kafka_4().with(ApiKey::PRODUCE, 0, 2);
    let node = NodeConfig::new(1).speaking(versions);
    let cluster = ClusterConfig { nodes: vec![node], ..ClusterConfig::default() };
    let mut world = World::new(&Config::default(), cluster, 1);
    world.producer.topic(world.now, "t").expect("a topic");
    world.run_for(SECOND);
    assert!(matches!(disconnects(&world).first(), Some(Disconnect::UnsupportedVersion { .. })));
}

#[test]
fn an_idle_connection_is_closed_and_opened_again() {
    let config = Config {
        connections_max_idle: 2 * SECOND,
        metadata_max_age: Duration::from_secs(1_000),
        ..Config::default()
    };
    let mut world = three_nodes(&config);
    deliver(&mut world, 0);
    world.run_for(3 * SECOND);
    assert_eq!(world.connections(), 0);
    assert!(disconnects(&world).iter().all(|cause| *cause == Disconnect::Idle));
    let before = world.now;
    deliver(&mut world, 0);
    assert!(world.now.since(before) < Duration::from_millis(50), "no backoff after idleness");
}

#[test]
fn a_broker_that_cannot_be_dialled_is_given_up_and_tried_again_later_each_time() {
    let config = Config { delivery_timeout: 300 * SECOND, ..Config::default() };
    let mut world = World::new(&config, ClusterConfig::default(), 9);
    world.cluster.stop(1).expect("a node");
    world.producer.topic(world.now, "t").expect("a topic");
    world.run_for(30 * SECOND);
    let times: Vec<u64> = world.events.iter().map(|(at, _)| at.as_micros() / 1_000).collect();
    assert!(disconnects(&world).iter().all(|cause| *cause == Disconnect::Refused));
    let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // 50 ms, doubled up to 1 s, between 80 % and 120 % of that (KIP-580).
    for (place, gap) in gaps.iter().enumerate() {
        let nominal = (50_u64 << place.min(10)).min(1_000);
        assert!(
            (nominal * 79 / 100..=nominal * 121 / 100 + 1).contains(gap),
            "gap {place} is {gap} ms, not about {nominal}"
        );
    }
    assert!(gaps.len() > 25, "{} attempts in 30 s", gaps.len());
    let different: std::collections::BTreeSet<u64> = gaps.iter().skip(6).copied().collect();
    assert!(different.len() > 10, "jitter: {gaps:?}");
}

#[test]
fn a_dial_that_hangs_ends_at_the_setup_timeout() {
    let mut world = World::new(&Config::default(), ClusterConfig::default(), 9);
    world.unreachable.push(1);
    world.producer.topic(world.now, "t").expect("a topic");
    world.run_for(13 * SECOND);
    assert_eq!(disconnects(&world), [Disconnect::SetupTimeout]);
    let (at, _) = world.events[0];
    assert!(at.as_micros() >= 8_000_000, "{at:?}");
    world.unreachable.clear();
    world.cluster.create_topic("t", 1).expect("a topic");
    world.run_for(30 * SECOND);
    deliver(&mut world, 0);
}

#[test]
fn a_silent_broker_ends_at_the_request_timeout_and_the_record_is_sent_again() {
    let config = Config { request_timeout: 2 * SECOND, ..Config::default() };
    let mut world = three_nodes(&config);
    deliver(&mut world, 0);
    world.cluster.inject(Fault::produce(Action::Swallow));
    deliver(&mut world, 0);
    assert!(disconnects(&world).contains(&Disconnect::RequestTimedOut));
    assert_eq!(world.cluster.end_offset("t", 0), 2, "the second was written once");
}

/// A listener that wants SASL says which versions it speaks, and hangs up on the first question.
#[test]
fn who_hangs_up_on_each_question_may_want_tls_or_sasl_and_who_has_answered_one_does_not() {
    let asks = |world: &World<'_>| disconnects(world).len() >= 3;
    let hang_up = |api| Fault::new(api, Action::CloseBefore);
    for api in [ApiKey::API_VERSIONS, ApiKey::METADATA] {
        let mut world = three_nodes(&Config::default());
        world.cluster.inject(hang_up(api).times(3));
        world.producer.topic(world.now, "t").expect("room");
        assert!(world.run_until(60 * SECOND, asks), "{api}");
        assert_eq!(disconnects(&world)[..3], [Disconnect::HungUp; 3], "{api}");
        assert!(disconnects(&world)[0].to_string().contains("security.protocol"));
        // It was a broker after all.
        deliver(&mut world, 0);
        world.cluster.inject(hang_up(ApiKey::METADATA).times(u32::MAX));
        world.producer.topic(world.now, "u").expect("room");
        world.run_for(10 * SECOND);
        let later = disconnects(&world);
        assert!(later.len() > 3, "{api}");
        let served = later.iter().filter(|cause| **cause == Disconnect::Eof).count();
        assert!(served > 0, "{api}: {later:?}");
    }
}

#[test]
fn who_never_says_a_word_may_want_tls_and_who_did_once_does_not() {
    let config = Config { linger: Duration::ZERO, request_timeout: SECOND, ..Config::default() };
    let mut world = World::new(&config, ClusterConfig::with_nodes(1), 5);
    world.cluster.create_topic("t", 1).expect("a topic");
    world.cluster.freeze(1).expect("a node");
    world.producer.topic(world.now, "t").expect("room");
    let opened = |world: &World<'_>| world.producer.unanswered().count() == 1;
    assert!(world.run_until(SECOND, opened), "nobody is told of a peer that says nothing");
    assert!(world.run_until(5 * SECOND, |world| !disconnects(world).is_empty()));
    assert_eq!(disconnects(&world), [Disconnect::Mute]);
    world.cluster.thaw(1).expect("a node");
    deliver(&mut world, 0);
    assert_eq!(world.producer.unanswered().count(), 0);
    world.cluster.freeze(1).expect("a node");
    let topic = world.topic("t");
    world.produce(topic, Some(0), 50).expect("room");
    let before = disconnects(&world).len();
    world.run_for(10 * SECOND);
    let after = disconnects(&world);
    assert!(after.len() > before + 1, "{after:?}");
    assert!(after[before..].iter().all(|cause| *cause == Disconnect::RequestTimedOut), "{after:?}");
    assert_eq!(world.producer.unanswered().count(), 0);
}

#[test]
fn a_cluster_that_moved_is_found_again_through_the_bootstrap_server() {
    let config = Config {
        rebootstrap_trigger: 10 * SECOND,
        metadata_max_age: 5 * SECOND,
        ..Config::default()
    };
    let mut world = three_nodes(&config);
    for partition in 0..3 {
        deliver(&mut world, partition);
    }
    // Every node but the one that bootstrap names is at a new address, and nobody says so.
    for node in 2..=3 {
        world.cluster.set_address(node, "127.0.0.1", 30_000 + node as u16).expect("a node");
    }
    world.cut_all();
    for partition in 0..3 {
        deliver(&mut world, partition);
    }
    // All of the cluster is gone for a while; then only the bootstrap address is right.
    for node in 1..=3 {
        world.cluster.stop(node).expect("a node");
    }
    world.run_for(20 * SECOND);
    for node in 1..=3 {
        world.cluster.start(node).expect("a node");
        let port = if node == 1 { 9_092 } else { 40_000 + node as u16 };
        world.cluster.set_address(node, "127.0.0.1", port).expect("a node");
        world.cluster.move_leader("t", node - 1, node).expect("a leader");
    }
    for partition in 0..3 {
        deliver(&mut world, partition);
    }
    world.close(SECOND);
    world.ledger.check(&world.cluster, true);
}

#[test]
fn nothing_is_sent_to_a_broker_that_asked_to_be_left_alone() {
    let mut world = three_nodes(&Config::default());
    deliver(&mut world, 0);
    world.cluster.set_throttle(1, 5 * SECOND).expect("a node");
    deliver(&mut world, 0);
    world.cluster.set_throttle(1, Duration::ZERO).expect("a node");
    let (before, sent) = (world.now, world.sent);
    let topic = world.topic("t");
    let id = world.produce(topic, Some(0), 50).expect("room");
    world.run_for(Duration::from_millis(4_900));
    assert_eq!(world.sent, sent, "bytes were sent during the throttle");
    assert_eq!(world.ledger.entry(id).first, None);
    let done = |world: &World<'_>| world.ledger.entry(id).first.is_some();
    assert!(world.run_until(SECOND, done));
    assert!(world.now.since(before) >= Duration::from_millis(4_900));
    // The others are not concerned.
    deliver(&mut world, 1);
    assert_eq!(disconnects(&world), []);
}

#[test]
fn partitions_that_are_added_are_found_at_the_age_of_metadata() {
    let config = Config { metadata_max_age: 10 * SECOND, ..Config::default() };
    let mut world = three_nodes(&config);
    deliver(&mut world, 2);
    let topic = world.topic("t");
    assert!(world.produce(topic, Some(5), 50).is_err());
    world.cluster.grow_topic("t", 6).expect("a topic");
    world.run_for(11 * SECOND);
    for partition in 0..6 {
        deliver(&mut world, partition);
    }
}

#[test]
fn a_topic_that_does_not_exist_is_created_by_the_broker_or_stays_pending_with_its_error() {
    let mut world = World::new(&Config::default(), ClusterConfig::default(), 1);
    deliver(&mut world, 0);
    let config = Config { allow_auto_create_topics: false, ..Config::default() };
    let mut world = World::new(&config, ClusterConfig::default(), 1);
    let topic = world.producer.topic(world.now, "t").expect("a topic");
    world.run_for(5 * SECOND);
    let status = world.producer.topic_status(topic);
    let text = format!("{status:?}");
    assert!(text.contains("Pending(Some(ErrorCode(3)"), "{text}");
}

/// Found by the target `calls`: with one slot for a connection, brokers that throttle took it from each other
/// without end.
#[test]
fn brokers_that_throttle_are_not_dialled_in_turns_for_one_slot() {
    let servers = "127.0.0.1:9092,127.0.0.1:9093";
    let config = Config { bootstrap_servers: servers, ..Config::default() };
    let limits = Limits { connections: 1, ..Limits::for_config(&config) };
    let memory = Memory::heap(limits);
    let mut world = spread(World::with_memory(&config, ClusterConfig::with_nodes(3), memory, 3));
    for node in 1..=3 {
        world.cluster.set_throttle(node, SECOND).expect("a node");
    }
    let topic = world.producer.topic(world.now, "t").expect("room");
    world.run_for(10 * SECOND);
    assert!(world.dials.len() < 40, "{} dials in ten seconds", world.dials.len());
    assert!(world.producer.topic_status(topic).is_some_and(|status| {
        matches!(status, ottla_core::TopicStatus::Ready { partitions: 3 })
    }));
    for node in 1..=3 {
        world.cluster.set_throttle(node, Duration::ZERO).expect("a node");
    }
    for partition in 0..3 {
        deliver(&mut world, partition);
    }
}
