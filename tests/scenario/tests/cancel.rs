//! Cancels, deadlines and what is known then: T6 to T8, T33, T37.

use core::time::Duration;

use ottla_core::{Cause, Config, Instant, ProduceError, Verdict, wire::ErrorCode};
use ottla_model::{Action, ClusterConfig, Fault};
use ottla_scenario::{Said, World, quick};

const MS: Duration = Duration::from_millis(1);
const LATE: Said = Said::NotDelivered(Cause::DeliveryTimeout);

#[test]
fn t06_a_cluster_that_was_never_reached_takes_nothing_and_blocks_nobody() {
    let config = Config { delivery_timeout: 50 * MS, ..quick() };
    for refused in [true, false] {
        let mut world = World::new(&config, ClusterConfig::default(), 1);
        if refused {
            world.cluster.stop(1).expect("a node");
        } else {
            world.unreachable.push(1);
        }
        let topic = world.producer.topic(world.now, "t").expect("room");
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.produce(topic, Some(0), 20), Err(ProduceError::MetadataPending));
        assert_eq!(world.sent, 0);
        world.finish();
    }
}

#[test]
fn t06_a_broker_that_cannot_be_reached_makes_not_delivered_at_the_deadline() {
    let config = Config { delivery_timeout: 50 * MS, ..quick() };
    for refused in [true, false] {
        let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
        if refused {
            world.cluster.stop(1).expect("a node");
        } else {
            world.unreachable.push(1);
        }
        world.cut_all();
        let sent = world.sent;
        let a = world.send(topic, 0);
        world.run_for(60 * MS);
        assert_eq!(world.first(a), Some((LATE, 50 * MS)));
        assert_eq!((world.sent, world.tap.attempts(a).count()), (sent, 0));
        world.unreachable.clear();
        world.cluster.start(1).expect("a node");
        world.cluster.move_leader("t", 0, 1).expect("a leader");
        world.run_for(Duration::from_secs(60));
        let b = world.send(topic, 0);
        assert_eq!(world.conclude(b), Said::Delivered(Some(1)));
        // Nothing of A was bound, so B has the sequence that A would have had.
        assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![b])]);
        assert_eq!(world.producer.stats().epoch_bumps, 0);
        world.finish();
    }
}

#[test]
fn t07_a_frozen_broker_makes_unknown_at_the_deadline_and_delivered_when_it_thaws() {
    let config = Config { delivery_timeout: 50 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.inject(Fault::produce(Action::Freeze));
    let a = world.send(topic, 0);
    world.run_for(10 * MS);
    let b = world.send(topic, 0);
    world.run_for(Duration::from_secs(40));
    let unknown = Said::Unknown(Cause::DeliveryTimeout);
    for id in [a, b] {
        assert_eq!(world.first(id), Some((unknown, 50 * MS)));
        assert_eq!(world.last(id), Some(unknown));
    }
    // What comes later is not held up by what is unknown, and not sent past it.
    let c = world.send(topic, 0);
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.first(c), Some((LATE, 50 * MS)));
    assert_eq!(world.tap.attempts(c).count(), 0);
    world.cluster.thaw(1).expect("a node");
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    let d = world.send(topic, 0);
    assert_eq!(world.conclude(d), Said::Delivered(Some(3)));
    let rows = [(0, 0, vec![0]), (0, 1, vec![a]), (0, 2, vec![b]), (0, 3, vec![d])];
    assert_eq!(world.rows(0), rows);
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}

#[test]
fn t08_a_cancelled_record_takes_no_other_of_its_batch_with_it() {
    let config = Config { linger: 5 * MS, ..quick() };
    for in_flight in [true, false] {
        let (mut world, topic) = World::cold(&config, ClusterConfig::default(), 1);
        let ids: Vec<u64> =
            (0..100).map(|_| world.produce(topic, Some(0), 20).expect("room")).collect();
        if in_flight {
            assert!(world.run_until(10 * MS, |world| world.tap.attempts(0).count() == 1));
        }
        let verdict = world.cancel(ids[37]);
        world.run_for(20 * MS);
        let mut offsets = 0..;
        for id in &ids {
            let expected = match (id, in_flight) {
                (37, true) => Said::Unknown(Cause::Cancelled),
                (37, false) => Said::NotDelivered(Cause::Cancelled),
                _ => Said::Delivered(world.last(*id).and_then(offset)),
            };
            assert_eq!(world.first(*id).map(|(said, _)| said), Some(expected));
            if *id != 37 || in_flight {
                let offset = offsets.next();
                assert_eq!(world.last(*id), Some(Said::Delivered(offset)));
            }
        }
        let expected = if in_flight { Verdict::Unknown } else { Verdict::NotDelivered };
        assert_eq!(verdict, expected);
        assert_eq!(world.cluster.counts("t", 0).batches, 1);
        assert_eq!(world.producer.stats().epoch_bumps, 0);
        world.finish();
    }
}

fn offset(said: Said) -> Option<i64> {
    match said {
        Said::Delivered(offset) => offset,
        Said::NotDelivered(_) | Said::Unknown(_) => None,
    }
}

/// A, refused with NOT_ENOUGH_REPLICAS again and again.
fn refused(config: &Config<'_>) -> (World<'static>, ottla_core::TopicId, u64) {
    let (mut world, topic) = World::warm(config, ClusterConfig::default(), 1);
    world.cluster.set_in_sync_replicas("t", 0, 0).expect("a partition");
    let a = world.send(topic, 0);
    world.run_for(250 * MS);
    let attempts = world.tap.attempts(a).filter_map(|sent| sent.answer);
    let answers: Vec<ErrorCode> = attempts.map(|(_, error)| error).collect();
    assert!(answers.len() >= 2, "{answers:?}");
    assert!(answers.iter().all(|error| *error == ErrorCode::NOT_ENOUGH_REPLICAS));
    (world, topic, a)
}

/// What was refused leaves a gap, and so what follows begins a new epoch.
fn goes_on_behind_the_gap(mut world: World<'_>, topic: ottla_core::TopicId) {
    world.cluster.set_in_sync_replicas("t", 0, 1).expect("a partition");
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (1, 0, vec![b])]);
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (1, 0));
    world.finish();
}

#[test]
fn t33_a_batch_that_was_only_refused_is_not_delivered_when_it_is_cancelled() {
    let (mut world, topic, a) = refused(&quick());
    assert_eq!(world.cancel(a), Verdict::NotDelivered);
    goes_on_behind_the_gap(world, topic);
}

#[test]
fn t33_a_batch_that_was_only_refused_is_not_delivered_at_its_deadline() {
    let (mut world, topic, a) = refused(&Config { delivery_timeout: 300 * MS, ..quick() });
    world.run_for(100 * MS);
    assert_eq!(world.first(a), Some((LATE, 300 * MS)));
    goes_on_behind_the_gap(world, topic);
}

#[test]
fn t37_a_clock_that_jumps_gives_one_verdict_each() {
    let config = Config { delivery_timeout: 50 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    // Back: ignored.
    world.producer.handle_timeout(Instant::ZERO);
    world.cluster.freeze(1).expect("a node");
    let a = world.send(topic, 0);
    world.producer.handle_timeout(Instant::from_micros(1));
    world.producer.flush(Instant::ZERO);
    world.run_for(10 * MS);
    assert_eq!(world.last(a), None);
    // Forward by an hour: everything is due at once.
    world.now = world.now.after(Duration::from_secs(3_600));
    world.producer.handle_timeout(world.now);
    world.run_for(Duration::ZERO);
    assert_eq!(world.first(a).map(|(said, _)| said), Some(Said::Unknown(Cause::DeliveryTimeout)));
    world.cluster.thaw(1).expect("a node");
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    world.finish();
}

#[test]
fn t37_a_deadline_may_be_now_or_never() {
    let config = Config { delivery_timeout: Duration::ZERO, ..quick() };
    let (mut world, topic) = World::cold(&config, ClusterConfig::default(), 1);
    let a = world.produce(topic, Some(0), 20).expect("room");
    world.producer.handle_timeout(world.now);
    world.run_for(MS);
    assert_eq!(world.first(a), Some((LATE, Duration::ZERO)));
    assert_eq!(world.rows(0), []);
    world.finish();

    let config = Config { delivery_timeout: Duration::MAX, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.freeze(1).expect("a node");
    let a = world.send(topic, 0);
    world.run_for(Duration::from_secs(3_600));
    assert_eq!(world.last(a), None);
    world.cluster.thaw(1).expect("a node");
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    world.finish();
}

#[test]
fn t37_the_first_last_word_wins() {
    let config = Config { linger: 5 * MS, ..quick() };
    let (mut world, topic) = World::cold(&config, ClusterConfig::default(), 1);
    let [a, b] = [0; 2].map(|_| world.produce(topic, Some(0), 20).expect("room"));
    assert_eq!(world.cancel(a), Verdict::NotDelivered);
    assert_eq!(world.cancel(a), Verdict::NotDelivered);
    world.run_for(20 * MS);
    assert_eq!(world.last(b), Some(Said::Delivered(Some(0))));
    assert_eq!(world.cancel(b), Verdict::AlreadySettled);
    assert_eq!(world.cancel(a), Verdict::AlreadySettled);
    let c = world.produce(topic, Some(0), 20).expect("room");
    assert_eq!(world.cancel(c), Verdict::NotDelivered);
    assert_eq!(world.cancel(c), Verdict::AlreadySettled);
    assert_eq!(world.last(c), Some(Said::NotDelivered(Cause::Cancelled)));
    // In flight: unknown as often as one asks, and then settled.
    let d = world.produce(topic, Some(0), 20).expect("room");
    assert!(world.run_until(10 * MS, |world| world.tap.attempts(d).count() == 1));
    assert_eq!(world.cancel(d), Verdict::Unknown);
    assert_eq!(world.cancel(d), Verdict::Unknown);
    assert_eq!(world.conclude(d), Said::Delivered(Some(1)));
    assert_eq!(world.cancel(d), Verdict::AlreadySettled);
    world.finish();
}

#[test]
fn t37_what_is_settled_and_not_told_yet_is_settled() {
    let config = Config { delivery_timeout: 50 * MS, resolve_timeout: 200 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.freeze(1).expect("a node");
    let a = world.send(topic, 0);
    world.run_for(60 * MS);
    let unknown = Said::Unknown(Cause::DeliveryTimeout);
    assert_eq!((world.last(a), world.ledger.is_closed(a)), (Some(unknown), false));
    assert_eq!(world.cancel(a), Verdict::Unknown);
    // The search is given up, and nobody has heard of it.
    world.now = world.now.after(200 * MS);
    world.producer.handle_timeout(world.now);
    assert_eq!(world.cancel(a), Verdict::AlreadySettled);
    assert!(!world.ledger.is_closed(a));
    world.run_for(Duration::ZERO);
    assert!(world.ledger.is_closed(a));
    assert_eq!(world.last(a), Some(Said::Unknown(Cause::ResolveTimeout)));
    world.cluster.thaw(1).expect("a node");
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    world.finish();
}
