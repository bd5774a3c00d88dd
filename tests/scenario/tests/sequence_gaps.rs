//! Gaps in a chain: what they say of the batches around them. Each of these fails where the line that
//! it is about is changed (`docs/mutants.md`).

use core::time::Duration;

use ottla_core::{
    Cause, Config,
    wire::{ApiKey, ErrorCode},
};
use ottla_model::{Action, BaseOffset, ClusterConfig, Fault};
use ottla_scenario::{Said, Sent, Weather, World, quick};

const MS: Duration = Duration::from_millis(1);

fn reject(error: ErrorCode) -> Fault {
    Fault::produce(Action::Reject(error))
}

fn append_then(error: ErrorCode) -> Fault {
    Fault::produce(Action::AppendThenError { error, base_offset: BaseOffset::Kept })
}

#[test]
fn what_may_be_in_the_log_behind_a_gap_keeps_its_name() {
    // A broker that knows this producer cannot have taken B or C behind the gap of A. One that has
    // forgotten it in between can.
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(reject(ErrorCode::INVALID_RECORD));
    world.cluster.inject(reject(ErrorCode::REQUEST_TIMED_OUT).times(2));
    let [a, b, c] = [0; 3].map(|_| world.send(topic, 0));
    let refused = Said::NotDelivered(Cause::Broker(ErrorCode::INVALID_RECORD));
    assert_eq!(world.conclude(a), refused);
    assert_eq!([b, c].map(|id| world.conclude(id)), [Said::Unknown(Cause::SequenceMismatch); 2]);
    let d = world.send(topic, 0);
    assert_eq!(world.conclude(d), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (1, 0, vec![d])]);
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (1, 0));
    world.finish();
}

#[test]
fn what_was_refused_behind_a_gap_goes_out_in_the_next_epoch() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(reject(ErrorCode::INVALID_RECORD));
    let [a, b, c] = [0; 3].map(|_| world.send(topic, 0));
    let refused = Said::NotDelivered(Cause::Broker(ErrorCode::INVALID_RECORD));
    assert_eq!(world.conclude(a), refused);
    assert_eq!([b, c].map(|id| world.conclude(id)), [1, 2].map(|at| Said::Delivered(Some(at))));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (1, 0, vec![b]), (1, 1, vec![c])]);
    assert_eq!([b, c].map(|id| world.tap.attempts(id).count()), [2, 2]);
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (1, 0));
    world.finish();
}

#[test]
fn a_gap_that_opens_while_a_batch_behind_it_is_on_its_way_explains_its_refusal() {
    // A waits to be sent again, and C is refused for good, so that B alone is sent again: then A's
    // time is over.
    let config = Config { delivery_timeout: 430 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.weather = Weather { latency: (50_000, 50_000), ..Weather::FAIR };
    world.cluster.inject(reject(ErrorCode::NOT_ENOUGH_REPLICAS));
    world.cluster.inject(reject(ErrorCode::REQUEST_TIMED_OUT));
    world.cluster.inject(reject(ErrorCode::INVALID_RECORD));
    let a = world.send(topic, 0);
    world.run_for(80 * MS);
    let [b, c] = [0; 2].map(|_| world.send(topic, 0));
    world.run_for(349 * MS);
    let again = world.tap.attempts(b).last().expect("an attempt");
    assert!(!again.over, "B is in flight when A's time is over");
    assert_eq!(world.tap.attempts(b).count(), 2);
    assert_eq!(world.last(c), Some(Said::NotDelivered(Cause::Broker(ErrorCode::INVALID_RECORD))));
    assert_eq!(world.conclude(a), Said::NotDelivered(Cause::DeliveryTimeout));
    world.weather = Weather::FAIR;
    // Its first attempt may have been appended, for all that is known.
    assert_eq!(world.conclude(b), Said::Unknown(Cause::SequenceMismatch));
    let d = world.send(topic, 0);
    assert_eq!(world.conclude(d), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (1, 0, vec![d])]);
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (1, 0));
    world.finish();
}

#[test]
fn a_probe_that_hits_does_not_close_a_gap() {
    // C's sequence is given up; then the broker forgets all but B, and is asked for it.
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(append_then(ErrorCode::REQUEST_TIMED_OUT).times(2));
    world.cluster.inject(reject(ErrorCode::INVALID_RECORD));
    let [a, b, c] = [0; 3].map(|_| world.send(topic, 0));
    assert!(matches!(world.conclude(c), Said::NotDelivered(_)));
    world.cluster.restart(1).expect("a node");
    let d = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!(world.last(a), Some(Said::Delivered(Some(1))));
    assert_eq!(world.conclude(d), Said::Delivered(Some(3)));
    assert_eq!(world.rows(0)[3..], [(1, 0, vec![d])]);
    assert_eq!(world.tap.attempts(d).count(), 1, "not behind the gap");
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (1, 0));
    world.finish();
}

#[test]
fn a_leader_that_moves_while_another_is_probed_does_not_close_a_gap() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::with_nodes(2), 1);
    world.cluster.inject(append_then(ErrorCode::REQUEST_TIMED_OUT).times(2));
    world.cluster.inject(reject(ErrorCode::INVALID_RECORD));
    let ids = [0; 3].map(|_| world.send(topic, 0));
    assert!(matches!(world.conclude(ids[2]), Said::NotDelivered(_)));
    // Node 1 refuses the oldest, and leads no more before the newest is its probe.
    world.cluster.inject(reject(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    world.cluster.inject(Fault::produce(Action::CloseBefore));
    let d = world.send(topic, 0);
    let closed = |world: &World<'_>| world.cluster.pending_faults() == 0;
    assert!(world.run_until(Duration::from_secs(1), closed));
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    for (id, offset) in [(ids[0], 1), (ids[1], 2), (d, 3)] {
        assert_eq!(world.conclude(id), Said::Delivered(Some(offset)));
    }
    assert_eq!(world.rows(0)[3..], [(1, 0, vec![d])]);
    assert_eq!(world.tap.attempts(d).count(), 1, "not behind the gap");
    world.finish();
}

#[test]
fn a_probe_that_fails_leaves_alone_what_is_certainly_not_in_the_log() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(reject(ErrorCode::REQUEST_TIMED_OUT));
    world.cluster.inject(reject(ErrorCode::NOT_ENOUGH_REPLICAS));
    world.cluster.inject(reject(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    let [a, b] = [0; 2].map(|_| world.send(topic, 0));
    assert_eq!(world.conclude(a), Said::Unknown(Cause::SequenceMismatch));
    assert_eq!(world.conclude(b), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (1, 0, vec![b])]);
    let stats = world.producer.stats();
    assert_eq!((stats.delivered, stats.not_delivered, stats.unknown), (2, 0, 1));
    world.finish();
}

#[test]
fn a_producer_id_that_another_has_taken_over_is_given_up_at_once() {
    let fenced = ErrorCode::INVALID_PRODUCER_EPOCH;
    for open in [false, true] {
        let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
        if open {
            world.cluster.inject(append_then(ErrorCode::REQUEST_TIMED_OUT));
        }
        world.cluster.inject(reject(fenced));
        let a = world.send(topic, 0);
        world.run_for(MS);
        let b = world.send(topic, 0);
        let (end, rest) = if open {
            // The attempt before may be in the log, and the new id cannot tell.
            (Said::Unknown(Cause::Broker(fenced)), vec![(0, 1, vec![a]), (0, 0, vec![b])])
        } else {
            (Said::Delivered(Some(1)), vec![(0, 0, vec![a]), (0, 1, vec![b])])
        };
        assert_eq!(world.conclude(a), end);
        assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
        assert_eq!(world.rows(0)[1..], rest);
        let id = |id| world.tap.attempts(id).last().map(|sent: &Sent| sent.header.producer_id);
        assert_ne!(id(b), id(0));
        let stats = world.producer.stats();
        assert_eq!((stats.epoch_bumps, stats.desyncs), (0, 0));
        world.finish();
    }
}

#[test]
fn an_acknowledgement_behind_it_delivers_a_batch_for_which_it_leaves_room() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(append_then(ErrorCode::REQUEST_TIMED_OUT));
    let [a, b] = [0; 2].map(|_| world.send(topic, 0));
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!(world.last(a), Some(Said::Delivered(Some(1))));
    assert_eq!(world.tap.attempts(a).count(), 1);
    world.finish();
}

#[test]
fn an_acknowledgement_behind_it_proves_nothing_of_a_batch_for_which_it_leaves_no_room() {
    // A may be in the log as far as its answer goes; then the broker forgets, and takes B and C at once
    // behind what was there before.
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(reject(ErrorCode::REQUEST_TIMED_OUT));
    let producer_id = world.tap.sent[0].header.producer_id;
    world.cluster.forget_producer("t", 0, producer_id).expect("a partition");
    let [a, b, c] = [0; 3].map(|_| world.send(topic, 0));
    assert_eq!(world.conclude(b), Said::Delivered(Some(1)));
    assert_eq!(world.conclude(c), Said::Delivered(Some(2)));
    assert!(matches!(world.conclude(a), Said::Unknown(_)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 2, vec![b]), (0, 3, vec![c])]);
    world.finish();
}

#[test]
fn a_topic_that_is_made_anew_while_a_batch_is_in_flight_lets_it_land_first() {
    let config = Config { metadata_max_age: 50 * MS, request_timeout: 400 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::with_nodes(2), 2);
    world.cluster.move_leader("t", 1, 2).expect("a leader");
    world.run_for(100 * MS);
    let elsewhere = world.send(topic, 1);
    assert_eq!(world.conclude(elsewhere), Said::Delivered(Some(1)));
    // The second attempt leaves and is lost; node 2 tells of the new topic meanwhile.
    world.cluster.inject(append_then(ErrorCode::KAFKA_STORAGE_ERROR));
    world.cluster.inject(Fault::produce(Action::Swallow));
    let a = world.send(topic, 0);
    world.run_for(120 * MS);
    world.cluster.recreate_topic("t").expect("a topic");
    world.run_for(300 * MS);
    assert_eq!(world.tap.attempts(a).count(), 2);
    assert!(world.tap.attempts(a).last().is_some_and(|sent| !sent.over), "in flight");
    assert_eq!(world.last(a), None);
    world.run_for(100 * MS);
    assert_eq!(world.last(a), Some(Said::Unknown(Cause::Recreated)));
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(0)));
    assert_eq!(world.rows(0), [(1, 0, vec![b])]);
    world.finish();
}

#[test]
fn only_a_batch_that_is_too_large_is_taken_apart() {
    for (error, apart) in [
        (ErrorCode::INVALID_RECORD, false),
        (ErrorCode::MESSAGE_TOO_LARGE, true),
        (ErrorCode::RECORD_LIST_TOO_LARGE, true),
    ] {
        let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
        world.cluster.inject(reject(error));
        let ids = [0; 4].map(|_| world.produce(topic, Some(0), 20).expect("room"));
        for (place, id) in ids.into_iter().enumerate() {
            let end = if apart {
                Said::Delivered(Some(1 + place as i64))
            } else {
                Said::NotDelivered(Cause::Broker(error))
            };
            assert_eq!(world.conclude(id), end);
        }
        let halves = [(0, 0, vec![0]), (0, 1, ids[..2].to_vec()), (0, 3, ids[2..].to_vec())];
        assert_eq!(world.rows(0), halves[..if apart { 3 } else { 1 }]);
        world.finish();
    }
}

/// An answer to the first InitProducerId, version 4.
fn producer_id(error: ErrorCode, id: i64, epoch: i16) -> Vec<u8> {
    // Correlation ids go on from where the seed begins; Metadata comes between this and Produce.
    let (world, _) = World::warm(&quick(), ClusterConfig::default(), 1);
    let correlation_id = world.tap.sent[0].correlation_id - 2;
    let mut bytes = vec![0, 0, 0, 22];
    bytes.extend(correlation_id.to_be_bytes());
    bytes.extend([0; 5]);
    bytes.extend(error.0.to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(epoch.to_be_bytes());
    bytes.push(0);
    bytes
}

#[test]
fn no_producer_id_is_taken_from_an_answer_that_has_none() {
    let (none, later) = (ErrorCode::NONE, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    for (error, id, epoch) in [(none, -1, 0), (none, 77, -1), (later, 77, 5)] {
        let mut world = World::new(&quick(), ClusterConfig::default(), 1);
        world.cluster.create_topic("t", 1).expect("a topic");
        let answer = Action::Garbage(producer_id(error, id, epoch));
        world.cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, answer));
        let topic = world.topic("t");
        let a = world.send(topic, 0);
        assert_eq!(world.conclude(a), Said::Delivered(Some(0)));
        let header = world.tap.sent[0].header;
        assert!(header.producer_id >= 0 && header.producer_id != 77, "{header:?}");
        assert_eq!((header.producer_epoch, header.base_sequence), (0, 0));
        // Who gives an id that cannot be is not asked for more.
        let ended = u64::from(error.is_none());
        assert_eq!(world.producer.stats().disconnects, ended, "the answer was understood");
        world.finish();
    }
}
