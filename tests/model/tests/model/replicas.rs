//! Replicas that lag, what an unclean election loses, and what is kept for the truth.

use core::time::Duration;

use ottla_core::wire::ErrorCode;
use ottla_model::{
    AdminError, Cluster, ClusterConfig, Duplicates, Gone, Happening, Judgement, TopicConfig,
};

use crate::wire_client::{Client, batch, one_node, values, with_topic};

const OK: ErrorCode = ErrorCode::NONE;
const OUT_OF_ORDER: ErrorCode = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;

fn two_nodes() -> Cluster {
    let mut cluster = with_topic(ClusterConfig::with_nodes(2));
    cluster.move_leader("t", 0, 1).unwrap();
    cluster
}

/// The offsets of the batches that are gone, and why.
fn gone(cluster: &Cluster) -> Vec<(Gone, i64)> {
    let life = cluster.topic_id("t").unwrap();
    cluster.gone_of(life, 0).map(|(why, batch)| (why, batch.header.base_offset)).collect()
}

#[test]
fn a_replica_that_lags_lacks_what_came_later_when_it_is_elected() {
    let mut cluster = two_nodes();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 1));
    cluster.lag("t", 0, 2).unwrap();
    assert!(cluster.lags("t", 0, 2));
    client.produce(&mut cluster, &batch(0, 1, 1));
    cluster.move_leader("t", 0, 2).unwrap();
    assert!(!cluster.lags("t", 0, 2), "a leader follows nobody");
    assert_eq!(values(&cluster, 0), ["0/0"]);
    assert_eq!(gone(&cluster), [(Gone::Lost, 1)]);
    // The producers' state is as old as the log.
    let mut client = Client::new(&cluster, 2);
    assert_eq!(client.produce(&mut cluster, &batch(0, 2, 1)).0, OUT_OF_ORDER);
    assert_eq!(client.produce(&mut cluster, &batch(0, 1, 1)), (OK, 1));
}

#[test]
fn a_replica_that_caught_up_lacks_nothing() {
    let mut cluster = two_nodes();
    let mut client = Client::new(&cluster, 1);
    cluster.lag("t", 0, 2).unwrap();
    client.produce(&mut cluster, &batch(0, 0, 1));
    cluster.catch_up("t", 0).unwrap();
    cluster.move_leader("t", 0, 2).unwrap();
    assert_eq!(values(&cluster, 0), ["0/0"]);
    assert_eq!(gone(&cluster), []);
}

#[test]
fn a_replica_that_lags_is_not_in_sync_and_a_leader_cannot_lag() {
    let mut cluster = with_topic(ClusterConfig {
        topic: TopicConfig { min_in_sync_replicas: 2, ..TopicConfig::default() },
        ..ClusterConfig::with_nodes(2)
    });
    cluster.move_leader("t", 0, 1).unwrap();
    assert_eq!(cluster.lag("t", 0, 1), Err(AdminError::Invalid));
    cluster.lag("t", 0, 2).unwrap();
    let mut client = Client::new(&cluster, 1);
    let refused = client.produce(&mut cluster, &batch(0, 0, 1)).0;
    assert_eq!(refused, ErrorCode::NOT_ENOUGH_REPLICAS);
    cluster.catch_up("t", 0).unwrap();
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
}

#[test]
fn a_replica_that_lags_behind_deleted_records_never_had_them() {
    let mut cluster = two_nodes();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 1));
    cluster.lag("t", 0, 2).unwrap();
    client.produce(&mut cluster, &batch(0, 1, 1));
    cluster.delete_records("t", 0, 2).unwrap();
    assert_eq!(gone(&cluster), [(Gone::Deleted, 0), (Gone::Deleted, 1)]);
    cluster.move_leader("t", 0, 2).unwrap();
    assert_eq!(gone(&cluster), [(Gone::Deleted, 0), (Gone::Lost, 1)]);
    assert_eq!((cluster.start_offset("t", 0), cluster.end_offset("t", 0)), (1, 1));
    // It had the first one, and knows who wrote it.
    let mut client = Client::new(&cluster, 2);
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
    assert_eq!(client.produce(&mut cluster, &batch(0, 1, 1)), (OK, 1));
}

#[test]
fn the_lives_of_a_topic_are_kept_apart() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 1));
    let old = cluster.topic_id("t").unwrap();
    let new = cluster.recreate_topic("t").unwrap();
    assert_eq!(cluster.lives("t").collect::<Vec<_>>(), [old, new]);
    assert_eq!(cluster.partitions_of(old), cluster.partitions("t"));
    assert_eq!(cluster.batches_of(old, 0).count(), 1);
    assert_eq!(cluster.batches_of(new, 0).count(), 0);
}

#[test]
fn a_producer_is_forgotten_when_it_has_written_nothing_for_so_long() {
    let hour = Duration::from_secs(3_600);
    let config = ClusterConfig { producer_id_expiration: hour, ..ClusterConfig::default() };
    for (pause, expected) in [(hour - Duration::from_millis(1), OUT_OF_ORDER), (hour, OK)] {
        let mut cluster = with_topic(config.clone());
        let mut client = Client::new(&cluster, 1);
        assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
        let later = client.produce_bytes(&mut cluster, pause, 0, batch(0, 9, 1).bytes());
        assert_eq!(later.only().0, expected, "after {pause:?}");
    }
}

#[test]
fn duplicates_are_what_the_broker_makes_of_them() {
    let all = [
        (Duplicates::Acknowledged, (OK, 0)),
        (Duplicates::AnErrorOfItsOwn, (ErrorCode::DUPLICATE_SEQUENCE_NUMBER, -1)),
        (Duplicates::OutOfOrder, (OUT_OF_ORDER, -1)),
        (Duplicates::AppendedAgain, (OK, 1)),
    ];
    for (duplicates, expected) in all {
        let mut cluster = with_topic(ClusterConfig { duplicates, ..ClusterConfig::default() });
        let mut client = Client::new(&cluster, 1);
        assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
        assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), expected, "{duplicates:?}");
        // A gap is one to all but the last.
        let gap = client.produce(&mut cluster, &batch(0, 9, 1)).0;
        let blind = duplicates == Duplicates::AppendedAgain;
        assert_eq!(gap, if blind { OK } else { OUT_OF_ORDER }, "{duplicates:?}");
    }
}

#[test]
fn who_watches_is_told_what_happens_in_order() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 1));
    assert_eq!(cluster.take_happenings(), [], "nobody watched");
    cluster.watch();
    client.produce(&mut cluster, &batch(1, 0, 1));
    client.produce(&mut cluster, &batch(1, 0, 1));
    client.produce(&mut cluster, &batch(1, 9, 1));
    cluster.freeze(1).unwrap();
    cluster.thaw(1).unwrap();
    let judged: Vec<Judgement> = cluster
        .take_happenings()
        .iter()
        .filter_map(|happening| {
            let Happening::Judged { judgement, .. } = happening else { return None };
            Some(*judgement)
        })
        .collect();
    let first = Judgement::Appended { base_offset: 1, new_epoch: true };
    let second = Judgement::Duplicate { base_offset: 1 };
    assert_eq!(judged, [first, second, Judgement::Refused(OUT_OF_ORDER)]);
    cluster.freeze(1).unwrap();
    cluster.thaw(1).unwrap();
    let node = [Happening::Frozen { node: 1 }, Happening::Thawed { node: 1 }];
    assert_eq!(cluster.take_happenings(), node);
}
