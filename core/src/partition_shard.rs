//! One producer's share of the partitions, where several have them together.

#[cfg(feature = "alloc")]
use crate::ConfigError;

/// Which partitions are this producer's, where several producers of one application have a topic's
/// partitions together: those whose number leaves the remainder `index` when divided by `of`.
///
/// A producer with a share chooses no other partition by itself, as it does for records without a key,
/// and its batches' ids tell whose they are ([`BatchId::owner`](crate::BatchId::owner)). A partition
/// that a record names, or that its key leads to, is taken as it is: whoever hands out the shares hands
/// out those records as well. So each partition has one producer, and with it one producer id and
/// one order.
///
/// Where their [marks](crate::Producer::owner) follow each other as their shares do, and they register
/// the same topics in the same order, a topic has one id with all of them.
///
/// Where a topic has fewer partitions than there are shares, a producer without a partition of its
/// own chooses from all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // built by literal, as `Config` is
pub struct PartitionShard {
    /// Which one, from zero.
    pub index: u16,
    /// Of how many: a power of two.
    pub of: u16,
}

impl PartitionShard {
    /// All partitions.
    pub const ALL: Self = Self { index: 0, of: 1 };

    #[cfg(feature = "alloc")]
    pub(crate) const fn check(self) -> Result<Self, ConfigError> {
        if self.of.is_power_of_two() && self.index < self.of {
            return Ok(self);
        }
        let expected = "one of so many, a power of two";
        Err(ConfigError::OutOfRange { property: "share", expected })
    }

    /// How many of so many partitions are in it.
    pub(crate) fn count(self, partitions: u32) -> u32 {
        // Without a division, which small machines lack; `of` is a power of two.
        let beyond = partitions.saturating_sub(u32::from(self.index));
        (beyond + self.mask()) >> self.mask().count_ones()
    }

    /// The partition with this number among those in it.
    pub(crate) fn partition(self, number: u32) -> u32 {
        number * u32::from(self.of) + u32::from(self.index)
    }

    fn mask(self) -> u32 {
        u32::from(self.of) - 1
    }
}

impl Default for PartitionShard {
    fn default() -> Self {
        Self::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_disjoint_and_leave_nothing_over() {
        for of in [1, 2, 4, 8_u16] {
            for partitions in 0..40 {
                let shares = (0..of).map(|index| PartitionShard { index, of });
                let of_share = |share: PartitionShard| {
                    (0..share.count(partitions)).map(move |number| share.partition(number))
                };
                let mut all: std::vec::Vec<_> = shares.flat_map(of_share).collect();
                all.sort_unstable();
                assert!(all.into_iter().eq(0..partitions), "{partitions} in {of}");
            }
        }
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn what_is_no_share_is_refused() {
        let check = |index, of| PartitionShard { index, of }.check().is_ok();
        assert!(check(0, 1) && check(3, 4) && check(0, 1 << 15));
        assert!(!check(0, 0) && !check(0, 3) && !check(4, 4) && !check(1, 1));
    }
}
