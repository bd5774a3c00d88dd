//! Leaders that move, lie and come back, and topics that do: T9, T19 to T21, T26, T31.

use core::time::Duration;

use ottla_core::{Cause, Config, Verdict, wire::ErrorCode};
use ottla_model::{
    Action, BaseOffset, ClusterConfig, Fault, FirstSequence, LeaderHints, NodeConfig, Versions,
};
use ottla_scenario::{Said, World, quick};

const MS: Duration = Duration::from_millis(1);

fn nodes_of(world: &World<'_>, id: u64) -> Vec<i32> {
    world.tap.attempts(id).map(|sent| sent.node).collect()
}

#[test]
fn t09_nothing_follows_the_first_batch_before_it_is_acknowledged() {
    for first_sequence in [FirstSequence::Any, FirstSequence::ZeroOnNewLog] {
        let config = ClusterConfig { first_sequence, ..ClusterConfig::with_nodes(2) };
        let (mut world, topic) = World::cold(&quick(), config, 1);
        world.cluster.move_leader("t", 0, 2).expect("a leader");
        let a = world.send(topic, 0);
        let b = world.send(topic, 0);
        assert_eq!(world.conclude(a), Said::Delivered(Some(0)));
        assert_eq!(world.conclude(b), Said::Delivered(Some(1)));
        assert_eq!((nodes_of(&world, a), nodes_of(&world, b)), (vec![1, 2], vec![2]));
        let answered = world.tap.attempts(a).last().and_then(|sent| sent.answer);
        let began = world.tap.attempts(b).next().map(|sent| sent.at);
        assert!(answered.map(|(at, _)| at) <= began);
        assert_eq!(world.rows(0), [(0, 0, vec![a]), (0, 1, vec![b])]);
        world.finish();
    }
}

#[test]
fn t09_a_new_leader_gets_one_batch_until_it_has_acknowledged_one() {
    // The old leader acknowledges A after Metadata has named the new one: that proves nothing of
    // the new one.
    let config = Config { metadata_max_age: 5 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::with_nodes(2), 2);
    world.cluster.move_leader("t", 1, 2).expect("a leader");
    let other = world.send(topic, 1);
    assert_eq!(world.conclude(other), Said::Delivered(Some(1)));
    world.run_for(300 * MS);
    world.cluster.inject(Fault::produce(Action::Hold(40 * MS)).at(1));
    let a = world.send(topic, 0);
    world.run_for(MS);
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    world.cluster.inject(Fault::produce(Action::Hold(40 * MS)).at(2));
    world.run_for(20 * MS);
    let b = world.send(topic, 0);
    world.run_for(30 * MS);
    let c = world.send(topic, 0);
    for (id, offset) in [(a, 1), (b, 2), (c, 3)] {
        assert_eq!(world.conclude(id), Said::Delivered(Some(offset)));
    }
    assert_eq!((nodes_of(&world, a), nodes_of(&world, b)), (vec![1], vec![2]));
    world.finish();
}

#[test]
fn t19_a_hint_moves_a_partition_without_a_wait() {
    for leader_hints in [LeaderHints::WithEndpoints, LeaderHints::WithoutEndpoints] {
        let config = ClusterConfig { leader_hints, ..ClusterConfig::with_nodes(2) };
        let (mut world, topic) = World::warm(&quick(), config, 1);
        world.cluster.move_leader("t", 0, 2).expect("a leader");
        let a = world.send(topic, 0);
        world.run_for(5 * MS);
        assert_eq!(world.last(a), Some(Said::Delivered(Some(1))), "{leader_hints:?}");
        assert_eq!(nodes_of(&world, a), [1, 2]);
        world.finish();
    }
}

#[test]
fn t19_a_hint_to_a_node_that_was_never_heard_of_leads_there() {
    // Node 2 joins with the hint; its address comes from the hint, or else from Metadata.
    for leader_hints in [LeaderHints::WithEndpoints, LeaderHints::WithoutEndpoints] {
        let config = ClusterConfig { leader_hints, ..ClusterConfig::with_nodes(2) };
        let mut world = World::new(&quick(), config, 1);
        world.cluster.stop(2).expect("a node");
        world.cluster.create_topic("t", 1).expect("a topic");
        world.cluster.move_leader("t", 0, 1).expect("a leader");
        let topic = world.topic("t");
        world.run_for(500 * MS);
        world.cluster.start(2).expect("a node");
        world.cluster.move_leader("t", 0, 2).expect("a leader");
        let a = world.send(topic, 0);
        world.run_for(500 * MS);
        assert_eq!(world.last(a), Some(Said::Delivered(Some(0))), "{leader_hints:?}");
        world.finish();
    }
}

#[test]
fn t19_old_news_is_of_use_only_where_the_leader_fails_and_retries_keep_their_distance() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::with_nodes(3), 1);
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    // An epoch that is over already: in hints, and in Metadata.
    world.cluster.claim_leader("t", 0, Some((3, 0))).expect("a partition");
    let a = world.send(topic, 0);
    world.run_for(Duration::from_secs(1));
    let nodes = nodes_of(&world, a);
    assert!((5..=13).contains(&nodes.len()), "{nodes:?} within ten backoffs");
    assert!(nodes.iter().all(|node| [1, 3].contains(node)), "{nodes:?}");
    assert_eq!(nodes[0], 1, "what was known is gone by first");
    world.cluster.claim_leader("t", 0, None).expect("a partition");
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    world.finish();
}

#[test]
fn t19_nothing_goes_to_a_new_leader_while_the_old_one_owes_an_answer() {
    let config = Config { metadata_max_age: 5 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::with_nodes(2), 2);
    // Partition 1 is led by node 2, so that Metadata is heard while node 1 is busy.
    world.cluster.move_leader("t", 1, 2).expect("a leader");
    let other = world.send(topic, 1);
    assert_eq!(world.conclude(other), Said::Delivered(Some(1)));
    world.run_for(300 * MS);
    world.cluster.inject(Fault::produce(Action::Hold(40 * MS)).at(1));
    let a = world.send(topic, 0);
    world.run_for(MS);
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    world.run_for(20 * MS);
    let b = world.send(topic, 0);
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    assert_eq!((nodes_of(&world, a), nodes_of(&world, b)), (vec![1], vec![2]));
    let answered = world.tap.attempts(a).next().and_then(|sent| sent.answer);
    let began = world.tap.attempts(b).next().map(|sent| sent.at);
    assert!(answered.map(|(at, _)| at) <= began);
    world.finish();
}

#[test]
fn t19_two_leaders_that_name_each_other_are_not_asked_without_a_pause() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::with_nodes(2), 1);
    world.cluster.remove_leader("t", 0).expect("a partition");
    let a = world.send(topic, 0);
    for round in 1..=1_000 {
        let epoch = 10 + round;
        let other = 1 + round % 2;
        world.cluster.claim_leader("t", 0, Some((other, epoch))).expect("a partition");
        world.run_for(MS);
    }
    let attempts = nodes_of(&world, a).len();
    assert!(attempts <= 30, "{attempts} attempts in a second");
    world.cluster.claim_leader("t", 0, None).expect("a partition");
    for _ in 0..1_100 {
        world.cluster.move_leader("t", 0, 2).expect("a leader");
    }
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    world.finish();
}

#[test]
fn t20_what_a_zombie_leader_appended_and_lost_is_written_once_by_the_new_one() {
    let (mut world, topic) = World::warm(&quick(), ClusterConfig::with_nodes(2), 1);
    world.cluster.inject(Fault::produce(Action::CloseAfter));
    let a = world.send(topic, 0);
    world.run_for(MS);
    assert_eq!(world.cluster.end_offset("t", 0), 2);
    world.cluster.truncate("t", 0, 1).expect("a partition");
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (0, 1, vec![a])]);
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}

/// Three records are acknowledged, an unclean election takes two of them away, and node 2 leads.
fn unclean(config: &Config<'_>) -> (World<'static>, ottla_core::TopicId) {
    let (mut world, topic) = World::warm(config, ClusterConfig::with_nodes(2), 1);
    let [a, b] = [0; 2].map(|_| world.send(topic, 0));
    assert_eq!(world.conclude(a), Said::Delivered(Some(1)));
    assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
    world.cluster.truncate("t", 0, 1).expect("a partition");
    world.cluster.move_leader("t", 0, 2).expect("a leader");
    (world, topic)
}

#[test]
fn t21_an_unclean_election_is_counted_and_the_chain_begins_anew() {
    let (mut world, topic) = unclean(&Config { metadata_max_age: 50 * MS, ..quick() });
    world.run_for(200 * MS);
    let c = world.send(topic, 0);
    assert_eq!(world.conclude(c), Said::Delivered(Some(1)));
    let d = world.send(topic, 0);
    assert_eq!(world.conclude(d), Said::Delivered(Some(2)));
    assert_eq!(world.rows(0), [(0, 0, vec![0]), (1, 0, vec![c]), (1, 1, vec![d])]);
    // What was said is not taken back.
    assert_eq!(world.last(2), Some(Said::Delivered(Some(2))));
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (1, 1));
    world.finish();
}

#[test]
fn t21_what_was_ambiguous_at_an_unclean_election_is_unknown_and_not_sent_again() {
    // The old leader says NOT_LEADER, which may follow an append.
    let (mut world, topic) = unclean(&quick());
    let [c, d] = [0; 2].map(|_| world.send(topic, 0));
    assert_eq!(world.conclude(c), Said::Unknown(Cause::SequenceMismatch));
    let last = world.conclude(d);
    let e = world.send(topic, 0);
    assert!(matches!(world.conclude(e), Said::Delivered(Some(_))), "d was {last:?}");
    let stats = world.producer.stats();
    assert_eq!((stats.epoch_bumps, stats.desyncs), (1, 1));
    world.finish();
}

#[test]
fn t26_a_topic_that_flaps_in_metadata_keeps_its_chains() {
    for told in [0, 1] {
        let config = Config { metadata_max_age: 50 * MS, ..quick() };
        let (mut world, topic) = World::warm(&config, ClusterConfig::default(), 3);
        world.cluster.claim_partitions("t", Some(told)).expect("a topic");
        world.run_for(Duration::from_secs(1));
        let a = world.send(topic, 2);
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.last(a), Some(Said::Delivered(Some(1))), "told {told}");
        world.cluster.claim_partitions("t", None).expect("a topic");
        world.run_for(Duration::from_secs(1));
        let b = world.send(topic, 2);
        assert_eq!(world.conclude(b), Said::Delivered(Some(2)));
        assert_eq!(world.rows(2), [(0, 0, vec![2]), (0, 1, vec![a]), (0, 2, vec![b])]);
        assert_eq!(world.producer.stats().epoch_bumps, 0);
        world.finish();
    }
}

#[test]
fn t26_a_topic_that_is_made_anew_begins_with_a_new_chain() {
    // By id (version 13) and by name (version 11, with ids in Metadata alone).
    for versions in [Versions::kafka_4(), Versions::kafka_3_9()] {
        let config = Config { metadata_max_age: 50 * MS, ..quick() };
        let nodes = vec![NodeConfig::new(1).speaking(versions)];
        let cluster = ClusterConfig { nodes, ..ClusterConfig::default() };
        let (mut world, topic) = World::warm(&config, cluster, 1);
        let lost = Action::AppendThenError {
            error: ErrorCode::KAFKA_STORAGE_ERROR,
            base_offset: BaseOffset::Kept,
        };
        world.cluster.inject(Fault::produce(lost));
        let a = world.send(topic, 0);
        world.run_for(MS);
        world.cluster.recreate_topic("t").expect("a topic");
        world.run_for(200 * MS);
        let unknown = Said::Unknown(Cause::Recreated);
        assert_eq!(world.conclude(a), unknown);
        let b = world.send(topic, 0);
        assert_eq!(world.conclude(b), Said::Delivered(Some(0)));
        assert_eq!(world.rows(0), [(1, 0, vec![b])]);
        world.finish();
    }
}

#[test]
fn t31_a_sixth_batch_never_leaves_while_five_are_ambiguous() {
    let config = Config { request_timeout: 200 * MS, ..quick() };
    let (mut world, topic) = World::warm(&config, ClusterConfig::with_nodes(2), 1);
    world.cluster.inject(Fault::produce(Action::Swallow).times(5));
    let ids: Vec<u64> = (0..9).map(|_| world.send(topic, 0)).collect();
    world.run_for(50 * MS);
    let sent =
        |world: &World<'_>| ids.iter().filter(|id| world.tap.attempts(**id).count() > 0).count();
    assert_eq!(sent(&world), 5);
    // Over reconnections and leaders that do not answer either.
    for node in [2, 1, 2] {
        world.cluster.freeze(3 - node).expect("a node");
        world.cluster.move_leader("t", 0, node).expect("a leader");
        world.run_for(150 * MS);
        world.cluster.freeze(node).expect("a node");
        world.cluster.inject(Fault::produce(Action::Freeze));
        world.cluster.thaw(3 - node).expect("a node");
        world.cut_all();
        world.run_for(300 * MS);
        assert!(sent(&world) <= 5 || world.last(ids[0]).is_some());
    }
    assert_eq!(world.cancel(ids[8]), Verdict::NotDelivered);
    world.cluster.clear_faults();
    for node in 1..=2 {
        world.cluster.thaw(node).expect("a node");
    }
    for (place, id) in ids[..8].iter().enumerate() {
        assert_eq!(world.conclude(*id), Said::Delivered(Some(1 + place as i64)));
    }
    assert_eq!(world.producer.stats().epoch_bumps, 0);
    world.finish();
}
