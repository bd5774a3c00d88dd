//! Where choices come from: a seed, or the bytes of a fuzzer.

/// A source of choices. The same source makes the same choices.
pub trait Choices {
    /// Any number.
    fn number(&mut self) -> u64;

    /// A number below `n`; 0 where `n` is 0.
    fn below(&mut self, n: usize) -> usize {
        let number = usize::try_from(self.number() >> 1).unwrap_or(usize::MAX);
        number.checked_rem(n).unwrap_or(0)
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// So many bytes.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.number().to_be_bytes()[0]).collect()
    }
}

/// One of several; [`None`] where there are none.
pub fn pick<'a, T>(choices: &mut dyn Choices, of: &'a [T]) -> Option<&'a T> {
    of.get(choices.below(of.len()))
}

/// Numbers that look random and follow from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// From a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl Choices for Seeded {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The bytes that a fuzzer feeds, two for each choice, so that a byte that it changes changes one choice; zeros when
/// they have run out.
#[derive(Clone, Debug)]
pub struct Fed<'a>(&'a [u8]);

impl<'a> Fed<'a> {
    /// From a fuzzer's input.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.0.is_empty()
    }
}

impl Choices for Fed<'_> {
    fn number(&mut self) -> u64 {
        let (now, rest) = self.0.split_at(self.0.len().min(2));
        self.0 = rest;
        let low = now.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
        // The highest byte is the first one, and the lowest bit is not looked at by `below`.
        let high = now.first().copied().map_or(0, u64::from);
        (high << 56) | (low << 1)
    }
}
