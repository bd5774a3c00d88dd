//! Leaders that lose what they knew of a producer, and perhaps their log, while nobody tells the client.
//!
//! A broker that knows nothing of a producer takes any sequence (semantics §3.3), so that what it takes
//! proves nothing of what came before.

use core::time::Duration;

use ottla_core::{
    Cause, Config, OnForgotten, Seen, TopicId,
    wire::{ApiKey, ErrorCode},
};
use ottla_model::{Action, BaseOffset, ClusterConfig, Fault, TimestampType, TopicConfig, Versions};
use ottla_scenario::{Dated, Said, World, quick};

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn reject(error: ErrorCode) -> Fault {
    Fault::produce(Action::Reject(error))
}

/// Brokers that cannot be asked what they know of producers.
fn unasked(mut cluster: ClusterConfig) -> ClusterConfig {
    for node in &mut cluster.nodes {
        node.versions = Versions::kafka_4().without(ApiKey::DESCRIBE_PRODUCERS);
    }
    cluster
}

/// A, which is refused, and B behind it, which a leader takes that has forgotten the producer, and whose
/// answer is of no use.
fn refused_and_taken(refused: ErrorCode, cluster: ClusterConfig) -> (World<'static>, [u64; 2]) {
    let (mut world, topic) = World::warm(&quick(), cluster, 1);
    world.cluster.inject(reject(refused));
    world.cluster.inject(Fault::produce(Action::AppendThenError {
        error: ErrorCode::REQUEST_TIMED_OUT,
        base_offset: BaseOffset::Unknown,
    }));
    world.cluster.forget_producers("t", 0).expect("a partition");
    let ids = [0; 2].map(|_| world.send(topic, 0));
    (world, ids)
}

/// A partition that is led by node 1, and of whose log node 2 has nothing at all; `count` records were
/// acknowledged.
fn beside_an_empty_replica(count: i64) -> (World<'static>, TopicId) {
    let (mut world, topic) = World::cold(&quick(), ClusterConfig::with_nodes(2), 1);
    world.cluster.lag("t", 0, 2).expect("a follower");
    for offset in 0..count {
        let id = world.send(topic, 0);
        assert_eq!(world.conclude(id), Said::Delivered(Some(offset)));
    }
    (world, topic)
}

#[test]
fn what_an_empty_leader_takes_proves_nothing_of_what_it_did_not_take() {
    // Five batches are in flight, since the partition counts as proven. The first comes while node 1 does
    // not lead, and is answered with a code that may also come after an append; then node 1 leads again,
    // with the log of node 2.
    let (mut world, topic) = beside_an_empty_replica(1);
    world.cluster.move_leader("t", 0, 2).expect("a replica");
    world.cluster.inject(Fault::produce(Action::Hold(5 * MS)));
    let ids = [0; 5].map(|_| world.send(topic, 0));
    world.run_for(2 * MS);
    world.cluster.move_leader("t", 0, 1).expect("a replica");
    for id in ids {
        let _ = world.conclude(id);
    }
    assert_eq!(world.rows(0)[0].2, [ids[1]], "the second lies at offset 0");
    world.finish();
}

#[test]
fn a_base_offset_at_or_below_the_last_acknowledged_one_shows_that_the_log_was_cut() {
    let (mut world, topic) = beside_an_empty_replica(5);
    world.cluster.move_leader("t", 0, 2).expect("a replica");
    world.cluster.move_leader("t", 0, 1).expect("a replica");
    world.cluster.inject(reject(ErrorCode::INVALID_PRINCIPAL_TYPE));
    let mut pairs = Vec::new();
    for _ in 0..4 {
        let pair = [0; 2].map(|_| world.produce(topic, Some(0), 20).expect("room"));
        world.run_for(Duration::ZERO);
        pairs.push(pair);
    }
    for id in pairs.iter().flatten() {
        let _ = world.conclude(*id);
    }
    let taken: Vec<_> = world.rows(0).into_iter().take(3).map(|(.., ids)| ids).collect();
    assert_eq!(taken, pairs[1..].iter().map(|pair| pair.to_vec()).collect::<Vec<_>>());
    let desyncs = world.producer.stats().desyncs;
    world.finish();
    assert!(desyncs > 0, "it is noticed");
}

#[test]
fn a_probe_that_hits_proves_nothing_of_what_was_never_taken() {
    // A may be in the log as far as its answer goes, and is not. The leader forgets, and takes B in its
    // place; then A is out of order, and B is a duplicate.
    let (mut world, [a, b]) =
        refused_and_taken(ErrorCode::REQUEST_TIMED_OUT, ClusterConfig::default());
    let _ = world.conclude(a);
    let _ = world.conclude(b);
    assert_eq!(world.rows(0)[1].2, [b]);
    world.finish();
}

#[test]
fn a_probe_that_is_taken_a_second_time_proves_nothing_of_what_was_never_taken() {
    // As before, and the leader forgets once more before B is asked about: then B lies in the log twice,
    // which cannot be helped here, and its first place is not A's. A leader that can be asked says so.
    for cluster in [ClusterConfig::default(), unasked(ClusterConfig::default())] {
        let (mut world, [a, b]) = refused_and_taken(ErrorCode::REQUEST_TIMED_OUT, cluster);
        let refused = |world: &World<'_>| {
            let out_of_order = Some(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
            world.tap.attempts(a).any(|sent| sent.answer.map(|(_, error)| error) == out_of_order)
        };
        let _ = world.run_until(S, refused);
        world.cluster.forget_producers("t", 0).expect("a partition");
        let (a, _b) = (world.conclude(a), world.conclude(b));
        assert!(!matches!(a, Said::Delivered(_)), "{a:?}");
    }
}

#[test]
fn what_a_forgetful_leader_took_behind_a_gap_is_not_written_again() {
    // A is refused for good and leaves a gap, behind which a broker that knew the chain took nothing.
    // This one forgets, and takes B; its answer is lost.
    let (mut world, [a, b]) =
        refused_and_taken(ErrorCode::INVALID_RECORD, ClusterConfig::default());
    assert!(matches!(world.conclude(a), Said::NotDelivered(_)));
    let _ = world.conclude(b);
    assert_eq!(world.rows(0)[1].2, [b]);
    assert_eq!(world.rows(0).len(), 2, "{:?}", world.rows(0));
    world.finish();
}

#[test]
fn a_batch_that_was_never_sent_before_is_no_duplicate() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 1);
    world.cluster.inject(reject(ErrorCode::DUPLICATE_SEQUENCE_NUMBER));
    let a = world.send(topic, 0);
    let _ = world.conclude(a);
    world.finish();
}

/// Brokers that forget a producer whose records are 20 s old, and look each 2 s.
fn sweeping() -> ClusterConfig {
    ClusterConfig {
        producer_id_expiration: 20 * S,
        producer_id_expiration_check: 2 * S,
        ..ClusterConfig::default()
    }
}

/// A record is acknowledged; A is appended, and its answer is lost for longer than the brokers remember;
/// then B follows. What became of A, and the records in the log.
fn warm_a_b(cluster: ClusterConfig, dated: Dated, by: TimestampType) -> (Said, Vec<u64>) {
    let config = Config { request_timeout: 8 * S, ..Config::default() };
    let mut world = World::new(&config, cluster, 1);
    let topic = TopicConfig { timestamp_type: by, ..TopicConfig::default() };
    world.cluster.create_topic_with("t", 1, topic).expect("a topic");
    world.dated = dated;
    let topic = world.topic("t");
    let warm = world.send(topic, 0);
    assert!(matches!(world.conclude(warm), Said::Delivered(Some(0))));
    world.cluster.inject(Fault::produce(Action::Swallow));
    let a = world.send(topic, 0);
    world.run_for(10 * MS);
    let b = world.send(topic, 0);
    let said = world.conclude(a);
    // It may have left together with A, so that its answer is lost as well.
    let b = world.conclude(b);
    let end = world.cluster.end_offset("t", 0) - 1;
    assert!(b == Said::Delivered(Some(end)) || b == Said::Unknown(Cause::Forgotten), "{b:?}");
    let ids = world.rows(0).into_iter().flat_map(|(.., ids)| ids).collect();
    world.finish();
    (said, ids)
}

#[test]
fn records_of_now_are_recognised_when_they_are_sent_again() {
    let (said, log) = warm_a_b(sweeping(), Dated::Now, TimestampType::CreateTime);
    assert_eq!((said, log), (Said::Delivered(Some(1)), vec![0, 1, 2]));
}

#[test]
fn old_records_in_a_topic_of_append_times_are_recognised_when_they_are_sent_again() {
    for dated in [Dated::Ago(3_600 * S), Dated::SinceStart] {
        let (said, log) = warm_a_b(sweeping(), dated, TimestampType::LogAppendTime);
        assert_eq!((said, log), (Said::Delivered(Some(1)), vec![0, 1, 2]));
    }
}

#[test]
fn old_records_that_the_brokers_have_forgotten_are_not_written_again() {
    // Issue 12, C2: the log was `warm A A B`, and A was told as delivered at offset 2.
    for dated in [Dated::Ago(3_600 * S), Dated::SinceStart] {
        let (said, log) = warm_a_b(sweeping(), dated, TimestampType::CreateTime);
        assert_eq!(log, [0, 1, 2], "{dated:?}");
        assert!(matches!(said, Said::Unknown(_) | Said::Delivered(Some(1))), "{said:?}");
    }
}

/// Brokers with Kafka's default of a day, that look each 2 s.
/// B may be in the log, and the records' timestamps say that the leader remembers; but before B is sent again the
/// connection is lost, and the next one is had when the leader has forgotten.
#[test]
fn what_was_found_on_a_connection_that_is_lost_is_found_out_anew() {
    let config = Config { producer_id_expiration: 20 * S, ..quick() };
    let (mut world, topic) = World::warm(&config, unasked(sweeping()), 1);
    world.remember();
    let error = ErrorCode::REQUEST_TIMED_OUT;
    let fault = Action::AppendThenError { error, base_offset: BaseOffset::Kept };
    world.cluster.inject(Fault::produce(fault));
    // With the answer the leader wants to be left alone, so that B is not sent again at once.
    world.cluster.set_throttle(1, 3 * S).expect("a node");
    let id = world.send(topic, 0);
    world.run_for(S);
    world.cluster.set_throttle(1, Duration::ZERO).expect("a node");
    world.cluster.freeze(1).expect("a node");
    world.cut_all();
    world.run_for(30 * S);
    world.cluster.thaw(1).expect("a node");
    assert_eq!(world.conclude(id), Said::Unknown(Cause::Forgotten));
    assert_eq!(world.rows(0).len(), 2, "A and B, once each");
}

fn by_default() -> ClusterConfig {
    ClusterConfig { producer_id_expiration_check: 2 * S, ..ClusterConfig::default() }
}

#[test]
fn records_of_yesterday_are_not_written_again_where_brokers_cannot_be_asked() {
    let cluster = unasked(by_default());
    for dated in [Dated::Ago(25 * 3_600 * S), Dated::SinceStart] {
        let (said, log) = warm_a_b(cluster.clone(), dated, TimestampType::CreateTime);
        assert_eq!(log, [0, 1, 2], "{dated:?}");
        assert!(matches!(said, Said::Unknown(_) | Said::Delivered(Some(1))), "{said:?}");
    }
}

#[test]
fn records_of_yesterday_are_not_written_again_where_brokers_do_not_say() {
    let cluster = ClusterConfig { may_read: false, ..by_default() };
    for dated in [Dated::Ago(25 * 3_600 * S), Dated::SinceStart] {
        let (said, log) = warm_a_b(cluster.clone(), dated, TimestampType::CreateTime);
        assert_eq!(log, [0, 1, 2], "{dated:?}");
        assert!(matches!(said, Said::Unknown(_) | Said::Delivered(Some(1))), "{said:?}");
    }
}

/// A is acknowledged by node 2 after an attempt that node 1 froze over, B is in the log and its answer is
/// lost; the brokers forget the producer, node 1 leads again, and thaws. What is said of B, and the log.
fn an_attempt_that_comes_late(dated: Dated, clock: Option<i64>) -> (Said, Vec<u64>) {
    let config = Config { request_timeout: S, ..quick() };
    let (mut world, topic) = World::cold(&config, ClusterConfig::with_nodes(2), 1);
    world.dated = dated;
    world.set_wall_clock(clock);
    world.cluster.move_leader("t", 0, 1).expect("a replica");
    let warm = world.send(topic, 0);
    assert_eq!(world.conclude(warm), Said::Delivered(Some(0)));
    world.cluster.inject(Fault::produce(Action::Freeze));
    let a = world.send(topic, 0);
    world.run_for(10 * MS);
    world.cluster.move_leader("t", 0, 2).expect("a replica");
    world.run_for(10 * MS);
    world.cut_all();
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    world.cluster.inject(Fault::produce(Action::Swallow));
    let b = world.send(topic, 0);
    world.run_for(10 * MS);
    world.cluster.forget_producers("t", 0).expect("a partition");
    world.cluster.move_leader("t", 0, 1).expect("a replica");
    world.cluster.thaw(1).expect("a node");
    world.run_for(10 * MS);
    let said = world.conclude(b);
    let ids = world.rows(0).into_iter().flat_map(|(.., ids)| ids).collect();
    world.close(S);
    (said, ids)
}

#[test]
fn what_a_late_attempt_left_is_not_taken_for_what_a_leader_remembers() {
    // A lies in the log twice, which nobody can prevent. With that the leader says of the producer what it
    // would say had it never forgotten it; but it is no proof that it still knows of B.
    for (dated, clock) in [(Dated::SinceStart, None), (Dated::Ago(25 * 3_600 * S), Some(0))] {
        let (said, log) = an_attempt_that_comes_late(dated, clock);
        assert_eq!(said, Said::Unknown(Cause::Forgotten), "{dated:?}");
        assert_eq!(log, [0, 1, 2, 1], "{dated:?}");
    }
}

/// Brokers with Kafka's default of a day that look each 2 s and cannot be asked, and whose clock is 45
/// minutes ahead of ours.
#[test]
fn records_that_a_clock_ahead_of_ours_takes_for_a_day_old_are_not_written_again() {
    let cluster = unasked(by_default());
    let config = Config { request_timeout: 8 * S, ..Config::default() };
    let mut world = World::new(&config, cluster, 1);
    world.set_wall_clock(Some(-45 * 60 * 1_000));
    world.cluster.create_topic("t", 1).expect("a topic");
    // By our own clock they are not quite a day old.
    world.dated = Dated::Ago(24 * 3_600 * S + 600 * S);
    let topic = world.topic("t");
    let warm = world.send(topic, 0);
    assert_eq!(world.conclude(warm), Said::Delivered(Some(0)));
    world.cluster.inject(Fault::produce(Action::Swallow));
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Unknown(Cause::Forgotten));
    let ids: Vec<u64> = world.rows(0).into_iter().flat_map(|(.., ids)| ids).collect();
    assert_eq!(ids, [warm, a]);
    world.finish();
}

/// How many of five batches leave at once, right after one was acknowledged.
fn at_once(dated: Dated, by: TimestampType) -> usize {
    let mut world = World::new(&quick(), ClusterConfig::default(), 1);
    let topic = TopicConfig { timestamp_type: by, ..TopicConfig::default() };
    world.cluster.create_topic_with("t", 1, topic).expect("a topic");
    world.dated = dated;
    let topic = world.topic("t");
    world.run_for(500 * MS);
    let warm = world.send(topic, 0);
    assert_eq!(world.conclude(warm), Said::Delivered(Some(0)));
    let ids = [0; 5].map(|_| world.send(topic, 0));
    let sent = ids.iter().flat_map(|id| world.tap.attempts(*id)).count();
    assert_eq!(
        ids.map(|id| world.conclude(id)),
        [1, 2, 3, 4, 5].map(|at| Said::Delivered(Some(at)))
    );
    world.finish();
    sent
}

#[test]
fn batches_that_brokers_may_forget_at_once_go_one_at_a_time() {
    // Of five, the second could be taken by a leader that has forgotten the first since.
    let old = [Dated::Ago(25 * 3_600 * S), Dated::SinceStart];
    assert_eq!(at_once(Dated::Now, TimestampType::CreateTime), 5);
    assert_eq!(old.map(|dated| at_once(dated, TimestampType::CreateTime)), [1, 1]);
    assert_eq!(old.map(|dated| at_once(dated, TimestampType::LogAppendTime)), [5, 5]);
}

#[test]
fn the_time_of_a_duplicate_does_not_show_whose_clock_dates_a_topics_records() {
    // A duplicate is answered with a time whatever the topic's setting. A is one; then B is in the log, the
    // brokers forget, and say nothing when they are asked.
    let cluster = ClusterConfig { producer_id_expiration_check: 5 * S, ..ClusterConfig::default() };
    let config = Config { request_timeout: 8 * S, ..quick() };
    let (mut world, topic) = World::cold(&config, cluster, 1);
    world.dated = Dated::Ago(25 * 3_600 * S);
    let warm = world.send(topic, 0);
    assert_eq!(world.conclude(warm), Said::Delivered(Some(0)));
    world.cluster.inject(Fault::produce(Action::CloseAfter));
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.tap.attempts(a).count(), 2, "a duplicate");
    world.cluster.inject(Fault::produce(Action::Swallow));
    let b = world.send(topic, 0);
    world.run_for(10 * MS);
    world.cluster.allow_read(false);
    assert_eq!(world.conclude(b), Said::Unknown(Cause::Forgotten));
    let ids: Vec<u64> = world.rows(0).into_iter().flat_map(|(.., ids)| ids).collect();
    assert_eq!(ids, [warm, a, b]);
    world.finish();
}

#[test]
fn one_question_is_about_all_partitions_of_a_leader_that_are_in_doubt() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::default(), 10);
    world.cluster.inject(Fault::produce(Action::Swallow));
    let ids: Vec<u64> =
        (0..10).map(|at| world.produce(topic, Some(at), 20).expect("room")).collect();
    world.run_for(10 * MS);
    world.cut_all();
    for id in ids {
        assert_eq!(world.conclude(id), Said::Delivered(Some(1)));
    }
    assert_eq!(world.producer.internal_seen(Seen::Asked), 1);
    world.finish();
}

#[test]
fn who_prefers_twice_to_unknown_is_told_that_it_may_be_twice() {
    let config = Config { on_forgotten: OnForgotten::Resend, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    let unique = [false, true].map(|forgets| {
        world.cluster.inject(Fault::produce(Action::Swallow));
        let id = world.send(topic, 0);
        world.run_for(10 * MS);
        if forgets {
            world.cluster.forget_producers("t", 0).expect("a partition");
        }
        world.cut_all();
        assert!(matches!(world.conclude(id), Said::Delivered(_)));
        world.ledger.entry(id).unique
    });
    assert_eq!(unique, [true, false]);
    let log: Vec<u64> = world.rows(0).into_iter().flat_map(|(.., ids)| ids).collect();
    assert_eq!(log, [0, 1, 2, 2]);
}

#[test]
fn that_a_leader_has_a_batch_is_no_proof_that_it_is_kept() {
    // What it says counts what is not committed yet.
    let config = Config { delivery_timeout: 2 * S, resolve_timeout: 2 * S, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 1);
    world.cluster.inject(Fault::produce(Action::AppendThenError {
        error: ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        base_offset: BaseOffset::Kept,
    }));
    world.cluster.inject(reject(ErrorCode::NOT_ENOUGH_REPLICAS).times(u32::MAX));
    let a = world.send(topic, 0);
    assert_eq!(world.conclude(a), Said::Unknown(Cause::ResolveTimeout));
    assert!(world.producer.internal_seen(Seen::FoundPresent) > 0);
}
