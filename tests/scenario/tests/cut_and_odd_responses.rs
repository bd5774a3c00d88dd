//! What the network does to bytes, and brokers to answers: T24, T25, T27, and T38.

use core::time::Duration;

use ottla_core::{Cause, Config, TopicId, Verdict, wire::ErrorCode};
use ottla_model::{Action, ClusterConfig, Fault, NodeConfig, Versions};
use ottla_scenario::{Said, Weather, World, quick, storm};

const MS: Duration = Duration::from_millis(1);
/// An answer takes 200 µs, and a new connection longer than the rest.
const ANSWER: Duration = Duration::from_micros(300);

#[test]
fn t24_an_answer_that_races_its_timeout_is_heard_once_either_way() {
    let config = Config { request_timeout: 100 * MS, ..quick() };
    for reads_first in [false, true] {
        for micros in 99_795..=99_805 {
            let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
            world.reads_first = reads_first;
            // 100 µs there, so long at the broker, and 100 µs back.
            let hold = Action::Hold(Duration::from_micros(micros));
            world.cluster.inject(Fault::produce(hold));
            let a = world.send(topic, 0);
            let b = world.send(topic, 0);
            assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
            assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
            let in_time = micros < 99_800 || (micros == 99_800 && reads_first);
            // The second proves the first, where the leader is asked what it has.
            let attempts = [a, b].map(|id| world.tap.attempts(id).count());
            assert_eq!(attempts, [1, if in_time { 1 } else { 2 }], "{micros} µs, {reads_first}");
            assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a]), (0, 2, vec![b])]);
            assert_eq!(world.producer.stats().epoch_bumps, 0);
            world.finish();
        }
    }
}

#[test]
fn t24_an_answer_may_come_in_any_pieces() {
    for piece in 1..=70 {
        let (mut world, topic) = World::cold(&quick(), ClusterConfig::default(), 2);
        world.weather.arrives = piece;
        let ids = [0, 1, 0, 1].map(|partition| world.send(topic, partition));
        for (id, offset) in ids.into_iter().zip([0, 0, 1, 1]) {
            assert_eq!(world.conclude(id), Said::Delivered(Some(offset)));
            assert_eq!(world.tap.attempts(id).count(), 1);
        }
        world.finish();
    }
}

#[test]
fn t24_two_answers_may_come_at_once() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.freeze(1).expect("a node");
    let ids = [0; 3].map(|_| world.send(topic, 0));
    world.run_for(MS);
    world.cluster.thaw(1).expect("a node");
    for (place, id) in ids.into_iter().enumerate() {
        assert_eq!(world.conclude(id), Said::Delivered(Some(1 + place as i64)));
    }
    let answered =
        |id| world.tap.attempts(id).next().and_then(|sent: &ottla_scenario::Sent| sent.answer);
    let times = ids.map(|id| answered(id).map(|(at, _)| at));
    assert!(times.iter().all(|at| *at == times[0]), "{times:?}");
    world.finish();
}

/// Two batches for two partitions in one request.
fn both(world: &mut World<'_>, topic: TopicId) -> [u64; 2] {
    let ids = [0, 1].map(|partition| world.produce(topic, Some(partition), 20).expect("room"));
    world.producer.flush(world.now);
    world.run_for(Duration::ZERO);
    let lens = ids.map(|id| world.tap.attempts(id).map(|sent| sent.request_len).next());
    assert_eq!(lens[0], lens[1], "one request");
    ids
}

#[test]
fn t24_an_answer_that_breaks_off_counts_as_far_as_it_came() {
    // Partition 0 is refused once, partition 1 is appended; the answer ends after so many bytes.
    let config = Config { linger: 5 * MS, ..quick() };
    let mut seen = [0; 3];
    for bytes in 0..140 {
        let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 2);
        let refusal = Action::Reject(ErrorCode::NOT_ENOUGH_REPLICAS);
        world.cluster.inject(Fault::produce(refusal).on("t", 0));
        let [a, b] = both(&mut world, topic);
        world.hush_after(bytes);
        world.run_for(ANSWER);
        let [heard_a, heard_b] = [a, b]
            .map(|id| world.tap.attempts(id).next().is_some_and(|sent| sent.answer.is_some()));
        seen[usize::from(heard_a) + usize::from(heard_b)] += 1;
        assert!(heard_a || !heard_b, "in the order of the answer");
        assert_eq!(world.last(b), heard_b.then_some(Said::Delivered(Some(1))));
        assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
        assert_eq!(world.conclude(b), Said::Delivered(Some(1)));
        assert_eq!(world.tap.attempts(b).count(), if heard_b { 1 } else { 2 });
        assert_eq!(world.rows(1), [(0, 0, vec![1]), (0, 1, vec![b])]);
        assert_eq!(world.producer.stats().epoch_bumps, 0);
        world.finish();
    }
    assert!(seen.iter().all(|seen| *seen > 0), "{seen:?}");
}

#[test]
fn t25_an_answer_that_leaves_out_repeats_or_invents_confuses_nobody() {
    let config = Config { linger: 5 * MS, ..quick() };
    for versions in [Versions::kafka_4(), Versions::kafka_2_8()] {
        for action in [
            Action::Omit,
            Action::Twice,
            Action::Stray,
            Action::Reject(ErrorCode(999)),
            Action::Reject(ErrorCode(-32_768)),
            Action::WrongCorrelation(1),
            Action::WrongCorrelation(-1),
            Action::Garbage(vec![0xff; 40]),
            Action::Garbage(vec![0, 0, 0, 0]),
        ] {
            let nodes = vec![NodeConfig::new(1).speaking(versions.clone())];
            let cluster = ClusterConfig { nodes, ..ClusterConfig::default() };
            let (mut world, topic) = World::warm(&config, cluster, 2);
            world.cluster.inject(Fault::produce(action.clone()).on("t", 0));
            let [a, b] = both(&mut world, topic);
            world.run_for(ANSWER);
            // Partition 1 is served wherever the answer can be read at all.
            let readable = !matches!(action, Action::WrongCorrelation(_) | Action::Garbage(_));
            let expected = readable.then_some(Said::Delivered(Some(1)));
            assert_eq!(world.last(b), expected, "{action:?}");
            assert_eq!(world.conclude(a), Said::Delivered(Some(1)), "{action:?}");
            assert_eq!(world.conclude(b), Said::Delivered(Some(1)), "{action:?}");
            for (partition, id) in [(0, a), (1, b)] {
                let rows = [(0, 0, vec![partition as u64]), (0, 1, vec![id])];
                assert_eq!(world.rows(partition), rows, "{action:?}");
            }
            assert_eq!(world.producer.stats().epoch_bumps, 0);
            world.finish();
        }
    }
}

#[test]
fn t27_a_request_that_was_cut_short_was_not_appended_and_a_whole_one_may_be() {
    let config = Config { delivery_timeout: 50 * MS, ..quick() };
    let mut len = usize::MAX;
    for bytes in 0.. {
        if bytes > len {
            break;
        }
        let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
        world.cluster.inject(Fault::produce(Action::CloseBefore));
        world.cut_after(bytes);
        world.unreachable.push(1);
        let a = world.send(topic, 0);
        world.run_for(60 * MS);
        if let Some(sent) = world.tap.attempts(a).next() {
            len = sent.request_len;
        }
        let cause = Cause::DeliveryTimeout;
        let said = if bytes < len { Said::NotDelivered(cause) } else { Said::Unknown(cause) };
        assert_eq!(world.first(a), Some((said, 50 * MS)), "cut after {bytes} of {len} bytes");
        world.unreachable.clear();
        world.cluster.clear_faults();
        world.run_for(Duration::from_secs(60));
        let b = world.send(topic, 0);
        assert!(matches!(world.conclude(b), Said::Delivered(Some(_))));
        // No byte out: A's sequence is B's. Some: it is nobody's. All: it is A's.
        let expected = match bytes {
            0 => (0, 1),
            _ if bytes < len => (1, 0),
            _ => (0, 2),
        };
        let last = world.rows(0).pop().map(|row| (row.0, row.1));
        assert_eq!(last, Some(expected), "cut after {bytes} of {len} bytes");
        world.finish();
    }
    assert!(len < 500, "a request of {len} bytes was cut at every one");
}

#[test]
fn t27_a_cancel_in_the_middle_of_a_request_is_unknown_and_resolved() {
    for cut in [false, true] {
        let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
        world.weather = Weather { latency: (10_000, 10_000), socket_buffer: 60, ..Weather::FAIR };
        let a = world.send(topic, 0);
        assert_eq!(world.tap.attempts(a).next().map(|sent| sent.complete), Some(false));
        assert_eq!(world.cancel(a), Verdict::Unknown);
        world.weather = Weather::FAIR;
        if cut {
            world.cut_all();
        }
        let b = world.send(topic, 0);
        assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
        assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
        assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a]), (0, 2, vec![b])]);
        assert_eq!(world.producer.stats().epoch_bumps, 0);
        world.finish();
    }
}

#[test]
fn t38_every_law_and_invariant_holds_in_storms() {
    // Other seeds than those of the storm test, which also counts what it saw.
    for seed in 1_000_000..1_000_030 {
        storm::run(&storm::Plan::of(seed), None);
    }
}
