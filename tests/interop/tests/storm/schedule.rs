//! What happens when.

use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};
use std::{thread, time::Instant};

use fastrand::Rng;
use ottla_interop::Adapter;
use ottla_kafka::{Cluster, Direction, Hangup};

use crate::{LIMIT, PARTITIONS, topic};

/// What can become of a node. One at a time, so that two of three are there to agree.
#[derive(Clone, Copy, Debug)]
enum Blow {
    /// SIGKILL, and a new start a little later.
    Kill,
    /// SIGSTOP for so short that it leads when it goes on.
    Nap,
    /// SIGSTOP until others lead for long, and it does not know.
    Sleep,
    /// Partitions get new leaders in good order.
    Move,
}

/// How often what has struck.
#[derive(Debug, Default)]
pub(crate) struct Struck {
    kills: AtomicU32,
    naps: AtomicU32,
    sleeps: AtomicU32,
    moves: AtomicU32,
    /// Moves that the cluster refused.
    refused: AtomicU32,
    cuts: AtomicU32,
    /// Of requests, and of answers.
    swallows: [AtomicU32; 2],
}

/// A seeded schedule of faults: which of them, of whom and for how long follow from the seed, one after
/// the other as fast as the machine allows.
pub(crate) struct Schedule<'a> {
    cluster: &'a Cluster,
    seed: u64,
    length: Duration,
    struck: Struck,
}

impl<'a> Schedule<'a> {
    pub(crate) fn new(cluster: &'a Cluster, seed: u64, length: Duration) -> Self {
        Self { cluster, seed, length, struck: Struck::default() }
    }

    /// Lasts for its length at least, and until each kind of fault has struck. All is well again then.
    pub(crate) fn run(self) -> Struck {
        let begin = Instant::now();
        thread::sleep(Duration::from_secs(1));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let network = scope.spawn(|| self.network(&over));
            self.nodes(begin);
            over.store(true, Ordering::Relaxed);
            network.join().unwrap();
        });
        self.cluster.proxy().all().heal();
        for adapter in Adapter::ALL {
            self.cluster.await_in_sync(&topic(adapter), 3, LIMIT).unwrap();
        }
        // Some get through to the end.
        thread::sleep(Duration::from_secs(1));
        self.struck
    }

    fn nodes(&self, begin: Instant) {
        let mut random = Rng::with_seed(self.seed);
        while begin.elapsed() < self.length || !self.struck.has_all_of_nodes() {
            let mut bag = [Blow::Kill, Blow::Nap, Blow::Move, Blow::Sleep, Blow::Move];
            random.shuffle(&mut bag);
            for blow in bag {
                let node = random.i32(1..=3);
                match blow {
                    Blow::Kill => {
                        self.cluster.kill(node).unwrap();
                        thread::sleep(millis(&mut random, 300, 4_000));
                        self.cluster.restart(node).unwrap();
                        count(&self.struck.kills);
                    }
                    Blow::Nap => {
                        self.freeze(node, millis(&mut random, 100, 3_000), &self.struck.naps)
                    }
                    Blow::Sleep => {
                        // Others lead after the session timeout, which is 6 s.
                        self.freeze(node, millis(&mut random, 7_000, 9_000), &self.struck.sleeps);
                    }
                    Blow::Move => self.move_leaders(&mut random),
                }
                thread::sleep(millis(&mut random, 100, 1_500));
                if begin.elapsed() >= self.length && self.struck.has_all_of_nodes() {
                    break;
                }
            }
        }
    }

    fn freeze(&self, node: i32, length: Duration, counter: &AtomicU32) {
        self.cluster.freeze(node).unwrap();
        thread::sleep(length);
        self.cluster.thaw(node).unwrap();
        count(counter);
    }

    fn move_leaders(&self, random: &mut Rng) {
        for _ in 0..4 {
            let topic = topic(if random.bool() { Adapter::Tokio } else { Adapter::Blocking });
            let (partition, node) = (random.i32(0..PARTITIONS), random.i32(1..=3));
            // It may lead already, or not be in sync.
            let moved = self.cluster.lead(&topic, partition, node).is_ok();
            count(if moved { &self.struck.moves } else { &self.struck.refused });
            thread::sleep(millis(random, 50, 300));
        }
    }

    fn network(&self, over: &AtomicBool) {
        let mut random = Rng::with_seed(!self.seed);
        let proxy = self.cluster.proxy();
        proxy.all().cut_at_random(self.seed, u32::MAX, 1..=4_000_000);
        while !over.load(Ordering::Relaxed) || !self.struck.has_all_of_the_network() {
            thread::sleep(millis(&mut random, 1_000, 4_000));
            let link = proxy.link(random.usize(0..3));
            let direction = random.usize(0..2);
            if random.u8(..) < 100 {
                let hangup = if random.bool() { Hangup::Fin } else { Hangup::Reset };
                let links = if random.u8(..) < 64 { proxy.all() } else { link };
                self.struck.cuts.fetch_add(u32::from(links.cut(hangup) > 0), Ordering::Relaxed);
            } else {
                let before = link.counters().bytes_swallowed;
                let to = [Direction::ToBroker, Direction::ToClient][direction];
                link.blackhole(to, true);
                thread::sleep(millis(&mut random, 50, 800));
                link.blackhole(to, false);
                if link.counters().bytes_swallowed > before {
                    count(&self.struck.swallows[direction]);
                }
            }
        }
    }
}

fn count(counter: &AtomicU32) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn millis(random: &mut Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(random.u64(least..=most))
}

impl Struck {
    fn all(&self) -> [(&'static str, u32); 8] {
        let [requests, answers] = &self.swallows;
        [
            ("kills", &self.kills),
            ("short freezes", &self.naps),
            ("long freezes", &self.sleeps),
            ("leader moves", &self.moves),
            ("moves refused", &self.refused),
            ("cuts of whole links", &self.cuts),
            ("times requests swallowed", requests),
            ("times answers swallowed", answers),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }

    fn has_all_of_nodes(&self) -> bool {
        let counters = [&self.kills, &self.naps, &self.sleeps, &self.moves];
        counters.iter().all(|counter| counter.load(Ordering::Relaxed) > 0)
    }

    fn has_all_of_the_network(&self) -> bool {
        let [requests, answers] = &self.swallows;
        [&self.cuts, requests, answers].iter().all(|counter| counter.load(Ordering::Relaxed) > 0)
    }

    /// Checks that each kind of fault has struck.
    pub(crate) fn check(&self) {
        assert!(self.has_all_of_nodes() && self.has_all_of_the_network(), "{self}");
    }
}

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, count)) in self.all().into_iter().enumerate() {
            write!(f, "{}{count} {name}", if number == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
