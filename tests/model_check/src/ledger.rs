//! What was said of each record, and the laws that it is held to.

use std::collections::BTreeMap;

use ottla_core::{BatchId, BatchOutcome, Outcome, Ticket, Verdict};

use crate::broker::{Batch, Broker};

/// What was said of a record last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Said {
    /// Nothing.
    Nothing,
    /// In the log, at this offset if it is known.
    Delivered(Option<i64>),
    /// Not in the log, ever.
    NotDelivered,
    /// Not known; more will be said.
    UnknownYet,
    /// Not known, and that is the last word.
    Unknown,
}

/// A record.
#[derive(Clone, Debug)]
pub struct Entry {
    ticket: Ticket,
    /// What was said last.
    pub said: Said,
    /// The application cancelled it.
    pub cancelled: bool,
    withdrawn: bool,
}

/// All records, by their numbers.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The records.
    pub entries: Vec<Entry>,
    /// Which records a sequence whose bytes left the core belongs to.
    exposed: BTreeMap<(i64, i16, i32), u8>,
    /// The first law that was broken, and how.
    pub broken: Option<String>,
}

impl Ledger {
    fn break_law(&mut self, how: String) {
        self.broken.get_or_insert(how);
    }

    /// A record was produced.
    pub fn produced(&mut self, ticket: Ticket) {
        let said = Said::Nothing;
        self.entries.push(Entry { ticket, said, cancelled: false, withdrawn: false });
    }

    /// The ticket of a record.
    #[must_use]
    pub fn ticket(&self, record: u8) -> Ticket {
        self.entries[usize::from(record)].ticket
    }

    /// A record was cancelled.
    pub fn cancelled(&mut self, record: u8, verdict: Verdict) {
        let entry = &mut self.entries[usize::from(record)];
        entry.cancelled = true;
        let before = entry.said;
        match verdict {
            Verdict::NotDelivered => {
                entry.withdrawn = true;
                entry.said = Said::NotDelivered;
                if !matches!(before, Said::Nothing | Said::UnknownYet) {
                    self.break_law(format!("record {record}: {before:?}, then withdrawn"));
                }
            }
            Verdict::Unknown if before == Said::Nothing => entry.said = Said::UnknownYet,
            Verdict::Unknown | Verdict::AlreadySettled => {}
            other @ (Verdict::Foreign | _) => panic!("verdict {other:?}"),
        }
    }

    /// A batch was settled.
    pub fn settled(&mut self, settled: &BatchOutcome, broker: &Broker) {
        let batch: BatchId = settled.batch;
        let of_batch = |entry: &Entry| entry.ticket.batch() == batch && !entry.withdrawn;
        let places = self.entries.iter().enumerate().filter(|(_, entry)| of_batch(entry));
        let places: Vec<usize> = places.map(|(place, _)| place).collect();
        // A batch that was too large is told of in parts.
        let (first, records) = (settled.first as usize, settled.records as usize);
        let part: Vec<usize> = places.iter().skip(first).take(records).copied().collect();
        if part.len() != records {
            self.break_law(format!("{settled:?} is about records {places:?}"));
        }
        for (index, place) in part.into_iter().enumerate() {
            let said = match settled.outcome {
                Outcome::Delivered { base_offset, .. } => {
                    Said::Delivered(base_offset.map(|base| base + index as i64))
                }
                Outcome::NotDelivered(_) => Said::NotDelivered,
                Outcome::Unknown(_) if settled.last => Said::Unknown,
                Outcome::Unknown(_) => Said::UnknownYet,
                other => panic!("outcome {other:?}"),
            };
            let before = core::mem::replace(&mut self.entries[place].said, said);
            if !matches!(before, Said::Nothing | Said::UnknownYet) {
                self.break_law(format!("record {place}: {before:?}, then {said:?}"));
            }
            if let Said::Delivered(Some(offset)) = said {
                let found = broker.records().nth(offset as usize);
                if found != Some(place as u8) {
                    self.break_law(format!(
                        "record {place} is told to be at offset {offset}, where {found:?} is"
                    ));
                }
            }
        }
    }

    /// Bytes of a batch left the core.
    pub fn exposed(&mut self, batch: &Batch) {
        let (producer, epoch, first) = batch.origin;
        for (at, record) in (0..).zip(&batch.records) {
            let sequence = (producer, epoch, first.wrapping_add(at) & i32::MAX);
            let before = *self.exposed.entry(sequence).or_insert(*record);
            if before != *record {
                self.break_law(format!(
                    "sequence {sequence:?} was record {before}'s and is record {record}'s"
                ));
            }
        }
    }

    /// Holds what was said against the log. A broker that forgets may write what is sent again a second
    /// time, and behind what came after it.
    pub fn check(&mut self, broker: &Broker, forgetful: bool) {
        let log: Vec<u8> = broker.records().collect();
        if !forgetful && !log.is_sorted() {
            self.break_law(format!("the log is out of order: {log:?}"));
        }
        for record in 0..self.entries.len() {
            let times = log.iter().filter(|found| usize::from(**found) == record).count();
            let said = self.entries[record].said;
            let lie = match said {
                Said::Delivered(_) if forgetful => times == 0,
                Said::Delivered(_) => times != 1,
                Said::NotDelivered => times != 0,
                Said::Nothing | Said::UnknownYet | Said::Unknown => times > 1 && !forgetful,
            };
            if lie {
                self.break_law(format!(
                    "record {record}, told {said:?}, is {times} times in the log {log:?}"
                ));
            }
        }
    }

    /// Feeds all that later laws depend on.
    pub fn words(&self, word: &mut dyn FnMut(u64)) {
        for entry in &self.entries {
            // An offset was checked when it was told.
            let said = match entry.said {
                Said::Nothing => 0,
                Said::Delivered(_) => 1,
                Said::NotDelivered => 2,
                Said::UnknownYet => 3,
                Said::Unknown => 4,
            };
            word(said << 2 | u64::from(entry.cancelled) << 1 | u64::from(entry.withdrawn));
        }
        for ((producer, epoch, sequence), record) in &self.exposed {
            [*producer as u64, *epoch as u64, *sequence as u64, u64::from(*record)]
                .into_iter()
                .for_each(&mut *word);
        }
    }
}
