//! Brokers forget a producer by the times of its records: once the newest of its last batch is older than
//! `producer.id.expiration.ms`, the next look around drops what they know of it, though it was written a
//! moment ago. From then on they take whatever comes for new. So a batch in doubt must not be sent again
//! without asking first, or without knowing that it is too young to be forgotten.
//!
//! Here brokers forget after 20 s and look every 2 s. The answer to A does not come, and after 8 s the
//! producer gives up its connection. Who then just sends A again writes it twice: `warm A A B`.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

use core::{fmt, time::Duration};
use std::{
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use ottla_client::RecordOutcome;
use ottla_interop::{Adapter, Client, Message, Receipt, version};
use ottla_kafka::{Cluster, Config, Direction};

const LIMIT: Duration = Duration::from_secs(40);
/// What brokers go by, in milliseconds.
const EXPIRATION: &str = "20000";
const CHECK: &str = "2000";
/// For how long answers are swallowed: so long that brokers look around at least twice, and no longer than
/// `request.timeout.ms`, so that the next connection is whole.
const SWALLOWED: Duration = Duration::from_secs(7);
const REQUEST_TIMEOUT: &str = "8000";
const HOUR_MS: i64 = 3_600_000;

/// What brokers may forget, and how the producer may hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    /// Records of now: brokers remember.
    Fresh,
    /// Records of an hour ago, and a producer that may ask brokers what they remember.
    Asks,
    /// The same, with A and B on their way together.
    AsksForTwo,
    /// Records of an hour ago, and a producer that may write and not read, so that it may not ask. It
    /// knows when brokers forget.
    Knows,
    /// The same, and nothing of the partition was acknowledged before: warm is in another.
    KnowsAtFirst,
    /// Records of an hour ago, and a producer that is to send again what brokers have forgotten.
    Resends,
    /// Records of an hour ago in a topic where brokers set the times: they remember.
    LogAppendTime,
}

/// On which way bytes are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    /// A is in the log.
    Answer,
    /// A is not.
    Request,
}

impl Case {
    const ALL: [Self; 7] = [
        Self::Fresh,
        Self::Asks,
        Self::AsksForTwo,
        Self::Knows,
        Self::KnowsAtFirst,
        Self::Resends,
        Self::LogAppendTime,
    ];

    /// Whether brokers remember, so that the final outcome is `Delivered`.
    const fn is_remembered(self) -> bool {
        matches!(self, Self::Fresh | Self::LogAppendTime)
    }

    const fn is_warm(self) -> bool {
        !matches!(self, Self::KnowsAtFirst)
    }

    const fn knows(self) -> bool {
        matches!(self, Self::Knows | Self::KnowsAtFirst)
    }
}

/// What became of a case.
#[derive(Debug)]
struct Row {
    adapter: Adapter,
    case: Case,
    lost: Lost,
    log: Vec<String>,
    /// Of A, with how long it took.
    first: Option<RecordOutcome>,
    last: Option<RecordOutcome>,
    took: Duration,
    /// Of B.
    next: Option<RecordOutcome>,
    is_complete: bool,
}

#[test]
#[ignore = "needs Java and Maven"]
fn a_record_of_a_forgotten_producer_is_not_written_twice() {
    let config = Config::new(&version(), 1).unwrap().with_acls();
    let config = config
        .with("producer.id.expiration.ms", EXPIRATION)
        .with("producer.id.expiration.check.interval.ms", CHECK);
    let cluster = Cluster::start(&config).unwrap();
    let mut rows = Vec::new();
    for lost in [Lost::Answer, Lost::Request] {
        rows.extend(lose(&cluster, lost));
    }
    let mut wrong = Vec::new();
    for row in &rows {
        let found = row.wrong();
        println!("Kafka {}, {row}{}", version(), if found.is_some() { "  WRONG" } else { "" });
        wrong.extend(found.map(|why| format!("{row}: {why}")));
    }
    assert!(wrong.is_empty(), "Kafka {}:\n{}", version(), wrong.join("\n"));
}

/// All cases at a time, since each waits most of the time.
fn lose(cluster: &Cluster, lost: Lost) -> Vec<Row> {
    let each = Adapter::ALL.iter().flat_map(|adapter| Case::ALL.map(|case| (*adapter, case)));
    let stages = each.map(|(adapter, case)| Stage::new(cluster, adapter, case, lost));
    let stages: Vec<_> = stages.collect();
    let direction = match lost {
        Lost::Answer => Direction::ToClient,
        Lost::Request => Direction::ToBroker,
    };
    let links = cluster.proxy().all();
    links.blackhole(direction, true);
    thread::scope(|scope| {
        let runs = stages.into_iter().map(|stage| scope.spawn(|| stage.run(cluster)));
        let runs: Vec<_> = runs.collect();
        thread::sleep(SWALLOWED);
        links.blackhole(direction, false);
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

/// A producer that has a connection and an id.
struct Stage {
    adapter: Adapter,
    case: Case,
    lost: Lost,
    topic: String,
    client: Client,
}

impl Stage {
    fn new(cluster: &Cluster, adapter: Adapter, case: Case, lost: Lost) -> Self {
        let topic = format!("forgotten-{adapter}-{case:?}-{lost:?}");
        let times = if case == Case::LogAppendTime { "LogAppendTime" } else { "CreateTime" };
        cluster.create_topic(&topic, 2, 1, &[("message.timestamp.type", times)]).unwrap();
        if case.knows() {
            cluster.allow(&topic, &["WRITE", "DESCRIBE"]).unwrap();
        }
        let bootstrap = cluster.proxied_bootstrap();
        let mut properties = vec![
            ("bootstrap.servers", bootstrap.as_str()),
            ("request.timeout.ms", REQUEST_TIMEOUT),
        ];
        if case.knows() {
            properties.push(("producer.id.expiration.ms", EXPIRATION));
        }
        if case == Case::Resends {
            properties.push(("on.forgotten", "resend"));
        }
        let client = Client::new(adapter, &properties).unwrap();
        let stage = Self { adapter, case, lost, topic, client };
        let warm = stage.send("warm", i32::from(!case.is_warm())).first(LIMIT);
        assert!(is_at(warm.as_ref(), 0), "{}: {warm:?}", stage.topic);
        stage
    }

    fn send(&self, text: &str, partition: i32) -> Receipt<'_> {
        let age = if self.case == Case::Fresh { 0 } else { HOUR_MS };
        let timestamp = Some(now() - age);
        let message = Message { partition: Some(partition), timestamp, ..Message::text(text) };
        let topic = self.client.topic(&self.topic).unwrap();
        self.client.send(&topic, &message, None).unwrap()
    }

    fn run(self, cluster: &Cluster) -> Row {
        let begin = Instant::now();
        let a = self.send("A", 0);
        let together = (self.case == Case::AsksForTwo).then(|| {
            // Not in the same batch.
            thread::sleep(Duration::from_millis(300));
            self.send("B", 0)
        });
        let first = a.first(LIMIT);
        let last = a.last(LIMIT);
        let took = begin.elapsed();
        let next = together.unwrap_or_else(|| self.send("B", 0)).last(LIMIT);
        let is_complete = self.client.close(LIMIT).complete;
        let Self { adapter, case, lost, topic, .. } = &self;
        if case.knows() {
            let refused = cluster.read(topic);
            assert!(refused.is_err(), "{topic}: it was to be refused: {refused:?}");
            cluster.allow(topic, &[]).unwrap();
        }
        let log = texts(cluster, topic);
        Row {
            adapter: *adapter,
            case: *case,
            lost: *lost,
            log,
            first,
            last,
            took,
            next,
            is_complete,
        }
    }
}

impl Row {
    /// What must not be.
    fn wrong(&self) -> Option<String> {
        let warm = self.case.is_warm().then_some("warm");
        let with = |texts: &[&'static str]| warm.into_iter().chain(texts.iter().copied()).collect();
        let may: Vec<Vec<&str>> = match (self.lost, self.case) {
            (Lost::Answer, Case::Resends) => vec![with(&["A", "A", "B"])],
            (Lost::Answer, _) => vec![with(&["A", "B"])],
            (Lost::Request, Case::Resends) => vec![with(&["A", "B"])],
            (Lost::Request, case) if case.is_remembered() => vec![with(&["A", "B"])],
            (Lost::Request, Case::AsksForTwo) => vec![with(&[]), with(&["B"]), with(&["A", "B"])],
            (Lost::Request, _) => vec![with(&["B"]), with(&["A", "B"])],
        };
        if !may.iter().any(|log| *log == self.log) {
            return Some("the log".to_owned());
        }
        for (text, outcome) in [("A", &self.first), ("A", &self.last), ("B", &self.next)] {
            if !is_true(&self.log, text, outcome.as_ref()) {
                return Some(format!("what is told of {text}"));
            }
        }
        let in_doubt =
            |outcome: &Option<RecordOutcome>| matches!(outcome, Some(RecordOutcome::Unknown(_)));
        if self.case.is_remembered() && in_doubt(&self.last) {
            return Some("it could be known".to_owned());
        }
        // That it may be there twice is told of nothing else.
        if self.case == Case::Resends
            && !self
                .last
                .as_ref()
                .is_some_and(|last| matches!(last, RecordOutcome::Delivered { unique: false, .. }))
        {
            return Some("it was sent again, and is not told so".to_owned());
        }
        if in_doubt(&self.next) && self.case != Case::AsksForTwo {
            return Some("B was never in doubt".to_owned());
        }
        (!self.is_complete).then(|| "it was not closed in time".to_owned())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { adapter, case, lost, .. } = self;
        let said = |outcome: &Option<RecordOutcome>| {
            outcome.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string)
        };
        write!(f, "{adapter}, {case:?}, {lost:?} lost: log {};", self.log.join(" "))?;
        write!(f, " A {}, then {}, after {:.1?};", said(&self.first), said(&self.last), self.took)?;
        write!(f, " B {}", said(&self.next))
    }
}

/// The values in the partition 0, by Kafka's own consumer.
fn texts(cluster: &Cluster, topic: &str) -> Vec<String> {
    let log = cluster.read(topic).unwrap();
    let texts = log.into_iter().filter(|record| record.partition == 0);
    texts.map(|record| String::from_utf8(record.value.unwrap()).unwrap()).collect()
}

/// Whether that is so.
fn is_true(log: &[String], text: &str, outcome: Option<&RecordOutcome>) -> bool {
    let offsets: Vec<i64> =
        (0..).zip(log).filter(|(_, other)| *other == text).map(|(offset, _)| offset).collect();
    match outcome {
        Some(RecordOutcome::Delivered { offset, unique, .. }) => {
            let is_there = offset.map_or(!offsets.is_empty(), |offset| offsets.contains(&offset));
            is_there && (!unique || offsets.len() == 1)
        }
        Some(RecordOutcome::NotDelivered(_)) => offsets.is_empty(),
        Some(RecordOutcome::Unknown(_)) => true,
        _ => false,
    }
}

fn is_at(outcome: Option<&RecordOutcome>, at: i64) -> bool {
    matches!(outcome, Some(RecordOutcome::Delivered { offset, .. }) if *offset == Some(at))
}

/// The time of day, as records have it.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}
