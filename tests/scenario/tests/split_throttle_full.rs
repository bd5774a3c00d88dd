//! Batches that are too large, brokers that throttle, memory that is full: T22, T23, T29, T30.

use core::time::Duration;

use ottla_core::{
    Cause, Config, Event, Limits, Memory, ProduceError, Record, TopicId, Verdict, wire::ErrorCode,
};
use ottla_model::{Action, BaseOffset, ClusterConfig, Fault, TopicConfig};
use ottla_scenario::{Dice, Random, Said, Weather, World, quick};

const MS: Duration = Duration::from_millis(1);
const TOO_LARGE: Said = Said::NotDelivered(Cause::Broker(ErrorCode::MESSAGE_TOO_LARGE));

/// Sets the largest batch that the broker takes.
fn largest(world: &mut World<'_>, max_message_bytes: usize) {
    let config = TopicConfig { max_message_bytes, ..TopicConfig::default() };
    world.cluster.set_topic_config("t", config).expect("a topic");
}

/// Eight records of 100 bytes in one batch, some 900 bytes in all, which leaves.
fn eight(world: &mut World<'_>, topic: TopicId) -> Vec<u64> {
    let ids = (0..8).map(|_| world.produce(topic, Some(0), 100).expect("room")).collect();
    world.producer.flush(world.now);
    world.run_for(Duration::ZERO);
    ids
}

fn lingering() -> Config<'static> {
    Config { linger: 5 * MS, ..quick() }
}

/// Each record once, in order, at consecutive sequences from `sequence` on and offsets from 1 on.
fn expect_split(world: &World<'_>, ids: &[u64], sequence: i32) {
    let (mut next, mut seen) = (sequence, Vec::<u64>::new());
    for (epoch, base, batch) in &world.rows(0)[1..] {
        assert_eq!((*epoch, *base), (0, next));
        next = ((i64::from(next) + batch.len() as i64) & 0x7fff_ffff) as i32;
        seen.extend(batch);
    }
    assert_eq!(seen, ids);
    for (place, id) in ids.iter().enumerate() {
        assert_eq!(world.last(*id), Some(Said::Delivered(Some(1 + place as i64))));
    }
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (0, 0));
}

#[test]
fn t22_a_batch_that_is_too_large_is_split_and_keeps_its_sequences() {
    // In two, in four, and down to single records.
    for max in [600, 350, 200] {
        let (mut world, topic) = World::warm(&lingering(), ClusterConfig::default(), 1);
        largest(&mut world, max);
        let ids = eight(&mut world, topic);
        for id in &ids {
            world.conclude(*id);
        }
        expect_split(&world, &ids, 1);
        world.finish();
    }
}

/// Five batches that are all split are ten, of which a broker remembers five (I4).
#[test]
fn t22_halves_of_many_batches_do_not_leave_all_at_once() {
    for doubtful in [false, true] {
        let (mut world, topic) = World::warm(&lingering(), ClusterConfig::default(), 1);
        let refusal = Action::Reject(ErrorCode::MESSAGE_TOO_LARGE);
        world.cluster.inject(Fault::produce(refusal).times(4));
        if doubtful {
            world.cluster.inject(Fault::produce(Action::Reject(ErrorCode(999))));
        }
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.extend(eight(&mut world, topic));
            world.producer.flush(world.now);
        }
        for (place, id) in ids.iter().enumerate() {
            assert_eq!(world.conclude(*id), Said::Delivered(Some(1 + place as i64)));
        }
        // Four are split, which is nine with the last: one at a time until five are left; and each alone,
        // and asked about, while the last may be in the log.
        let halves: Vec<_> = world.tap.to("t", 0).skip(6).map(|sent| sent.at).collect();
        assert_eq!(halves.len(), 9);
        let alone = if doubtful { 9 } else { 5 };
        assert!(halves[..alone].is_sorted_by(|one, next| one < next), "{halves:?}");
        assert!(halves[alone..].iter().all(|at| *at == halves[4]), "{halves:?}");
        let stats = world.producer.stats();
        assert_eq!((stats.epoch_bumps, stats.desyncs), (0, 0));
        world.finish();
    }
}

#[test]
fn t22_a_split_crosses_the_last_sequence() {
    let (mut world, topic) = World::cold(&lingering(), ClusterConfig::default(), 1);
    let warm = world.send(topic, 0);
    world.conclude(warm);
    let start = i32::MAX - 5;
    world.cluster.forget_producer("t", 0, world.tap.sent[0].header.producer_id).expect("it");
    assert!(world.go_on_at(topic, 0, 0, start));
    largest(&mut world, 350);
    let ids = eight(&mut world, topic);
    for id in &ids {
        world.conclude(*id);
    }
    expect_split(&world, &ids, start);
    world.finish();
}

#[test]
fn t22_the_parts_of_a_batch_have_the_deadline_of_the_whole() {
    let config = Config { delivery_timeout: 50 * MS, ..lingering() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    largest(&mut world, 600);
    world.cluster.inject(Fault::produce(Action::Freeze).after(1));
    let ids = eight(&mut world, topic);
    world.run_for(60 * MS);
    for id in &ids {
        let (said, after) = world.first(*id).expect("an answer");
        assert!(matches!(said, Said::Unknown(_) | Said::NotDelivered(_)), "{said:?}");
        assert_eq!(after, 50 * MS);
    }
    world.cluster.thaw(1).expect("a node");
    world.run_for(Duration::from_secs(60));
    world.finish();
}

#[test]
fn t22_a_batch_that_may_be_in_the_log_is_not_split() {
    // A broker that takes it again after two refusals tells the truth; three are enough.
    for refusals in [2, 3] {
        let (mut world, topic) = World::warm(&lingering(), ClusterConfig::default(), 1);
        let fault = Action::AppendThenError {
            error: ErrorCode::REQUEST_TIMED_OUT,
            base_offset: BaseOffset::Kept,
        };
        world.cluster.inject(Fault::produce(fault));
        let ids = eight(&mut world, topic);
        world.run_for(MS);
        let refusal = Action::Reject(ErrorCode::MESSAGE_TOO_LARGE);
        world.cluster.inject(Fault::produce(refusal).times(refusals));
        world.run_for(200 * MS);
        let unknown = Said::Unknown(Cause::Broker(ErrorCode::MESSAGE_TOO_LARGE));
        assert!(ids.iter().all(|id| world.last(*id) == Some(unknown)));
        for (place, id) in ids.iter().enumerate() {
            let truth = Said::Delivered(Some(1 + place as i64));
            assert_eq!(world.conclude(*id), if refusals == 2 { truth } else { unknown });
        }
        let next = world.produce(topic, Some(0), 20).expect("room");
        assert_eq!(world.conclude(next), Said::Delivered(Some(9)));
        let last = if refusals == 2 { (0, 9, vec![next]) } else { (1, 0, vec![next]) };
        assert_eq!(world.rows(0)[1..], [(0, 1, ids), last]);
        world.finish();
    }
}

#[test]
fn t22_a_record_that_is_too_large_alone_is_not_delivered() {
    let (mut world, topic) = World::warm(&lingering(), ClusterConfig::default(), 1);
    largest(&mut world, 300);
    let a = world.produce(topic, Some(0), 400).expect("room");
    assert_eq!(world.conclude(a), TOO_LARGE);
    let b = world.produce(topic, Some(0), 20).expect("room");
    assert_eq!(world.conclude(b), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0)[1..], [(1, 0, vec![b])]);
    world.finish();
}

#[test]
fn t23_nothing_is_sent_to_a_broker_that_throttles() {
    let config = Config { delivery_timeout: Duration::from_secs(1), ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.set_throttle(1, Duration::from_secs(5)).expect("a node");
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    let (sent, connections) = (world.sent, world.producer.stats().connections);
    world.cluster.set_throttle(1, Duration::ZERO).expect("a node");
    let b = world.send(topic, 0);
    world.run_for(Duration::from_millis(4_900));
    let late = Said::NotDelivered(Cause::DeliveryTimeout);
    assert_eq!(world.first(b), Some((late, Duration::from_secs(1))));
    assert_eq!(world.sent, sent);
    world.run_for(200 * MS);
    let c = world.send(topic, 0);
    assert_eq!(world.conclude(c), Said::Delivered(Some(2)));
    assert_eq!(world.rows(0)[2..], [(0, 2, vec![c])]);
    let stats = world.producer.stats();
    assert_eq!((stats.connections, stats.disconnects, stats.epoch_bumps), (connections, 0, 0));
    world.finish();
}

#[test]
fn t23_a_request_that_waits_for_the_throttle_is_not_timed_out() {
    // B and C left before A's answer said that the broker throttles, as B's does: C is answered in
    // three seconds.
    let config = Config {
        delivery_timeout: Duration::from_secs(1),
        request_timeout: Duration::from_secs(2),
        ..quick()
    };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.set_throttle(1, Duration::from_millis(1_500)).expect("a node");
    let [a, b, c] = [0; 3].map(|_| world.send(topic, 0));
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    world.cluster.set_throttle(1, Duration::ZERO).expect("a node");
    assert_eq!(world.conclude(c), Said::Delivered(Some(3)));
    let unknown = Said::Unknown(Cause::DeliveryTimeout);
    assert_eq!(world.first(c), Some((unknown, Duration::from_secs(1))));
    assert_eq!((world.tap.attempts(c).count(), world.producer.stats().disconnects), (1, 0));
    world.finish();
}

#[test]
fn t29_bytes_that_a_socket_has_not_taken_yet_stay_as_they_are() {
    // The tap holds each piece that is written against what the request was at its first byte.
    let config = Config { buffer_memory: 8_192, batch_size: 1_024, ..quick() };
    let limits = Limits { page_size: 256, pages: 32, ..Limits::for_config(&config) };
    let cluster = ClusterConfig::default();
    let mut world = World::with_memory(&config, cluster, Memory::heap(limits), 3);
    world.cluster.create_topic("t", 2).expect("a topic");
    let topic = world.topic("t");
    world.run_for(500 * MS);
    for partition in [0, 1] {
        let warm = world.send(topic, partition);
        assert_eq!(world.conclude(warm), Said::Delivered(Some(0)));
    }
    // The socket takes 300 bytes, and no more before these have arrived.
    world.weather = Weather { latency: (50_000, 50_000), socket_buffer: 300, ..Weather::FAIR };
    let a = world.produce(topic, Some(0), 900).expect("room");
    world.run_for(MS);
    let partial = world.tap.attempts(a).next().map(|sent| sent.complete);
    assert_eq!(partial, Some(false));
    assert_eq!(world.cancel(a), Verdict::Unknown);
    let mut more = Vec::new();
    loop {
        match world.produce(topic, Some(1), 200) {
            Ok(id) => more.push(id),
            Err(error) => break assert_eq!(error, ProduceError::Full),
        }
    }
    assert!(more.len() > 10, "{} records fill the pool", more.len());
    world.weather.latency = (100, 100);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    for id in more {
        assert!(matches!(world.conclude(id), Said::Delivered(Some(_))));
    }
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}

#[test]
fn t30_who_waits_for_memory_is_woken_and_every_page_comes_back() {
    for seed in 0..8 {
        let mut dice = Random::new(seed);
        let config = Config { buffer_memory: 16_384, batch_size: 512, linger: 3 * MS, ..quick() };
        let mut world = World::new(&config, ClusterConfig::default(), seed);
        world.cluster.create_topic("t", 3).expect("a topic");
        let topic = world.topic("t");
        let (mut full, mut woken) = (0, 0);
        for _ in 0..20 {
            let partition = dice.roll(0, 2) as i32;
            let len = dice.roll(10, 500) as usize;
            while world.produce(topic, Some(partition), len).is_ok() {
                let id = world.ledger.next_id() - 1;
                if dice.once_in(5) {
                    world.cancel(dice.roll(id.saturating_sub(20), id));
                }
            }
            full += 1;
            // Nothing but time and the network is needed until there is room again.
            let before = world.events.len();
            let freed = |world: &World<'_>| {
                world.events[before..].iter().any(|(_, event)| *event == Event::BufferAvailable)
            };
            assert!(world.run_until(Duration::from_secs(1), freed), "seed {seed}: never woken");
            woken += 1;
            if dice.once_in(3) {
                world.producer.flush(world.now);
            }
        }
        assert_eq!(full, woken);
        world.producer.flush(world.now);
        let empty = |world: &World<'_>| world.producer.stats().batches == 0;
        assert!(world.run_until(Duration::from_secs(1), empty), "seed {seed}: flush never ends");
        assert_eq!(world.producer.stats().pages_used, 0);
        world.finish();
    }
}

#[test]
fn who_waits_for_memory_is_told_of_pages_that_a_batch_gives_back_as_it_leaves() {
    let config = Config { batch_size: 8_192, linger: 5 * MS, ..quick() };
    let limits = Limits { page_size: 1_024, pages: 32, ..Limits::for_config(&config) };
    let cluster = ClusterConfig::default();
    let mut world = World::with_memory(&config, cluster, Memory::heap(limits), 1);
    world.cluster.create_topic("t", 1).expect("a topic");
    let topic = world.topic("t");
    let first = world.produce(topic, Some(0), 100).expect("room");
    world.conclude(first);
    // From here on no answer makes room.
    world.cluster.freeze(1).expect("a broker");
    let mut ids = Vec::new();
    while world.produce(topic, Some(0), 500).is_ok() {
        ids.push(world.ledger.next_id() - 1);
    }
    let used = world.producer.stats().pages_used;
    let before = world.events.len();
    // Some of each batch are left, so that it leaves.
    let (left, cancelled): (Vec<u64>, Vec<u64>) = ids.iter().partition(|id| **id % 8 == 0);
    for id in cancelled {
        assert_eq!(world.cancel(id), Verdict::NotDelivered);
    }
    let told = |world: &World<'_>| {
        world.events[before..].iter().any(|(_, event)| *event == Event::BufferAvailable)
    };
    assert!(world.run_until(10 * MS, told), "never told");
    assert!(world.producer.stats().pages_used < used);
    world.cluster.thaw(1).expect("a broker");
    for id in left {
        world.conclude(id);
    }
    world.finish();
}

#[test]
fn a_timestamp_below_that_of_a_record_without_one_is_refused_by_name() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    for timestamp in [-2, -1_000, i64::MIN] {
        // As the first of a batch, and behind another one.
        for _ in 0..2 {
            let record = Record { value: Some(b"v"), timestamp, ..Record::default() };
            let refused = world.producer.produce(world.now, topic, &record);
            assert_eq!(refused, Err(ProduceError::InvalidTimestamp { timestamp }));
            let _ = world.produce(topic, Some(0), 20).expect("room");
        }
        world.run_for(Duration::from_millis(10));
    }
    // None is no fault: a device may have no clock.
    world.ignore_verdicts = true;
    for timestamp in [-1, 0] {
        let record = Record { value: Some(b"none"), timestamp, ..Record::default() };
        assert!(world.producer.produce(world.now, topic, &record).is_ok());
    }
    world.run_for(Duration::from_millis(10));
    let log = world.cluster.log("t", 0);
    let times: Vec<i64> =
        log.filter(|record| record.value == Some(b"none")).map(|record| record.timestamp).collect();
    assert_eq!(times, [-1, 0]);
}
