//! All at once: brokers die, freeze and hand their partitions over, connections break and lie,
//! records have deadlines of 200 ms, and some are cancelled; and at the end Kafka's own consumer
//! agrees with each verdict.
//!
//! `OTTLA_STORM_SECONDS` is how long it lasts (300), `OTTLA_STORM_SEED` what happens when.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

mod schedule;

use core::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{thread, time::Instant};

use ottla_interop::{
    Adapter, Fate, Lines, LogCount, Mix, Scene, Sent, Stream, Told, compression, verify, version,
};
use ottla_kafka::Cluster;
use schedule::Schedule;

const PARTITIONS: i32 = 6;
/// Messages a second, of each adapter.
const RATE: u32 = 1_000;
const DEADLINE: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(90);

/// A producer that waits for the truth as long as it takes.
const PATIENT: &[(&str, &str)] = &[("request.timeout.ms", "1500")];
/// One that gives a batch up soon, so that new epochs are begun while stragglers are under way.
const IMPATIENT: &[(&str, &str)] = &[
    ("request.timeout.ms", "1500"),
    ("delivery.timeout.ms", "2000"),
    ("resolve.timeout.ms", "1500"),
];

fn topic(adapter: Adapter) -> String {
    format!("storm-{adapter}")
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn deadline(_: u32) -> Option<Duration> {
    Some(DEADLINE)
}

/// One of eight is cancelled, after some time or none.
fn cancel(index: u32) -> Option<Duration> {
    let mut random = fastrand::Rng::with_seed(u64::from(index));
    (random.u8(..) < 32).then(|| Duration::from_micros(random.u64(0..DEADLINE.as_micros() as u64)))
}

#[test]
#[ignore = "needs Java and Maven"]
fn every_verdict_is_true_in_a_storm() {
    let seconds = number("OTTLA_STORM_SECONDS", 300);
    let seed = number("OTTLA_STORM_SEED", 1);
    let cluster = Scene::start(3).unwrap();
    println!(
        "Kafka {}: {seconds} s of storm, seed {seed}; twice {RATE} messages a second",
        version()
    );
    for adapter in Adapter::ALL {
        cluster.create_topic(&topic(adapter), PARTITIONS, 3, &[]).unwrap();
    }
    // Which adapter has which temper follows from the seed.
    let tempers = if seed.is_multiple_of(2) { [PATIENT, IMPATIENT] } else { [IMPATIENT, PATIENT] };
    let lines = Lines::new(seed, Mix::Steady, u32::MAX);
    let over = AtomicBool::new(false);
    let bootstrap = cluster.proxied_bootstrap();
    let send = |adapter: Adapter, properties: &[(&'static str, &'static str)]| {
        let topic = topic(adapter);
        let properties = cluster.properties(properties);
        let stream = Stream {
            properties: &properties,
            rate: Some(RATE),
            deadline,
            cancel,
            ..Stream::new(&bootstrap, &topic)
        };
        let next = |index| (!over.load(Ordering::Relaxed)).then(|| lines.line(index));
        stream.send(adapter, next).unwrap()
    };
    let schedule = Schedule::new(&cluster, seed, Duration::from_secs(seconds));
    let (sent, struck) = thread::scope(|scope| {
        let mut streams = Vec::new();
        for (adapter, properties) in Adapter::ALL.into_iter().zip(tempers) {
            let send = &send;
            streams.push(scope.spawn(move || send(adapter, properties)));
        }
        // Ends the streams also where a fault cannot be made, which panics.
        let end = End(&over);
        let struck = schedule.run();
        drop(end);
        let sent: Vec<Sent> = streams.into_iter().map(|stream| stream.join().unwrap()).collect();
        (sent, struck)
    });
    println!("struck: {struck}");
    println!("the proxy: {:?}", cluster.proxy().all().counters());
    let mut counts = Verdicts::default();
    for ((adapter, sent), properties) in Adapter::ALL.into_iter().zip(&sent).zip(tempers) {
        counts.add(&judge(&cluster, adapter, sent, &lines, properties));
    }
    println!("in all: {counts}");
    struck.check();
    counts.check();
}

/// Holds what was told against the log.
fn judge(
    cluster: &Cluster,
    adapter: Adapter,
    sent: &Sent,
    lines: &Lines,
    properties: &[(&str, &str)],
) -> Verdicts {
    println!("{adapter}, {properties:?}: {}", sent.story());
    let counts = Verdicts::of(sent.fates.all());
    println!("{adapter}: {counts}");
    println!("{adapter}: first answers took {}", sent.answered);
    sent.check_stats().unwrap();
    sent.check_cancels().unwrap();
    let topic = topic(adapter);
    cluster.await_in_sync(&topic, 3, LIMIT).unwrap();
    let begin = Instant::now();
    let log = cluster.read(&topic).unwrap();
    let count = verify(sent.count, |index| lines.line(index), &sent.fates, &log);
    let count = count.unwrap_or_else(|error| {
        // What there is to see is kept, and not taken away with the cluster.
        println!("{adapter}: {error:#}");
        panic!("{adapter}: the log disagrees")
    });
    println!("{adapter}: {count}; read back in {:.1?}", begin.elapsed());
    let log = LogCount::of(cluster, &topic).unwrap();
    println!("{adapter}: {log}");
    assert_eq!(compression().is_some(), 2 * log.compressed > log.batches);
    counts
}

/// How often what was told, first and last.
#[derive(Clone, Copy, Debug, Default)]
struct Verdicts {
    /// Delivered, not delivered, unknown.
    first: [u64; 3],
    last: [u64; 3],
    /// What followed after `Unknown`.
    late: [u64; 3],
}

impl Verdicts {
    fn of(fates: &[Fate]) -> Self {
        let mut verdicts = Self::default();
        for fate in fates {
            let told = [fate.first.as_ref(), fate.last(), fate.late.as_ref()];
            let counts = [&mut verdicts.first, &mut verdicts.last, &mut verdicts.late];
            for (told, counts) in told.into_iter().zip(counts) {
                match told {
                    Some(Told::Delivered { .. }) => counts[0] += 1,
                    Some(Told::NotDelivered(_)) => counts[1] += 1,
                    Some(Told::Unknown(_)) => counts[2] += 1,
                    None => {}
                }
            }
        }
        verdicts
    }

    fn add(&mut self, other: &Self) {
        let add = |to: &mut [u64; 3], from: [u64; 3]| {
            to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        };
        add(&mut self.first, other.first);
        add(&mut self.last, other.last);
        add(&mut self.late, other.late);
    }

    /// Checks that there was something to get wrong.
    fn check(&self) {
        let all: u64 = self.first.iter().sum();
        assert!(self.first.iter().chain(&self.last).all(|count| *count > 0), "{self}");
        assert!(self.late[0] > 0 && self.late[2] > 0, "{self}");
        // A node that is gone holds up all partitions, as each has a replica there, until its session
        // is over.
        assert!(self.first[0] > all / 10, "hardly anything gets through: {self}");
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.first.iter().sum();
        write!(f, "{all} verdicts")?;
        for (when, [delivered, not, unknown]) in
            [("first", self.first), ("late", self.late), ("last", self.last)]
        {
            write!(f, "; {when}: {delivered} Delivered, {not} NotDelivered, {unknown} Unknown")?;
        }
        Ok(())
    }
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
