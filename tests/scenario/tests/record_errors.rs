//! Which records of a refused batch were at fault, and what the broker says of them (KIP-467).

use core::time::Duration;

use ottla_core::{Cause, Config, Limits, Memory, Outcome, TopicId, Verdict, wire::ErrorCode};
use ottla_model::{Action, ClusterConfig, Fault, TopicConfig};
use ottla_scenario::{Dated, Said, Weather, World, quick};

const MS: Duration = Duration::from_millis(1);
const INVALID: ErrorCode = ErrorCode::INVALID_RECORD;
const NO_KEY: &str = "Compacted topic cannot accept message without key in topic partition t-0";

const fn at_fault(error: ErrorCode) -> Option<Said> {
    Some(Said::NotDelivered(Cause::AtFault(error)))
}

const fn neighbour(error: ErrorCode) -> Option<Said> {
    Some(Said::NotDelivered(Cause::Neighbour(error)))
}

fn lingers() -> Config<'static> {
    Config { linger: 5 * MS, ..quick() }
}

/// A world with such a topic of one partition.
fn with_topic(config: &Config<'_>, topic: TopicConfig) -> (World<'static>, TopicId) {
    // So that records lie across pages.
    let memory = Memory::heap(Limits { page_size: 512, ..Limits::for_config(config) });
    let mut world = World::with_memory(config, ClusterConfig::with_nodes(1), memory, 1);
    world.cluster.create_topic_with("t", 1, topic).expect("a topic");
    let topic = world.topic("t");
    world.run_for(500 * MS);
    (world, topic)
}

/// A world with a compacted topic, which refuses the records of which this is not true.
fn compacted(config: &Config<'_>, keyed: fn(u64) -> bool) -> (World<'static>, TopicId) {
    let (mut world, topic) =
        with_topic(config, TopicConfig { compacted: true, ..TopicConfig::default() });
    world.keyed = keyed;
    (world, topic)
}

/// Produces so many records into one batch and has all of them told of.
fn batch(world: &mut World<'_>, topic: TopicId, records: usize, len: usize) -> Vec<u64> {
    let ids: Vec<u64> =
        (0..records).map(|_| world.produce(topic, Some(0), len).expect("room")).collect();
    for id in &ids {
        world.conclude(*id);
    }
    ids
}

#[test]
fn a_record_at_fault_is_told_from_its_neighbours() {
    let (mut world, topic) = compacted(&lingers(), |id| id != 1 && id != 4);
    world.ledger.at_fault = Some(|id| id == 1 || id == 4);
    let ids = batch(&mut world, topic, 6, 100);
    for id in ids {
        let bad = id == 1 || id == 4;
        let expected = if bad { at_fault(INVALID) } else { neighbour(INVALID) };
        assert_eq!(world.last(id), expected, "record {id}");
    }
    assert_eq!(world.remarks.len(), 3);
    assert_eq!(world.remarks[0], (vec![1], NO_KEY.to_owned()));
    assert_eq!(world.remarks[1], (vec![4], NO_KEY.to_owned()));
    assert_eq!(world.remarks[2].0, [0, 1, 2, 3, 4, 5]);
    assert!(
        world.remarks[2].1.starts_with("One or more records have been rejected due to 2 record")
    );
    world.finish();
}

#[test]
fn the_innocent_can_be_sent_again_without_the_guilty() {
    let (mut world, topic) = compacted(&lingers(), |id| id != 1 && id != 4);
    batch(&mut world, topic, 6, 200);
    let innocent = |outcome: &Outcome| matches!(outcome, Outcome::NotDelivered(Cause::Neighbour(error)) if *error == INVALID);
    let back: Vec<u64> =
        world.returned.iter().filter(|(_, outcome)| innocent(outcome)).map(|(id, _)| *id).collect();
    assert_eq!(back, [0, 2, 3, 5]);
    assert_eq!(world.returned.len(), 6);
    // The world gives each a number of its own: as many of them, and none of the others.
    let again = batch(&mut world, topic, back.len(), 200);
    assert!(again.iter().all(|id| matches!(world.last(*id), Some(Said::Delivered(Some(_))))));
    world.finish();
}

#[test]
fn records_that_are_too_old_or_too_new_are_at_fault() {
    let topic = TopicConfig {
        timestamp_before_max_ms: Some(3_600_000),
        timestamp_after_max_ms: Some(3_600_000),
        ..TopicConfig::default()
    };
    let (mut world, topic) = with_topic(&lingers(), topic);
    let old = Duration::from_secs(2 * 3_600);
    let ids: Vec<u64> = [Dated::Now, Dated::Ago(old), Dated::Now, Dated::SinceStart]
        .into_iter()
        .map(|dated| {
            world.dated = dated;
            world.produce(topic, Some(0), 20).expect("room")
        })
        .collect();
    world.conclude(ids[3]);
    let error = ErrorCode::INVALID_TIMESTAMP;
    let told: Vec<_> = ids.iter().map(|id| world.last(*id)).collect();
    let (bad, good) = (at_fault(error), neighbour(error));
    assert_eq!(told, [good, bad, good, bad]);
    let about: Vec<&[u64]> = world.remarks.iter().map(|(ids, _)| ids.as_slice()).collect();
    assert_eq!(about, [&ids[1..2], &ids[3..], &ids[..]]);
    assert!(world.remarks[0].1.contains("of message with offset 1 is out of range"));
    let all = "One or more records have been rejected due to invalid timestamp";
    assert_eq!(world.remarks[2].1, all);
    world.finish();
}

#[test]
fn all_may_be_at_fault_and_one_alone() {
    for records in [1, 2, 300] {
        let (mut world, topic) = compacted(&lingers(), |_| false);
        let ids = batch(&mut world, topic, records, 20);
        assert!(ids.iter().all(|id| world.last(*id) == at_fault(INVALID)), "{records} records");
        world.finish();
    }
}

#[test]
fn whatever_the_size_of_the_pieces_the_same_is_told() {
    for arrives in (1..40).step_by(3) {
        let (mut world, topic) = compacted(&lingers(), |id| id % 3 != 1);
        world.ledger.at_fault = Some(|id| id % 3 == 1);
        world.weather = Weather { arrives, ..Weather::FAIR };
        let ids = batch(&mut world, topic, 40, 90);
        for id in ids {
            let expected = if id % 3 == 1 { at_fault(INVALID) } else { neighbour(INVALID) };
            assert_eq!(world.last(id), expected, "record {id}, {arrives} bytes at a time");
        }
        assert_eq!(world.remarks.len(), 14, "{arrives} bytes at a time");
        world.finish();
    }
}

/// A world in which a batch of four records is about to be refused, two of which are at fault.
fn about_to_be_refused() -> (World<'static>, Vec<u64>) {
    let (mut world, topic) = compacted(&lingers(), |id| id != 1 && id != 3);
    world.ledger.at_fault = Some(|id| id == 1 || id == 3);
    let ids = (0..4).map(|_| world.produce(topic, Some(0), 90).expect("room")).collect();
    (world, ids)
}

#[test]
fn where_the_list_does_not_come_to_its_end_nobody_is_innocent() {
    let (mut nothing, mut partly) = (0, 0);
    for bytes in (1..).step_by(5) {
        let (mut world, ids) = about_to_be_refused();
        world.hush_after(bytes);
        let told = ids.iter().map(|id| world.conclude(*id)).collect::<Vec<_>>();
        match told[0] {
            // Not one word came of it: the batch may be in the log, for all that the client knows.
            Said::Unknown(Cause::Broker(INVALID)) => nothing += 1,
            Said::NotDelivered(Cause::Broker(INVALID)) => partly += 1,
            Said::NotDelivered(Cause::Neighbour(INVALID)) => break,
            other @ (Said::Delivered(_) | Said::NotDelivered(_) | Said::Unknown(_)) => {
                panic!("{other:?} after {bytes} bytes")
            }
        }
        assert!(told.iter().all(|said| *said == told[0]), "{told:?} after {bytes} bytes");
        world.finish();
    }
    assert!(nothing > 5 && partly > 50, "{nothing} and {partly}");
}

#[test]
fn who_does_not_wait_for_the_end_of_the_list_has_an_answer_at_once() {
    let mut waited = 0;
    for bytes in (0..).step_by(5) {
        let (mut world, ids) = about_to_be_refused();
        world.pause_after(bytes);
        world.run_for(100 * MS);
        if world.ledger.is_closed(ids[0]) {
            break;
        }
        waited += 1;
        assert_eq!(world.cancel(ids[2]), Verdict::Unknown);
        world.release();
        let told: Vec<_> = ids.iter().map(|id| Some(world.conclude(*id))).collect();
        let (bad, good) = (at_fault(INVALID), neighbour(INVALID));
        assert_eq!(told, [good, bad, good, bad], "after {bytes} bytes");
        world.finish();
    }
    assert!(waited > 50, "{waited}");
}

#[test]
fn a_list_that_cannot_be_is_not_believed() {
    for numbers in [
        &[-1][..],
        &[6],
        &[1, 6],
        &[0, i32::MAX],
        &[i32::MIN],
        &[4, 1],
        &[1, 4, 1],
        &[1, -1],
        &[-1, 1],
    ] {
        let (mut world, topic) = with_topic(&lingers(), TopicConfig::default());
        world.cluster.inject(Fault::produce(Action::Blame(numbers.to_vec())));
        let ids = batch(&mut world, topic, 6, 100);
        for id in ids {
            let all = Some(Said::NotDelivered(Cause::Broker(INVALID)));
            assert_eq!(world.last(id), all, "record {id}, {numbers:?}");
        }
        assert_eq!(world.producer.stats().disconnects, 0);
        world.finish();
    }
}

#[test]
fn a_record_may_be_named_twice_and_a_list_be_empty() {
    let (mut world, topic) = with_topic(&lingers(), TopicConfig::default());
    world.cluster.inject(Fault::produce(Action::Blame(vec![1, 1, 2])));
    let ids = batch(&mut world, topic, 4, 100);
    let told: Vec<_> = ids.iter().map(|id| world.last(*id)).collect();
    let (bad, good) = (at_fault(INVALID), neighbour(INVALID));
    assert_eq!(told, [good, bad, bad, good]);
    world.cluster.inject(Fault::produce(Action::Blame(Vec::new())));
    let ids = batch(&mut world, topic, 4, 100);
    let all = Some(Said::NotDelivered(Cause::Broker(INVALID)));
    assert!(ids.iter().all(|id| world.last(*id) == all));
    world.finish();
}

#[test]
fn the_numbers_are_those_of_the_batch_as_it_was_sent() {
    // Records 0 and 3 are taken out, and what is left is sent: 1, 2, 4, 5.
    let (mut world, topic) = compacted(&lingers(), |id| id != 4);
    world.ledger.at_fault = Some(|id| id == 4);
    let ids: Vec<u64> = (0..6).map(|_| world.produce(topic, Some(0), 90).expect("room")).collect();
    assert_eq!(world.cancel(0), Verdict::NotDelivered);
    assert_eq!(world.cancel(3), Verdict::NotDelivered);
    world.conclude(5);
    let told = [1, 2, 4, 5].map(|at| world.last(ids[at]));
    let (bad, good) = (at_fault(INVALID), neighbour(INVALID));
    assert_eq!(told, [good, good, bad, good]);
    assert_eq!(world.remarks[0], (vec![4], NO_KEY.to_owned()));
    world.finish();
}

#[test]
fn a_part_of_a_batch_that_was_split_has_its_own_list() {
    let topic = TopicConfig { compacted: true, max_message_bytes: 500, ..TopicConfig::default() };
    let (mut world, topic) = with_topic(&lingers(), topic);
    world.keyed = |id| id != 5;
    world.ledger.at_fault = Some(|id| id == 5);
    let ids = batch(&mut world, topic, 8, 150);
    // Parts of two records: 4 and 5 are one.
    assert_eq!((world.last(ids[4]), world.last(ids[5])), (neighbour(INVALID), at_fault(INVALID)));
    let others = [0, 1, 2, 3, 6, 7].map(|at| world.last(ids[at]));
    assert!(others.iter().all(|last| matches!(last, Some(Said::Delivered(Some(_))))), "{others:?}");
    assert_eq!(world.remarks[0], (vec![5], NO_KEY.to_owned()));
    assert_eq!(world.remarks[1].0, [4, 5]);
    world.finish();
}

#[test]
fn what_may_be_in_the_log_is_not_marked() {
    // The first attempt is appended and its answer lost; the second is refused, and says who was at fault.
    let (mut world, topic) = with_topic(&lingers(), TopicConfig::default());
    world.cluster.inject(Fault::produce(Action::CloseAfter));
    world.cluster.inject(Fault::produce(Action::Blame(vec![1])));
    let ids = batch(&mut world, topic, 3, 90);
    assert!(ids.iter().all(|id| matches!(world.last(*id), Some(Said::Delivered(_)))));
    world.finish();
}
