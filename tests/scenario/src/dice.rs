//! Who chooses what happens: chance, or the bytes of an input.
//!
//! With [`Random`] dice a run is a storm: one seed, one run. With a [`Tape`] it is what a fuzzer makes of it:
//! each choice takes bytes of the input, so that what a fuzzer changes is what happens.

use core::{cell::Cell, fmt::Debug};
use std::rc::Rc;

/// Makes choices.
pub trait Dice: Debug {
    /// A number from `low` to `high`, both included.
    fn roll(&mut self, low: u64, high: u64) -> u64;

    /// True once in `n` times; where nothing is left to choose by, false.
    fn once_in(&mut self, n: u64) -> bool {
        self.roll(1, n) == n
    }
}

/// A small generator of random numbers for what the world does.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Dice that always fall the same way.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed ^ 0x5851_f42d_4c95_7f2d)
    }
}

impl Dice for Random {
    fn roll(&mut self, low: u64, high: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mixed = (self.0 >> 33) ^ self.0;
        low + ((u128::from(mixed) * u128::from(high - low + 1)) >> 64) as u64
    }

    fn once_in(&mut self, n: u64) -> bool {
        self.roll(1, n) == 1
    }
}

/// An input that is read from both ends, until they meet.
#[derive(Debug)]
struct Input {
    bytes: Vec<u8>,
    /// Read from the front up to here.
    front: Cell<usize>,
    /// Read from the back down to here.
    back: Cell<usize>,
}

/// Dice that fall as an input says. Where it is used up, each falls as low as it can.
///
/// A choice takes no more bytes than it has room for: one where there are 256 possibilities at most. One tape
/// reads from the front, what is to happen; another from the back, how the network behaves meanwhile. So the
/// one does not shift where the other is longer.
#[derive(Clone, Debug)]
pub struct Tape {
    input: Rc<Input>,
    from_back: bool,
}

impl Tape {
    /// A tape that reads an input from its front.
    #[must_use]
    pub fn new(input: &[u8]) -> Self {
        let (front, back) = (Cell::new(0), Cell::new(input.len()));
        Self { input: Rc::new(Input { bytes: input.to_vec(), front, back }), from_back: false }
    }

    /// A tape that reads the same input from its back.
    #[must_use]
    pub fn back(&self) -> Self {
        Self { input: Rc::clone(&self.input), from_back: true }
    }

    /// Whether nothing is left to read.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.input.front.get() >= self.input.back.get()
    }

    /// How much was read from the front, in bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.input.front.get()
    }

    fn next(&self) -> Option<u8> {
        let Input { bytes, front, back } = &*self.input;
        if self.is_over() {
            return None;
        }
        let place = if self.from_back {
            back.set(back.get() - 1);
            back.get()
        } else {
            front.set(front.get() + 1);
            front.get() - 1
        };
        bytes.get(place).copied()
    }
}

impl Dice for Tape {
    fn roll(&mut self, low: u64, high: u64) -> u64 {
        let span = high - low;
        let bytes = (u64::BITS - span.leading_zeros()).div_ceil(8);
        let mut read = 0_u64;
        for place in 0..bytes {
            let Some(byte) = self.next() else { break };
            read |= u64::from(byte) << (8 * place);
        }
        // All of 64 bits where there is no next number.
        low + span.checked_add(1).map_or(read, |count| read % count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tape_reads_from_both_ends_and_is_low_when_they_meet() {
        let mut front = Tape::new(&[1, 2, 3, 4, 5]);
        let mut back = front.back();
        assert_eq!(front.roll(0, 255), 1);
        assert_eq!(back.roll(10, 265), 15);
        assert_eq!(front.roll(7, 7), 7, "no choice takes no byte");
        assert_eq!(front.roll(0, 65_535), 2 | 3 << 8);
        assert_eq!((front.position(), front.is_over()), (3, false));
        assert_eq!(back.roll(0, u64::MAX), 4, "as much as there is");
        assert!(front.is_over());
        assert_eq!((front.roll(3, 9), front.once_in(2), front.once_in(1)), (3, false, true));
    }
}
