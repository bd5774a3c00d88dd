//! Rows of semantics.md §0, which were executed on Apache Kafka 4.3, and the rules of §3.3.

use ottla_core::wire::ErrorCode;
use ottla_model::{ClusterConfig, FirstSequence, ProducerWindow};

use crate::wire_client::{Client, batch, one_node, plain, values, with_topic};

const OK: ErrorCode = ErrorCode::NONE;
const OUT_OF_ORDER: ErrorCode = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;

#[test]
fn batches_in_order_are_appended() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 3)), (OK, 0));
    assert_eq!(client.produce(&mut cluster, &batch(0, 3, 2)), (OK, 3));
    assert_eq!(values(&cluster, 0), ["0/0", "0/1", "0/2", "0/3", "0/4"]);
}

#[test]
fn a_duplicate_from_another_connection_gets_the_original_offset() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 3));
    client.produce(&mut cluster, &batch(0, 3, 2));
    let mut other = Client::new(&cluster, 1).speaking(9);
    assert_eq!(other.produce(&mut cluster, &batch(0, 0, 3)), (OK, 0));
    assert_eq!(other.produce(&mut cluster, &batch(0, 3, 2)), (OK, 3));
    assert_eq!(cluster.end_offset("t", 0), 5);
    let counts = cluster.counts("t", 0);
    assert_eq!((counts.batches, counts.records), (2, 5));
    assert_eq!(counts.duplicates, 2);
}

#[test]
fn a_duplicate_is_told_by_its_range_and_not_by_its_contents() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 1));
    let mut other = batch(0, 0, 1);
    other.values = vec![b"something else".to_vec()];
    assert_eq!(client.produce(&mut cluster, &other), (OK, 0));
    assert_eq!(values(&cluster, 0), ["0/0"]);
}

#[test]
fn a_gap_and_a_partial_overlap_are_out_of_order() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 3));
    client.produce(&mut cluster, &batch(0, 3, 2));
    assert_eq!(client.produce(&mut cluster, &batch(0, 9, 1)), (OUT_OF_ORDER, -1));
    assert_eq!(client.produce(&mut cluster, &batch(0, 3, 1)), (OUT_OF_ORDER, -1));
    assert_eq!(cluster.end_offset("t", 0), 5);
}

#[test]
fn five_batches_back_is_a_duplicate_and_six_is_out_of_order() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    for sequence in 0..6 {
        client.produce(&mut cluster, &batch(0, sequence, 1));
    }
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OUT_OF_ORDER, -1));
    for sequence in 1..6 {
        let offset = i64::from(sequence);
        assert_eq!(client.produce(&mut cluster, &batch(0, sequence, 1)), (OK, offset));
    }
}

#[test]
fn a_new_epoch_begins_at_zero_and_fences_the_old_one() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 3));
    assert_eq!(client.produce(&mut cluster, &batch(1, 3, 1)), (OUT_OF_ORDER, -1));
    assert_eq!(client.produce(&mut cluster, &batch(1, 0, 1)), (OK, 3));
    let fenced = (ErrorCode::INVALID_PRODUCER_EPOCH, -1);
    assert_eq!(client.produce(&mut cluster, &batch(0, 3, 1)), fenced);
    // What the old epoch had appended is no duplicate any more either.
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 3)), fenced);
    // Epochs may skip.
    assert_eq!(client.produce(&mut cluster, &batch(4, 0, 1)), (OK, 4));
    assert_eq!(cluster.producer_state("t", 0, 7), Some((4, 0)));
}

#[test]
fn epochs_are_per_partition() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    for (partition, epoch, sequence) in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 0, 2), (0, 2, 0)] {
        let (error, _) = client.produce_to(&mut cluster, partition, &batch(epoch, sequence, 2));
        assert_eq!(error, OK);
    }
    assert_eq!(client.produce_to(&mut cluster, 1, &batch(0, 4, 2)), (OK, 4));
}

#[test]
fn sequences_wrap_to_zero() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    // No state: any sequence is taken.
    let (error, _) = client.produce(&mut cluster, &batch(0, i32::MAX - 1, 2));
    assert_eq!(error, OK);
    assert_eq!(cluster.producer_state("t", 0, 7), Some((0, i32::MAX)));
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 2));
    let sequences: Vec<_> = cluster.log("t", 0).map(|r| r.sequence).collect();
    assert_eq!(sequences, [i32::MAX - 1, i32::MAX, 0]);
}

#[test]
fn a_batch_may_span_the_wrap() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, i32::MAX - 2, 2));
    let spanning = batch(0, i32::MAX, 3);
    assert_eq!(client.produce(&mut cluster, &spanning), (OK, 2));
    assert_eq!(client.produce(&mut cluster, &spanning), (OK, 2), "duplicate");
    assert_eq!(cluster.producer_state("t", 0, 7), Some((0, 1)));
    assert_eq!(client.produce(&mut cluster, &batch(0, 2, 1)), (OK, 5));
    let sequences: Vec<_> = cluster.log("t", 0).skip(2).map(|r| r.sequence).collect();
    assert_eq!(sequences, [i32::MAX, 0, 1, 2]);
}

#[test]
fn producers_do_not_know_of_each_other() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(3, 0, 1));
    let mut other = batch(0, 0, 1);
    other.header.producer_id = 8;
    assert_eq!(client.produce(&mut cluster, &other), (OK, 1));
}

#[test]
fn a_producer_that_is_not_idempotent_is_never_a_duplicate() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    assert_eq!(client.produce(&mut cluster, &plain(2)), (OK, 0));
    assert_eq!(client.produce(&mut cluster, &plain(2)), (OK, 2));
}

#[test]
fn without_state_any_sequence_is_taken() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    assert_eq!(client.produce(&mut cluster, &batch(5, 77, 1)), (OK, 0));
    // But the state is there then.
    assert_eq!(client.produce(&mut cluster, &batch(5, 77, 2)), (OUT_OF_ORDER, -1));
}

#[test]
fn kafka_4_5_refuses_a_first_sequence_on_a_log_that_was_never_written() {
    let mut cluster = with_topic(ClusterConfig {
        first_sequence: FirstSequence::ZeroOnNewLog,
        ..ClusterConfig::default()
    });
    let mut client = Client::new(&cluster, 1);
    assert_eq!(client.produce(&mut cluster, &batch(0, 1, 1)), (OUT_OF_ORDER, -1));
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
    // A log that was written once takes any, be it empty now.
    cluster.delete_records("t", 0, 1).unwrap();
    cluster.forget_producer("t", 0, 7).unwrap();
    assert_eq!(client.produce(&mut cluster, &batch(0, 9, 1)), (OK, 1));
}

#[test]
fn a_restart_leaves_the_last_batch_alone() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    for sequence in 0..3 {
        client.produce(&mut cluster, &batch(0, sequence, 1));
    }
    cluster.restart(1).unwrap();
    let mut client = Client::new(&cluster, 1);
    assert_eq!(client.produce(&mut cluster, &batch(0, 1, 1)), (OUT_OF_ORDER, -1));
    assert_eq!(client.produce(&mut cluster, &batch(0, 2, 1)), (OK, 2));
    assert_eq!(client.produce(&mut cluster, &batch(0, 3, 1)), (OK, 3));
}

#[test]
fn a_restart_may_leave_all_or_nothing() {
    for (window, expected) in
        [(ProducerWindow::Everything, (OK, 0)), (ProducerWindow::Nothing, (OK, 3))]
    {
        let mut cluster =
            with_topic(ClusterConfig { restart_window: window, ..ClusterConfig::default() });
        let mut client = Client::new(&cluster, 1);
        for sequence in 0..3 {
            client.produce(&mut cluster, &batch(0, sequence, 1));
        }
        cluster.restart(1).unwrap();
        let mut client = Client::new(&cluster, 1);
        assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), expected);
    }
}

#[test]
fn the_state_moves_with_the_leader() {
    let mut cluster = with_topic(ClusterConfig::with_nodes(2));
    let mut client = Client::new(&cluster, 1);
    client.produce(&mut cluster, &batch(0, 0, 1));
    cluster.move_leader("t", 0, 2).unwrap();
    let mut client = Client::new(&cluster, 2);
    assert_eq!(client.produce(&mut cluster, &batch(0, 0, 1)), (OK, 0));
    assert_eq!(client.produce(&mut cluster, &batch(0, 1, 1)), (OK, 1));
    let epochs: Vec<_> =
        cluster.batches("t", 0).map(|batch| batch.header.partition_leader_epoch).collect();
    assert_eq!(epochs, [0, 1]);
}

#[test]
fn the_state_is_rolled_back_with_the_log() {
    let mut cluster = one_node();
    let mut client = Client::new(&cluster, 1);
    for sequence in 0..3 {
        client.produce(&mut cluster, &batch(0, sequence, 1));
    }
    cluster.truncate("t", 0, 1).unwrap();
    assert_eq!(cluster.end_offset("t", 0), 1);
    assert_eq!(client.produce(&mut cluster, &batch(0, 3, 1)), (OUT_OF_ORDER, -1));
    assert_eq!(client.produce(&mut cluster, &batch(0, 1, 1)), (OK, 1));
    assert_eq!(values(&cluster, 0), ["0/0", "0/1"]);
}
