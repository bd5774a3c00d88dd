//! Epochs and sequences: gaps, fences, wraps, other partitions: T13, T15 to T18, T36.

use core::time::Duration;

use ottla_core::{
    Cause, Config, Event, NoProducerId, ProduceError, TopicId, Verdict,
    wire::{ApiKey, ErrorCode},
};
use ottla_model::{Action, BaseOffset, ClusterConfig, Fault};
use ottla_scenario::{Said, World, quick};

const MS: Duration = Duration::from_millis(1);
/// The last sequence; 0 follows.
const LAST: i32 = i32::MAX;

fn append_then(error: ErrorCode) -> Fault {
    Fault::produce(Action::AppendThenError { error, base_offset: BaseOffset::Kept })
}

#[test]
fn t13_a_gap_waits_for_what_is_ambiguous_before_it_and_renumbers_nothing() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(append_then(ErrorCode::REQUEST_TIMED_OUT));
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::INVALID_RECORD)));
    let [a, c] = [0; 2].map(|_| world.send(topic, 0));
    world.run_for(MS);
    let refused = Said::NotDelivered(Cause::Broker(ErrorCode::INVALID_RECORD));
    assert_eq!(world.last(c), Some(refused));
    let d = world.send(topic, 0);
    assert_eq!(world.conclude(d), Said::Delivered(Some(2)));
    assert_eq!(world.last(a), Some(Said::Delivered(Some(1))));
    let a_again = world.tap.attempts(a).last().and_then(|sent| sent.answer);
    let began = world.tap.attempts(d).next().map(|sent| sent.at);
    assert!(a_again.map(|(at, _)| at) <= began, "the fence before what it fences");
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a]), (1, 0, vec![d])]);
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (1, 0));
    world.finish();
}

/// A partition at the last epoch that is used, with a gap behind its one acknowledged batch.
fn last_epoch(config: &Config<'_>, epoch: i16) -> (World<'static>, TopicId) {
    let (mut world, topic) = World::warm(config, ClusterConfig::default(), 1);
    assert!(world.go_on_at(topic, 0, epoch, 0));
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::INVALID_RECORD)));
    let c = world.send(topic, 0);
    assert!(matches!(world.conclude(c), Said::NotDelivered(_)));
    assert_eq!(world.rows(0)[1..], [(epoch, 0, vec![a]), (epoch, 1, vec![b])]);
    (world, topic)
}

#[test]
fn t15_the_last_epochs_are_not_used_and_a_new_producer_id_is_asked_for() {
    for epoch in [32_000, 32_766, 32_767] {
        let (mut world, topic) = last_epoch(&quick(), epoch);
        let before = world.tap.attempts(1).next().map(|sent| sent.header.producer_id);
        let d = world.send(topic, 0);
        assert_eq!(world.conclude(d), Said::Delivered(Some(3)));
        let after = world.tap.attempts(d).next().map(|sent| sent.header.producer_id);
        assert_ne!(before, after);
        assert_eq!(world.rows(0)[3..], [(0, 0, vec![d])]);
        assert_eq!(world.tap.attempts(d).count(), 1);
        world.finish();
    }
}

#[test]
fn t15_deadlines_hold_while_no_producer_id_is_to_be_had() {
    let config = Config { delivery_timeout: 300 * MS, ..quick() };
    let (mut world, topic) = last_epoch(&config, 32_000);
    let none = Action::Reject(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    world.cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, none).times(u32::MAX));
    let d = world.send(topic, 0);
    world.run_for(Duration::from_secs(1));
    let late = Said::NotDelivered(Cause::DeliveryTimeout);
    assert_eq!(world.first(d), Some((late, 300 * MS)));
    world.cluster.clear_faults();
    world.run_for(Duration::from_secs(1));
    let e = world.send(topic, 0);
    assert_eq!(world.conclude(e), Said::Delivered(Some(3)));
    world.finish();
}

#[test]
fn t15_a_straggler_of_the_old_producer_id_is_unknown_wherever_it_lands() {
    // No epoch fences it, so it may come after newer records: documented, and never a lie.
    let config = Config { delivery_timeout: 50 * MS, resolve_timeout: 100 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    assert!(world.go_on_at(topic, 0, 32_000, 0));
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    world.hold_up();
    let b = world.send(topic, 0);
    world.run_for(200 * MS);
    assert_eq!(world.last(b), Some(Said::Unknown(Cause::ResolveTimeout)));
    let c = world.send(topic, 0);
    assert_eq!(world.conclude(c), Said::Delivered(Some(2)));
    world.release();
    world.run_for(100 * MS);
    assert_eq!(world.rows(0)[2..], [(0, 0, vec![c]), (32_000, 1, vec![b])]);
    assert_eq!(world.last(b), Some(Said::Unknown(Cause::ResolveTimeout)));
    world.finish();
}

/// A world whose partition 0 goes on at `sequence`, on a broker that has no state yet.
fn at_the_wrap(sequence: i32) -> (World<'static>, TopicId) {
    let config = Config { linger: 5 * MS, ..quick() };
    let (mut world, topic) = World::cold(&config, ClusterConfig::default(), 2);
    // The producer id has to be known first.
    let warm = world.send(topic, 1);
    assert_eq!(world.conclude(warm), Said::Delivered(Some(0)));
    assert!(world.go_on_at(topic, 0, 0, sequence));
    (world, topic)
}

/// Four records in one batch, which leaves.
fn four(world: &mut World<'_>, topic: TopicId) -> Vec<u64> {
    let ids = (0..4).map(|_| world.produce(topic, Some(0), 20).expect("room")).collect();
    world.producer.flush(world.now);
    world.run_for(Duration::ZERO);
    ids
}

#[test]
fn t16_sequences_go_on_at_zero_behind_the_last() {
    // The second batch ends at the last sequence, begins at 0, or spans both.
    for (start, second) in [(LAST - 7, LAST - 3), (LAST - 3, 0), (LAST - 5, LAST - 1)] {
        let (mut world, topic) = at_the_wrap(start);
        let batches: Vec<Vec<u64>> = (0..3)
            .map(|_| {
                let ids = four(&mut world, topic);
                world.run_for(MS);
                ids
            })
            .collect();
        world.run_for(10 * MS);
        let rows = world.rows(0);
        assert_eq!(rows[0], (0, start, batches[0].clone()));
        assert_eq!(rows[1], (0, second, batches[1].clone()));
        assert_eq!(rows[2].2, batches[2]);
        assert!(rows.iter().all(|row| row.1 >= 0), "{rows:?}");
        assert_eq!(world.producer.stats().epoch_bumps, 0);
        world.finish();
    }
}

#[test]
fn t16_a_retry_across_the_wrap_is_a_duplicate() {
    let (mut world, topic) = at_the_wrap(LAST - 1);
    world.cluster.inject(Fault::produce(Action::CloseAfter));
    let ids = four(&mut world, topic);
    assert_eq!(world.conclude(ids[3]), Said::Delivered(Some(3)));
    assert_eq!(world.rows(0), [(0, LAST - 1, ids)]);
    assert_eq!(world.cluster.counts("t", 0).duplicates, 1);
    world.finish();
}

#[test]
fn t16_later_acknowledgements_leave_just_the_offsets_of_a_batch_across_the_wrap() {
    let (mut world, topic) = at_the_wrap(LAST - 9);
    let first = four(&mut world, topic);
    assert_eq!(world.conclude(first[0]), Said::Delivered(Some(0)));
    world.cluster.inject(append_then(ErrorCode::REQUEST_TIMED_OUT));
    // LAST-5 to LAST-2, then LAST-1 to 1, then 2 to 5.
    let batches = [0; 3].map(|_| four(&mut world, topic));
    world.run_for(2 * MS);
    assert_eq!(world.last(batches[2][0]), Some(Said::Delivered(Some(12))));
    assert_eq!(world.last(batches[0][0]), Some(Said::Delivered(Some(4))));
    let bases: Vec<i32> = world.rows(0).iter().map(|row| row.1).collect();
    assert_eq!(bases, [LAST - 9, LAST - 5, LAST - 1, 2]);
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (0, 0));
    world.finish();
}

#[test]
fn t16_successors_out_of_order_across_the_wrap_wait_for_their_head() {
    let (mut world, topic) = at_the_wrap(LAST - 9);
    let first = four(&mut world, topic);
    assert_eq!(world.conclude(first[0]), Said::Delivered(Some(0)));
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::REQUEST_TIMED_OUT)));
    let batches = [0; 3].map(|_| four(&mut world, topic));
    for (place, ids) in batches.iter().enumerate() {
        assert_eq!(world.conclude(ids[0]), Said::Delivered(Some(4 + 4 * place as i64)));
        assert_eq!(world.tap.attempts(ids[0]).count(), 2);
    }
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}

#[test]
fn t17_no_answer_of_an_old_epoch_can_meet_the_new_one() {
    let config = Config { delivery_timeout: 50 * MS, resolve_timeout: 100 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.inject(Fault::produce(Action::Hold(400 * MS)));
    let a = world.send(topic, 0);
    world.run_for(200 * MS);
    assert_eq!(world.conclude(a), Said::Unknown(Cause::ResolveTimeout));
    let [b, c] = [0; 2].map(|_| {
        let id = world.send(topic, 0);
        world.run_for(45 * MS);
        id
    });
    // The answer about A is out by now, and has nobody to come to.
    world.run_for(Duration::from_secs(1));
    let d = world.send(topic, 0);
    assert_eq!(world.conclude(d), Said::Delivered(Some(4)));
    let rows = [(0, 0, vec![0]), (0, 1, vec![a]), (1, 0, vec![b]), (1, 1, vec![c])];
    assert_eq!(world.rows(0)[..4], rows);
    let conn = |id| world.tap.attempts(id).next().map(|sent: &ottla_scenario::Sent| sent.conn);
    assert_ne!(conn(a), conn(b));
    assert_eq!(world.last(a), Some(Said::Unknown(Cause::ResolveTimeout)));
    world.finish();
}

#[test]
fn t18_a_gap_on_one_partition_concerns_no_other() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 3);
    let desync = Action::Reject(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    world.cluster.inject(Fault::produce(desync).on("t", 1));
    for _ in 0..4 {
        for partition in 0..3 {
            let _ = world.send(topic, partition);
        }
        world.run_for(MS);
    }
    world.run_for(10 * MS);
    for partition in [0, 2] {
        let chain: Vec<_> = world.rows(partition).iter().map(|row| (row.0, row.1)).collect();
        assert_eq!(chain, [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]);
        assert_eq!(world.tap.to("t", partition).count(), 5);
    }
    let chain: Vec<_> = world.rows(1).iter().map(|row| (row.0, row.1)).collect();
    assert_eq!(chain[..2], [(0, 0), (1, 0)]);
    assert_eq!(world.cluster.end_offset("t", 1), 5);
    assert_eq!(world.producer.stats().epoch_bumps, 1);
    world.finish();
}

#[test]
fn t36_nothing_leaves_before_the_producer_id_and_deadlines_hold() {
    let config = Config { delivery_timeout: 50 * MS, ..quick() };
    let mut world = World::new(&config, ClusterConfig::default(), 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    let none = Action::Reject(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    world.cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, none).times(2));
    let none = Action::Reject(ErrorCode::COORDINATOR_NOT_AVAILABLE);
    world.cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, none).times(2));
    let topic = world.topic("t");
    let a = world.send(topic, 0);
    world.run_for(60 * MS);
    let late = Said::NotDelivered(Cause::DeliveryTimeout);
    assert_eq!(world.first(a), Some((late, 50 * MS)));
    assert_eq!(world.tap.sent.len(), 0);
    world.run_for(Duration::from_secs(1));
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(0)));
    assert_eq!(world.rows(0), [(0, 0, vec![b])]);
    world.finish();
}

#[test]
fn t36_a_producer_that_may_not_be_idempotent_says_so_until_it_may() {
    let mut world = World::new(&quick(), ClusterConfig::default(), 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    for error in [ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, ErrorCode::CLUSTER_AUTHORIZATION_FAILED]
    {
        world.cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, Action::Reject(error)));
    }
    let topic = world.topic("t");
    let a = world.send(topic, 0);
    let why = NoProducerId::NotAuthorized;
    let told = |world: &World<'_>| {
        world.events.iter().any(|(_, event)| *event == Event::NoProducerId(why))
    };
    assert!(world.run_until(Duration::from_secs(1), told));
    assert_eq!(world.last(a), Some(Said::NotDelivered(Cause::NoProducerId(why))));
    assert_eq!(world.produce(topic, Some(0), 20), Err(ProduceError::NoProducerId(why)));
    assert_eq!(world.tap.sent.len(), 0);
    let healed =
        |world: &World<'_>| world.events.iter().any(|(_, event)| *event == Event::ProducerId);
    assert!(world.run_until(Duration::from_secs(1), healed));
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(0)));
    world.finish();
}

#[test]
fn t36_a_new_producer_id_is_for_the_chain_that_needs_one_and_for_no_other() {
    // Partition 0 needs a new id while partition 1 has one batch in flight and one waiting.
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 2);
    assert!(world.go_on_at(topic, 0, 32_000, 0));
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    world.cluster.inject(append_then(ErrorCode::REQUEST_TIMED_OUT).on("t", 1).times(3));
    let b = world.send(topic, 1);
    world.run_for(MS);
    let c = world.send(topic, 1);
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::INVALID_RECORD)).on("t", 0));
    let gap = world.send(topic, 0);
    assert!(matches!(world.conclude(gap), Said::NotDelivered(_)));
    let d = world.send(topic, 0);
    assert_eq!(world.conclude(d), Said::Delivered(Some(2)));
    assert_eq!(world.conclude(b), Said::Delivered(Some(1)));
    assert_eq!(world.conclude(c), Said::Delivered(Some(2)));
    let pid = |id| {
        world.tap.attempts(id).last().map(|sent: &ottla_scenario::Sent| sent.header.producer_id)
    };
    assert_eq!(pid(b), pid(a), "what was exposed stays as it was");
    assert_ne!(pid(d), pid(a));
    assert_eq!(pid(c), pid(b), "its chain goes on");
    assert_eq!(world.rows(1), [(0, 0, vec![1]), (0, 1, vec![b]), (0, 2, vec![c])]);
    assert_eq!(world.cancel(c), Verdict::AlreadySettled);
    world.finish();
}

#[test]
fn t36_a_chain_with_a_batch_in_flight_keeps_its_producer_id() {
    // Partition 0, on node 2, needs a new id while partition 1, on node 1, waits for an answer.
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::with_nodes(2), 2);
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    assert!(world.go_on_at(topic, 0, 32_000, 0));
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    world.run_for(Duration::from_secs(1));
    let warm = world.send(topic, 1);
    assert_eq!(world.conclude(warm), Said::Delivered(Some(1)));
    world.cluster.inject(Fault::produce(Action::Hold(400 * MS)).on("t", 1));
    let b = world.send(topic, 1);
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::INVALID_RECORD)).on("t", 0));
    let gap = world.send(topic, 0);
    assert!(matches!(world.conclude(gap), Said::NotDelivered(_)));
    let d = world.send(topic, 0);
    assert_eq!(world.conclude(d), Said::Delivered(Some(2)));
    assert_eq!(world.last(b), None);
    let c = world.send(topic, 1);
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!(world.conclude(c), Said::Delivered(Some(3)));
    let first = |id| world.tap.attempts(id).next().expect("an attempt");
    assert_ne!(first(c).header.producer_id, first(d).header.producer_id);
    assert_eq!(first(c).header.producer_id, first(b).header.producer_id);
    assert_eq!((first(c).header.producer_epoch, first(c).header.base_sequence), (0, 3));
    world.finish();
}
