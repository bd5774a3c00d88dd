//! Counters and gauges, as a snapshot.

use core::time::Duration;

use crate::{latency::Histogram, outcome::Tally};

/// A producer's counters and gauges at one moment.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The core's own.
    pub core: ottla_core::Stats,
    /// The first answers that records got.
    pub answers: Tally,
    /// From the call that took a record to its first answer, where that was `Delivered`.
    pub latency: Latency,
    /// Records that were taken and have no answer yet.
    pub queue_depth: u64,
    /// Callers that wait for memory or for a topic.
    pub waiting: usize,
}

impl Stats {
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Self {
        Self {
            count: histogram.total(),
            p50: histogram.quantile(500),
            p99: histogram.quantile(990),
            p999: histogram.quantile(999),
            max: histogram.max(),
        }
    }
}
