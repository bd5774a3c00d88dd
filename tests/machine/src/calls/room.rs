//! What is lent to a producer: fixed memory of odd sizes, or some of the heap.

use ottla_core::{Config, Limits, Memory, StaticMemory};
use ottla_scenario::{Dice, Tape};

/// The least that works.
type Least = StaticMemory<1, 2, 1, 1, 1, 2, 64, 512, 175, 48>;
/// Fewer batches than partitions, and pages of an odd size.
type Odd = StaticMemory<2, 3, 2, 3, 2, 5, 101, 513, 200, 20>;
/// Many pages for few batches, and one connection for several brokers.
type Single = StaticMemory<1, 4, 1, 4, 6, 40, 64, 600, 384, 24>;
/// Several of everything.
type Several = StaticMemory<3, 5, 3, 9, 12, 24, 128, 700, 500, 32>;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lent {
    pub(super) connections: u32,
    pub(super) brokers: u32,
    pub(super) topics: u32,
    pub(super) batches: u32,
    pub(super) pages: u32,
}

/// Memory.
#[derive(Debug)]
pub(super) enum Room {
    Least(Box<Least>),
    Odd(Box<Odd>),
    Single(Box<Single>),
    Several(Box<Several>),
    Heap(Limits),
}

impl Room {
    pub(super) fn of(dice: &mut Tape, config: &Config<'_>) -> Self {
        match dice.roll(0, 7) {
            0 => Self::Least(Box::new(Least::new())),
            1 => Self::Odd(Box::new(Odd::new())),
            2 => Self::Single(Box::new(Single::new())),
            3 => Self::Several(Box::new(Several::new())),
            _ => {
                let mut number = |low, high| dice.roll(low, high) as u32;
                Self::Heap(Limits {
                    connections: number(1, 5),
                    brokers: number(2, 9),
                    // None is refused.
                    topics: number(0, 5).min(config.limits_topics),
                    partitions: number(1, 12).min(config.limits_partitions),
                    batches: number(1, 20),
                    page_size: number(16, 271),
                    pages: number(2, 65),
                    rx_window: 512 + number(0, 127),
                    tx_window: 180 + number(0, 255),
                    name: number(9, 40),
                })
            }
        }
    }

    pub(super) fn lent(&self) -> Lent {
        let lent = |connections, brokers, topics, batches, pages| Lent {
            connections,
            brokers,
            topics,
            batches,
            pages,
        };
        match self {
            Self::Least(_) => lent(1, 2, 1, 1, 2),
            Self::Odd(_) => lent(2, 3, 2, 2, 5),
            Self::Single(_) => lent(1, 4, 1, 6, 40),
            Self::Several(_) => lent(3, 5, 3, 12, 24),
            Self::Heap(limits) => lent(
                limits.connections,
                limits.brokers,
                limits.topics,
                limits.batches,
                limits.pages,
            ),
        }
    }

    /// Lends it; `None` where the heap refuses.
    pub(super) fn memory(&mut self) -> Option<Memory<'_>> {
        Some(match self {
            Self::Least(memory) => memory.lend(),
            Self::Odd(memory) => memory.lend(),
            Self::Single(memory) => memory.lend(),
            Self::Several(memory) => memory.lend(),
            Self::Heap(limits) => Memory::try_heap(*limits).ok()?,
        })
    }
}
