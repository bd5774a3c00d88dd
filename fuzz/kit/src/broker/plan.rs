//! What is asked, as data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    batch::advance,
    choice::{Choices, Seeded, pick},
    mutate::Mutator,
};

/// A sequence of requests. It says all that is asked, but for what the broker gives out: producer ids, topic ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// What it was made from.
    pub seed: u64,
    /// The requests, one after the other.
    pub steps: Vec<Step>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// A batch, in a request that is as it should be.
    Produce(Produce),
    /// A request of this API that is as it should be.
    Valid {
        /// The API's key.
        api: i16,
        /// What its values are made from.
        seed: u64,
    },
    /// A request with one thing wrong.
    Spoilt {
        /// The API's key.
        api: i16,
        /// What is wrong, by its name.
        mutator: String,
        /// What the values are made from, and the place.
        seed: u64,
    },
}

/// A batch to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Produce {
    /// Why it is sent, as whoever made the plan thought.
    pub why: Move,
    /// By which of the plan's producers; [`None`] has no producer id.
    pub producer: Option<u8>,
    /// To which partition.
    pub partition: i32,
    /// The producer's epoch.
    pub epoch: i16,
    /// The first sequence number.
    pub sequence: i32,
    /// How many records.
    pub records: i32,
    /// Which records: batches with the same number have the same values.
    pub id: u32,
    /// On which connection.
    pub connection: u8,
    /// Which of the versions that are spoken: 0 is the lowest, 255 the highest.
    pub version: u8,
    /// acks.
    pub acks: i16,
    /// What is wrong with the batch.
    pub flaw: Option<Flaw>,
}

/// Why a batch is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Move {
    /// The first of a chain.
    First,
    /// It follows.
    Next,
    /// The same as one of the last batches.
    Duplicate,
    /// The same sequence numbers as one of the last batches, with other records.
    OtherBytes,
    /// Sequence numbers are left out.
    Gap,
    /// It begins in the middle of what was sent, or covers several batches.
    Overlap,
    /// Of the next epoch, from sequence number 0.
    NewEpoch,
    /// Of the next epoch, and not from 0.
    NewEpochInside,
    /// Of an epoch that is over.
    OldEpoch,
    /// Of a later epoch than the next.
    EpochJump,
    /// Without a producer.
    Plain,
    /// Sequence or epoch are numbers that nobody has.
    Odd,
}

impl Move {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::First => "first of a chain",
            Self::Next => "next in its chain",
            Self::Duplicate => "a duplicate",
            Self::OtherBytes => "a duplicate with other records",
            Self::Gap => "behind a gap",
            Self::Overlap => "overlaps what was sent",
            Self::NewEpoch => "a new epoch",
            Self::NewEpochInside => "a new epoch, not from 0",
            Self::OldEpoch => "of an epoch that is over",
            Self::EpochJump => "of a far epoch",
            Self::Plain => "without a producer",
            Self::Odd => "odd numbers",
        }
    }
}

/// What is wrong with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flaw {
    /// The checksum.
    Crc,
    /// It says that it has a record more.
    CountMore,
    /// Its last offset is one further.
    LastOffset,
    /// It has no records.
    Empty,
    /// It is of a transaction, and there is none.
    Transactional,
    /// It is of control, which no client writes.
    Control,
    /// Its codec is none.
    Codec,
    /// Its first offset is not 0.
    BaseOffset,
    /// It is of the old format.
    Magic,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Crc,
        Self::CountMore,
        Self::LastOffset,
        Self::Empty,
        Self::Transactional,
        Self::Control,
        Self::Codec,
        Self::BaseOffset,
        Self::Magic,
    ];

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Crc => "a wrong checksum",
            Self::CountMore => "a record fewer than it says",
            Self::LastOffset => "a last offset that does not fit",
            Self::Empty => "no records",
            Self::Transactional => "the mark of a transaction",
            Self::Control => "the mark of control",
            Self::Codec => "a codec that is none",
            Self::BaseOffset => "a first offset that is not 0",
            Self::Magic => "the old format",
        }
    }
}

/// Which kinds of steps a plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds {
    /// Batches, in chains.
    pub chains: bool,
    /// Other requests that are as they should be.
    pub valid: bool,
    /// Requests with one thing wrong.
    pub spoilt: bool,
}

/// Where a chain stands, if the broker does as Kafka does.
#[derive(Clone, Debug)]
struct Chain {
    epoch: i16,
    next: i32,
    sent: Vec<Produce>,
}

impl Plan {
    /// Makes one of so many steps, for a topic of so many partitions and APIs that are spoken.
    #[must_use]
    pub fn new(seed: u64, steps: usize, partitions: i32, kinds: Kinds, apis: &[i16]) -> Self {
        let mut choices = Seeded::new(seed);
        let mut maker = Maker { partitions, chains: BTreeMap::new(), next_id: 0 };
        // Which of the kinds; chains come first.
        let mut of = Vec::new();
        of.extend(core::iter::repeat_n(0, if kinds.chains { 8 } else { 0 }));
        of.extend(core::iter::repeat_n(1, usize::from(kinds.valid)));
        of.extend(core::iter::repeat_n(2, if kinds.spoilt { 2 } else { 0 }));
        // No topic is deleted, whatever the broker offers.
        let apis: Vec<i16> = apis.iter().copied().filter(|key| *key != 20).collect();
        let step = |choices: &mut Seeded| {
            let api = pick(choices, &apis).copied().unwrap_or(18);
            match pick(choices, &of).copied().unwrap_or(0) {
                1 => Step::Valid { api, seed: choices.number() },
                2 => {
                    let mutator = pick(choices, Mutator::ALL).map_or("", |mutator| mutator.name());
                    Step::Spoilt { api, mutator: mutator.to_owned(), seed: choices.number() }
                }
                _ => Step::Produce(maker.batch(choices)),
            }
        };
        let mut step = step;
        Self { seed, steps: (0..steps).map(|_| step(&mut choices)).collect() }
    }
}

struct Maker {
    partitions: i32,
    chains: BTreeMap<(u8, i32), Chain>,
    next_id: u32,
}

impl Maker {
    fn batch(&mut self, choices: &mut dyn Choices) -> Produce {
        let below = |choices: &mut dyn Choices, n: i32| -> i32 {
            i32::try_from(choices.below(usize::try_from(n).unwrap_or(1))).unwrap_or(0)
        };
        let partition = below(choices, self.partitions);
        let producer = u8::try_from(choices.below(2)).unwrap_or(0);
        self.next_id = self.next_id.saturating_add(1);
        let mut made = Produce {
            why: Move::First,
            producer: Some(producer),
            partition,
            epoch: 0,
            sequence: 0,
            records: 1 + below(choices, 3),
            id: self.next_id,
            connection: u8::try_from(choices.below(3)).unwrap_or(0),
            version: [0, 85, 170, 255, 255, 255].get(choices.below(6)).copied().unwrap_or(255),
            acks: [-1, -1, -1, 1, 1, 0].get(choices.below(6)).copied().unwrap_or(-1),
            flaw: None,
        };
        if choices.once_in(12) {
            made.flaw = pick(choices, &Flaw::ALL).copied();
        }
        if choices.once_in(16) {
            let none =
                Produce { why: Move::Plain, producer: None, epoch: -1, sequence: -1, ..made };
            return none;
        }
        let Some(chain) = self.chains.get_mut(&(producer, partition)) else {
            // A producer that the partition does not know may begin anywhere.
            made.sequence = match choices.below(8) {
                0 => i32::MAX - below(choices, 4),
                1 => 1 + below(choices, 1_000),
                _ => 0,
            };
            made.epoch = if choices.once_in(8) { 3 } else { 0 };
            if made.flaw.is_none() {
                let next = advance(made.sequence, made.records);
                let chain = Chain { epoch: made.epoch, next, sent: vec![made.clone()] };
                self.chains.insert((producer, partition), chain);
            }
            return made;
        };
        made.epoch = chain.epoch;
        made.sequence = chain.next;
        let last =
            chain.sent.iter().rev().nth(choices.below(7).min(chain.sent.len().saturating_sub(1)));
        let last = last.cloned().unwrap_or_else(|| made.clone());
        let again = Produce {
            connection: made.connection,
            version: made.version,
            acks: made.acks,
            ..last.clone()
        };
        match choices.below(20) {
            0..=8 => made.why = Move::Next,
            9..=11 => made = Produce { why: Move::Duplicate, ..again },
            12 => made = Produce { why: Move::OtherBytes, id: made.id, ..again },
            13 | 14 => {
                let by = [1, 1, 2, 10, 1 << 20].get(choices.below(5)).copied().unwrap_or(1);
                made = Produce { why: Move::Gap, sequence: advance(made.sequence, by), ..made };
            }
            15 => {
                let longer =
                    Produce { records: last.records + 1 + below(choices, 2), ..made.clone() };
                let (sequence, records) = match choices.below(3) {
                    0 => (advance(last.sequence, 1), made.records),
                    1 => (last.sequence, longer.records),
                    _ => (advance(last.sequence, -1), last.records + 1),
                };
                made = Produce { why: Move::Overlap, epoch: last.epoch, sequence, records, ..made };
            }
            16 => {
                let epoch = chain.epoch.saturating_add(1);
                made = Produce { why: Move::NewEpoch, epoch, sequence: 0, ..made };
            }
            17 => {
                let epoch = chain.epoch.saturating_add(1);
                let sequence = [1, chain.next.max(1)].get(choices.below(2)).copied().unwrap_or(1);
                made = Produce { why: Move::NewEpochInside, epoch, sequence, ..made };
            }
            18 => {
                let epoch = chain.epoch.saturating_sub(1);
                let sequence = if choices.once_in(2) { 0 } else { made.sequence };
                let why = if epoch < 0 { Move::Odd } else { Move::OldEpoch };
                made = Produce { why, epoch, sequence, ..made };
            }
            _ => {
                let far = Produce { why: Move::EpochJump, sequence: 0, ..made.clone() };
                made = match choices.below(5) {
                    0 => Produce { epoch: chain.epoch.saturating_add(7), ..far },
                    1 => Produce { why: Move::Odd, epoch: -1, ..made },
                    2 => Produce { why: Move::Odd, sequence: -1, ..made },
                    3 => Produce { why: Move::Odd, sequence: i32::MIN, ..made },
                    _ => Produce { why: Move::Odd, epoch: i16::MIN, ..made },
                };
            }
        }
        let follows = matches!(made.why, Move::Next | Move::NewEpoch)
            || made.why == Move::EpochJump && made.epoch > chain.epoch;
        if follows && made.flaw.is_none() {
            chain.epoch = made.epoch;
            chain.next = advance(made.sequence, made.records);
            chain.sent.push(made.clone());
        }
        made
    }
}

/// The values of a step's records: no other step has the same, unless it is to.
pub(super) fn values_of(step: &Produce, seed: u64) -> Vec<Vec<u8>> {
    let count = if step.flaw == Some(Flaw::Empty) { 0 } else { step.records.max(0) };
    (0..count).map(|index| format!("{seed:x}/{}/{index}", step.id).into_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_follow_from_their_seeds_and_have_every_move_and_flaw() {
        let kinds = Kinds { chains: true, valid: true, spoilt: true };
        let plan = |seed| Plan::new(seed, 40, 2, kinds, &[0, 3, 18, 20]);
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
        let (mut moves, mut flaws) = (Vec::new(), Vec::new());
        for seed in 0..100 {
            for step in plan(seed).steps {
                match step {
                    Step::Produce(made) => {
                        moves.push(made.why.words());
                        flaws.extend(made.flaw.map(Flaw::words));
                    }
                    Step::Valid { api, .. } | Step::Spoilt { api, .. } => assert_ne!(api, 20),
                }
            }
        }
        moves.sort_unstable();
        moves.dedup();
        flaws.sort_unstable();
        flaws.dedup();
        assert_eq!((moves.len(), flaws.len()), (12, Flaw::ALL.len()), "{moves:?}");
    }

    #[test]
    fn a_plan_is_kept_as_json() {
        let kinds = Kinds { chains: true, valid: true, spoilt: true };
        let plan = Plan::new(1, 20, 2, kinds, &[0, 3]);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
    }
}
