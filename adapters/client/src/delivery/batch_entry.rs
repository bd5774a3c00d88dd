//! What is noted of one batch.

use core::{ops::Range, time::Duration};
use std::{collections::VecDeque, sync::Arc};

use ottla_core::{BatchId, Instant, Ticket, TopicId};

use crate::delivery::{batch_state::BatchState, broker_messages::BrokerMessages};

/// For how many cancelled records there is room at first.
const FIRST_ROOM: usize = 16;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) batch: BatchId,
    pub(super) topic: TopicId,
    /// Grows with each opening.
    pub(super) number: u64,
    pub(super) cell: Arc<BatchState>,
    /// When its records came.
    pub(super) times: Times,
    /// What brokers said of those that they refused.
    pub(super) words: BrokerMessages,
    /// For how many cancelled records the cell has room.
    pub(super) room: usize,
    pub(super) tokens: Vec<Token>,
    pub(super) deadlines: Deadlines,
    /// How many records the batch has, without those taken out.
    pub(super) live: u64,
    /// How many of them have an answer, be it that they were cancelled.
    pub(super) answered: u64,
    /// How many of them have their final outcome.
    pub(super) done: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) index: u32,
    pub(super) token: u64,
    pub(super) told: bool,
    pub(super) done: bool,
}

impl Entry {
    pub(super) const fn is_answered(&self) -> bool {
        self.answered >= self.live
    }

    /// Makes room for as many cancelled records as there are, so that to cancel takes nothing from the heap.
    #[cold]
    pub(super) fn make_room(&mut self) {
        self.room = (2 * self.room).max(FIRST_ROOM);
        self.cell.lock().reserve(self.room);
    }

    /// Forgets what was noted of its records.
    pub(super) fn clear(&mut self) {
        self.tokens.clear();
        self.deadlines.clear();
        self.words.clear();
        (self.live, self.answered, self.done) = (0, 0, 0);
    }
}

/// The earliest deadline of each record that has one.
#[derive(Debug)]
pub(super) struct Deadlines<T = Ticket> {
    /// In the order of time, and of the records' indexes where that is the same.
    due: VecDeque<(Instant, u32, T)>,
    /// In the order of the records.
    of_record: Vec<(u32, Instant)>,
}

impl<T> Default for Deadlines<T> {
    fn default() -> Self {
        Self { due: VecDeque::new(), of_record: Vec::new() }
    }
}

impl<T> Deadlines<T> {
    /// Sets a record's deadline, unless it has an earlier one.
    pub(super) fn set(&mut self, index: u32, ticket: T, at: Instant) {
        match self.of_record.binary_search_by_key(&index, |(index, _)| *index) {
            Err(place) => self.of_record.insert(place, (index, at)),
            Ok(place) => {
                let Some((_, known)) = self.of_record.get_mut(place).filter(|(_, k)| at < *k)
                else {
                    return;
                };
                let before = core::mem::replace(known, at);
                if let Ok(place) = self.place(before, index) {
                    self.due.remove(place);
                }
            }
        }
        let (Ok(place) | Err(place)) = self.place(at, index);
        self.due.insert(place, (at, index, ticket));
    }

    fn place(&self, at: Instant, index: u32) -> Result<usize, usize> {
        self.due.binary_search_by_key(&(at, index), |(at, index, _)| (*at, *index))
    }

    /// The earliest of all.
    pub(super) fn first(&self) -> Option<Instant> {
        self.due.front().map(|(at, ..)| *at)
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        self.due.pop_front().map(|(.., ticket)| ticket)
    }

    pub(super) fn clear(&mut self) {
        self.due.clear();
        self.of_record.clear();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.due.len().max(self.of_record.len())
    }
}

/// The entry of a batch that is live.
pub(super) fn find(entries: &mut [Option<Box<Entry>>], batch: BatchId) -> Option<&mut Entry> {
    let entry = entries.get_mut(batch.index())?.as_deref_mut()?;
    (entry.batch == batch).then_some(entry)
}

/// When records came. Those that came fast have the same time, so that many records are few entries.
#[derive(Debug)]
pub(super) struct Times {
    /// When the first one came.
    opened: Instant,
    /// The index of the first record of each run, and how many microseconds after `opened` they all came.
    runs: Vec<(u32, u32)>,
    /// The index that follows the last one.
    end: u32,
}

impl Times {
    pub(super) const fn new() -> Self {
        Self { opened: Instant::ZERO, runs: Vec::new(), end: 0 }
    }

    /// Forgets all, for another batch.
    pub(super) fn open(&mut self, now: Instant) {
        self.opened = now;
        self.runs.clear();
        self.end = 0;
    }

    /// Notes the next record; should indexes be left out, they count as having come with it.
    #[inline]
    pub(super) fn push(&mut self, index: u32, now: Instant) {
        let time = u32::try_from(now.since(self.opened).as_micros()).unwrap_or(u32::MAX);
        if self.runs.last().is_none_or(|(_, last)| *last != time) {
            self.runs.push((self.end.min(index), time));
        }
        self.end = index.saturating_add(1);
    }

    /// Notes records up to this index, which came apart: when each run of them did, by the index of its first.
    pub(super) fn push_runs(&mut self, runs: &[(u32, Instant)], end: u32) {
        for (index, now) in runs {
            self.end = (*index).max(self.end);
            self.push(*index, *now);
        }
        self.end = end;
    }

    /// How long before `now` a record came.
    pub(super) fn elapsed(&self, now: Instant, index: u32) -> Duration {
        let after = self.runs.partition_point(|(first, _)| *first <= index);
        let run = after.checked_sub(1).and_then(|at| self.runs.get(at));
        self.elapsed_since(now, run.map_or(0, |(_, time)| *time))
    }

    const fn elapsed_since(&self, now: Instant, time: u32) -> Duration {
        now.since(Instant::from_micros(self.opened.as_micros() + time as u64))
    }

    /// The records among these that came at the same time, and how long before `now`, in order.
    pub(super) fn runs(
        &self,
        now: Instant,
        indexes: &Range<u32>,
    ) -> impl Iterator<Item = (Range<u32>, Duration)> {
        let (from, to) = (indexes.start, indexes.end.min(self.end));
        let ends = self.runs.iter().skip(1).map(|(first, _)| *first).chain([self.end]);
        let runs = self.runs.iter().zip(ends);
        let runs = runs.map(move |((first, time), end)| {
            (from.max(*first)..to.min(end), self.elapsed_since(now, *time))
        });
        runs.filter(|(run, _)| !run.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn runs(times: &Times, indexes: Range<u32>) -> Vec<(Range<u32>, u128)> {
        times.runs(at(100), &indexes).map(|(run, ago)| (run, ago.as_micros())).collect()
    }

    #[test]
    fn records_that_came_at_the_same_time_are_a_run() {
        let mut times = Times::new();
        times.open(at(50));
        for (index, time) in [(0, 50), (1, 50), (2, 57), (3, 59), (4, 59), (5, 59)] {
            times.push(index, at(time));
        }
        let ago = (0..6).map(|index| times.elapsed(at(100), index).as_micros());
        assert_eq!(ago.collect::<Vec<_>>(), [50, 50, 43, 41, 41, 41]);
        assert_eq!(runs(&times, 0..u32::MAX), [(0..2, 50), (2..3, 43), (3..6, 41)]);
        assert_eq!(runs(&times, 1..4), [(1..2, 50), (2..3, 43), (3..4, 41)]);
        times.open(at(60));
        assert_eq!(runs(&times, 0..9), []);
        times.push(0, at(90));
        assert_eq!(runs(&times, 0..9), [(0..1, 10)]);
    }

    #[test]
    fn many_deadlines_of_one_record_are_one() {
        let (one, other) = ((7, "one"), (3, "other"));
        let mut deadlines = Deadlines::default();
        deadlines.set(other.0, other.1, at(2_000_000));
        for micros in (1..1_000_000).rev() {
            deadlines.set(one.0, one.1, at(micros));
            deadlines.set(one.0, one.1, at(3_000_000 + micros));
        }
        assert_eq!(deadlines.len(), 2);
        assert_eq!((deadlines.first(), deadlines.pop()), (Some(at(1)), Some("one")));
        assert_eq!((deadlines.first(), deadlines.pop()), (Some(at(2_000_000)), Some("other")));
        assert_eq!(deadlines.first(), None);
    }

    #[test]
    fn an_index_that_was_left_out_has_a_time() {
        let mut times = Times::new();
        times.push(2, at(95));
        assert_eq!(times.elapsed(at(100), 0).as_micros(), 5);
        assert_eq!(runs(&times, 0..9), [(0..3, 5)]);
    }
}
