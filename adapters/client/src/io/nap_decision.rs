//! Whether callers come so fast that they can look after the links, so that the driver naps: a function of
//! counts and time.

use ottla_core::Instant;

/// How long to count before it is told, in microseconds.
const SPAN: u64 = 500;
/// Records in a millisecond with which callers look after the links in passing.
const FAST_RECORDS: u64 = 200;
/// Waits for an answer in a millisecond, which callers do by driving.
const FAST_WAITS: u64 = 4;

/// What comes from callers, against time.
#[derive(Debug)]
pub(crate) struct Pace {
    records: Rate,
    waits: Rate,
}

/// What callers do again and again in a short time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy {
    /// They send records.
    pub(crate) sending: bool,
    /// They wait for answers.
    pub(crate) waiting: bool,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { records: Rate::new(FAST_RECORDS), waits: Rate::new(FAST_WAITS) }
    }

    /// What callers do fast by now, of whom so many records came, and who so often began to wait.
    pub(crate) fn busy(&mut self, now: Instant, records: u32, waits: u32) -> Busy {
        // Where no time passes, chance decides.
        #[cfg(shuttle)]
        if let Some(chosen) = chance() {
            return chosen;
        }
        Busy {
            sending: self.records.is_fast(now, records),
            waiting: self.waits.is_fast(now, waits),
        }
    }

    /// However fast they come, it was too early to nap.
    pub(crate) const fn cool(&mut self) {
        self.records.fast = false;
        self.waits.fast = false;
    }
}

#[cfg(shuttle)]
fn chance() -> Option<Busy> {
    use shuttle::rand::{Rng as _, thread_rng};
    Some(Busy { sending: thread_rng().r#gen(), waiting: thread_rng().r#gen() })
}

/// Counts something against time.
#[derive(Debug)]
struct Rate {
    since: Instant,
    /// How many by then; it wraps.
    count: u32,
    /// How many in a millisecond are fast.
    least: u64,
    fast: bool,
}

impl Rate {
    const fn new(least: u64) -> Self {
        Self { since: Instant::ZERO, count: 0, least, fast: false }
    }

    /// Whether they came fast lately, of which there were so many by now.
    fn is_fast(&mut self, now: Instant, count: u32) -> bool {
        let micros = now.since(self.since).as_micros() as u64;
        if micros >= SPAN {
            let came = u64::from(count.wrapping_sub(self.count));
            (self.since, self.count) = (now, count);
            self.fast = came * 1_000 >= self.least * micros;
        }
        self.fast
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn only_many_in_a_short_time_are_fast() {
        let mut rate = Rate::new(200);
        assert!(!rate.is_fast(at(10_000), 100), "100 in 10 ms");
        assert!(!rate.is_fast(at(10_100), 1_000), "too early to tell");
        assert!(rate.is_fast(at(10_600), 1_000), "900 in 600 us");
        assert!(rate.is_fast(at(10_700), 1_000), "too early to tell otherwise");
        assert!(!rate.is_fast(at(12_600), 1_399));
        assert!(rate.is_fast(at(14_600), 1_799));
    }

    #[test]
    fn the_count_may_wrap() {
        let mut rate = Rate::new(200);
        assert!(!rate.is_fast(at(u64::from(u32::MAX) * 10), u32::MAX - 10));
        assert!(rate.is_fast(at(u64::from(u32::MAX) * 10 + 1_000), 300));
    }

    #[test]
    fn after_a_nap_that_was_too_early_it_takes_a_span_to_the_next() {
        let mut pace = Pace::new();
        assert!(!pace.records.is_fast(at(10_000), 0) && pace.records.is_fast(at(11_000), 1_000));
        pace.cool();
        assert!(
            !pace.records.is_fast(at(11_400), 2_000) && pace.records.is_fast(at(11_500), 2_000)
        );
    }
}
