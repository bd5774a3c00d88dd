//! Corners: what is asked twice, what comes after the end, slots that serve another, and spins.

use core::time::Duration;

use ottla_core::{
    Config, Disconnect, Event, Limits, Memory, ProduceError, Record, Verdict,
    wire::{ApiKey, ErrorCode},
};
use ottla_model::{Action, ClusterConfig, Fault, Lie, TopicConfig};
use ottla_scenario::{Said, Weather, World, quick};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn is_delivered(world: &World<'_>, id: u64) -> bool {
    matches!(world.last(id), Some(Said::Delivered(_)))
}

fn disconnects(world: &World<'_>) -> Vec<Disconnect> {
    let cause = |event: &Event| {
        if let Event::Disconnected { cause, .. } = event { Some(*cause) } else { None }
    };
    world.events.iter().filter_map(|(_, event)| cause(event)).collect()
}

#[test]
fn a_second_cancel_says_not_delivered_again_after_the_rest_of_the_batch_has_left() {
    let config = Config { linger: 5 * MS, delivery_timeout: 50 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.freeze(1).expect("a node");
    let ids: Vec<u64> =
        (0..300).map(|_| world.produce(topic, Some(0), 20).expect("room")).collect();
    let is_cancelled = |id: u64| id.is_multiple_of(3) || (id > 100 && id < 150);
    for id in ids.iter().filter(|id| is_cancelled(**id)) {
        assert_eq!(world.cancel(*id), Verdict::NotDelivered);
    }
    let again = |world: &mut World<'_>| {
        for id in &ids {
            let expected = if is_cancelled(*id) { Verdict::NotDelivered } else { Verdict::Unknown };
            assert_eq!(world.cancel(*id), expected, "record {id}");
        }
    };
    // In flight; told `Unknown`; waiting to be sent again.
    assert!(world.run_until(10 * MS, |world| world.tap.attempts(ids[1]).count() == 1));
    again(&mut world);
    world.run_for(100 * MS);
    again(&mut world);
    world.cut_all();
    again(&mut world);
    world.cluster.thaw(1).expect("a node");
    assert!(matches!(world.conclude(ids[1]), Said::Delivered(_)));
    for id in &ids {
        assert_eq!(world.cancel(*id), Verdict::AlreadySettled);
    }
    world.finish();
}

#[test]
fn a_second_cancel_says_not_delivered_again_after_the_batch_was_split() {
    let config = Config { linger: 5 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    let narrow = TopicConfig { max_message_bytes: 200, ..TopicConfig::default() };
    world.cluster.set_topic_config("t", narrow).expect("a topic");
    let ids: Vec<u64> = (0..16).map(|_| world.produce(topic, Some(0), 40).expect("room")).collect();
    for place in [0, 5, 6, 15] {
        assert_eq!(world.cancel(ids[place]), Verdict::NotDelivered);
    }
    let mut parts = 0;
    for _ in 0..10_000 {
        world.run_for(Duration::from_micros(20));
        let open: Vec<u64> =
            ids.iter().copied().filter(|id| !world.ledger.is_closed(*id)).collect();
        if open.is_empty() {
            break;
        }
        parts += usize::from(open.len() < 12);
        for place in [0, 5, 6, 15] {
            assert_eq!(world.cancel(ids[place]), Verdict::NotDelivered, "{} open", open.len());
        }
    }
    assert!(parts > 0, "no part was settled before another");
    assert_eq!(world.cancel(ids[0]), Verdict::AlreadySettled);
    world.finish();
}

#[test]
fn close_dials_nobody_once_all_is_told() {
    let mut world = World::new(&quick(), ClusterConfig::with_nodes(3), 1);
    world.cluster.create_topic("t", 2).expect("a topic");
    for partition in 0..2 {
        world.cluster.move_leader("t", partition, partition + 2).expect("a leader");
    }
    let topic = world.topic("t");
    for partition in 0..2 {
        let id = world.send(topic, partition);
        world.conclude(id);
    }
    // The first slot for a connection is free, and as the others' end, their partitions have something to
    // send again.
    world.cluster.inject(Fault::produce(Action::Freeze).times(u32::MAX));
    for partition in (0..2).cycle().take(8) {
        world.send(topic, partition);
    }
    assert!(world.cut_one(0));
    world.run_for(MS);
    assert_eq!(world.connections(), 2);
    world.close(Duration::ZERO);
    world.run_for(60 * SECOND);
    world.ledger.check(&world.cluster, true);
}

#[test]
fn no_timer_runs_once_the_producer_is_closed() {
    // Before it has a producer id: that is asked for again, after a backoff.
    let mut world = World::new(&quick(), ClusterConfig::default(), 1);
    let refusal = Action::Reject(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    world.cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, refusal).times(u32::MAX));
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    world.send(topic, 0);
    world.run_for(50 * MS);
    world.close(10 * MS);
    assert_eq!(world.producer.poll_timeout(), None);
    // Nor does a call set one.
    world.producer.handle_timeout(world.now);
    assert_eq!(world.producer.topic(world.now, "u").map(|_| ()), Ok(()));
    world.producer.flush(world.now);
    world.producer.handle_timeout(world.now.after(60 * SECOND));
    assert_eq!(world.producer.poll_timeout(), None);
    assert_eq!(world.produce(topic, Some(0), 20), Err(ProduceError::Closing));
    world.run_for(60 * SECOND);
}

#[test]
fn a_broker_that_makes_room_for_another_is_not_dialled_under_its_number() {
    // Room for the bootstrap server and two more.
    let config = Config { metadata_max_age: 200 * MS, ..quick() };
    let limits = Limits { brokers: 3, ..Limits::for_config(&config) };
    let memory = Memory::heap(limits);
    let mut world = World::with_memory(&config, ClusterConfig::with_nodes(4), memory, 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    let topic = world.topic("t");
    let id = world.send(topic, 0);
    world.conclude(id);
    // Node 2 says that node 4 leads, and takes its time. Meanwhile node 1 says that it is node 3, which gets
    // node 1's slot.
    world.cluster.move_leader("t", 0, 3).expect("a leader");
    world.cluster.date_metadata(1, "t").expect("a node");
    world.cluster.move_leader("t", 0, 4).expect("a leader");
    world.cluster.inject(Fault::produce(Action::Hold(600 * MS)).on("t", 0));
    let id = world.send(topic, 0);
    // Node 1's connection is the bootstrap server's again, and ends.
    world.run_for(300 * MS);
    assert!(world.cut_one(0));
    assert_eq!(world.connections(), 1);
    // What is to be asked for does not leave. Then node 4 gets the slot of node 2, whose connection is the
    // only one, so that somebody is to be dialled.
    world.weather = Weather { socket_buffer: 0, ..Weather::FAIR };
    world.cluster.update_metadata();
    assert!(world.run_until(SECOND, |world| disconnects(world).len() == 2), "{:?}", world.events);
    world.run_for(Duration::ZERO);
    world.weather = Weather::FAIR;
    assert!(world.run_until(10 * SECOND, |world| is_delivered(world, id)), "{:?}", world.last(id));
    world.finish();
}

#[test]
fn backoffs_and_timeouts_of_nothing_spin_not() {
    let zero = Duration::ZERO;
    let nothing = Config {
        linger: zero,
        retry_backoff: zero,
        retry_backoff_max: zero,
        reconnect_backoff: zero,
        reconnect_backoff_max: zero,
        connection_setup_timeout: zero,
        connection_setup_timeout_max: zero,
        metadata_max_age: zero,
        rebootstrap_trigger: zero,
        connections_max_idle: zero,
        request_timeout: Duration::from_nanos(1),
        ..quick()
    };
    let cases = [
        nothing,
        Config { retry_backoff: zero, retry_backoff_max: zero, ..quick() },
        Config { reconnect_backoff: zero, connection_setup_timeout: zero, ..quick() },
        Config { metadata_max_age: zero, ..quick() },
        Config { rebootstrap_trigger: zero, ..quick() },
        Config { connections_max_idle: zero, ..quick() },
        Config { request_timeout: Duration::from_nanos(1), ..quick() },
    ];
    for (place, config) in cases.into_iter().enumerate() {
        for trouble in 0..3 {
            let mut world = World::new(&config, ClusterConfig::default(), 1);
            world.cluster.create_topic("t", 1).expect("a topic");
            let topic = world.producer.topic(world.now, "t").expect("room");
            if trouble == 0 {
                world.unreachable.push(1);
            }
            world.run_for(10 * MS);
            if trouble == 1 {
                world.cluster.stop(1).expect("a node");
            }
            if trouble == 2 {
                let refusal = Action::Reject(ErrorCode::NOT_ENOUGH_REPLICAS);
                world.cluster.inject(Fault::produce(refusal).times(u32::MAX));
            }
            let _ = world.produce(topic, Some(0), 20);
            let before = world.producer.stats();
            world.run_for(100 * MS);
            let stats = world.producer.stats();
            let tries = stats.requests - before.requests + stats.disconnects - before.disconnects
                + stats.connections
                - before.connections;
            assert!(tries < 400, "case {place}, {trouble}: {tries} tries in a tenth of a second");
        }
    }
}

#[test]
fn a_record_of_almost_four_gibibytes_is_too_large_and_no_more() {
    let (mut world, topic) = World::cold(&quick(), ClusterConfig::default(), 2);
    // Zeros that the system does not give memory for until they are touched, which they are not.
    let zeros = vec![0; (4 << 30) - 1];
    let near = [0, 1, 5, 10, 11, 16, 17, 100].map(|less| zeros.len() - less);
    for len in near.into_iter().chain([(2 << 30) - 1, 2 << 30, (2 << 30) - 20]) {
        for partition in [None, Some(0)] {
            let value = zeros.get(..len);
            let record = Record { partition, value, ..Record::default() };
            let produced = world.producer.produce(world.now, topic, &record);
            assert!(matches!(produced, Err(ProduceError::RecordTooLarge { .. })), "{produced:?}");
        }
        let key = zeros.get(..len);
        let record = Record { partition: Some(0), key, value: key, ..Record::default() };
        let produced = world.producer.produce(world.now, topic, &record);
        assert!(matches!(produced, Err(ProduceError::RecordTooLarge { .. })), "{produced:?}");
    }
    let id = world.send(topic, 0);
    assert!(matches!(world.conclude(id), Said::Delivered(_)));
    world.finish();
}

#[test]
fn a_duplicate_that_was_never_sent_is_not_delivered_by_it() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    let refusal = Action::Reject(ErrorCode::DUPLICATE_SEQUENCE_NUMBER);
    world.cluster.inject(Fault::produce(refusal));
    let id = world.send(topic, 0);
    assert_eq!(world.conclude(id), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (1, 0, vec![id])]);
    assert_eq!(world.producer.stats().desyncs, 1);
    world.finish();
}

#[test]
fn metadata_that_is_asked_for_in_time_ends_no_connection() {
    // By default metadata is five minutes old when it is asked for again, and after five minutes without
    // an answer the brokers are sought anew.
    let (mut world, _) = World::warm(&Config::default(), ClusterConfig::with_nodes(3), 1);
    world.run_for(320 * SECOND);
    assert_eq!(disconnects(&world), []);
}

/// Two partitions, led by nodes 1 and 2, in a topic that was deleted and made anew, of which node 2 has
/// not heard; what the old one's leader epochs came to.
fn with_a_broker_that_lags(config: &Config<'_>) -> (World<'static>, ottla_core::TopicId) {
    let mut world = World::new(config, ClusterConfig::with_nodes(2), 1);
    world.cluster.create_topic("t", 2).expect("a topic");
    for _ in 0..3 {
        lead(&mut world);
    }
    let topic = world.topic("t");
    for partition in 0..2 {
        let id = world.send(topic, partition);
        assert_eq!(world.conclude(id), Said::Delivered(Some(0)));
    }
    world.cluster.date_metadata(2, "t").expect("a node");
    world.cluster.recreate_topic("t").expect("a topic");
    lead(&mut world);
    for partition in 0..2 {
        let id = world.send(topic, partition);
        assert_eq!(world.conclude(id), Said::Delivered(Some(0)));
    }
    (world, topic)
}

fn lead(world: &mut World<'_>) {
    for partition in 0..2 {
        world.cluster.move_leader("t", partition, partition + 1).expect("a leader");
    }
}

#[test]
fn a_broker_that_lags_does_not_bring_a_deleted_topic_back() {
    let config = Config { request_timeout: 300 * MS, ..quick() };
    let (mut world, topic) = with_a_broker_that_lags(&config);
    // In the log, and nobody says so; then only the broker that lags can be asked.
    world.cluster.inject(Fault::produce(Action::Swallow).on("t", 0));
    let id = world.send(topic, 0);
    assert!(world.run_until(SECOND, |world| world.connections() == 1));
    world.run_for(50 * MS);
    assert_eq!(world.conclude(id), Said::Delivered(Some(1)));
    assert_eq!(disconnects(&world), [Disconnect::RequestTimedOut]);
    world.finish();
}

#[test]
fn leaders_of_a_deleted_topic_are_none_of_the_new_one() {
    let config = Config { request_timeout: 300 * MS, ..quick() };
    let (mut world, topic) = with_a_broker_that_lags(&config);
    world.cluster.inject(Fault::produce(Action::Swallow).on("t", 0));
    let id = world.send(topic, 0);
    assert_eq!(world.conclude(id), Said::Delivered(Some(1)));
    // The new topic's leader epochs are lower than the old one's were.
    world.cluster.update_metadata();
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    let id = world.send(topic, 0);
    assert!(world.run_until(5 * SECOND, |world| is_delivered(world, id)), "{:?}", world.last(id));
    world.finish();
}

#[test]
fn a_hint_about_a_deleted_topic_says_nothing_of_the_new_one() {
    let config = Config { metadata_max_age: 50 * MS, ..quick() };
    let mut world = World::new(&config, ClusterConfig::with_nodes(2), 1);
    world.cluster.create_topic("t", 2).expect("a topic");
    lead(&mut world);
    lead(&mut world);
    let topic = world.topic("t");
    for partition in 0..2 {
        let id = world.send(topic, partition);
        assert_eq!(world.conclude(id), Said::Delivered(Some(0)));
    }
    // Node 1 says that node 2 leads, and it takes its time.
    let metadata = Action::Hold(20 * MS);
    world.cluster.inject(Fault::new(ApiKey::METADATA, metadata).times(2));
    for node in [2, 1, 2, 1, 2] {
        world.cluster.move_leader("t", 0, node).expect("a leader");
    }
    world.cluster.inject(Fault::produce(Action::Hold(400 * MS)).on("t", 0));
    let id = world.send(topic, 0);
    world.run_for(MS);
    world.cluster.recreate_topic("t").expect("a topic");
    lead(&mut world);
    world.run_for(300 * MS);
    assert_eq!(world.last(id), None);
    world.run_for(SECOND);
    world.conclude(id);
    // The new topic's epochs are lower than what the hint said.
    let id = world.send(topic, 0);
    assert!(world.run_until(5 * SECOND, |world| is_delivered(world, id)), "{:?}", world.last(id));
    world.finish();
}

#[test]
fn a_topic_that_was_taken_for_made_anew_by_mistake_is_found_again() {
    let config = Config { request_timeout: 300 * MS, ..quick() };
    let mut world = World::new(&config, ClusterConfig::with_nodes(2), 1);
    world.cluster.create_topic("t", 2).expect("a topic");
    world.cluster.date_metadata(2, "t").expect("a node");
    world.cluster.recreate_topic("t").expect("a topic");
    lead(&mut world);
    let topic = world.topic("t");
    for partition in 0..2 {
        let id = world.send(topic, partition);
        assert_eq!(world.conclude(id), Said::Delivered(Some(0)));
    }
    // Only the broker that lags can be asked, and what it says was never heard before.
    world.cluster.freeze(1).expect("a node");
    world.send(topic, 0);
    world.run_for(SECOND);
    world.cluster.update_metadata();
    world.cluster.thaw(1).expect("a node");
    for partition in 0..2 {
        let id = world.send(topic, partition);
        let done = world.run_until(10 * SECOND, |world| is_delivered(world, id));
        assert!(done, "partition {partition}: {:?}", world.ledger.entry(id));
    }
    world.finish();
}

/// Found by the target `calls`: each time in a new epoch, as fast as the broker answered.
#[test]
fn who_answers_that_all_is_a_duplicate_is_not_tried_without_a_pause() {
    let config = Config { delivery_timeout: 200 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    let refusal = Action::Reject(ErrorCode::DUPLICATE_SEQUENCE_NUMBER);
    world.cluster.inject(Fault::produce(refusal).times(u32::MAX));
    let before = world.tap.sent.len();
    let id = world.send(topic, 0);
    assert!(matches!(world.conclude(id), Said::NotDelivered(_)));
    let attempts = world.tap.sent.len() - before;
    assert!((2..10).contains(&attempts), "{attempts} attempts in a fifth of a second");
    world.finish();
}

/// Found by the target `calls`: who is without a leader waited for the age of metadata.
#[test]
fn a_topic_that_is_left_out_of_an_answer_is_asked_for_again() {
    let config = Config { delivery_timeout: 60 * SECOND, ..quick() };
    let mut world = World::new(&config, ClusterConfig::default(), 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    world.cluster.remove_leader("t", 0).expect("a partition");
    let topic = world.topic("t");
    let id = world.send(topic, 0);
    world.cluster.lie_once(1, Lie::NoTopics).expect("a node");
    world.run_for(SECOND);
    world.cluster.move_leader("t", 0, 1).expect("a leader");
    assert!(world.run_until(5 * SECOND, |world| is_delivered(world, id)), "{:?}", world.last(id));
    world.finish();
}
