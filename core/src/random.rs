//! Random numbers from the caller's seed: the same seed, the same choices, on every target.

use crate::time::Micros;

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
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        // The upper half of a product of 96 bits, without the arithmetic of 128.
        let (word, bound) = (self.next(), u64::from(bound));
        let (high, low) = (word >> 32, word & 0xffff_ffff);
        ((high * bound + ((low * bound) >> 32)) >> 32) as u32
    }

    /// The wait before attempt number `failures` + 1: `base` doubled for each failure after the
    /// first, at most `max`, then between 80 % and 120 % of that (KIP-580).
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn backoff(&mut self, base: Micros, max: Micros, failures: u8) -> Micros {
        let doublings = u32::from(failures.saturating_sub(1)).min(20);
        let wait = base.0.saturating_mul(1 << doublings).min(max.0);
        // In 4,096ths, since a division of 64 bits is half a kilobyte of code on small machines.
        let share = u64::from(3_277 + self.below(1_639));
        Micros((wait >> 12).saturating_mul(share).saturating_add(((wait & 4_095) * share) >> 12))
    }
}
