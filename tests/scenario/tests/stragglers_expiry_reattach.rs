//! What can be found out after everything went wrong: T14, T28, T32, T35.

use core::time::Duration;

use ottla_core::{Cause, Config, OnUnknown, TopicId, Verdict, wire::ErrorCode};
use ottla_model::{Action, BaseOffset, ClusterConfig, Fault, ProducerWindow};
use ottla_scenario::{Said, World, quick};

const MS: Duration = Duration::from_millis(1);

/// Three batches that are appended one behind the other, and whose answers are lost.
fn three_without_answers(window: ProducerWindow) -> (World<'static>, TopicId, [u64; 3]) {
    let config = ClusterConfig { restart_window: window, ..ClusterConfig::default() };
    let (mut world, topic) = World::warm(&quick(), config, 1);
    world.cluster.inject(Fault::produce(Action::Swallow));
    let ids = [0; 3].map(|_| world.send(topic, 0));
    world.run_for(MS);
    assert_eq!(world.cluster.end_offset("t", 0), 4);
    (world, topic, ids)
}

#[test]
fn t14_a_broker_that_remembers_one_batch_is_asked_for_the_newest() {
    let (mut world, topic, [a, b, c]) = three_without_answers(ProducerWindow::LastBatch);
    world.cluster.restart(1).expect("a node");
    assert_eq!(world.conclude(c), Said::Delivered(Some(3)));
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    let next = world.send(topic, 0);
    assert_eq!(world.conclude(next), Said::Delivered(Some(4)));
    let rows = [(0, 0, vec![0]), (0, 1, vec![a]), (0, 2, vec![b]), (0, 3, vec![c])];
    assert_eq!(world.rows(0)[..4], rows);
    assert_eq!(world.rows(0)[4..], [(0, 4, vec![next])]);
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}

#[test]
fn t14_a_broker_that_knows_no_duplicates_makes_unknown_and_nothing_is_sent_again() {
    let (mut world, topic, ids) = three_without_answers(ProducerWindow::Everything);
    let never = Action::Reject(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    world.cluster.inject(Fault::produce(never).times(3));
    world.cut_all();
    for id in ids {
        assert_eq!(world.conclude(id), Said::Unknown(Cause::SequenceMismatch));
    }
    let next = world.send(topic, 0);
    assert_eq!(world.conclude(next), Said::Delivered(Some(4)));
    assert_eq!(world.rows(0)[4..], [(1, 0, vec![next])]);
    assert_eq!(world.producer.stats().epoch_bumps, 1);
    world.finish();
}

/// A was given up, and its request is a straggler.
fn abandoned(on_unknown: OnUnknown) -> (World<'static>, TopicId, u64) {
    // The policy counts from the end of the attempt, the timeout cuts it short.
    let abandons = on_unknown == OnUnknown::Abandon;
    let request_timeout = if abandons { 120 * MS } else { Duration::from_secs(10) };
    let config = Config {
        delivery_timeout: 50 * MS,
        resolve_timeout: 100 * MS,
        request_timeout,
        on_unknown,
        ..quick()
    };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.hold_up();
    let a = world.send(topic, 0);
    world.run_for(60 * MS);
    assert_eq!(world.first(a), Some((Said::Unknown(Cause::DeliveryTimeout), 50 * MS)));
    world.run_for(200 * MS);
    let cause = if abandons { Cause::Abandoned } else { Cause::ResolveTimeout };
    assert_eq!(world.last(a), Some(Said::Unknown(cause)));
    assert!(world.ledger.is_closed(a));
    (world, topic, a)
}

const POLICIES: [OnUnknown; 2] = [OnUnknown::Resolve, OnUnknown::Abandon];

/// The straggler is in the log before the fence, if at all, and never twice.
fn expect(mut world: World<'_>, topic: TopicId, a: u64, b: u64, rows: &[(i16, i32, Vec<u64>)]) {
    let c = world.send(topic, 0);
    assert!(matches!(world.conclude(c), Said::Delivered(Some(_))));
    assert!(matches!(world.last(b), Some(Said::Delivered(Some(_)))));
    let log = world.rows(0);
    assert_eq!(log[..rows.len()], *rows);
    assert_eq!(log[rows.len()..], [(1, 1, vec![c])]);
    assert!(matches!(world.last(a), Some(Said::Unknown(_))), "no word but unknown");
    assert_eq!(world.producer.stats().epoch_bumps, 1);
    world.finish();
}

#[test]
fn t28_a_straggler_before_the_fence_is_in_the_log_before_it() {
    for policy in POLICIES {
        let (mut world, topic, a) = abandoned(policy);
        world.release();
        world.run_for(10 * MS);
        let b = world.send(topic, 0);
        world.run_for(30 * MS);
        expect(world, topic, a, b, &[(0, 0, vec![0]), (0, 1, vec![a]), (1, 0, vec![b])]);
    }
}

#[test]
fn t28_a_straggler_beside_the_fence_is_before_it_or_refused() {
    for policy in POLICIES {
        for late in [false, true] {
            let (mut world, topic, a) = abandoned(policy);
            let b = world.produce(topic, Some(0), 20).expect("room");
            assert!(world.run_until(40 * MS, |world| world.tap.attempts(b).count() == 1));
            // B is on its way, which takes 100 µs.
            if late {
                world.run_for(Duration::from_micros(150));
            }
            assert_eq!(world.last(b), None);
            world.release();
            world.run_for(30 * MS);
            let (first, fence) = ((0, 0, vec![0]), (1, 0, vec![b]));
            if late {
                expect(world, topic, a, b, &[first, fence]);
            } else {
                expect(world, topic, a, b, &[first, (0, 1, vec![a]), fence]);
            }
        }
    }
}

#[test]
fn t28_a_straggler_behind_the_fence_is_refused() {
    for policy in POLICIES {
        let (mut world, topic, a) = abandoned(policy);
        let b = world.send(topic, 0);
        world.run_for(40 * MS);
        assert_eq!(world.last(b), Some(Said::Delivered(Some(1))));
        world.release();
        world.run_for(10 * MS);
        expect(world, topic, a, b, &[(0, 0, vec![0]), (1, 0, vec![b])]);
    }
}

#[test]
fn t32_a_producer_that_expired_goes_on_where_it_was() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    let producer_id = world.tap.sent[0].header.producer_id;
    world.cluster.forget_producer("t", 0, producer_id).expect("a partition");
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a])]);
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (0, 0));
    world.finish();
}

#[test]
fn t32_a_producer_whose_records_were_deleted_begins_anew_and_calls_it_no_loss() {
    for error in [ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode::UNKNOWN_PRODUCER_ID] {
        let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
        world.cluster.delete_records("t", 0, 1).expect("a partition");
        world.cluster.inject(Fault::produce(Action::Reject(error)));
        let a = world.send(topic, 0);
        assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
        assert_eq!(world.rows(0), [(1, 0, vec![a])]);
        let stats = world.producer.stats();
        // The log starts behind what was acknowledged: deleted as it was wished, and not lost.
        assert_eq!((stats.epoch_bumps, stats.desyncs), (1, 0), "{error}");
        world.finish();
    }
}

#[test]
fn t35_waiting_again_for_the_same_ticket_appends_nothing() {
    let config = Config { delivery_timeout: 50 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    let fault = Action::AppendThenError {
        error: ErrorCode::REQUEST_TIMED_OUT,
        base_offset: BaseOffset::Kept,
    };
    world.cluster.inject(Fault::produce(fault).times(3));
    let a = world.send(topic, 0);
    world.run_for(60 * MS);
    assert_eq!(world.last(a), Some(Said::Unknown(Cause::DeliveryTimeout)));
    // The ticket is as good as before: asking it changes nothing, however often.
    for _ in 0..3 {
        assert_eq!(world.cancel(a), Verdict::Unknown);
        world.run_for(MS);
    }
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.cancel(a), Verdict::AlreadySettled);
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a])]);
    world.finish();
}

#[test]
fn t35_a_ticket_that_was_abandoned_stays_unknown() {
    for policy in POLICIES {
        let (mut world, topic, a) = abandoned(policy);
        let sent = world.tap.attempts(a).count();
        assert_eq!(world.cancel(a), Verdict::AlreadySettled);
        let b = world.send(topic, 0);
        world.run_for(40 * MS);
        assert_eq!(world.last(b), Some(Said::Delivered(Some(1))));
        assert_eq!(world.cancel(a), Verdict::AlreadySettled);
        assert_eq!(world.tap.attempts(a).count(), sent);
        world.finish();
    }
}

#[test]
fn t35_a_ticket_outlives_the_producer_id() {
    // Partition 0 needs a new producer id while partition 1 has a ticket that is unknown.
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 2);
    assert!(world.go_on_at(topic, 0, 32_000, 0));
    let warm = world.send(topic, 0);
    assert_eq!(world.conclude(warm), Said::Delivered(Some(1)));
    let fault = Action::AppendThenError {
        error: ErrorCode::REQUEST_TIMED_OUT,
        base_offset: BaseOffset::Kept,
    };
    world.cluster.inject(Fault::produce(fault).on("t", 1).times(4));
    let a = world.send(topic, 1);
    world.run_for(MS);
    assert_eq!(world.cancel(a), Verdict::Unknown);
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::INVALID_RECORD)).on("t", 0));
    let gap = world.send(topic, 0);
    assert!(matches!(world.conclude(gap), Said::NotDelivered(_)));
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert!(!world.ledger.is_closed(a));
    assert_eq!(world.cancel(a), Verdict::Unknown);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.rows(1), [(0, 0, vec![1]), (0, 1, vec![a])]);
    world.finish();
}
