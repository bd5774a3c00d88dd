//! Each tested version of Kafka starts, and is asked everything there is to ask.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use std::time::Instant;

use ottla_kafka::{Batch, Cluster, Config, VERSIONS};

fn starts(version: &str) {
    let begin = Instant::now();
    let cluster = Cluster::start(&Config::new(version, 1).unwrap()).unwrap();
    println!("Kafka {version} with one node took {:?}", begin.elapsed());
    cluster.create_topic("t", 2, 1, &[("max.message.bytes", "1000000")]).unwrap();
    assert!(cluster.create_topic("t", 2, 1, &[]).is_err(), "it exists");
    assert_eq!(cluster.leader("t", 1).unwrap(), 1);
    assert_eq!(cluster.brokers().unwrap(), [1]);
    assert_eq!(cluster.read("t").unwrap(), []);
    assert_eq!(cluster.dump_log(1, "t", 0).unwrap(), Vec::<Batch>::new());
    let keys: [&[u8]; 4] = [b"", b"1", b"21", b"foobar"];
    assert_eq!(cluster.tool().partitions_for(1, &keys).unwrap(), [0; 4]);
    // Known values of murmur2: see UtilsTest of Kafka for "21" and "foobar".
    let partitions = cluster.tool().partitions_for(1000, &keys[2..]).unwrap();
    let known = [-973_932_308_i32, -790_332_482];
    assert_eq!(partitions, known.map(|hash| (hash & 0x7fff_ffff) % 1000));
    cluster.kill(1).unwrap();
    let begin = Instant::now();
    cluster.restart(1).unwrap();
    println!("restarting it took {:?}", begin.elapsed());
    assert_eq!(cluster.leader("t", 0).unwrap(), 1);
    cluster.delete_topic("t").unwrap();
}

#[test]
#[ignore = "needs Java and Maven"]
fn oldest_starts() {
    starts(VERSIONS[0]);
}

#[test]
#[ignore = "needs Java and Maven"]
fn newest_3_starts() {
    starts(VERSIONS[1]);
}

#[test]
#[ignore = "needs Java and Maven"]
fn first_4_starts() {
    starts(VERSIONS[2]);
}

#[test]
#[ignore = "needs Java and Maven"]
fn newest_starts() {
    starts(VERSIONS[3]);
}
