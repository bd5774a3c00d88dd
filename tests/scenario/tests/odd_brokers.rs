//! Brokers that are not quite Kafka, and Kafka that has forgotten: what is said then.

use core::time::Duration;

use ottla_core::{Cause, TopicId, wire::ErrorCode};
use ottla_model::{Action, BaseOffset, ClusterConfig, Duplicates, Fault, Storage};
use ottla_scenario::{Laws, Said, World, quick};

const MS: Duration = Duration::from_millis(1);

fn cluster(duplicates: Duplicates) -> ClusterConfig {
    ClusterConfig { duplicates, ..ClusterConfig::default() }
}

/// A record that is appended, and of which the broker says REQUEST_TIMED_OUT.
fn appended_and_in_doubt(duplicates: Duplicates) -> (World<'static>, TopicId, u64) {
    let (mut world, topic) = World::warm(&quick(), cluster(duplicates), 1);
    let error = ErrorCode::REQUEST_TIMED_OUT;
    let fault = Action::AppendThenError { error, base_offset: BaseOffset::Kept };
    world.cluster.inject(Fault::produce(fault));
    let a = world.send(topic, 0);
    world.run_for(MS);
    assert_eq!(world.cluster.end_offset("t", 0), 2);
    (world, topic, a)
}

#[test]
fn a_broker_that_answers_duplicates_as_an_error_has_them_delivered_without_an_offset() {
    let (mut world, topic, a) = appended_and_in_doubt(Duplicates::AnErrorOfItsOwn);
    assert_eq!(world.conclude(a), Said::Delivered(None));
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a]), (0, 2, vec![b])]);
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}

#[test]
fn a_broker_that_takes_duplicates_for_out_of_order_leaves_them_unknown_and_writes_nothing_twice() {
    let (mut world, topic, a) = appended_and_in_doubt(Duplicates::OutOfOrder);
    // Another broker that had lost the record would say the same: nobody can know.
    assert_eq!(world.conclude(a), Said::Unknown(Cause::SequenceMismatch));
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a]), (1, 0, vec![b])]);
    world.finish();
}

#[test]
fn a_broker_that_looks_at_no_sequence_writes_a_retry_twice_and_says_where() {
    let (mut world, topic, a) = appended_and_in_doubt(Duplicates::AppendedAgain);
    // What it says is true of the second copy.
    assert_eq!(world.conclude(a), Said::Delivered(Some(2)));
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(3)));
    let rows = [(0, 0, vec![0]), (0, 1, vec![a]), (0, 1, vec![a]), (0, 2, vec![b])];
    assert_eq!(world.rows(0), rows);
    world.close(MS);
    world.ledger.hold(&world.cluster, Laws::of(true, Duplicates::AppendedAgain));
}

/// A partition that was written to long ago, and whose broker has forgotten the producer since.
fn forgotten() -> (World<'static>, TopicId) {
    let config = ClusterConfig {
        producer_id_expiration: Duration::from_secs(3_600),
        producer_id_expiration_check: Duration::from_secs(1),
        storage: Storage::Everything,
        ..ClusterConfig::default()
    };
    let (mut world, topic) = World::warm(&quick(), config, 1);
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    world.run_for(Duration::from_secs(3_602));
    (world, topic)
}

#[test]
fn nothing_overtakes_a_batch_that_a_forgetful_broker_refuses() {
    // Such a broker takes any sequence: of two batches in flight it would take the second, and the
    // first would be lost and said to be delivered.
    let (mut world, topic) = forgotten();
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::NOT_ENOUGH_REPLICAS)));
    let [b, c] = [0; 2].map(|_| world.send(topic, 0));
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!(world.conclude(c), Said::Delivered(Some(3)));
    assert_eq!(world.rows(0)[2..], [(0, 2, vec![b]), (0, 3, vec![c])]);
    world.finish();
}

#[test]
fn a_refused_batch_is_not_delivered_because_a_later_one_is() {
    // The broker forgets the producer while two batches are on their way, and refuses the first.
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    let producer_id = world.tap.sent[0].header.producer_id;
    world.cluster.inject(Fault::produce(Action::Reject(ErrorCode::NOT_ENOUGH_REPLICAS)));
    let [b, c] = [0; 2].map(|_| world.send(topic, 0));
    world.cluster.forget_producer("t", 0, producer_id).expect("a partition");
    assert_eq!(world.conclude(c), Said::Delivered(Some(1)));
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    // It was sent again in a new epoch: behind its successor, and not lost.
    assert_eq!(world.rows(0)[1..], [(0, 2, vec![c]), (1, 0, vec![b])]);
    world.close(MS);
    world.ledger.hold(&world.cluster, Laws { order: false, ..Laws::ALL });
}
