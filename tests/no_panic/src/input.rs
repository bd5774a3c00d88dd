//! Numbers and bytes that the compiler cannot see through.

use core::hint::black_box;

/// Takes numbers and runs of bytes off a slice; zeros at its end.
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether there is more.
    #[cfg(not(target_os = "none"))]
    pub(crate) fn goes_on(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Whether there is more: nobody knows.
    #[cfg(target_os = "none")]
    #[allow(clippy::unused_self)]
    pub(crate) fn goes_on(&self) -> bool {
        black_box(true)
    }

    #[inline(never)]
    pub(crate) fn u8(&mut self) -> u8 {
        let byte = self.bytes.split_first().map_or(0, |(first, rest)| {
            self.bytes = rest;
            *first
        });
        black_box(byte)
    }

    #[inline(never)]
    pub(crate) fn u64(&mut self) -> u64 {
        // Small numbers more often than large ones.
        let len = self.u8() & 7;
        (0..=len).fold(0, |value, _| value << 8 | u64::from(self.u8()))
    }

    pub(crate) fn u32(&mut self) -> u32 {
        self.u64() as u32
    }

    pub(crate) fn i32(&mut self) -> i32 {
        self.u64() as i32
    }

    pub(crate) fn i64(&mut self) -> i64 {
        self.u64() as i64
    }

    pub(crate) fn i16(&mut self) -> i16 {
        self.u64() as i16
    }

    pub(crate) fn bool(&mut self) -> bool {
        self.u8() & 1 == 1
    }

    #[inline(never)]
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.u8());
        let (taken, rest) = self.bytes.split_at_checked(len).unwrap_or_default();
        self.bytes = rest;
        black_box(taken)
    }

    pub(crate) fn maybe_bytes(&mut self) -> Option<&'a [u8]> {
        if self.bool() { Some(self.bytes()) } else { None }
    }

    pub(crate) fn str(&mut self) -> &'a str {
        black_box(core::str::from_utf8(self.bytes()).unwrap_or("a.b-c"))
    }

    pub(crate) fn maybe_str(&mut self) -> Option<&'a str> {
        if self.bool() { Some(self.str()) } else { None }
    }
}

/// Has a value count as used.
#[inline(never)]
pub(crate) fn see<T>(value: &T) {
    black_box(value);
}

/// Bytes from a seed.
#[cfg(not(target_os = "none"))]
pub(crate) fn noise(seed: u64) -> Vec<u8> {
    let mut word = seed;
    let mut next = || {
        word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed >> 24) as u8
    };
    core::iter::repeat_with(&mut next).take(20_000).collect()
}

/// A length of time, without the divisions that `Duration`'s own constructors cost.
pub(crate) fn duration(input: &mut Input<'_>) -> core::time::Duration {
    core::time::Duration::new(input.u64(), input.u32() % 1_000_000_000)
}
