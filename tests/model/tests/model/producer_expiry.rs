//! How brokers forget producers: by the timestamps of their records. Each row was executed on Kafka
//! 4.4.0 and 3.9.2 with `producer.id.expiration.ms=20000` and a check every 2 s.

use core::time::Duration;

use ottla_core::wire::ErrorCode;
use ottla_model::{Cluster, ClusterConfig, TimestampType, TopicConfig};

use crate::wire_client::{Batch, Client, NOW_MS, T0, at_ms, batch, with_topic};

const OK: ErrorCode = ErrorCode::NONE;
const OUT_OF_ORDER: ErrorCode = ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
const HOUR_MS: i64 = 3_600_000;

fn forgetful(nodes: u16, timestamp_type: TimestampType) -> Cluster {
    let mut cluster = with_topic(ClusterConfig {
        producer_id_expiration: Duration::from_secs(20),
        producer_id_expiration_check: Duration::from_secs(2),
        topic: TopicConfig { timestamp_type, ..TopicConfig::default() },
        ..ClusterConfig::with_nodes(nodes)
    });
    cluster.move_leader("t", 0, 1).unwrap();
    cluster
}

/// A batch whose records have this timestamp.
fn dated(sequence: i32, timestamp: i64) -> Batch {
    let mut batch = batch(0, sequence, 1);
    batch.header.base_timestamp = timestamp;
    batch.header.max_timestamp = timestamp;
    batch
}

fn send(client: &mut Client, cluster: &mut Cluster, ms: u64, batch: &Batch) -> (ErrorCode, i64) {
    client.produce_bytes(cluster, at_ms(ms), 0, batch.bytes()).only()
}

#[test]
fn a_sweep_forgets_whoever_wrote_old_records_though_it_was_a_moment_ago() {
    for old in [NOW_MS - HOUR_MS, 0, NOW_MS - 18_000] {
        let mut cluster = forgetful(1, TimestampType::CreateTime);
        let mut client = Client::new(&cluster, 1);
        assert_eq!(send(&mut client, &mut cluster, 1_000, &dated(0, old)), (OK, 0));
        assert_eq!(send(&mut client, &mut cluster, 1_999, &dated(0, old)), (OK, 0));
        assert_eq!(client.knows(&mut cluster, at_ms(1_999)), Some((0, 0)));
        // The sweep: it is written a second time, without any restart.
        assert_eq!(client.knows(&mut cluster, at_ms(2_000)), None);
        assert_eq!(send(&mut client, &mut cluster, 2_000, &dated(0, old)), (OK, 1));
        assert_eq!(cluster.log("t", 0).count(), 2);
    }
}

#[test]
fn nothing_is_forgotten_between_sweeps() {
    let mut cluster = forgetful(1, TimestampType::CreateTime);
    let mut client = Client::new(&cluster, 1);
    let old = dated(0, NOW_MS - HOUR_MS);
    assert_eq!(send(&mut client, &mut cluster, 4_000, &old), (OK, 0), "behind the sweep at 4 s");
    assert_eq!(send(&mut client, &mut cluster, 5_999, &dated(9, NOW_MS)).0, OUT_OF_ORDER);
    assert_eq!(send(&mut client, &mut cluster, 6_000, &dated(9, NOW_MS)), (OK, 1));
}

#[test]
fn records_of_now_keep_their_producer_known_until_they_are_old() {
    let mut cluster = forgetful(1, TimestampType::CreateTime);
    let mut client = Client::new(&cluster, 1);
    assert_eq!(send(&mut client, &mut cluster, 0, &dated(0, NOW_MS + 1)), (OK, 0));
    // Of an age of 19.999 s at the sweep at 20 s.
    assert_eq!(send(&mut client, &mut cluster, 21_999, &dated(0, NOW_MS + 1)), (OK, 0));
    assert_eq!(send(&mut client, &mut cluster, 22_000, &dated(0, NOW_MS + 1)), (OK, 1));
}

#[test]
fn records_from_the_future_keep_their_producer_known_for_longer() {
    let mut cluster = forgetful(1, TimestampType::CreateTime);
    let mut client = Client::new(&cluster, 1);
    let ahead = dated(0, NOW_MS + HOUR_MS);
    assert_eq!(send(&mut client, &mut cluster, 0, &ahead), (OK, 0));
    assert_eq!(send(&mut client, &mut cluster, 3_600_000, &ahead), (OK, 0));
}

#[test]
fn the_last_batch_counts_and_not_the_newest_record() {
    for (first, second, known) in
        [(NOW_MS, NOW_MS - HOUR_MS, None), (NOW_MS - HOUR_MS, NOW_MS, Some((0, 1)))]
    {
        let mut cluster = forgetful(1, TimestampType::CreateTime);
        let mut client = Client::new(&cluster, 1);
        send(&mut client, &mut cluster, 0, &dated(0, first));
        send(&mut client, &mut cluster, 0, &dated(1, second));
        assert_eq!(client.knows(&mut cluster, at_ms(2_000)), known);
    }
}

#[test]
fn with_log_append_time_it_is_the_brokers_clock_that_counts() {
    let mut cluster = forgetful(1, TimestampType::LogAppendTime);
    let mut client = Client::new(&cluster, 1);
    let old = dated(0, NOW_MS - HOUR_MS);
    assert_eq!(send(&mut client, &mut cluster, 1_000, &old), (OK, 0));
    assert_eq!(send(&mut client, &mut cluster, 20_999, &old), (OK, 0));
    let described = client.describe(&mut cluster, at_ms(20_999), &[0]);
    assert_eq!(described[0].2[0].last_timestamp, NOW_MS + 1_000);
    assert_eq!(send(&mut client, &mut cluster, 22_000, &old), (OK, 1));
}

#[test]
fn a_restart_leaves_out_who_is_due_for_a_sweep() {
    for (timestamp, known) in [(NOW_MS - HOUR_MS, None), (NOW_MS, Some((0, 0)))] {
        let mut cluster = forgetful(1, TimestampType::CreateTime);
        let mut client = Client::new(&cluster, 1);
        send(&mut client, &mut cluster, 0, &dated(0, timestamp));
        cluster.restart(1).unwrap();
        let mut client = Client::new(&cluster, 1);
        assert_eq!(client.knows(&mut cluster, T0), known);
    }
}

#[test]
fn a_replica_that_lags_sweeps_as_well() {
    for (ms, known) in [(1_999, Some((0, 0))), (2_000, None)] {
        let mut cluster = forgetful(2, TimestampType::CreateTime);
        let mut client = Client::new(&cluster, 1);
        send(&mut client, &mut cluster, 0, &dated(0, NOW_MS - HOUR_MS));
        cluster.lag("t", 0, 2).unwrap();
        send(&mut client, &mut cluster, 0, &dated(1, NOW_MS));
        let mut follower = Client::new(&cluster, 2);
        assert_eq!(follower.knows(&mut cluster, at_ms(ms)), known);
        cluster.move_leader("t", 0, 2).unwrap();
        assert_eq!(follower.knows(&mut cluster, at_ms(ms)), known);
    }
}
