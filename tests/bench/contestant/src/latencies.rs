//! How long single records took.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Durations, with three digits of precision.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(3).expect("three digits are possible"))
    }
}

impl Latencies {
    /// Notes one.
    pub fn record(&mut self, took: Duration) {
        // It grows with what is recorded.
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.0.record(nanos).expect("a histogram without an end");
    }

    /// The duration that this share of all are not longer than, in microseconds.
    #[must_use]
    pub fn quantile(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1_000.0
    }
}
