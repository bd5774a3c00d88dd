//! Whoever has drained the core may sleep: nothing is left that only another call would bring.

use core::time::Duration;

use ottla_core::{
    Acks, Config, Limits, Memory, TimerKind,
    wire::{ApiKey, ErrorCode},
};
use ottla_model::{Action, ClusterConfig, Fault, Versions};
use ottla_scenario::{Said, Weather, World};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn no_output_is_told_only_where_there_is_none() {
    let mut world = World::new(&Config::default(), ClusterConfig::with_nodes(1), 3);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    world.produce(topic, None, 20).expect("room");
    world.run_for(SECOND / 2);
    world.produce(topic, None, 20).expect("room");
    // A batch is in flight when the producer is closed, and its answer is the last one.
    world.producer.close(world.now, world.now.after(5 * SECOND));
    let before = world.now;
    assert!(world.run_until(6 * SECOND, |world| world.closed));
    let took = world.now.since(before);
    assert!(took < SECOND / 10, "closed after {took:?}, with the last answer");
    world.ledger.check(&world.cluster, true);
}

/// What making a request ends is there to be collected before anybody sleeps.
#[test]
fn what_is_ended_while_a_request_is_made_is_told_at_once() {
    let mut cluster = ClusterConfig::with_nodes(1);
    cluster.nodes[0].versions = Versions::kafka_4().without(ApiKey::INIT_PRODUCER_ID);
    let mut world = World::new(&Config::default(), cluster, 3);
    world.cluster.create_topic("t", 1).expect("a topic");
    let _ = world.producer.topic(world.now, "t").expect("a name");
    world.run_for(SECOND);
}

/// Time may reach the core by any call: a question that became due by it is asked all the same.
#[test]
fn a_question_that_became_due_during_another_call_is_asked() {
    let mut world = World::new(&Config::default(), ClusterConfig::with_nodes(1), 3);
    world.cluster.create_topic("t", 1).expect("a topic");
    let not_now = Action::Reject(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    world.cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, not_now));
    let topic = world.topic("t");
    let refused = |world: &World<'_>| world.cluster.pending_faults() == 0;
    assert!(world.run_until(SECOND, refused));
    world.run_for(SECOND / 100);
    assert!(matches!(world.producer.poll_timeout(), Some((_, TimerKind::ProducerId))));
    world.now = world.now.after(SECOND);
    let id = world.produce(topic, None, 20).expect("room");
    world.run_for(SECOND);
    assert_eq!(world.ledger.entry(id).last, Some(Said::Delivered(Some(0))));
}

/// With its only slot free again, which gave way to another broker, the producer asks.
#[test]
fn a_slot_that_gave_way_keeps_no_question_waiting() {
    let config = Config { linger: SECOND / 1_000, ..Config::default() };
    let limits = Limits { connections: 1, ..Limits::for_config(&config) };
    let cluster = ClusterConfig::with_nodes(3);
    let mut world = World::with_memory(&config, cluster, Memory::heap(limits), 63);
    world.cluster.create_topic("t", 1).expect("a topic");
    world.cluster.move_leader("t", 0, 3).expect("a leader");
    let topic = world.topic("t");
    world.produce(topic, Some(0), 8).expect("room");
    world.run_for(SECOND);
    // The leader moves, its answers come late, and it wants to be left alone.
    world.cluster.set_throttle(3, SECOND / 20).expect("a node");
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    let ids: Vec<u64> =
        (0..3).map(|_| world.produce(topic, Some(0), 16_000).expect("room")).collect();
    world.run_for(5 * SECOND);
    for id in ids {
        assert!(matches!(world.ledger.entry(id).last, Some(Said::Delivered(_))), "record {id}");
    }
}

/// Found by the driver's storm 8477: with `acks=0` no answer ends a request, and a connection that may be
/// idle for less time than a request may take was closed when that would have been over.
#[test]
fn a_connection_is_idle_from_its_last_byte_on_though_no_answer_comes() {
    let config = Config {
        enable_idempotence: false,
        acks: Acks::None,
        connections_max_idle: SECOND / 10,
        request_timeout: SECOND,
        linger: Duration::ZERO,
        ..Config::default()
    };
    let mut world = World::new(&config, ClusterConfig::with_nodes(1), 3);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    // The request takes longer to be written than a connection may be idle.
    let latency = (60_000, 60_000);
    world.weather = Weather { latency, socket_buffer: 200, ..Weather::FAIR };
    world.produce(topic, None, 600).expect("room");
    let written = |world: &World<'_>| world.producer.stats().batches == 0;
    assert!(world.run_until(SECOND, written));
    assert_eq!(world.connections(), 1);
    world.run_for(SECOND / 5);
    assert_eq!(world.connections(), 0);
}
