//! Retries and what their answers prove: T1 to T5, T10 to T12, T34.

use core::time::Duration;

use ottla_core::{Cause, Verdict, wire::ErrorCode};
use ottla_model::{Action, BaseOffset, ClusterConfig, Fault, ProducerWindow, Versions};
use ottla_scenario::{Said, World, quick};

const MS: Duration = Duration::from_millis(1);

#[test]
fn t01_an_identical_retry_is_answered_with_the_original_offset() {
    for lost in [Action::CloseAfter, Action::Swallow] {
        let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
        world.cluster.inject(Fault::produce(lost));
        let a = world.send(topic, 0);
        assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
        assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a])]);
        assert_eq!(world.cluster.counts("t", 0).duplicates, 1);
        assert_eq!(world.tap.attempts(a).count(), 2);
        assert_eq!(world.producer.stats().epoch_bumps, 0);
        world.finish();
    }
}

#[test]
fn t02_a_retry_in_another_version_bears_the_same_batch() {
    // The tap holds the bytes of each attempt against those of the first. The core does not
    // compress yet, so that half of T2 has to wait.
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::with_nodes(2), 1);
    world.cluster.set_versions(1, Versions::kafka_3_9()).expect("a node");
    world.cut_all();
    world.run_for(100 * MS);
    world.cluster.inject(Fault::produce(Action::CloseAfter));
    let a = world.send(topic, 0);
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    let attempts: Vec<_> = world.tap.attempts(a).map(|sent| (sent.node, sent.version)).collect();
    assert_eq!((attempts[0], attempts.last()), ((1, 11), Some(&(2, 13))));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a])]);
    world.finish();
}

/// A was appended and may be cancelled; B has as many records. B must not be taken for A, which is
/// the bug of franz-go #1217.
fn cancel_a_and_produce_b(faults: &[Action]) {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    for fault in faults {
        world.cluster.inject(Fault::produce(fault.clone()));
    }
    let a = world.send(topic, 0);
    let answered = |world: &World<'_>| world.cluster.pending_faults() == 0;
    assert!(world.run_until(Duration::from_secs(1), answered));
    world.run_for(MS);
    assert_eq!(world.cancel(a), Verdict::Unknown);
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!(world.first(a).map(|(said, _)| said), Some(Said::Unknown(Cause::Cancelled)));
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a]), (0, 2, vec![b])]);
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}

#[test]
fn t03_a_batch_cancelled_after_its_append_timed_out_keeps_its_sequence() {
    for error in [ErrorCode::REQUEST_TIMED_OUT, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND] {
        cancel_a_and_produce_b(&[Action::AppendThenError { error, base_offset: BaseOffset::Kept }]);
    }
}

#[test]
fn t04_a_batch_cancelled_after_a_lost_answer_and_a_refusal_keeps_its_sequence() {
    let refusal = Action::Reject(ErrorCode::NOT_LEADER_OR_FOLLOWER);
    cancel_a_and_produce_b(&[Action::CloseAfter, refusal.clone()]);
    // The same where the first attempt was not appended: nobody can know.
    cancel_a_and_produce_b(&[Action::CloseBefore, refusal]);
}

#[test]
fn t05_an_error_that_may_follow_an_append_is_never_not_delivered() {
    let deadline = 450 * MS;
    for error in [
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ] {
        for base_offset in [BaseOffset::Kept, BaseOffset::Unknown, BaseOffset::Min] {
            let config = ottla_core::Config { delivery_timeout: deadline, ..quick() };
            let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
            let purgatory = Action::AppendThenError { error, base_offset };
            world.cluster.inject(Fault::produce(purgatory).times(u32::MAX));
            let a = world.send(topic, 0);
            world.run_for(2 * deadline);
            let unknown = Said::Unknown(Cause::DeliveryTimeout);
            assert_eq!(world.first(a), Some((unknown, deadline)));
            assert_eq!(world.last(a), Some(unknown));
            world.cluster.clear_faults();
            assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
            assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a])]);
            world.finish();
        }
    }
}

#[test]
fn t10_a_batch_is_delivered_if_later_ones_leave_just_its_offsets() {
    let config =
        ClusterConfig { restart_window: ProducerWindow::LastBatch, ..ClusterConfig::with_nodes(2) };
    let (mut world, topic) = World::warm(&quick(), config, 1);
    let error = ErrorCode::REQUEST_TIMED_OUT;
    let fault = Action::AppendThenError { error, base_offset: BaseOffset::Kept };
    world.cluster.inject(Fault::produce(fault));
    let a = world.send(topic, 0);
    let later: Vec<u64> = (0..4).map(|_| world.send(topic, 0)).collect();
    world.run_for(2 * MS);
    for (place, id) in later.iter().enumerate() {
        assert_eq!(world.last(*id), Some(Said::Delivered(Some(2 + place as i64))));
    }
    assert_eq!(world.last(a), Some(Said::Delivered(Some(1))), "without another attempt");
    // The snapshot of a producer has its last batch only, so nobody could tell now.
    world.cluster.restart(1).expect("a node");
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (0, 0));
    let next = world.send(topic, 0);
    assert_eq!(world.conclude(next), Said::Delivered(Some(6)));
    let sequences: Vec<_> = world.rows(0).iter().map(|row| (row.0, row.1)).collect();
    assert_eq!(sequences, [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (0, 6)]);
    world.finish();
}

#[test]
fn t11_an_ambiguous_head_is_sent_again_before_the_successors_that_were_out_of_order() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::REQUEST_TIMED_OUT)));
    let [a, b, c] = [0; 3].map(|_| world.send(topic, 0));
    for (id, offset) in [(a, 1), (b, 2), (c, 3)] {
        assert_eq!(world.conclude(id), Said::Delivered(Some(offset)));
        assert_eq!(world.tap.attempts(id).count(), 2);
    }
    let order: Vec<u64> = world.tap.to("t", 0).map(|sent| sent.ids[0]).collect();
    assert_eq!(order, [0, a, b, c, a, b, c]);
    let rows = [(0, 0, vec![0]), (0, 1, vec![a]), (0, 2, vec![b]), (0, 3, vec![c])];
    assert_eq!(world.rows(0), rows);
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (0, 0));
    world.finish();
}

#[test]
fn t12_an_out_of_order_answer_that_is_older_than_an_acknowledgement_proves_nothing() {
    // B was judged before A was appended, and its answer comes after A's.
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    let stale = Action::Reject(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
    world.cluster.inject(Fault::produce(stale).after(1));
    let [a, b] = [0; 2].map(|_| world.send(topic, 0));
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a]), (0, 2, vec![b])]);
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (0, 0));
    world.finish();
}

#[test]
fn t34_a_refusal_after_an_ambiguous_attempt_is_unknown() {
    // A right may be granted again, and then the truth comes out. A batch that is found wrong at the
    // third time is given up, and a new epoch begins behind it.
    let (denied, wrong) = (ErrorCode::TOPIC_AUTHORIZATION_FAILED, ErrorCode::INVALID_RECORD);
    for (code, refusals, in_the_end) in [(denied, 3, true), (wrong, 2, true), (wrong, 3, false)] {
        let unknown = Said::Unknown(Cause::Broker(code));
        let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
        world.cluster.inject(Fault::produce(Action::CloseAfter));
        world.cluster.inject(Fault::produce(Action::Reject(code)).times(refusals));
        let a = world.send(topic, 0);
        world.run_for(100 * MS);
        assert_eq!(world.last(a), Some(unknown));
        let truth = if in_the_end { Said::Delivered(Some(1)) } else { unknown };
        assert_eq!(world.conclude(a), truth, "{code}");
        let b = world.send(topic, 0);
        assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
        let last = if in_the_end { (0, 2, vec![b]) } else { (1, 0, vec![b]) };
        assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a]), last]);
        world.finish();
    }
}
