//! Three nodes of the newest Kafka, and what can be done to them.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::time::Duration;
use std::{process::Command, time::Instant};

use ottla_kafka::{Cluster, Config, Hangup, Jars, NEWEST, Tool};

const LIMIT: Duration = Duration::from_secs(60);

fn three_nodes() -> Cluster {
    let begin = Instant::now();
    let cluster = Cluster::start(&Config::new(NEWEST, 3).unwrap()).unwrap();
    println!("Kafka {NEWEST} with three nodes took {:?}", begin.elapsed());
    cluster
}

#[test]
#[ignore = "needs Java and Maven"]
fn nodes_die_and_come_back() {
    let cluster = three_nodes();
    assert_eq!(cluster.node_ids(), [1, 2, 3]);
    cluster.create_topic("t", 3, 3, &[]).unwrap();
    for partition in cluster.partitions("t").unwrap() {
        assert_eq!((partition.replicas.len(), partition.isr.len()), (3, 3));
    }
    let before = cluster.leader("t", 0).unwrap();
    let leader = before % 3 + 1;
    cluster.lead("t", 0, leader).unwrap();
    assert_eq!(cluster.leader("t", 0).unwrap(), leader);
    assert!(cluster.lead("t", 0, leader).is_err(), "it leads already");
    let values: [&[u8]; 2] = [b"before", &[7; 100_000]];
    assert_eq!(cluster.tool().produce("t", 0, &values).unwrap(), [0, 1]);

    cluster.kill(leader).unwrap();
    assert!(cluster.kill(leader).is_err(), "it is down");
    let begin = Instant::now();
    cluster.await_leaders_off(leader, "t", LIMIT).unwrap();
    println!("fail-over after SIGKILL took {:?}", begin.elapsed());
    assert_eq!(cluster.tool().produce("t", 0, &[b"between"]).unwrap(), [2]);
    let begin = Instant::now();
    cluster.restart(leader).unwrap();
    cluster.await_in_sync("t", 3, LIMIT).unwrap();
    println!("restart until in sync took {:?}", begin.elapsed());

    let leader = cluster.leader("t", 0).unwrap();
    cluster.freeze(leader).unwrap();
    cluster.await_leaders_off(leader, "t", LIMIT).unwrap();
    assert_eq!(cluster.tool().produce("t", 0, &[b"frozen"]).unwrap(), [3]);
    cluster.thaw(leader).unwrap();
    cluster.await_in_sync("t", 3, LIMIT).unwrap();

    let leader = cluster.leader("t", 0).unwrap();
    let begin = Instant::now();
    cluster.shut_down(leader).unwrap();
    cluster.await_leaders_off(leader, "t", LIMIT).unwrap();
    println!("orderly fail-over took {:?}", begin.elapsed());
    cluster.restart(leader).unwrap();
    cluster.await_in_sync("t", 3, LIMIT).unwrap();

    let records = cluster.read("t").unwrap();
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(records[0].has_value(b"before") && records[1].has_value(&[7; 100_000]));
    assert_eq!(records[2].value.as_deref(), Some(b"between".as_slice()));
    assert_eq!((records[1].value.as_ref(), records[1].value_len), (None, Some(100_000)));
    for node in cluster.node_ids() {
        let batches = cluster.dump_log(node, "t", 0).unwrap();
        assert_eq!(batches.iter().map(|batch| batch.count).sum::<i32>(), 4, "node {node}");
        assert!(batches.iter().all(|batch| batch.is_valid && batch.producer_id >= 0));
        assert_eq!((batches[0].base_offset, batches[0].base_sequence), (0, 0));
    }
}

/// Kafka's clients ask any node, and the next question goes to another one.
#[test]
#[ignore = "needs Java and Maven"]
fn what_was_changed_is_known_to_whichever_node_is_asked_next() {
    let cluster = three_nodes();
    cluster.create_topic("t", 1, 3, &[]).unwrap();
    for round in 0..30 {
        let leader = cluster.leader("t", 0).unwrap() % 3 + 1;
        cluster.lead("t", 0, leader).unwrap();
        for _ in 0..3 {
            assert_eq!(cluster.leader("t", 0).unwrap(), leader, "in round {round}");
        }
    }
    cluster.delete_topic("t").unwrap();
    assert!(cluster.partitions("t").is_err(), "it is gone");
}

#[test]
#[ignore = "needs Java and Maven"]
fn clients_of_the_proxy_stay_with_the_proxy() {
    let cluster = three_nodes();
    cluster.create_topic("t", 1, 3, &[]).unwrap();
    let proxy = cluster.proxy();
    assert_eq!(proxy.all().counters().connections, 0, "brokers do not use it themselves");
    // Bootstraps at one node, and is told of the others as the proxy's.
    let leader = usize::try_from(cluster.leader("t", 0).unwrap()).unwrap() - 1;
    let other = proxy.addresses()[(leader + 1) % 3].to_string();
    let jars = Jars::fetch(NEWEST.parse().unwrap()).unwrap();
    let dir = cluster.dir().join("client");
    std::fs::create_dir(&dir).unwrap();
    let client = Tool::start(&jars, &other, &dir).unwrap();
    let value = vec![5; 300_000];
    assert_eq!(client.produce("t", 0, &[&value]).unwrap(), [0]);
    let counters = proxy.link(leader).counters();
    assert!(counters.bytes_to_broker > 300_000, "{counters:?}");

    proxy.all().cut_at_random(1, 15, 1..=400_000);
    let mut sent = 1;
    while proxy.all().cuts_left() > 0 {
        assert!(sent < 1000, "{} cuts left", proxy.all().cuts_left());
        client.produce("t", 0, &[value.as_slice(); 4]).unwrap();
        sent += 4;
    }
    let counters = proxy.all().counters();
    assert_eq!((counters.cuts, counters.cuts_in_data), (15, 15));
    proxy.all().cut(Hangup::Reset);
    // Kafka's own idempotent producer neither lost nor doubled any.
    let records = cluster.read("t").unwrap();
    assert_eq!(records.len(), sent);
    assert!(records.iter().all(|record| record.has_value(&value)));
}

#[test]
#[ignore = "needs Java and Maven"]
fn nothing_stays_behind() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ottla-kafka"))
        .args(["up", "--topic", "a:2:1"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    let up: serde_json::Value = serde_json::from_str(&line).unwrap();
    let broker = up["bootstrap"].as_str().unwrap().to_owned();
    std::net::TcpStream::connect(&broker).unwrap();
    // The hard way: no destructor runs, so the kernel has to end the JVMs.
    child.kill().unwrap();
    child.wait().unwrap();
    let begin = Instant::now();
    while std::net::TcpStream::connect(&broker).is_ok() {
        assert!(begin.elapsed() < LIMIT, "the broker is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::fs::remove_dir_all(up["dir"].as_str().unwrap()).unwrap();
}
