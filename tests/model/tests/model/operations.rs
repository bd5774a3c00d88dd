//! What an operator does, and what he may not.

use ottla_core::wire::ErrorCode;
use ottla_model::{AdminError, Cluster, ClusterConfig, Storage};

use crate::wire_client::{Client, T0, batch, one_node, values, with_topic};

const OK: ErrorCode = ErrorCode::NONE;

#[test]
fn mistakes_change_nothing() {
    let mut cluster = one_node();
    let before = format!("{cluster:?}");
    assert_eq!(cluster.create_topic("t", 1), Err(AdminError::TopicExists));
    for name in ["", ".", "..", "a/b", "ü", &"x".repeat(250)] {
        assert_eq!(cluster.create_topic(name, 1), Err(AdminError::Invalid));
    }
    assert_eq!(cluster.create_topic("u", 0), Err(AdminError::Invalid));
    assert_eq!(cluster.delete_topic("u"), Err(AdminError::UnknownTopic));
    assert_eq!(cluster.recreate_topic("u"), Err(AdminError::UnknownTopic));
    assert_eq!(cluster.grow_topic("t", 2), Err(AdminError::Invalid));
    let unknown = Err(AdminError::UnknownPartition);
    assert_eq!(cluster.move_leader("t", 3, 1), unknown);
    assert_eq!(cluster.truncate("t", -1, 0), unknown);
    let unknown = Err(AdminError::UnknownNode);
    assert_eq!(cluster.move_leader("t", 0, 2), unknown);
    assert_eq!(cluster.freeze(2), unknown);
    assert_eq!(format!("{cluster:?}"), before);
}

#[test]
fn topics_grow() {
    let mut cluster = one_node();
    cluster.grow_topic("t", 5).unwrap();
    assert_eq!(cluster.partitions("t"), 5);
    let mut client = Client::new(&cluster, 1);
    let told = client.produce_to(&mut cluster, 4, &batch(0, 0, 1));
    assert_eq!(told, (ErrorCode::NONE, 0));
}

#[test]
fn leaders_are_dealt_out() {
    let mut cluster = Cluster::new(ClusterConfig::with_nodes(3));
    cluster.create_topic("a", 4).unwrap();
    cluster.create_topic("b", 2).unwrap();
    let leaders = |topic, partitions| -> Vec<_> {
        let leader = |partition| cluster.leader(topic, partition).unwrap().0;
        (0..partitions).map(leader).collect()
    };
    assert_eq!(leaders("a", 4), [1, 2, 3, 1]);
    assert_eq!(leaders("b", 2), [2, 3]);
}

#[test]
fn records_are_deleted_from_the_front() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 2));
    client.produce(&mut cluster, &batch(0, 2, 3));
    cluster.delete_records("t", 0, 3).unwrap();
    assert_eq!(cluster.start_offset("t", 0), 3);
    assert_eq!(values(&cluster, 0), ["0/3", "0/4"], "within a batch");
    cluster.delete_records("t", 0, 99).unwrap();
    assert_eq!(cluster.start_offset("t", 0), 5);
    // T32: the producer's state stays until it expires, and then any sequence is taken.
    let gap = batch(0, 9, 1);
    let error = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    assert_eq!(client.produce(&mut cluster, &gap).0, error);
    cluster.forget_producer("t", 0, 7).unwrap();
    assert_eq!(client.produce(&mut cluster, &gap), (ErrorCode::NONE, 5));
}

#[test]
fn old_records_are_forgotten_beyond_the_bound() {
    let len = batch(0, 0, 1).bytes().len();
    let mut cluster = with_topic(ClusterConfig {
        storage: Storage::Newest { bytes: 3 * len },
        ..ClusterConfig::default()
    });
    let mut client = Client::new(&cluster, 1);
    for sequence in 0..5 {
        client.produce(&mut cluster, &batch(0, sequence, 1));
        client.produce_to(&mut cluster, 1, &batch(0, sequence, 1));
    }
    assert_eq!(values(&cluster, 0), ["0/4"]);
    assert_eq!(values(&cluster, 1), ["0/3", "0/4"]);
    assert_eq!(cluster.start_offset("t", 0), 4);
    // Duplicates are known all the same.
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
    let produced = client.produce_bytes(&mut cluster, T0, 0, batch(0, 5, 1).bytes());
    assert_eq!(produced.partitions[0].log_start_offset, 4);
}

#[test]
fn a_sink_checks_all_and_keeps_nothing() {
    let mut cluster =
        with_topic(ClusterConfig { storage: Storage::Nothing, ..ClusterConfig::default() });
    let mut client = Client::new(&cluster, 1);
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 3)), (OK, 0));
    assert_eq!(client.produce(&mut cluster, &batch(0, 3, 3)), (OK, 3));
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 3)), (OK, 0));
    let out_of_order = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    assert_eq!(client.produce(&mut cluster, &batch(0, 9, 3)).0, out_of_order);
    assert_eq!(cluster.log("t", 0).count(), 0);
    assert_eq!(cluster.end_offset("t", 0), 6);
    assert_eq!(cluster.counts("t", 0).records, 6);
}
