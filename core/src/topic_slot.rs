//! A topic: its name, its partitions, and where records without a key go.

use crate::{
    partition_slot::Partition,
    slots::Ix,
    wire::{ErrorCode, Uuid},
};

/// How far a topic is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Knowledge {
    /// The slot holds no topic.
    Free,
    /// Registered; partitions not known yet. The last error that a broker gave.
    Pending(ErrorCode),
    /// Its partitions are known.
    Ready,
    /// A broker refused it for good.
    Refused(ErrorCode),
    /// It has so many partitions that there are not slots for all.
    TooLarge(u32),
}

/// What the id that a broker gives a topic says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It is the topic that is known.
    Known,
    /// It was deleted and created again.
    Recreated,
    /// That of the incarnation before this one: the broker lags behind.
    Outdated,
}

/// Ids are never used twice, so that an older one is that of a broker that lags. Unless the newer one was a
/// mistake, or a lie: then leaders do not know it, or brokers name the older one, so many times in all, each
/// after a backoff, while no broker names it.
const DISOWNED: u8 = 5;

/// A slot for a topic.
#[derive(Debug)]
pub(crate) struct Topic {
    /// Which of the slot's lives it is, from 1; the last one's while the slot is free.
    pub(crate) generation: u32,
    pub(crate) knowledge: Knowledge,
    pub(crate) name_len: u16,
    /// Of its name.
    pub(crate) hash: u32,
    /// The next topic of the same bucket, or the next free slot.
    pub(crate) next: Ix<Self>,
    /// The first topic of the bucket that has this slot's number: it has nothing to do with the topic
    /// that is in the slot.
    pub(crate) bucket: Ix<Self>,
    /// Its ids by the parity of the incarnation: this one's and the one's before it, for answers
    /// to what was sent before a topic was deleted and created again.
    pub(crate) ids: [Uuid; 2],
    pub(crate) incarnation: u8,
    /// How often leaders knew no topic with its id, since Metadata named it last.
    pub(crate) disowned: u8,
    /// The first slot of its first run of partitions.
    pub(crate) partitions: Ix<Partition>,
    pub(crate) partition_count: u32,
    /// Where records without a key go now, and how many bytes went there (KIP-794).
    pub(crate) sticky: u32,
    pub(crate) sticky_bytes: u32,
    /// Its status changed, and the event was not taken yet.
    pub(crate) changed: bool,
    /// It was asked for in the Metadata request that is under way.
    pub(crate) asked: bool,
}

impl Topic {
    pub(crate) const EMPTY: Self = Self {
        generation: 0,
        knowledge: Knowledge::Free,
        name_len: 0,
        hash: 0,
        next: Ix::NONE,
        bucket: Ix::NONE,
        ids: [Uuid::ZERO; 2],
        incarnation: 0,
        disowned: 0,
        partitions: Ix::NONE,
        partition_count: 0,
        sticky: 0,
        sticky_bytes: 0,
        changed: false,
        asked: false,
    };

    /// The topic's id; zero where no broker gave one.
    pub(crate) fn id(&self) -> Uuid {
        self.id_of(self.incarnation)
    }

    /// The id of this or of the last incarnation.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn id_of(&self, incarnation: u8) -> Uuid {
        let [even, odd] = self.ids;
        if incarnation & 1 == 0 { even } else { odd }
    }

    /// Takes note of the id that a broker gave.
    pub(crate) fn learn_id(&mut self, id: Uuid) -> Heard {
        let known = self.id();
        if id == Uuid::ZERO {
            return Heard::Known;
        }
        if id == known {
            self.disowned = 0;
            return Heard::Known;
        }
        if known == Uuid::ZERO {
            self.set_id(id);
            return Heard::Known;
        }
        if id == self.id_of(self.incarnation ^ 1) && self.disowned < DISOWNED {
            self.disowned += 1;
            return Heard::Outdated;
        }
        self.disowned = 0;
        self.incarnation ^= 1;
        self.set_id(id);
        Heard::Recreated
    }

    fn set_id(&mut self, id: Uuid) {
        let [even, odd] = &mut self.ids;
        *(if self.incarnation & 1 == 0 { even } else { odd }) = id;
    }

    /// A leader knows no topic with the id of this incarnation.
    pub(crate) fn disown(&mut self, incarnation: u8) {
        if incarnation == self.incarnation {
            self.disowned = self.disowned.saturating_add(1);
        }
    }
}
