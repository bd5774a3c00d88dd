//! One batch, as those see it who wait for its records.

use core::{ops::Range, task::Waker};
use std::sync::{PoisonError, Weak};

use ottla_core::{Cause, LastError, Verdict};

use crate::{
    delivery::{
        calls_to_engine::EngineCalls,
        cancelled::Mark,
        outcome::{RecordOutcome, Told, Why},
        waiters::Waiters,
    },
    panic_containment::Wakes,
    sync::{Mutex, MutexGuard},
};

/// What is shared between the table, which learns the outcome of a batch, and its records'
/// deliveries. Reused for another batch once no delivery holds it.
#[derive(Debug)]
pub(crate) struct BatchState {
    pub(crate) engine: Weak<dyn EngineCalls>,
    state: Mutex<BatchStateInner>,
}

/// Which answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The first: `Unknown` is one.
    First,
    /// The final outcome.
    Last,
}

#[derive(Debug, Default)]
pub(crate) struct BatchStateInner {
    partition: i32,
    /// What was told, in the order of the records: one part, unless the batch was split.
    parts: Vec<Part>,
    /// No more word will come. This is the last one for all that have none.
    rest: Option<Cause>,
    /// In the order of their indexes.
    marks: Vec<Mark>,
    /// What had gone wrong last when a record was cancelled.
    last_error: Option<LastError>,
    first_waiters: Waiters,
    last_waiters: Waiters,
}

/// Records that were told of together.
#[derive(Debug)]
struct Part {
    /// Their indexes, with those between them that were taken out.
    indexes: Range<u32>,
    /// The number of the first, those taken out before not counted.
    first: u32,
    told: Told,
    last: bool,
}

/// What the core says of a batch, or of a part of it.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) partition: i32,
    /// The number of the first record and how many there are, those taken out not counted; `None`
    /// is the whole batch.
    pub(crate) part: Option<(u32, u32)>,
    pub(crate) told: Told,
    pub(crate) last: bool,
}

/// The indexes of a batch that was not split.
pub(crate) const WHOLE: Range<u32> = 0..u32::MAX;

impl BatchState {
    pub(crate) fn new(engine: Weak<dyn EngineCalls>) -> Self {
        Self { engine, state: Mutex::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BatchStateInner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it fit for another batch; nobody else holds it.
    pub(crate) fn reset(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.parts.clear();
        state.rest = None;
        state.marks.clear();
        state.last_error = None;
        state.first_waiters = Waiters::default();
        state.last_waiters = Waiters::default();
    }
}

impl BatchStateInner {
    /// Makes room for as many cancelled records, so that to cancel takes nothing from the heap.
    pub(crate) fn reserve(&mut self, records: usize) {
        self.marks.reserve(records.saturating_sub(self.marks.len()));
    }

    /// What can be said of a record now: the final outcome if it is there, or the first answer.
    pub(crate) fn first(&self, index: u32) -> Option<RecordOutcome> {
        self.last(index).or_else(|| match self.mark(index) {
            Some(mark) => Some(RecordOutcome::Unknown(self.gone(*mark))),
            None => self.part(index).map(|part| self.of(part, index)),
        })
    }

    /// The final outcome of a record.
    pub(crate) fn last(&self, index: u32) -> Option<RecordOutcome> {
        if let Some(mark) = self.mark(index).filter(|mark| mark.taken()) {
            return Some(RecordOutcome::NotDelivered(self.gone(*mark)));
        }
        let part = self.part(index).filter(|part| part.last);
        let told = part.map(|part| self.of(part, index));
        told.or_else(|| self.rest.map(|cause| RecordOutcome::Unknown(cause.into())))
    }

    pub(crate) fn answer(&self, which: Answer, index: u32) -> Option<RecordOutcome> {
        match which {
            Answer::First => self.first(index),
            Answer::Last => self.last(index),
        }
    }

    /// The part that tells of a record.
    fn part(&self, index: u32) -> Option<&Part> {
        let after = self.parts.partition_point(|part| part.indexes.start <= index);
        let part = self.parts.get(after.checked_sub(1)?)?;
        part.indexes.contains(&index).then_some(part)
    }

    fn of(&self, part: &Part, index: u32) -> RecordOutcome {
        let before = self.marks.partition_point(|mark| mark.index() < index);
        let taken = self.marks.iter().take(before).filter(|mark| mark.taken()).count() as i64;
        let number = i64::from(index) - taken - i64::from(part.first);
        RecordOutcome::of(&part.told, self.partition, number)
    }

    fn gone(&self, mark: Mark) -> Why {
        Why::new(mark.cause(), self.last_error)
    }

    fn mark(&self, index: u32) -> Option<&Mark> {
        let at = self.marks.binary_search_by_key(&index, |mark| mark.index());
        at.ok().and_then(|at| self.marks.get(at))
    }

    /// The index of the record with this number: those taken out before it count as well.
    fn index_of(&self, number: u32) -> u32 {
        let taken = self.marks.iter().filter(|mark| mark.taken());
        let past = |index: u32, mark: &Mark| index.saturating_add((mark.index() <= index).into());
        taken.fold(number, past)
    }

    /// The verdict that a cancelled record got.
    pub(crate) fn verdict(&self, index: u32) -> Option<Verdict> {
        self.mark(index).map(|mark| match mark.taken() {
            true => Verdict::NotDelivered,
            false => Verdict::Unknown,
        })
    }

    /// How many of these records were cancelled after their bytes had left.
    pub(crate) fn marked_unknown(&self, indexes: &Range<u32>) -> usize {
        let from = self.marks.partition_point(|mark| mark.index() < indexes.start);
        let marks = self.marks.iter().skip(from);
        let marks = marks.take_while(|mark| mark.index() < indexes.end);
        marks.filter(|mark| !mark.taken()).count()
    }

    /// Whether any record was cancelled.
    pub(crate) const fn has_marks(&self) -> bool {
        !self.marks.is_empty()
    }

    /// How many of these records were cancelled.
    pub(crate) fn marked(&self, indexes: &Range<u32>) -> usize {
        let from = self.marks.partition_point(|mark| mark.index() < indexes.start);
        let to = self.marks.partition_point(|mark| mark.index() < indexes.end);
        to - from
    }

    /// Notes that a record was cancelled, and wakes those that wait for it.
    pub(crate) fn cancel(&mut self, index: u32, taken: bool, why: &Why, wakes: &mut Wakes) {
        self.last_error = why.last_error;
        match self.marks.binary_search_by_key(&index, |mark| mark.index()) {
            Ok(at) => {
                if let Some(mark) = self.marks.get_mut(at).filter(|_| taken) {
                    mark.take();
                }
            }
            Err(at) => self.marks.insert(at, Mark::new(index, taken, why.cause)),
        }
        let indexes = index..index.saturating_add(1);
        self.first_waiters.take(&indexes, wakes);
        if taken {
            self.last_waiters.take(&indexes, wakes);
        }
    }

    /// Notes the outcome of the batch or of a part of it, and wakes those that waited for that.
    /// Returns the indexes that it is about, and whether it is the first word on them.
    pub(crate) fn tell(&mut self, word: &Update, wakes: &mut Wakes) -> (Range<u32>, bool) {
        self.partition = word.partition;
        let (first, indexes) = match word.part {
            None => (0, WHOLE),
            Some((first, records)) => {
                let start = self.index_of(first);
                // Those taken out right behind the part are nobody's.
                let end = match records {
                    0 => start,
                    _ => self.index_of(first.saturating_add(records - 1)).saturating_add(1),
                };
                (first, start..end)
            }
        };
        let divided = self.divide(&indexes);
        let at = self.parts.partition_point(|part| part.indexes.start < indexes.start);
        let known = self.parts.get_mut(at).filter(|part| part.indexes == indexes);
        let fresh = known.is_none() && !divided;
        match known {
            Some(part) => {
                (part.told, part.last) = (word.told.clone(), word.last);
            }
            None => {
                let (told, last) = (word.told.clone(), word.last);
                let indexes = indexes.clone();
                self.parts.insert(at, Part { indexes, first, told, last });
            }
        }
        self.first_waiters.take(&indexes, wakes);
        if word.last {
            self.last_waiters.take(&indexes, wakes);
        }
        (indexes, fresh)
    }

    /// Notes that no more word will come, and wakes all.
    pub(crate) fn give_up(&mut self, cause: Cause, wakes: &mut Wakes) {
        self.rest = Some(cause);
        self.first_waiters.take(&WHOLE, wakes);
        self.last_waiters.take(&WHOLE, wakes);
    }

    /// Makes room for a word on some of the records that a part tells of: it goes on to tell of the others.
    /// Whether there is such a part.
    fn divide(&mut self, indexes: &Range<u32>) -> bool {
        let after = self.parts.partition_point(|part| part.indexes.start <= indexes.start);
        let Some(at) = after.checked_sub(1) else {
            return false;
        };
        let Some(part) = self.parts.get_mut(at).filter(|part| {
            part.indexes.end >= indexes.end && part.indexes != *indexes && !indexes.is_empty()
        }) else {
            return false;
        };
        let (whole, first) = (part.indexes.clone(), part.first);
        let (told, last) = (part.told.clone(), part.last);
        part.indexes.end = indexes.start;
        // Where nothing is left before, the rest takes its place. The numbers of records count for those that
        // are delivered alone, which are never divided.
        let rest = Part { indexes: indexes.end..whole.end, first, told, last };
        if part.indexes.is_empty() {
            self.parts.remove(at);
        }
        if !rest.indexes.is_empty() {
            let at = self.parts.partition_point(|part| part.indexes.start < rest.indexes.start);
            self.parts.insert(at, rest);
        }
        true
    }

    /// Whether somebody waits in a place for a record's answer who is woken by this waker.
    pub(crate) fn waits(
        &mut self,
        which: Answer,
        index: u32,
        place: Option<usize>,
        waker: &Waker,
    ) -> bool {
        let waiters = self.waiters(which);
        let held = place.and_then(|place| waiters.held(index, place));
        held.is_some_and(|held| held.will_wake(waker))
    }

    /// Waits for a record's answer, which is not there. `place` is where this waiter is noted. Returns a
    /// waker that is of no use any more, to be dropped with the lock free: what that does is not ours.
    pub(crate) fn wait(
        &mut self,
        which: Answer,
        index: u32,
        place: &mut Option<usize>,
        waker: Waker,
    ) -> Option<Waker> {
        let waiters = self.waiters(which);
        if let Some(held) = place.and_then(|place| waiters.held(index, place)) {
            return Some(core::mem::replace(held, waker));
        }
        *place = Some(waiters.enter(index, waker));
        None
    }

    /// Waits no longer. Returns the waker, to be dropped with the lock free.
    pub(crate) fn leave(&mut self, which: Answer, index: u32, place: usize) -> Option<Waker> {
        self.waiters(which).leave(index, place)
    }

    fn waiters(&mut self, which: Answer) -> &mut Waiters {
        match which {
            Answer::First => &mut self.first_waiters,
            Answer::Last => &mut self.last_waiters,
        }
    }
}

#[cfg(test)]
mod tests;
