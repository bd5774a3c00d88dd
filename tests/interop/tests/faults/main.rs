//! What is told stays true while leaders die, freeze, and connections are cut.

mod storm;

use core::time::Duration;
use std::thread;

use ottla_interop::{Adapter, Protocol, Scene, version};
use ottla_kafka::{Cluster, Direction};
use storm::{LIMIT, Storm, clock, none, some, topic};

#[test]
#[ignore = "needs Java and Maven"]
fn while_a_leader_is_killed() {
    let cluster = Scene::start(3).unwrap();
    println!("Kafka {}: two leaders are killed and started again", version());
    let storm = Storm {
        cluster: &cluster,
        bootstrap: cluster.bootstrap(),
        properties: &[],
        least: 60_000,
        rate: 2_000,
        deadline: some,
    };
    let say = clock();
    storm.run(|| {
        let mut killed = Vec::new();
        for _ in 0..2 {
            thread::sleep(Duration::from_secs(4));
            let topic = topic(Adapter::Tokio);
            let partitions = cluster.partitions(&topic).unwrap();
            let mut leaders = partitions.iter().filter_map(|partition| partition.leader);
            let leader = leaders.find(|leader| !killed.contains(leader)).unwrap();
            killed.push(leader);
            cluster.kill(leader).unwrap();
            say(&format!("node {leader} is killed"));
            cluster.await_leaders_off(leader, &topic, LIMIT).unwrap();
            say("others lead");
            cluster.restart(leader).unwrap();
            cluster.await_in_sync(&topic, 3, LIMIT).unwrap();
            say(&format!("node {leader} is back and in sync"));
        }
        thread::sleep(Duration::from_secs(2));
    });
}

/// With a short `delivery.timeout.ms`, so that `Unknown` is told, and the truth later.
#[test]
#[ignore = "needs Java and Maven"]
fn while_a_broker_is_frozen() {
    let cluster = Scene::start(3).unwrap();
    println!("Kafka {}: a leader is frozen for ten seconds", version());
    let storm = Storm {
        cluster: &cluster,
        bootstrap: cluster.bootstrap(),
        properties: &[("delivery.timeout.ms", "4000"), ("request.timeout.ms", "2500")],
        least: 60_000,
        rate: 2_000,
        deadline: some,
    };
    let say = clock();
    let ends = storm.run(|| {
        thread::sleep(Duration::from_secs(4));
        let leader = cluster.leader(&topic(Adapter::Blocking), 0).unwrap();
        cluster.freeze(leader).unwrap();
        say(&format!("node {leader} is frozen"));
        thread::sleep(Duration::from_secs(10));
        cluster.thaw(leader).unwrap();
        say(&format!("node {leader} goes on"));
        for adapter in Adapter::ALL {
            cluster.await_in_sync(&topic(adapter), 3, LIMIT).unwrap();
        }
        say("all are in sync");
        thread::sleep(Duration::from_secs(2));
    });
    for (sent, _) in ends {
        let late = sent.fates.all().iter().filter(|fate| fate.late.is_some()).count();
        assert!(late > 0, "some were unknown until the broker went on");
    }
}

#[test]
#[ignore = "needs Java and Maven"]
fn while_connections_are_cut() {
    const CUTS: u32 = 50;
    let cluster = Scene::start(3).unwrap();
    println!("Kafka {}: {CUTS} cuts at random byte positions", version());
    let storm = Storm {
        cluster: &cluster,
        bootstrap: cluster.proxied_bootstrap(),
        properties: &[],
        least: 40_000,
        rate: 2_000,
        deadline: some,
    };
    let say = clock();
    storm.run(|| {
        thread::sleep(Duration::from_secs(1));
        cluster.proxy().all().cut_at_random(11, CUTS, 1..=1_500_000);
        while cluster.proxy().all().cuts_left() > 0 {
            thread::sleep(Duration::from_millis(50));
        }
        say("the last cut is done");
    });
    let counters = cluster.proxy().all().counters();
    println!("the proxy: {counters:?}");
    let cuts = if cluster.is_encrypted() { counters.cuts } else { counters.cuts_in_data };
    assert_eq!(cuts, u64::from(CUTS));
}

/// The same with TLS and SASL, in sessions of eight seconds, and a leader that is killed in between.
#[test]
#[ignore = "needs Java and Maven"]
fn while_connections_with_tls_and_sasl_are_cut() {
    const CUTS: u32 = 50;
    let cluster = Scene::secured(Protocol::SaslSsl, 3).unwrap();
    println!("Kafka {}: {CUTS} cuts at random byte positions of ciphertext, and a kill", version());
    let storm = Storm {
        cluster: &cluster,
        bootstrap: cluster.proxied_bootstrap(),
        properties: &[],
        least: 40_000,
        rate: 2_000,
        deadline: some,
    };
    let say = clock();
    storm.run(|| {
        thread::sleep(Duration::from_secs(1));
        cluster.proxy().all().cut_at_random(12, CUTS, 1..=1_500_000);
        let topic = topic(Adapter::Tokio);
        let leader = cluster.leader(&topic, 0).unwrap();
        cluster.kill(leader).unwrap();
        say(&format!("node {leader} is killed"));
        cluster.await_leaders_off(leader, &topic, LIMIT).unwrap();
        cluster.restart(leader).unwrap();
        while cluster.proxy().all().cuts_left() > 0 {
            thread::sleep(Duration::from_millis(50));
        }
        say("the last cut is done");
        cluster.await_in_sync(&topic, 3, LIMIT).unwrap();
    });
    assert_eq!(cluster.proxy().all().counters().cuts, u64::from(CUTS));
}

/// Brokers append, and their answers are swallowed: all is sent again, and must not be twice in
/// the log.
#[test]
#[ignore = "needs Java and Maven"]
fn while_answers_are_lost() {
    let cluster = Scene::start(3).unwrap();
    println!("Kafka {}: answers are swallowed, four times for two seconds", version());
    let storm = Storm {
        cluster: &cluster,
        bootstrap: cluster.proxied_bootstrap(),
        // A handshake of TLS whose answer is swallowed is part of the set-up.
        properties: &[
            ("delivery.timeout.ms", "2500"),
            ("request.timeout.ms", "1000"),
            ("socket.connection.setup.timeout.ms", "1000"),
            ("socket.connection.setup.timeout.max.ms", "1000"),
        ],
        least: 40_000,
        rate: 2_000,
        deadline: some,
    };
    let say = clock();
    let ends = storm.run(|| {
        for _ in 0..4 {
            thread::sleep(Duration::from_secs(2));
            say("answers are swallowed");
            cluster.proxy().all().blackhole(Direction::ToClient, true);
            thread::sleep(Duration::from_secs(2));
            cluster.proxy().all().blackhole(Direction::ToClient, false);
            say("answers arrive");
        }
        thread::sleep(Duration::from_secs(3));
    });
    println!("the proxy: {:?}", cluster.proxy().all().counters());
    for (sent, count) in ends {
        assert!(sent.stats.core.retries > 0 && count.delivered_late > 0);
    }
}

/// The daily life of a cluster: nobody should notice.
#[test]
#[ignore = "needs Java and Maven"]
fn while_each_node_is_restarted_in_turn() {
    let cluster = Scene::start(3).unwrap();
    println!("Kafka {}: each node is shut down and started again", version());
    let storm = Storm {
        cluster: &cluster,
        bootstrap: cluster.bootstrap(),
        properties: &[],
        least: 50_000,
        rate: 2_000,
        deadline: none,
    };
    let say = clock();
    let ends = storm.run(|| {
        for node in cluster.node_ids() {
            thread::sleep(Duration::from_secs(2));
            cluster.shut_down(node).unwrap();
            say(&format!("node {node} is shut down; {}", leaders(&cluster)));
            cluster.restart(node).unwrap();
            for adapter in Adapter::ALL {
                cluster.await_in_sync(&topic(adapter), 3, LIMIT).unwrap();
            }
            say(&format!("node {node} is back and in sync"));
        }
        thread::sleep(Duration::from_secs(2));
    });
    for (sent, count) in ends {
        assert_eq!(count.delivered, sent.count);
    }
}

/// Who leads, and how many are in sync, in each partition.
fn leaders(cluster: &Cluster) -> String {
    let of = |adapter: Adapter| {
        let partitions = cluster.partitions(&topic(adapter)).unwrap();
        let words =
            partitions.iter().map(|p| format!("{}:{}", p.leader.unwrap_or(-1), p.isr.len()));
        format!("{adapter} {}", words.collect::<Vec<_>>().join(" "))
    };
    Adapter::ALL.map(of).join(", ")
}

/// All there is goes away and comes back.
#[test]
#[ignore = "needs Java and Maven"]
fn while_the_only_broker_is_killed() {
    let cluster = Scene::start(1).unwrap();
    println!("Kafka {}: the only broker is killed twice", version());
    let storm = Storm {
        cluster: &cluster,
        bootstrap: cluster.bootstrap(),
        properties: &[],
        least: 40_000,
        rate: 2_000,
        deadline: none,
    };
    let say = clock();
    let ends = storm.run(|| {
        for _ in 0..2 {
            thread::sleep(Duration::from_secs(4));
            cluster.kill(1).unwrap();
            say("it is killed");
            cluster.restart(1).unwrap();
            say("it is back");
        }
        thread::sleep(Duration::from_secs(3));
    });
    for (sent, count) in ends {
        assert_eq!(count.delivered, sent.count);
    }
}
