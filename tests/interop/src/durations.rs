//! How long something took, many times.

use core::{fmt, time::Duration};

/// How long something took, many times: the middle, the 99th percentile and the longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// Half of them took no longer.
    pub p50: Duration,
    /// 99 of 100 took no longer.
    pub p99: Duration,
    /// None took longer.
    pub max: Duration,
}

impl Spread {
    /// Of all `times`; zeros where there are none.
    #[must_use]
    pub fn of(times: impl IntoIterator<Item = Duration>) -> Self {
        let mut times: Vec<Duration> = times.into_iter().collect();
        times.sort_unstable();
        // The smallest that so many of 100 do not exceed.
        let percentile = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100);
            rank.checked_sub(1).and_then(|at| times.get(at)).copied().unwrap_or_default()
        };
        Self { p50: percentile(50), p99: percentile(99), max: percentile(100) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, max } = self;
        write!(f, "p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let millis = Duration::from_millis;
        let spread = Spread::of((1..=200).rev().map(millis));
        assert_eq!(spread, Spread { p50: millis(100), p99: millis(198), max: millis(200) });
        assert_eq!(
            Spread::of([millis(7)]),
            Spread { p50: millis(7), p99: millis(7), max: millis(7) }
        );
        assert_eq!(Spread::of([]), Spread::default());
    }
}
