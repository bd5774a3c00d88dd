//! What a log remembers of its producers (`ProducerStateManager`, `ProducerAppendInfo`).

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use ottla_core::wire::{ErrorCode, describe_producers::ProducerState};

use crate::{Duplicates, FirstSequence, Planted, ProducerWindow};

/// `NUM_BATCHES_TO_RETAIN`: how many batches back a duplicate is known.
const WINDOW: usize = 5;

/// The producers of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProducerStates(BTreeMap<i64, Entry>);

#[derive(Clone, Debug)]
struct Entry {
    epoch: i16,
    /// When the last batch was appended: no sweep before that is about it.
    written: Duration,
    batches: VecDeque<BatchMetadata>,
}

/// A sweep that forgets producers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    /// When it is. It does not see batches that were appended then or later.
    pub(crate) at: Duration,
    /// The wall clock then.
    pub(crate) now_ms: i64,
    /// `producer.id.expiration.ms`.
    pub(crate) expiration_ms: i64,
}

/// What a batch is that may be appended, or acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It is to be appended.
    New,
    /// It is in the log.
    Duplicate(BatchMetadata),
}

/// By which rules batches are judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) first_sequence: FirstSequence,
    pub(crate) duplicates: Duplicates,
    /// Whether there was ever a record in the log.
    pub(crate) ever_written: bool,
    pub(crate) planted: Option<Planted>,
}

/// What is remembered of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchMetadata {
    pub(crate) first_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) base_offset: i64,
    /// The batch's largest timestamp. Kafka answers a duplicate with it as the log append time,
    /// whatever the topic's timestamp type.
    pub(crate) timestamp: i64,
}

/// Who sent a batch, and which of their records it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    pub(crate) first_sequence: i32,
    pub(crate) last_sequence: i32,
}

impl ProducerStates {
    /// Judges a batch.
    ///
    /// The order is Kafka's: first the duplicate, then the epoch, then the sequence.
    pub(crate) fn check(&self, origin: Origin, rules: Rules) -> Result<Judged, ErrorCode> {
        if rules.duplicates == Duplicates::AppendedAgain {
            return Ok(Judged::New);
        }
        let Some(entry) = self.0.get(&origin.producer_id) else {
            let refused =
                rules.first_sequence == FirstSequence::ZeroOnNewLog && !rules.ever_written;
            return if refused && origin.first_sequence != 0 {
                Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER)
            } else {
                Ok(Judged::New)
            };
        };
        if let Some(duplicate) = entry.duplicate_of(origin) {
            if rules.planted == Some(Planted::DuplicateAppended) {
                return Ok(Judged::New);
            }
            return match rules.duplicates {
                Duplicates::Acknowledged | Duplicates::AppendedAgain => {
                    Ok(Judged::Duplicate(duplicate))
                }
                Duplicates::AnErrorOfItsOwn => Err(ErrorCode::DUPLICATE_SEQUENCE_NUMBER),
                Duplicates::OutOfOrder => Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
            };
        }
        if origin.epoch < entry.epoch {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        let in_order = if origin.epoch > entry.epoch {
            origin.first_sequence == 0
        } else {
            // An entry whose every batch was forgotten cannot be: entries are made by batches.
            let last = entry.batches.back().map_or(-1, |batch| batch.last_sequence);
            let planted = rules.planted == Some(Planted::GapAppended);
            follows(last, origin.first_sequence) || planted && origin.first_sequence > last
        };
        if in_order { Ok(Judged::New) } else { Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER) }
    }

    /// Remembers a batch that was appended.
    pub(crate) fn append(
        &mut self,
        origin: Origin,
        base_offset: i64,
        timestamp: i64,
        now: Duration,
    ) {
        let entry = self.0.entry(origin.producer_id).or_insert_with(|| Entry {
            epoch: origin.epoch,
            written: now,
            batches: VecDeque::with_capacity(WINDOW),
        });
        entry.written = now;
        if entry.epoch != origin.epoch {
            entry.epoch = origin.epoch;
            entry.batches.clear();
        }
        if entry.batches.len() == WINDOW {
            entry.batches.pop_front();
        }
        entry.batches.push_back(BatchMetadata {
            first_sequence: origin.first_sequence,
            last_sequence: origin.last_sequence,
            base_offset,
            timestamp,
        });
    }

    /// What a restart leaves. Tells whether a producer is not known any more.
    pub(crate) fn restart(&mut self, window: ProducerWindow, sweep: Sweep) -> bool {
        let before = self.0.len();
        match window {
            ProducerWindow::Everything => {}
            ProducerWindow::Nothing => self.0.clear(),
            ProducerWindow::LastBatch => {
                self.sweep(sweep);
                for entry in self.0.values_mut() {
                    let older = entry.batches.len().saturating_sub(1);
                    entry.batches.drain(..older);
                }
            }
        }
        self.0.len() < before
    }

    /// `removeExpiredProducers`: forgets the producers whose last batch is of records that are too
    /// old. Tells whether there were any.
    pub(crate) fn sweep(&mut self, sweep: Sweep) -> bool {
        let before = self.0.len();
        self.0.retain(|_, entry| {
            let timestamp = entry.batches.back().map_or(-1, |batch| batch.timestamp);
            let expired = sweep.now_ms.saturating_sub(timestamp) >= sweep.expiration_ms;
            !expired || entry.written >= sweep.at
        });
        self.0.len() < before
    }

    /// Forgets one producer, as after `producer.id.expiration.ms`.
    pub(crate) fn forget(&mut self, producer_id: i64) {
        self.0.remove(&producer_id);
    }

    /// All producers, as DescribeProducers tells them.
    pub(crate) fn active(&self) -> Vec<ProducerState> {
        let told = self.0.iter().map(|(&producer_id, entry)| {
            let last = entry.batches.back();
            ProducerState {
                producer_id,
                producer_epoch: i32::from(entry.epoch),
                last_sequence: last.map_or(-1, |batch| batch.last_sequence),
                last_timestamp: last.map_or(-1, |batch| batch.timestamp),
                coordinator_epoch: -1,
                current_txn_start_offset: -1,
            }
        });
        told.collect()
    }

    /// A producer's epoch and last sequence number.
    pub(crate) fn last(&self, producer_id: i64) -> Option<(i16, i32)> {
        let entry = self.0.get(&producer_id)?;
        Some((entry.epoch, entry.batches.back()?.last_sequence))
    }
}

impl Entry {
    /// The batch of the same epoch and exactly the same range, if it is remembered. The contents
    /// are not compared.
    fn duplicate_of(&self, origin: Origin) -> Option<BatchMetadata> {
        if self.epoch != origin.epoch {
            return None;
        }
        let same = |batch: &&BatchMetadata| {
            batch.first_sequence == origin.first_sequence
                && batch.last_sequence == origin.last_sequence
        };
        self.batches.iter().find(same).copied()
    }
}

/// Whether `next` is the sequence number after `last`; after 2^31 - 1 comes 0.
fn follows(last: i32, next: i32) -> bool {
    last.checked_add(1).unwrap_or(0) == next
}

/// The sequence number `count` after `first`.
pub(crate) fn advance(first: i32, count: i32) -> i32 {
    let sum = i64::from(first).saturating_add(i64::from(count));
    i32::try_from(sum.rem_euclid(1 << 31)).unwrap_or(0)
}
