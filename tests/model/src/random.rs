//! Numbers that look random and follow from a seed.

/// SplitMix64: small, and the same everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Sixteen bytes with the bits of a version 4 UUID set.
    pub(crate) fn uuid(&mut self) -> [u8; 16] {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        let version = 0xf000_u128 << 64;
        let variant = 0xc0_u128 << 56;
        let bits = (bits & !version & !variant) | (0x4000_u128 << 64) | (0x80_u128 << 56);
        bits.to_be_bytes()
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next().to_be_bytes()[0]).collect()
    }
}
