//! What is told stays true while leaders die, freeze, and connections are cut.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{thread, time::Instant};

use ottla_interop::{Adapter, Count, Lines, LogCount, Mix, Sent, Stream, cluster, verify, version};
use ottla_kafka::Cluster;

const PARTITIONS: i32 = 6;
const LIMIT: Duration = Duration::from_secs(90);

/// A steady stream of each adapter to a topic of its own, while `faults` happen.
struct Storm<'a> {
    cluster: &'a Cluster,
    bootstrap: String,
    properties: &'a [(&'a str, &'a str)],
    /// At least so many messages, and then until the faults are over.
    least: u32,
    rate: u32,
}

const SEED: u64 = 7;

/// Every sixteenth message is given up after a while: at once, soon, or late.
fn deadline(index: u32) -> Option<Duration> {
    let millis = [0, 3, 40, 400, 4000][(index / 16 % 5) as usize];
    (index % 16 == 5).then_some(Duration::from_millis(millis))
}

impl Storm<'_> {
    fn run(&self, faults: impl FnOnce()) -> Vec<(Sent, Count)> {
        let lines = Lines::new(SEED, Mix::Steady, u32::MAX);
        let over = AtomicBool::new(false);
        let send = |adapter: Adapter| {
            let topic = topic(adapter);
            let stream = Stream {
                properties: self.properties,
                rate: Some(self.rate),
                deadline,
                ..Stream::new(&self.bootstrap, &topic)
            };
            let enough = |index| index >= self.least && over.load(Ordering::Relaxed);
            stream.send(adapter, |index| (!enough(index)).then(|| lines.line(index))).unwrap()
        };
        for adapter in Adapter::ALL {
            self.cluster.create_topic(&topic(adapter), PARTITIONS, 3, &[]).unwrap();
        }
        let all = thread::scope(|scope| {
            let threads = Adapter::ALL.map(|adapter| scope.spawn(move || send(adapter)));
            // Ends the streams also where a fault cannot be made, which panics.
            let end = End(&over);
            faults();
            drop(end);
            threads.map(|thread| thread.join().unwrap())
        });
        let judged = |(adapter, sent): (Adapter, Sent)| {
            println!("{adapter}: {}", sent.story());
            sent.check_stats().unwrap();
            let topic = topic(adapter);
            self.cluster.await_in_sync(&topic, 2, LIMIT).unwrap();
            let log = self.cluster.read(&topic).unwrap();
            let count = verify(sent.count, |index| lines.line(index), &sent.fates, &log).unwrap();
            println!("{adapter}: {count}");
            let log = LogCount::of(self.cluster, &topic).unwrap();
            println!("{adapter}: {log}");
            assert!(count.delivered > sent.count / 2, "most messages get through");
            (sent, count)
        };
        Adapter::ALL.into_iter().zip(all).map(judged).collect()
    }
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn topic(adapter: Adapter) -> String {
    format!("steady-{adapter}")
}

/// Says when what happened.
#[allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]
fn clock() -> impl Fn(&str) {
    let begin = Instant::now();
    move |what| println!("{:5.1} s: {what}", begin.elapsed().as_secs_f64())
}

#[test]
#[ignore = "needs Java and Maven"]
fn while_a_leader_is_killed() {
    let cluster = cluster(3).unwrap();
    println!("Kafka {}: two leaders are killed and started again", version());
    let storm = Storm {
        cluster: &cluster,
        bootstrap: cluster.bootstrap(),
        properties: &[],
        least: 60_000,
        rate: 2_000,
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
    let cluster = cluster(3).unwrap();
    println!("Kafka {}: a leader is frozen for ten seconds", version());
    let storm = Storm {
        cluster: &cluster,
        bootstrap: cluster.bootstrap(),
        properties: &[("delivery.timeout.ms", "4000"), ("request.timeout.ms", "2500")],
        least: 60_000,
        rate: 2_000,
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
    let cluster = cluster(3).unwrap();
    println!("Kafka {}: {CUTS} cuts at random byte positions", version());
    let storm = Storm {
        cluster: &cluster,
        bootstrap: cluster.proxied_bootstrap(),
        properties: &[],
        least: 40_000,
        rate: 2_000,
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
    assert_eq!(counters.cuts_in_data, u64::from(CUTS));
}
