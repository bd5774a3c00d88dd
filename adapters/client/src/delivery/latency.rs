//! A histogram of durations with buckets of at most 3 % width.

use core::time::Duration;

/// Each power of two has this many buckets.
const STEPS: u64 = 32;
/// Durations up to 2^32 microseconds, 71 minutes; longer ones count as that long.
const BUCKETS: usize = 896;

/// Counts durations in microseconds.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Box<[u64]>,
    total: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), total: 0, max: 0 }
    }

    /// Counts a duration so many times.
    pub(crate) fn record(&mut self, micros: u64, times: u64) {
        if let Some(count) = self.counts.get_mut(bucket(micros)) {
            *count += times;
        }
        self.total += times;
        self.max = self.max.max(micros);
    }

    /// Counts all that another one has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    pub(crate) const fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// The buckets that are not empty: the longest duration of each, and how many it counted.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(index, count)| (Duration::from_micros(last(index as u64)), *count))
    }

    /// The duration that `per_mille` of all are not longer than, rounded up to its bucket's end.
    pub(crate) fn quantile(&self, per_mille: u64) -> Duration {
        let wanted = (self.total * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_micros(last(index as u64).min(self.max));
            }
        }
        Duration::ZERO
    }
}

fn bucket(micros: u64) -> usize {
    let micros = micros.min(u64::from(u32::MAX));
    let shift = u64::from((micros | STEPS).ilog2() - STEPS.ilog2());
    (shift * STEPS + (micros >> shift)) as usize
}

/// The longest duration in a bucket.
const fn last(bucket: u64) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    ((bucket - shift * STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_without_gaps() {
        for micros in (0..5_000).chain([123_456, 99_999_999, u64::from(u32::MAX)]) {
            let end = last(bucket(micros) as u64);
            assert!(end >= micros && end <= micros + micros / STEPS, "{micros} {end}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_recorded() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.quantile(500), Duration::ZERO);
        (1..=1000).for_each(|micros| histogram.record(micros, 1));
        let near = |value: Duration, micros: u64| {
            let value = value.as_micros() as u64;
            value >= micros && value <= micros + micros / STEPS
        };
        assert!(near(histogram.quantile(500), 500));
        assert!(near(histogram.quantile(990), 990));
        assert_eq!(histogram.quantile(1000), Duration::from_millis(1));
        assert_eq!(histogram.max(), Duration::from_millis(1));
    }

    #[test]
    fn buckets_say_how_many_were_not_longer() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.buckets().count(), 0);
        for (micros, times) in [(7, 2), (90_000, 3), (90_001, 1), (u64::MAX, 4)] {
            histogram.record(micros, times);
        }
        let buckets: Vec<_> = histogram.buckets().collect();
        assert_eq!(buckets.iter().map(|(_, count)| count).sum::<u64>(), histogram.total());
        assert_eq!(buckets.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2, 4, 4]);
        assert_eq!(buckets[0].0, Duration::from_micros(7));
        assert!((90_001..93_000).contains(&buckets[1].0.as_micros()), "{buckets:?}");
        assert!(buckets.is_sorted());
    }

    #[test]
    fn two_that_are_added_are_as_one_that_counted_all() {
        let mut halves = [Histogram::new(), Histogram::new()];
        let mut whole = Histogram::new();
        for micros in 1..=1000_u64 {
            halves[(micros % 2) as usize].record(micros, micros);
            whole.record(micros, micros);
        }
        let [mut sum, other] = halves;
        sum.add(&other);
        assert_eq!((&sum.counts, sum.total, sum.max), (&whole.counts, whole.total, whole.max));
    }
}
