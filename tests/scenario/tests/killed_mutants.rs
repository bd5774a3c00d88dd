//! The smallest rules of a partition's chain, one by one: each of these fails where the line that it
//! is about is changed, and no storm does (`docs/mutants.md`).

use core::time::Duration;

use ottla_core::{Cause, Config, Limits, Memory, TopicId, Verdict, wire::ErrorCode};
use ottla_model::{
    Action, BaseOffset, ClusterConfig, Duplicates, Fault, NodeConfig, ProducerWindow, TopicConfig,
    Versions,
};
use ottla_scenario::{Said, World, quick};

const MS: Duration = Duration::from_millis(1);

#[test]
fn the_leader_epoch_of_a_batch_is_left_to_the_broker() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert!(world.tap.sent.iter().all(|sent| sent.header.partition_leader_epoch == -1));
    world.finish();
}

#[test]
fn a_batch_that_is_too_large_waits_for_the_pages_that_its_second_half_needs() {
    // Six pages: four for the batch, one for a record that is in flight elsewhere, one free. The
    // second half needs two.
    let config = Config { batch_size: 1_000, max_request_size: 1_536, ..quick() };
    let limits = Limits { page_size: 256, pages: 6, ..Limits::for_config(&config) };
    let cluster = ClusterConfig::with_nodes(2);
    let mut world = World::with_memory(&config, cluster, Memory::heap(limits), 1);
    let narrow = TopicConfig { max_message_bytes: 700, ..TopicConfig::default() };
    world.cluster.create_topic_with("t", 1, narrow).expect("a topic");
    world.cluster.create_topic("other", 1).expect("a topic");
    world.cluster.move_leader("t", 0, 1).expect("a leader");
    world.cluster.move_leader("other", 0, 2).expect("a leader");
    let [topic, other] = ["t", "other"].map(|name| world.topic(name));
    world.run_for(500 * MS);
    world.cluster.inject(Fault::produce(Action::Hold(350 * MS)).on("other", 0));
    let held = world.produce(other, Some(0), 20).expect("room");
    world.run_for(MS);
    let ids = [0; 13].map(|_| world.produce(topic, Some(0), 60).expect("room"));
    assert_eq!(world.producer.stats().pages_used, 5);
    world.run_for(300 * MS);
    let refused = world.tap.attempts(ids[0]).filter(|sent| sent.answer.is_some()).count();
    assert!((2..=4).contains(&refused), "the whole is tried again, at its time: {refused}");
    assert!(world.tap.attempts(ids[0]).all(|sent| sent.ids == ids));
    assert_eq!(world.last(held), None);
    assert_eq!(world.conclude(held), Said::Delivered(Some(0)));
    for (place, id) in ids.into_iter().enumerate() {
        assert_eq!(world.conclude(id), Said::Delivered(Some(place as i64)));
    }
    assert_eq!(world.rows(0).len(), 2);
    world.finish();
}

#[test]
fn retries_and_records_taken_out_are_counted() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    assert_eq!(world.producer.stats().retries, 0);
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::REQUEST_TIMED_OUT)).times(2));
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.producer.stats().retries, 2);
    let [b, c] = [0; 2].map(|_| world.produce(topic, Some(0), 20).expect("room"));
    assert_eq!([b, c].map(|id| world.cancel(id)), [Verdict::NotDelivered; 2]);
    let stats = world.producer.stats();
    assert_eq!((stats.delivered, stats.not_delivered, stats.unknown), (2, 2, 0));
    world.finish();
}

#[test]
fn a_refused_batch_keeps_its_sequences_while_another_is_in_flight() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    let refusal = Action::Reject(ErrorCode::NOT_ENOUGH_REPLICAS);
    world.cluster.inject(Fault::produce(refusal));
    world.cluster.inject(Fault::produce(Action::Hold(20 * MS)));
    let [a, b] = [0; 2].map(|_| world.send(topic, 0));
    world.run_for(5 * MS);
    assert!(world.tap.attempts(a).all(|sent| sent.answer.is_some()), "refused");
    assert!(world.tap.attempts(b).all(|sent| !sent.over), "in flight");
    assert_eq!(world.cancel(a), Verdict::Unknown);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}

#[test]
fn what_was_told_unknown_is_not_taken_out() {
    // Held until the deadline is over, then refused: certainly not in the log, but it was said that
    // nobody knows, and a later word can only come from the batch itself.
    let config = Config { delivery_timeout: 50 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.hold_up();
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::NOT_ENOUGH_REPLICAS)));
    let a = world.send(topic, 0);
    world.run_for(60 * MS);
    assert_eq!(world.last(a), Some(Said::Unknown(Cause::DeliveryTimeout)));
    world.release();
    world.run_for(5 * MS);
    assert!(world.tap.attempts(a).all(|sent| sent.answer.is_some()), "refused");
    assert_eq!(world.cancel(a), Verdict::Unknown);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a])]);
    world.finish();
}

/// Three batches that are in the log and whose answers are lost, at a leader that has forgotten all
/// but the last.
fn three_to_be_probed() -> (World<'static>, TopicId, [u64; 3]) {
    three_in_doubt(ClusterConfig {
        restart_window: ProducerWindow::LastBatch,
        ..ClusterConfig::with_nodes(2)
    })
}

/// Three batches that are in the log and whose answers are lost; then the brokers restart.
fn three_in_doubt(cluster: ClusterConfig) -> (World<'static>, TopicId, [u64; 3]) {
    let (mut world, topic) = World::warm(&quick(), cluster, 1);
    world.cluster.inject(Fault::produce(Action::Swallow));
    let ids = [0; 3].map(|_| world.send(topic, 0));
    world.run_for(MS);
    assert_eq!(world.cluster.end_offset("t", 0), 4);
    world.cluster.restart(1).expect("a node");
    world.cluster.restart(2).expect("a node");
    (world, topic, ids)
}

#[test]
fn a_probe_that_hits_ends_what_came_before_it_without_another_attempt() {
    let (mut world, _, [a, b, c]) = three_to_be_probed();
    assert_eq!(world.conclude(c), Said::Delivered(Some(3)));
    assert_eq!([a, b].map(|id| world.conclude(id)), [1, 2].map(|at| Said::Delivered(Some(at))));
    // The leader says how far it has come, and the newest is sent again.
    assert_eq!([a, b, c].map(|id| world.tap.attempts(id).count()), [1, 1, 2]);
    world.finish();
}

#[test]
fn a_probe_is_of_what_the_leader_says_it_has() {
    // A and B are in the log, C never came, and the leader restarts with its last batch, which is B. C would
    // be new to it, and say nothing of A, which it would not recognise.
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(Fault::produce(Action::Swallow));
    let [a, b] = [0; 2].map(|_| world.send(topic, 0));
    world.run_for(MS);
    world.hold_up();
    let c = world.send(topic, 0);
    world.run_for(MS);
    assert_eq!(world.cluster.end_offset("t", 0), 3);
    world.cluster.restart(1).expect("a node");
    let said = [a, b, c].map(|id| world.conclude(id));
    assert_eq!(said, [1, 2, 3].map(|at| Said::Delivered(Some(at))));
    assert_eq!([a, b, c].map(|id| world.tap.attempts(id).count()), [1, 2, 2]);
    world.finish();
}

#[test]
fn probing_is_over_where_the_last_that_was_not_probed_is_given_up() {
    // C and B are refused as probes, and A waits for its turn when its time is over; then the leader says
    // once more that it has more than B.
    let config = Config {
        delivery_timeout: 50 * MS,
        request_timeout: 100 * MS,
        resolve_timeout: 150 * MS,
        ..quick()
    };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.inject(Fault::produce(Action::Swallow));
    let a = world.send(topic, 0);
    world.run_for(80 * MS);
    let [b, c] = [0; 2].map(|_| world.send(topic, 0));
    world.run_for(MS);
    assert_eq!(world.cluster.end_offset("t", 0), 4);
    let never = Action::Reject(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    world.cluster.inject(Fault::produce(never).times(2));
    assert_eq!(world.conclude(a), Said::Unknown(Cause::ResolveTimeout));
    let end = Said::Unknown(Cause::SequenceMismatch);
    assert_eq!([b, c].map(|id| world.conclude(id)), [end; 2]);
    assert_eq!([a, b, c].map(|id| world.tap.attempts(id).count()), [1, 2, 2]);
    world.finish();
}

#[test]
fn what_is_acknowledged_late_takes_nothing_back() {
    // The newest is acknowledged first, and those before it when they are sent again: the leader does not
    // say where they are.
    let cluster = ClusterConfig {
        restart_window: ProducerWindow::Everything,
        duplicates: Duplicates::AnErrorOfItsOwn,
        ..ClusterConfig::with_nodes(2)
    };
    let (mut world, topic, ids) = three_in_doubt(cluster);
    assert_eq!(ids.map(|id| world.conclude(id)), [Said::Delivered(None); 3]);
    // In a new epoch, a batch that does not arrive: the leader knows of the old one, up to its end.
    world.cluster.inject(Fault::produce(Action::CloseBefore));
    let next = world.send(topic, 0);
    assert_eq!(world.conclude(next), Said::Delivered(Some(4)));
    assert_eq!(world.producer.stats().epoch_bumps, 1);
    world.finish();
}

#[test]
fn what_is_appended_late_takes_the_room_of_nobody() {
    // The leader looks at no sequence: the newer of two is appended once more, and then the older, behind it.
    let cluster = ClusterConfig {
        restart_window: ProducerWindow::Everything,
        duplicates: Duplicates::AppendedAgain,
        ..ClusterConfig::with_nodes(2)
    };
    let (mut world, topic) = World::warm(&quick(), cluster, 1);
    let (error, base_offset) = (ErrorCode::REQUEST_TIMED_OUT, BaseOffset::Unknown);
    world.cluster.inject(Fault::produce(Action::AppendThenError { error, base_offset }).times(2));
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::NOT_ENOUGH_REPLICAS)));
    let ids = [0; 3].map(|_| world.send(topic, 0));
    // The third is none that was appended, as far as anybody knows; there is one behind it.
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::REQUEST_TIMED_OUT)).after(2));
    world.run_for(2 * MS);
    let next = world.send(topic, 0);
    // Each offset that is told is looked up in the log.
    for id in ids.into_iter().chain([next]) {
        let _ = world.conclude(id);
    }
    world.close(Duration::from_secs(1));
}

#[test]
fn a_new_leader_is_probed_from_the_newest_again() {
    let (mut world, topic, [a, b, c]) = three_to_be_probed();
    // The old leader refuses the oldest and the first probe, and then leads no more.
    let never = Action::Reject(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    world.cluster.inject(Fault::produce(never).at(1).times(2));
    let refused = |world: &World<'_>| world.cluster.pending_faults() == 0;
    assert!(world.run_until(Duration::from_secs(60), refused));
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    assert_eq!(world.conclude(c), Said::Delivered(Some(3)));
    assert_eq!([a, b].map(|id| world.conclude(id)), [1, 2].map(|at| Said::Delivered(Some(at))));
    let next = world.send(topic, 0);
    assert_eq!(world.conclude(next), Said::Delivered(Some(4)));
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}

#[test]
fn a_broker_that_forgot_what_its_log_still_holds_is_a_desync() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    // The log starts at the very record that was acknowledged.
    let desync = Action::Reject(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    world.cluster.inject(Fault::produce(desync));
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (1, 1));
    world.finish();
}

#[test]
fn an_acknowledgement_that_is_a_minute_old_proves_nothing_any_more() {
    let minute = Duration::from_secs(60);
    let moment = Duration::from_micros(1);
    for (age, at_once) in [(minute - moment, 2), (minute, 1), (minute + moment, 1)] {
        let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
        let acknowledged = world.send(topic, 0);
        assert_eq!(world.conclude(acknowledged), Said::Delivered(Some(1)));
        world.run_for(age);
        let ids = [0; 2].map(|_| world.send(topic, 0));
        let sent = ids.iter().flat_map(|id| world.tap.attempts(*id)).count();
        assert_eq!(sent, at_once, "{age:?} after the last acknowledgement");
        assert_eq!(ids.map(|id| world.conclude(id)), [2, 3].map(|at| Said::Delivered(Some(at))));
        world.finish();
    }
}

/// Six topics of one partition each, a batch of 20 bytes for each of them sent at once: how many
/// requests it takes. The core checks that it wrote no head beyond its window.
fn requests_for_six_topics(name_len: usize, client_id: &str, tx_window: u32, old: bool) -> u64 {
    let config = Config { client_id, ..quick() };
    let limits = Limits { tx_window, name: 64, ..Limits::for_config(&config) };
    let versions = if old { Versions::kafka_3_9() } else { Versions::kafka_4() };
    let nodes = vec![NodeConfig::new(1).speaking(versions)];
    let cluster = ClusterConfig { nodes, ..ClusterConfig::default() };
    let mut world = World::with_memory(&config, cluster, Memory::heap(limits), 1);
    let topics = ["a", "b", "c", "d", "e", "f"].map(|letter| {
        let name = letter.repeat(name_len);
        world.cluster.create_topic(&name, 1).expect("a topic");
        world.topic(&name)
    });
    world.run_for(500 * MS);
    let before = world.producer.stats().requests;
    let ids = topics.map(|topic| world.produce(topic, Some(0), 20).expect("room"));
    for id in ids {
        assert_eq!(world.conclude(id), Said::Delivered(Some(0)));
    }
    let requests = world.producer.stats().requests - before;
    world.finish();
    requests
}

#[test]
fn a_request_takes_as_many_batches_as_its_head_has_room_for() {
    let client = "a client whose name is so long that it matters";
    for (name_len, client_id) in [(1, "c"), (60, "c"), (1, client), (60, client)] {
        for old in [false, true] {
            assert_eq!(requests_for_six_topics(name_len, client_id, 2_000, old), 1);
            for tx_window in (260..760).step_by(20) {
                let requests = requests_for_six_topics(name_len, client_id, tx_window, old);
                assert!((1..=6).contains(&requests), "{requests} requests");
            }
        }
    }
}

#[test]
fn no_request_is_larger_than_it_may_be_unless_one_batch_is() {
    let config = Config { max_request_size: 2_000, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 8);
    let ids: Vec<u64> = (0..8).map(|p| world.produce(topic, Some(p), 700).expect("room")).collect();
    for id in &ids {
        assert_eq!(world.conclude(*id), Said::Delivered(Some(1)));
    }
    let lens = ids.iter().flat_map(|id| world.tap.attempts(*id)).map(|sent| sent.request_len);
    let lens: Vec<usize> = lens.collect();
    assert!(lens.iter().all(|len| (1_400..=2_000).contains(len)), "{lens:?}");
    world.finish();
}
