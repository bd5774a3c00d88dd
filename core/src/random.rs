//! Random numbers from the caller's seed: the same seed, the same choices, on every target.

use core::time::Duration;

/// SplitMix64: one word of state, and good enough to spread retries and partitions.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 where that is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u32
    }

    /// The wait before attempt number `failures` + 1: `base` doubled for each failure after the
    /// first, at most `max`, then between 80 % and 120 % of that (KIP-580).
    pub(crate) fn backoff(&mut self, base: Duration, max: Duration, failures: u8) -> Duration {
        let doublings = u32::from(failures.saturating_sub(1)).min(20);
        let wait = base.saturating_mul(1 << doublings).min(max);
        let percent = 80 + self.below(41);
        wait.saturating_mul(percent) / 100
    }
}
