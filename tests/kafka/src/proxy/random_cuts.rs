//! Cuts at random byte positions, from a seed.

use core::ops::{Range, RangeInclusive};

use super::{Direction, Hangup};

/// How far into the bytes of its direction a cut is at most. Responses to Produce are some 60 bytes
/// each, so this cuts them inside and at their ends.
const WITHIN: u64 = 100;

/// A number of cuts still to be made at random byte positions.
#[derive(Debug)]
pub(crate) struct Plan {
    random: fastrand::Rng,
    links: Range<usize>,
    gap: RangeInclusive<u64>,
    left: u32,
    direction: Direction,
    hangup: Hangup,
    /// Bytes in both directions until those in `direction` are counted.
    before: u64,
    /// Bytes in `direction` from then on until the cut.
    within: u64,
}

impl Plan {
    pub(crate) fn new(
        seed: u64,
        links: Range<usize>,
        times: u32,
        gap: RangeInclusive<u64>,
    ) -> Self {
        let mut plan = Self {
            random: fastrand::Rng::with_seed(seed),
            links,
            gap,
            left: times,
            direction: Direction::ToBroker,
            hangup: Hangup::Fin,
            before: 0,
            within: 0,
        };
        plan.arm();
        plan
    }

    /// How many cuts are still to come.
    pub(crate) const fn left(&self) -> u32 {
        self.left
    }

    /// Whether it concerns any of `links`.
    pub(crate) const fn concerns(&self, links: &Range<usize>) -> bool {
        self.links.start < links.end && links.start < self.links.end
    }

    /// Told of `bytes` about to be forwarded: how many of them may be before the cut, if this is
    /// where it is to be.
    pub(crate) fn pass(
        &mut self,
        link: usize,
        direction: Direction,
        bytes: usize,
    ) -> Option<(usize, Hangup)> {
        if self.left == 0 || !self.links.contains(&link) {
            return None;
        }
        let bytes = bytes as u64;
        let before = self.before.min(bytes);
        self.before -= before;
        if direction != self.direction {
            return None;
        }
        let within = self.within.min(bytes - before);
        self.within -= within;
        if self.within > 0 || self.before > 0 {
            return None;
        }
        let cut = (usize::try_from(before + within).ok()?, self.hangup);
        self.left -= 1;
        self.arm();
        Some(cut)
    }

    fn arm(&mut self) {
        self.before = self.random.u64(self.gap.clone());
        self.within = self.random.u64(1..=WITHIN);
        self.direction = if self.random.bool() { Direction::ToBroker } else { Direction::ToClient };
        self.hangup = if self.random.bool() { Hangup::Fin } else { Hangup::Reset };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the cuts fall when bytes pass in pieces of `piece`, alternating directions.
    fn cuts(seed: u64, piece: usize) -> Vec<(u64, Hangup)> {
        let mut plan = Plan::new(seed, 0..1, 20, 100..=1000);
        let mut cuts = Vec::new();
        let mut passed = 0;
        while plan.left() > 0 {
            let direction = plan.direction;
            if let Some((bytes, hangup)) = plan.pass(0, direction, piece) {
                cuts.push((passed + bytes as u64, hangup));
                passed += bytes as u64;
            } else {
                passed += piece as u64;
            }
        }
        cuts
    }

    #[test]
    fn the_seed_decides_and_not_the_pieces() {
        assert_eq!(cuts(7, 64), cuts(7, 1));
        assert_ne!(cuts(7, 64), cuts(8, 64));
        assert_eq!(cuts(7, 64).len(), 20);
        let (first, _) = cuts(7, 10)[0];
        assert!((101..=1000 + WITHIN).contains(&first));
    }

    #[test]
    fn the_gap_is_of_both_directions_and_the_cut_of_one() {
        let mut plan = Plan::new(1, 1..2, 1, 1000..=1000);
        let (direction, within) = (plan.direction, usize::try_from(plan.within).unwrap());
        assert!(plan.pass(0, direction, 5000).is_none(), "another link");
        assert!(plan.pass(1, direction.other(), 900).is_none());
        assert!(plan.pass(1, direction, 50).is_none());
        assert_eq!(plan.pass(1, direction, 5000).map(|(bytes, _)| bytes), Some(50 + within));
        assert!(plan.pass(1, direction, 5000).is_none(), "there was one");
    }
}
