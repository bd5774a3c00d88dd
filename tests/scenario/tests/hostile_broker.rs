//! What one hostile or broken broker may do: it costs its connection and its own partitions, never
//! the producer.

use core::time::Duration;

use ottla_core::{
    Config, Disconnect, Event, Instant, Limits, Memory, TopicId, TopicStatus,
    wire::{ApiKey, ErrorCode},
};
use ottla_model::{ClusterConfig, Lie};
use ottla_scenario::{Said, World, quick};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Kafka's own times, and three bootstrap servers.
fn three() -> Config<'static> {
    Config {
        bootstrap_servers: "127.0.0.1:9092,127.0.0.1:9093,127.0.0.1:9094",
        linger: Duration::ZERO,
        ..Config::default()
    }
}

/// Three nodes, of which node 1 is to be hostile and leads nothing: the topic `t` is led by node 2.
fn honest_leader(config: &Config<'_>, seed: u64) -> World<'static> {
    let mut world = World::new(config, ClusterConfig::with_nodes(3), seed);
    world.cluster.create_topic("t", 1).expect("a topic");
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    world
}

/// Sends twenty records, one every 100 ms, and says how many of them were delivered within a minute.
fn twenty(world: &mut World<'_>, topic: TopicId) -> usize {
    let ids: Vec<u64> = (0..20)
        .filter_map(|_| {
            let id = world.produce(topic, Some(0), 20).ok();
            world.run_for(100 * MS);
            id
        })
        .collect();
    world.run_until(60 * SECOND, |world| ids.iter().all(|id| world.ledger.is_closed(*id)));
    let delivered = |id: &&u64| matches!(world.last(**id), Some(Said::Delivered(_)));
    ids.iter().filter(delivered).count()
}

fn disconnects(world: &World<'_>) -> Vec<Disconnect> {
    let causes = world.events.iter().filter_map(|(_, event)| {
        let Event::Disconnected { cause, .. } = event else { return None };
        Some(*cause)
    });
    causes.collect()
}

// Times from a peer.

#[test]
fn a_broker_that_throttles_for_weeks_is_not_the_one_to_be_asked() {
    for seed in 0..6 {
        let mut world = honest_leader(&three(), seed);
        world.cluster.lie(1, Lie::Throttle(i32::MAX)).expect("a node");
        let topic = world.topic("t");
        assert_eq!(twenty(&mut world, topic), 20, "seed {seed}");
        world.finish();
    }
}

#[test]
fn a_throttle_is_bounded() {
    // The only broker throttles for weeks, once: it is asked again after request.timeout.ms.
    let config = Config { request_timeout: 2 * SECOND, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.lie_once(1, Lie::Throttle(i32::MAX)).expect("a node");
    let _ = world.send(topic, 0);
    world.run_for(10 * MS);
    let b = world.send(topic, 0);
    assert!(world.run_until(3 * SECOND, |world| world.ledger.is_closed(b)), "still throttled");
    assert_eq!(world.last(b), Some(Said::Delivered(Some(2))));
    world.finish();
}

#[test]
fn a_throttle_gives_no_request_more_than_its_own_time_again() {
    // B is under way when A's answer says that the broker throttles for weeks; B is never answered.
    let config = Config { request_timeout: 2 * SECOND, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.lie_once(1, Lie::Throttle(i32::MAX)).expect("a node");
    world.cluster.lie_once(1, Lie::Silence).expect("a node");
    let _ = world.send(topic, 0);
    let b = world.send(topic, 0);
    let out = |world: &World<'_>| disconnects(world).contains(&Disconnect::RequestTimedOut);
    assert!(world.run_until(3 * SECOND, out), "waits for weeks");
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    world.finish();
}

// State that a peer makes greater and none makes smaller.

#[test]
fn an_epoch_that_no_leader_bears_out_is_forgotten() {
    for seed in 0..6 {
        for lie in
            [Lie::LeadsAll(i32::MAX), Lie::InventedLeaders(1, false), Lie::InventedLeaders(1, true)]
        {
            let mut world = honest_leader(&three(), seed);
            for node in 1..=3 {
                // Whichever is asked first, once.
                world.cluster.lie_once(node, lie.clone()).expect("a node");
            }
            let topic = world.topic("t");
            assert_eq!(twenty(&mut world, topic), 20, "seed {seed}, {lie:?}");
            world.finish();
        }
    }
}

#[test]
fn a_hint_at_an_epoch_that_no_leader_bears_out_is_forgotten() {
    for named in [1, 3, 77] {
        let mut world = honest_leader(&three(), 1);
        let topic = world.topic("t");
        world.cluster.lie_once(2, Lie::Hint(named, i32::MAX)).expect("a node");
        assert_eq!(twenty(&mut world, topic), 20, "a hint at {named}");
        world.finish();
    }
}

// A table that is full.

#[test]
fn the_only_broker_may_be_replaced_by_another() {
    let config =
        Config { linger: Duration::ZERO, delivery_timeout: 20 * SECOND, ..Config::default() };
    for (partitions, same_address) in [(1, true), (3, true), (1, false), (3, false)] {
        let limits = Limits { brokers: 2, ..Limits::for_config(&config) };
        let memory = Memory::heap(limits);
        let mut world = World::with_memory(&config, ClusterConfig::with_nodes(2), memory, 1);
        world.cluster.create_topic("t", partitions).expect("a topic");
        let lead = |world: &mut World<'_>, node| {
            for partition in 0..partitions as i32 {
                world.cluster.move_leader("t", partition, node).expect("a leader");
            }
        };
        lead(&mut world, 1);
        world.cluster.stop(2).expect("a node");
        let topic = world.topic("t");
        assert_eq!(twenty(&mut world, topic), 20);
        // Node 2 comes in its place: at the bootstrap server's address, or next to it.
        world.cluster.start(2).expect("a node");
        if same_address {
            world.cluster.set_address(1, "127.0.0.1", 7).expect("a node");
            world.cluster.set_address(2, "127.0.0.1", 9092).expect("a node");
            world.cluster.stop(1).expect("a node");
        } else {
            // Node 1 stays for as long as it takes to tell of node 2.
            world.run_for(SECOND);
        }
        lead(&mut world, 2);
        assert_eq!(twenty(&mut world, topic), 20, "{partitions} partitions, {same_address}");
        world.finish();
    }
}

#[test]
fn a_broker_that_the_cluster_names_no_more_is_not_waited_for() {
    // Two of three nodes are gone for good, and whoever dials them hears nothing. Then no connection is left,
    // and something is to be asked.
    let config = Config {
        metadata_max_age: SECOND,
        connections_max_idle: 20 * SECOND,
        linger: Duration::ZERO,
        ..Config::default()
    };
    for seed in 0..6 {
        let mut world = World::new(&config, ClusterConfig::with_nodes(3), seed);
        for name in ["t", "u"] {
            world.cluster.create_topic(name, 1).expect("a topic");
            world.cluster.move_leader(name, 0, 1).expect("a leader");
        }
        let _ = world.topic("t");
        world.unreachable = vec![2, 3];
        world.cluster.stop(2).expect("a node");
        world.cluster.stop(3).expect("a node");
        world.run_for(3 * SECOND);
        world.cut_all();
        let other = world.producer.topic(world.now, "u").expect("room");
        world.run_for(2 * SECOND);
        let status = world.producer.topic_status(other);
        assert_eq!(status, Some(TopicStatus::Ready { partitions: 1 }), "seed {seed}");
        world.finish();
    }
}

#[test]
fn invented_brokers_keep_no_place_that_others_need() {
    let config = Config { delivery_timeout: 20 * SECOND, ..three() };
    for lie in [
        Lie::InventedLeaders(200, false),
        Lie::InventedLeaders(200, true),
        Lie::InventedBrokers(200),
    ] {
        for brokers in [6, 128] {
            let limits = Limits { brokers, ..Limits::for_config(&config) };
            let memory = Memory::heap(limits);
            let mut world = World::with_memory(&config, ClusterConfig::with_nodes(3), memory, 1);
            world.cluster.create_topic("t", 200).expect("a topic");
            for node in 1..=3 {
                world.cluster.lie_once(node, lie.clone()).expect("a node");
            }
            let topic = world.topic("t");
            assert_eq!(twenty(&mut world, topic), 20, "{lie:?}, {brokers} slots");
            world.finish();
        }
    }
}

// Who is asked.

/// Node 1 is asked first, tells one lie about the cluster, and is no more. Six partitions of the others
/// have something to send all the while.
fn a_liar_that_stops(lie: &Lie, seed: u64) {
    let config = Config { delivery_timeout: 5 * SECOND, request_timeout: SECOND, ..three() };
    let mut world = World::new(&config, ClusterConfig::with_nodes(3), seed);
    world.cluster.create_topic("t", 6).expect("a topic");
    for partition in 0..6 {
        world.cluster.move_leader("t", partition, 2 + partition % 2).expect("a leader");
    }
    for node in 1..=3 {
        // Whichever is asked first; the others never come to it.
        world.cluster.lie_once(node, lie.clone()).expect("a node");
    }
    let topic = world.topic("t");
    world.cluster.make_honest(2).expect("a node");
    world.cluster.make_honest(3).expect("a node");
    world.cluster.stop(1).expect("a node");
    let before = world.dials.len();
    let mut back = false;
    for _ in 0..100 {
        for partition in 0..6 {
            let _ = world.produce(topic, Some(partition), 20);
        }
        world.run_for(200 * MS);
        back |= world.producer.stats().delivered > 0;
        if back {
            break;
        }
    }
    let dials = world.dials.len() - before;
    assert!(back, "seed {seed}, {lie:?}: {dials} dials in vain");
    assert!(dials <= 1_500, "seed {seed}, {lie:?}: {dials} dials");
}

#[test]
fn wrong_addresses_keep_no_bootstrap_server_from_its_turn() {
    for seed in 0..20 {
        a_liar_that_stops(&Lie::Addresses, seed);
    }
}

#[test]
fn invented_leaders_keep_no_bootstrap_server_from_its_turn() {
    for seed in 0..20 {
        a_liar_that_stops(&Lie::InventedLeaders(200, true), seed);
    }
}

#[test]
fn brokers_that_do_not_exist_do_not_keep_the_others_from_their_turn() {
    // The last one that is heard lies, and then no connection is left.
    let config = Config {
        delivery_timeout: 300 * SECOND,
        metadata_max_age: SECOND,
        retry_backoff_max: 200 * MS,
        reconnect_backoff_max: 200 * MS,
        ..three()
    };
    for seed in 0..20 {
        let limits = Limits { connections: 2, ..Limits::for_config(&config) };
        let memory = Memory::heap(limits);
        let mut world = World::with_memory(&config, ClusterConfig::with_nodes(3), memory, seed);
        world.cluster.create_topic("t", 4).expect("a topic");
        let topic = world.topic("t");
        for node in 1..=3 {
            world.cluster.lie(node, Lie::InventedLeaders(150, true)).expect("a node");
        }
        world.run_for(2 * SECOND);
        let ids: Vec<u64> =
            (0..4).map(|at| world.produce(topic, Some(at), 20).expect("room")).collect();
        world.run_for(2 * SECOND);
        for node in 1..=3 {
            world.cluster.stop(node).expect("a node");
        }
        world.run_for(5 * SECOND);
        for node in 1..=3 {
            world.cluster.make_honest(node).expect("a node");
            world.cluster.start(node).expect("a node");
        }
        for partition in 0..4 {
            world.cluster.move_leader("t", partition, 2).expect("a leader");
        }
        let told = |world: &World<'_>| ids.iter().all(|id| world.ledger.is_closed(*id));
        assert!(world.run_until(5 * SECOND, told), "seed {seed}: nobody who exists is asked");
        world.finish();
    }
}

#[test]
fn the_only_connection_is_not_given_away_before_it_was_asked_anything() {
    // No broker gives producer ids, two were away once, and metadata is asked for often: what is wanted of
    // the brokers is wanted of different ones, over one connection.
    let config = Config { metadata_max_age: 50 * MS, ..three() };
    for seed in 0..20 {
        let limits = Limits { connections: 1, ..Limits::for_config(&config) };
        let memory = Memory::heap(limits);
        let nodes = ClusterConfig::with_nodes(3);
        let versions: Vec<_> = nodes.nodes.iter().map(|node| node.versions.clone()).collect();
        let mut world = World::with_memory(&config, nodes, memory, seed);
        world.cluster.create_topic("t", 1).expect("a topic");
        for (node, versions) in (1..).zip(&versions) {
            let fewer = versions.clone().without(ApiKey::INIT_PRODUCER_ID);
            world.cluster.set_versions(node, fewer).expect("a node");
        }
        world.cluster.stop(1).expect("a node");
        world.cluster.stop(2).expect("a node");
        let topic = world.producer.topic(world.now, "t").expect("room");
        world.run_for(3 * SECOND);
        world.cluster.start(1).expect("a node");
        world.cluster.start(2).expect("a node");
        let before = world.dials.len();
        world.run_for(10 * SECOND);
        let dials = world.dials.len() - before;
        assert!(dials < 40, "seed {seed}: {dials} dials in ten seconds");
        for (node, versions) in (1..).zip(&versions) {
            world.cluster.set_versions(node, versions.clone()).expect("a node");
            world.cluster.restart(node).expect("a node");
        }
        world.cluster.move_leader("t", 0, 2).expect("a leader");
        world.run_for(10 * SECOND);
        assert_eq!(twenty(&mut world, topic), 20, "seed {seed}");
        world.finish();
    }
}

// Room that one answer takes from others.

#[test]
fn a_partition_count_takes_no_room_from_other_topics() {
    for lie in [
        Lie::Partitions(16_384, 16_384),
        Lie::Partitions(16_384, 3),
        Lie::Partitions(100_000, 100_000),
    ] {
        let mut world = honest_leader(&three(), 1);
        world.cluster.create_topic("u", 6).expect("a topic");
        for node in 1..=3 {
            world.cluster.lie_once(node, lie.clone()).expect("a node");
        }
        let topic = world.producer.topic(world.now, "t").expect("room");
        world.run_for(SECOND);
        let other = world.topic("u");
        let id = world.produce(other, Some(5), 20).expect("a partition");
        assert_eq!(world.conclude(id), Said::Delivered(Some(0)), "{lie:?}");
        world.run_for(5 * SECOND);
        assert_eq!(twenty(&mut world, topic), 20, "{lie:?}");
        let status = world.producer.topic_status(topic);
        assert_eq!(status, Some(TopicStatus::Ready { partitions: 1 }), "{lie:?}");
        world.finish();
    }
}

#[test]
fn no_record_goes_to_a_partition_that_was_only_counted() {
    // Of a topic of which nothing is known, and of one of which something is. Records without a partition go
    // to any that there is, those with a key by the count.
    for (known, lie) in [
        (false, Lie::Partitions(16_384, 3)),
        (false, Lie::SamePartition(16_384)),
        (true, Lie::Partitions(16_384, 3)),
        (true, Lie::SamePartition(16_384)),
    ] {
        let config = Config { metadata_max_age: SECOND, ..three() };
        let mut world = honest_leader(&config, 1);
        world.keyed = |id| id % 2 == 1;
        let topic = world.producer.topic(world.now, "t").expect("room");
        let there = Some(TopicStatus::Ready { partitions: 1 });
        let ready = |world: &World<'_>| world.producer.topic_status(topic) == there;
        assert!(!known || world.run_until(SECOND, ready), "not known");
        for node in 1..=3 {
            world.cluster.lie_once(node, lie.clone()).expect("a node");
        }
        // Whichever is asked, once.
        let lied = |world: &World<'_>| world.cluster.lies_told().values().sum::<u64>() > 0;
        assert!(world.run_until(5 * SECOND, lied), "{known}, {lie:?}: nobody is asked");
        for node in 1..=3 {
            world.cluster.make_honest(node).expect("a node");
        }
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.extend(world.produce(topic, None, 20));
            world.run_for(50 * MS);
        }
        assert!(ids.len() >= 10, "{known}, {lie:?}: {} were taken", ids.len());
        world.run_for(SECOND);
        for id in ids {
            let said = world.last(id);
            assert!(matches!(said, Some(Said::Delivered(_))), "{known}, {lie:?}: {said:?}");
        }
        world.finish();
    }
}

// One answer to InitProducerId.

const NO_ID: [ErrorCode; 6] = [
    ErrorCode::INVALID_RECORD,
    ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
    ErrorCode::INVALID_REQUEST,
    ErrorCode::SASL_AUTHENTICATION_FAILED,
    ErrorCode::UNSUPPORTED_VERSION,
    ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
];

#[test]
fn another_broker_is_asked_where_one_gives_no_producer_id() {
    let mut lies: Vec<Lie> = NO_ID.iter().map(|code| Lie::NoProducerId(*code)).collect();
    lies.push(Lie::Without(ApiKey::INIT_PRODUCER_ID));
    lies.push(Lie::ProducerId(-7, 0));
    for lie in lies {
        for seed in 0..4 {
            let mut world = honest_leader(&three(), seed);
            world.cluster.lie(1, lie.clone()).expect("a node");
            let topic = world.topic("t");
            assert_eq!(twenty(&mut world, topic), 20, "seed {seed}, {lie:?}");
            assert!(world.tap.sent.iter().all(|sent| sent.header.producer_id >= 0), "{lie:?}");
            world.finish();
        }
    }
}

#[test]
fn a_producer_id_is_asked_for_again_where_it_was_refused() {
    for code in NO_ID {
        let mut world = World::new(&quick(), ClusterConfig::default(), 1);
        world.cluster.create_topic("t", 1).expect("a topic");
        for _ in 0..3 {
            world.cluster.lie_once(1, Lie::NoProducerId(code)).expect("a node");
        }
        let topic = world.topic("t");
        let told = world.produce(topic, Some(0), 20);
        world.run_for(2 * SECOND);
        if let Ok(id) = told {
            assert!(world.ledger.is_closed(id), "{code}");
        }
        assert_eq!(twenty(&mut world, topic), 20, "{code}");
        world.finish();
    }
}

// What is tried again.

/// Produce requests, and requests for a producer id, of the next ten seconds.
fn requests(world: &mut World<'_>, topic: TopicId) -> (usize, usize) {
    let before = world.tap.sent.len();
    let ids = world.cluster.producer_ids_given();
    let _ = world.produce(topic, Some(0), 20);
    world.run_for(10 * SECOND);
    (world.tap.sent.len() - before, (world.cluster.producer_ids_given() - ids) as usize)
}

#[test]
fn an_identity_that_is_refused_for_ever_is_tried_at_the_pace_of_the_backoff() {
    let config = Config { linger: Duration::ZERO, ..Config::default() };
    for code in [
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode::UNKNOWN_PRODUCER_ID,
        ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::INVALID_PRODUCER_ID_MAPPING,
    ] {
        let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
        world.cluster.lie(1, Lie::Refuse(code)).expect("a node");
        let (produce, ids) = requests(&mut world, topic);
        assert!((5..=20).contains(&produce), "{code}: {produce} requests");
        assert!(ids <= 20, "{code}: {ids} producer ids");
        world.cluster.make_honest(1).expect("a node");
        assert_eq!(twenty(&mut world, topic), 20, "{code}");
    }
}

#[test]
fn partitions_that_are_refused_one_after_the_other_ask_for_one_producer_id() {
    // Each of them is sent again at once, the first time, under another name. That every one asks for its
    // own would be hundreds of them at once where there are hundreds of partitions.
    let config = Config { linger: Duration::ZERO, ..Config::default() };
    for code in [ErrorCode::INVALID_PRODUCER_EPOCH, ErrorCode::INVALID_PRODUCER_ID_MAPPING] {
        let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 100);
        world.run_for(SECOND);
        world.cluster.lie(1, Lie::Refuse(code)).expect("a node");
        let before = world.cluster.producer_ids_given();
        for partition in 0..100 {
            let _ = world.produce(topic, Some(partition), 20);
            world.run_for(5 * MS);
        }
        let ids = world.cluster.producer_ids_given() - before;
        assert!((1..=10).contains(&ids), "{code}: {ids} producer ids in half a second");
        world.cluster.make_honest(1).expect("a node");
        assert_eq!(twenty(&mut world, topic), 20, "{code}");
        world.finish();
    }
}

#[test]
fn leaders_that_point_at_each_other_are_asked_at_the_pace_of_the_backoff() {
    let mut world = honest_leader(&three(), 1);
    let topic = world.topic("t");
    assert_eq!(twenty(&mut world, topic), 20);
    for epoch in 1..2_000 {
        for node in 1..=3 {
            let lie = Lie::Hint(1 + node % 3, 10 * epoch + node);
            world.cluster.lie_once(node, lie).expect("a node");
        }
    }
    let (produce, _) = requests(&mut world, topic);
    assert!((5..=20).contains(&produce), "{produce} requests");
}

#[test]
fn a_broker_that_hangs_up_after_its_versions_is_dialled_at_the_pace_of_the_backoff() {
    let config = Config { linger: Duration::ZERO, ..Config::default() };
    let mut world = World::new(&config, ClusterConfig::default(), 1);
    // ApiVersions is answered as it should be; nothing else is.
    world.cluster.lie(1, Lie::HangUpAfterVersions).expect("a node");
    let _ = world.producer.topic(world.now, "t").expect("room");
    world.run_for(10 * SECOND);
    let dials = disconnects(&world).len();
    assert!((5..=20).contains(&dials), "{dials} dials");
}

// Arithmetic on a peer's numbers.

#[test]
fn what_cannot_be_is_no_offset() {
    for offset in [i64::MAX, i64::MAX - 1, i64::MIN, -1] {
        let config = Config { linger: 10 * MS, ..quick() };
        let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
        world.ignore_verdicts = true;
        world.cluster.lie_once(1, Lie::Acknowledge(offset)).expect("a node");
        for _ in 0..3 {
            world.produce(topic, Some(0), 20).expect("room");
        }
        world.run_for(SECOND);
        assert_eq!(world.producer.stats().delivered, 4);
        assert_eq!(world.last_base_offset, None, "{offset}");
    }
}

// The length of a frame.

#[test]
fn a_frame_that_cannot_be_so_long_ends_its_connection_at_once() {
    let tls = vec![0x15, 3, 3, 0, 2, 2, 0x46];
    for (lie, says_tls) in [
        (Lie::FrameLength(i32::MAX), false),
        // Longer than anything that is said of versions.
        (Lie::FrameLength(1 << 20), false),
        (Lie::FrameLength(0x1503_0100), true),
        (Lie::Garbage(tls), true),
    ] {
        let config = Config { linger: Duration::ZERO, ..Config::default() };
        let mut world = World::new(&config, ClusterConfig::default(), 1);
        world.cluster.create_topic("t", 1).expect("a topic");
        world.cluster.lie_once(1, lie.clone()).expect("a node");
        let _ = world.producer.topic(world.now, "t").expect("room");
        let ended = |world: &World<'_>| !disconnects(world).is_empty();
        assert!(world.run_until(SECOND, ended), "{lie:?} is waited for");
        let cause = disconnects(&world)[0];
        assert!(matches!(cause, Disconnect::Malformed(_)), "{lie:?}: {cause}");
        assert_eq!(cause.to_string().contains("TLS"), says_tls, "{lie:?}: {cause}");
        let _: Instant = world.now;
    }
}
