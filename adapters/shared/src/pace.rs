//! Whether records come so fast that those who send them can look after the links in passing.

use ottla_core::Instant;

/// How long to count before it is told, in microseconds.
const SPAN: u64 = 500;
/// Records in a millisecond that are fast.
const FAST: u64 = 200;

/// Counts records against time.
#[derive(Debug)]
pub(crate) struct Pace {
    since: Instant,
    /// Records by then; they wrap.
    records: u32,
    hot: bool,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { since: Instant::ZERO, records: 0, hot: false }
    }

    /// Whether records came fast lately, of which there were so many by now.
    pub(crate) fn is_hot(&mut self, now: Instant, records: u32) -> bool {
        let micros = now.since(self.since).as_micros() as u64;
        if micros >= SPAN {
            let count = u64::from(records.wrapping_sub(self.records));
            *self = Self { since: now, records, hot: count * 1_000 >= FAST * micros };
        }
        self.hot
    }

    /// Whatever the records do, it was too early to nap.
    pub(crate) const fn cool(&mut self) {
        self.hot = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn only_many_records_in_a_short_time_are_fast() {
        let mut pace = Pace::new();
        assert!(!pace.is_hot(at(10_000), 100), "100 in 10 ms");
        assert!(!pace.is_hot(at(10_100), 1_000), "too early to tell");
        assert!(pace.is_hot(at(10_600), 1_000), "900 in 600 us");
        assert!(pace.is_hot(at(10_700), 1_000), "too early to tell otherwise");
        assert!(!pace.is_hot(at(12_600), 1_399));
        assert!(pace.is_hot(at(14_600), 1_799));
        pace.cool();
        assert!(!pace.is_hot(at(14_700), 2_799), "woken from a nap");
        assert!(pace.is_hot(at(15_200), 3_799));
    }

    #[test]
    fn the_count_may_wrap() {
        let mut pace = Pace::new();
        assert!(!pace.is_hot(at(u64::from(u32::MAX) * 10), u32::MAX - 10));
        assert!(pace.is_hot(at(u64::from(u32::MAX) * 10 + 1_000), 300));
    }
}
