//! Steady streams of both adapters while something happens.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{thread, time::Instant};

use ottla_interop::{
    Adapter, Count, Lines, LogCount, Mix, Scene, Sent, Stream, compression, verify,
};

/// As many as make each of three nodes lead some.
const PARTITIONS: i32 = 6;
/// How long a cluster may take to recover.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);

/// A steady stream of each adapter to a topic of its own, while `faults` happen.
pub(crate) struct Storm<'a> {
    pub(crate) cluster: &'a Scene,
    pub(crate) bootstrap: String,
    pub(crate) properties: &'a [(&'a str, &'a str)],
    /// At least so many messages, and then until the faults are over.
    pub(crate) least: u32,
    pub(crate) rate: u32,
    /// After how long a message is given up.
    pub(crate) deadline: fn(u32) -> Option<Duration>,
}

/// No message is given up.
pub(crate) const fn none(_: u32) -> Option<Duration> {
    None
}

/// Every sixteenth message is given up after a while: at once, soon, or late.
pub(crate) fn some(index: u32) -> Option<Duration> {
    let millis = [0, 3, 40, 400, 4000][(index / 16 % 5) as usize];
    (index % 16 == 5).then_some(Duration::from_millis(millis))
}

impl Storm<'_> {
    fn replication(&self) -> i16 {
        if self.cluster.node_ids().len() < 3 { 1 } else { 3 }
    }

    pub(crate) fn run(&self, faults: impl FnOnce()) -> Vec<(Sent, Count)> {
        let lines = Lines::new(7, Mix::Steady, u32::MAX);
        let over = AtomicBool::new(false);
        let properties = self.cluster.properties(self.properties);
        let send = |adapter: Adapter| {
            let topic = topic(adapter);
            let stream = Stream {
                properties: &properties,
                rate: Some(self.rate),
                deadline: self.deadline,
                ..Stream::new(&self.bootstrap, &topic)
            };
            let enough = |index| index >= self.least && over.load(Ordering::Relaxed);
            stream.send(adapter, |index| (!enough(index)).then(|| lines.line(index))).unwrap()
        };
        for adapter in Adapter::ALL {
            self.cluster
                .create_topic(&topic(adapter), PARTITIONS, self.replication(), &[])
                .unwrap();
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
            let nodes = self.cluster.node_ids().len();
            self.cluster.await_in_sync(&topic, nodes.min(2), LIMIT).unwrap();
            let log = self.cluster.read(&topic).unwrap();
            let count = verify(sent.count, |index| lines.line(index), &sent.fates, &log).unwrap();
            println!("{adapter}: {count}");
            let log = LogCount::of(self.cluster, &topic).unwrap();
            println!("{adapter}: {log}");
            assert_eq!(compression().is_some(), 2 * log.compressed > log.batches);
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

pub(crate) fn topic(adapter: Adapter) -> String {
    format!("steady-{adapter}")
}

/// Says when what happened.
#[allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]
pub(crate) fn clock() -> impl Fn(&str) {
    let begin = Instant::now();
    move |what| println!("{:5.1} s: {what}", begin.elapsed().as_secs_f64())
}
