//! What brokers said of records that they refused, until those are told of.

use core::ops::Range;
use std::sync::Arc;

use ottla_core::{BatchOutcome, Cause, Outcome, Remark};

/// So many texts are kept of a batch at most. Most are the same as the one before, which counts once.
const MOST: usize = 10_000;

/// What was said of a batch, by the numbers of its records.
#[derive(Debug, Default)]
pub(crate) struct BrokerMessages {
    /// Of single records, in order.
    records: Vec<(Range<u32>, Arc<str>)>,
    /// Of all records of the batch, or of a part of it.
    batches: Vec<(Range<u32>, Arc<str>)>,
}

impl BrokerMessages {
    pub(crate) const fn is_empty(&self) -> bool {
        self.records.is_empty() && self.batches.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.batches.clear();
    }

    pub(crate) fn push(&mut self, remark: &Remark<'_>) {
        let numbers = remark.first..remark.first.saturating_add(remark.records);
        let text = remark.text.to_string();
        let list = if remark.single { &mut self.records } else { &mut self.batches };
        if let Some((last, same)) = list.last_mut()
            && last.end == numbers.start
            && **same == *text
        {
            last.end = numbers.end;
        } else if list.len() < MOST {
            list.push((numbers, text.into()));
        }
    }

    /// What was said of a record with this cause, and for which of the records from it on that is the same.
    fn of(&self, cause: Cause, number: u32) -> (Option<Arc<str>>, u32) {
        let mut end = u32::MAX;
        if matches!(cause, Cause::AtFault(_)) {
            let next = self.records.partition_point(|(numbers, _)| numbers.end <= number);
            match self.records.get(next) {
                Some((numbers, text)) if numbers.start <= number => {
                    return (Some(Arc::clone(text)), numbers.end);
                }
                Some((numbers, _)) => end = numbers.start,
                None => {}
            }
        }
        let all = self.batches.iter().find(|(numbers, _)| numbers.contains(&number));
        match all {
            Some((numbers, text)) => (Some(Arc::clone(text)), end.min(numbers.end)),
            None => (None, end),
        }
    }

    /// Takes what is told apart, so that all records of a piece have the same said of them.
    pub(crate) fn pieces(&self, settled: &BatchOutcome) -> Vec<(BatchOutcome, Option<Arc<str>>)> {
        let (mut first, past) = (settled.first, settled.first.saturating_add(settled.records));
        let mut pieces = Vec::new();
        while let Outcome::NotDelivered(cause) = settled.outcome
            && first < past
        {
            let (text, end) = self.of(cause, first);
            let mut piece = *settled;
            piece.first = first;
            piece.records = end.clamp(first.saturating_add(1), past) - first;
            first += piece.records;
            pieces.push((piece, text));
        }
        if pieces.is_empty() {
            pieces.push((*settled, None));
        }
        pieces
    }
}
