//! Counters and gauges, as a snapshot.

use core::time::Duration;

use ottla_core::{CompressionStats, LastError, Producer, wire::ErrorCode};

use crate::{
    delivery::{latency::Histogram, outcome::OutcomeCounts},
    engine::locked_core::Engine,
};

/// A producer's counters and gauges at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The core's own.
    pub core: ottla_core::Stats,
    /// The first answers that records got.
    pub answers: OutcomeCounts,
    /// The final outcomes of records whose first answer was `Unknown`, be it that who cancelled them heard it. What is
    /// `unknown` in `answers` and is not in here has no final outcome yet; `core.unknown` counts final outcomes alone.
    pub late: OutcomeCounts,
    /// From the call that took a record to its first answer, where that was `Delivered`.
    pub latency: Latency,
    /// Records that were taken and have no answer yet.
    pub queue_depth: u64,
    /// Callers that wait for memory or for a topic.
    pub waiting: usize,
    /// What is known of each broker, the bootstrap servers first.
    pub brokers: Vec<Broker>,
    /// How many batches were answered with each error, be it that they were tried again; `None` stands for
    /// what there was no room to tell apart.
    pub errors: Vec<(Option<ErrorCode>, u64)>,
    /// The topics that something stands in the way of.
    pub waits: Vec<WaitingTopic>,
    /// What was spent in compressors: processor time of the threads that called them on Linux and Android, time as it
    /// passed elsewhere. What came of it is in `core.compression`.
    pub compressing: Duration,
}

/// A topic that waits, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitingTopic {
    /// Its name.
    pub topic: String,
    /// How many of its partitions wait for that, with batches that have no outcome; 0 where the topic itself is
    /// not known, or cannot be written to.
    pub partitions: u32,
    /// What stands in their way, or went wrong last.
    pub why: LastError,
}

/// The topics that wait, each with each of its reasons.
fn waits(core: &Producer<'_>) -> Vec<WaitingTopic> {
    let mut all = Vec::new();
    for waiting in core.waiting() {
        let topic = core.topic_name(waiting.topic).unwrap_or_default().to_owned();
        let partitions = u32::from(waiting.partition.is_some());
        add_wait(&mut all, WaitingTopic { topic, partitions, why: waiting.why });
    }
    all
}

fn add_wait(all: &mut Vec<WaitingTopic>, wait: WaitingTopic) {
    let same = |known: &&mut WaitingTopic| known.topic == wait.topic && known.why == wait.why;
    match all.iter_mut().find(same) {
        Some(known) => known.partitions += wait.partitions,
        None => all.push(wait),
    }
}

/// A broker's counters and gauges at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broker {
    /// Its node id; `None` for a bootstrap server, whose id is not known.
    pub node_id: Option<i32>,
    /// Where it is reached, as `host:port`; empty while only its node id is known.
    pub address: String,
    /// Whether a connection to it is open; with shards, at least one.
    pub connected: bool,
    /// How many of the partitions in use it leads.
    pub leads: u32,
    /// Requests that are written and not answered.
    pub in_flight: u32,
    /// Requests written.
    pub requests: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Batches that it answered with an error.
    pub errors: u64,
    /// Connections to it that were lost, and dials that came to nothing.
    pub disconnects: u64,
    /// What it did wrong last, and did not make good since.
    pub last_error: Option<LastError>,
}

impl Broker {
    /// Whether both are the same one, as two shards see it.
    fn is(&self, other: &Self) -> bool {
        self.node_id == other.node_id && (self.node_id.is_some() || self.address == other.address)
    }

    fn add(&mut self, other: &Self) {
        let Self {
            node_id: _,
            address,
            connected,
            leads,
            in_flight,
            requests,
            bytes,
            errors,
            disconnects,
            last_error,
        } = other;
        if self.address.is_empty() {
            self.address.clone_from(address);
        }
        self.connected |= connected;
        // Each shard knows the leaders of all partitions, not of its own alone.
        self.leads = self.leads.max(*leads);
        self.in_flight += in_flight;
        self.requests += requests;
        self.bytes += bytes;
        self.errors += errors;
        self.disconnects += disconnects;
        self.last_error = self.last_error.or(*last_error);
    }
}

impl From<ottla_core::BrokerStats<'_>> for Broker {
    fn from(stats: ottla_core::BrokerStats<'_>) -> Self {
        let address = stats.address.map(|to| match to.host.contains(':') {
            true => format!("[{}]:{}", to.host, to.port),
            false => format!("{}:{}", to.host, to.port),
        });
        Self {
            node_id: stats.node_id,
            address: address.unwrap_or_default(),
            connected: stats.connected,
            leads: stats.leads,
            in_flight: stats.in_flight,
            requests: stats.requests,
            bytes: stats.bytes,
            errors: stats.errors,
            disconnects: stats.disconnects,
            last_error: stats.last_error,
        }
    }
}

impl Engine {
    /// Counters and gauges, but for the latencies, which are added to others'.
    pub(crate) fn stats(&self, latency: &mut Histogram) -> Stats {
        let state = self.lock();
        latency.add(&state.table.latency);
        Stats {
            core: state.core.stats(),
            answers: state.table.first,
            late: state.table.late,
            latency: Latency::default(),
            queue_depth: state.table.pending(),
            waiting: state.full.len() + state.topics.len(),
            brokers: state.core.brokers().map(Into::into).collect(),
            errors: state.core.errors().collect(),
            waits: waits(&state.core),
            compressing: state.compressing.spent,
        }
    }
}

impl Stats {
    /// Adds what another shard of the same producer has; latencies are added elsewhere.
    pub(crate) fn add(&mut self, other: Self) {
        let Self {
            core,
            answers,
            late,
            latency: _,
            queue_depth,
            waiting,
            brokers,
            errors,
            waits,
            compressing,
        } = other;
        self.core += core;
        self.answers = self.answers.plus(&answers);
        self.late = self.late.plus(&late);
        self.queue_depth += queue_depth;
        self.waiting += waiting;
        self.compressing += compressing;
        for (code, times) in errors {
            match self.errors.iter_mut().find(|(known, _)| *known == code) {
                Some((_, sum)) => *sum += times,
                None => self.errors.push((code, times)),
            }
        }
        for wait in waits {
            add_wait(&mut self.waits, wait);
        }
        for broker in brokers {
            match self.brokers.iter_mut().find(|known| known.is(&broker)) {
                Some(known) => known.add(&broker),
                None => self.brokers.push(broker),
            }
        }
        // Bootstrap servers first, though a shard may have learned of one broker more.
        self.brokers.sort_by_key(|broker| broker.node_id.is_some());
    }

    /// How many times smaller records are as they go out: bytes before, by bytes on the wire, of all batches for which it
    /// was to be decided whether they are compressed. `None` where there are none, as without `compression.type`.
    #[must_use]
    pub fn compression_ratio(&self) -> Option<f64> {
        let CompressionStats { plain_bytes, wire_bytes, .. } = self.core.compression;
        (wire_bytes > 0).then(|| plain_bytes as f64 / wire_bytes as f64)
    }

    /// The share of answered records that were not delivered at first answer, from 0 to 1.
    #[must_use]
    pub fn error_rate(&self) -> f64 {
        let total = self.answers.total();
        if total == 0 {
            return 0.0;
        }
        (self.answers.not_delivered + self.answers.unknown) as f64 / total as f64
    }
}

/// How long delivery took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latency {
    /// How many records were measured.
    pub count: u64,
    /// The median.
    pub p50: Duration,
    /// 99 of 100 were not slower.
    pub p99: Duration,
    /// 999 of 1000 were not slower.
    pub p999: Duration,
    /// The slowest.
    pub max: Duration,
    /// A histogram, for systems that sum them up over machines and time: durations with how many records took no
    /// longer, and longer than the duration before. In order, each at most 3 % longer than what it counts, without
    /// those that counted nothing. The first 71 minutes are told apart.
    pub buckets: Vec<(Duration, u64)>,
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Self {
        Self {
            count: histogram.total(),
            p50: histogram.quantile(500),
            p99: histogram.quantile(990),
            p999: histogram.quantile(999),
            max: histogram.max(),
            buckets: histogram.buckets().collect(),
        }
    }
}
