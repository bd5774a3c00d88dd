//! One batch, as those see it who wait for its records.

use core::task::Waker;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use ottla_core::{Cause, Outcome, Verdict};

use crate::{engine::Engine, outcome::RecordOutcome};

/// What is shared between the table, which learns what became of a batch, and its records'
/// deliveries. Reused for another batch once no delivery holds it.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) engine: Weak<Engine>,
    state: Mutex<CellState>,
}

/// Which answer is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The first: `Unknown` is one.
    First,
    /// The last word.
    Last,
}

#[derive(Debug, Default)]
pub(crate) struct CellState {
    partition: i32,
    first: Option<Outcome>,
    last: Option<Outcome>,
    /// In the order of their indexes.
    marks: Vec<Mark>,
    first_waiters: Waiters,
    last_waiters: Waiters,
}

/// A record that was cancelled.
#[derive(Clone, Copy, Debug)]
struct Mark {
    index: u32,
    /// Taken out of the batch, so that it is not in the log; otherwise its bytes had left.
    taken: bool,
    cause: Cause,
}

/// Wakers with the index of the record that each waits for. A place is cleared by its owner only,
/// or with all others once the answer is there.
type Waiters = Vec<Option<(u32, Waker)>>;

impl Cell {
    pub(crate) fn new(engine: Weak<Engine>) -> Self {
        Self { engine, state: Mutex::default() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, CellState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it fit for another batch; nobody else holds it.
    pub(crate) fn reset(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.first = None;
        state.last = None;
        state.marks.clear();
        state.first_waiters.clear();
        state.last_waiters.clear();
    }
}

impl CellState {
    /// What can be said of a record now: the last word if it is there, or the first answer.
    pub(crate) fn first(&self, index: u32) -> Option<RecordOutcome> {
        self.last(index).or_else(|| match self.mark(index) {
            Some(mark) => Some(RecordOutcome::Unknown(mark.cause)),
            None => self.first.map(|outcome| self.of(outcome, index)),
        })
    }

    /// The last word on a record.
    pub(crate) fn last(&self, index: u32) -> Option<RecordOutcome> {
        match self.mark(index) {
            Some(mark) if mark.taken => Some(RecordOutcome::NotDelivered(mark.cause)),
            _ => self.last.map(|outcome| self.of(outcome, index)),
        }
    }

    pub(crate) fn answer(&self, which: Answer, index: u32) -> Option<RecordOutcome> {
        match which {
            Answer::First => self.first(index),
            Answer::Last => self.last(index),
        }
    }

    fn of(&self, outcome: Outcome, index: u32) -> RecordOutcome {
        match outcome {
            Outcome::Delivered { base_offset, log_append_time } => RecordOutcome::Delivered {
                partition: self.partition,
                offset: base_offset.map(|base| {
                    let before = self.marks.partition_point(|mark| mark.index < index);
                    let taken = self.marks.iter().take(before).filter(|mark| mark.taken);
                    base + i64::from(index) - taken.count() as i64
                }),
                timestamp: log_append_time,
            },
            Outcome::NotDelivered(cause) => RecordOutcome::NotDelivered(cause),
            Outcome::Unknown(cause) => RecordOutcome::Unknown(cause),
            // A state that this version does not know of proves nothing.
            _ => RecordOutcome::Unknown(Cause::SequenceDesync),
        }
    }

    fn mark(&self, index: u32) -> Option<&Mark> {
        let at = self.marks.binary_search_by_key(&index, |mark| mark.index);
        at.ok().and_then(|at| self.marks.get(at))
    }

    /// The verdict that a cancelled record got.
    pub(crate) fn verdict(&self, index: u32) -> Option<Verdict> {
        self.mark(index).map(|mark| match mark.taken {
            true => Verdict::NotDelivered,
            false => Verdict::Unknown,
        })
    }

    /// How many records were cancelled after their bytes had left.
    pub(crate) fn marked_unknown(&self) -> usize {
        self.marks.iter().filter(|mark| !mark.taken).count()
    }

    pub(crate) fn is_marked(&self, index: u32) -> bool {
        self.mark(index).is_some()
    }

    /// Notes that a record was cancelled, and wakes those that wait for it.
    pub(crate) fn cancel(&mut self, index: u32, taken: bool, cause: Cause, wakes: &mut Vec<Waker>) {
        match self.marks.binary_search_by_key(&index, |mark| mark.index) {
            Ok(at) => {
                if let Some(mark) = self.marks.get_mut(at) {
                    mark.taken |= taken;
                }
            }
            Err(at) => self.marks.insert(at, Mark { index, taken, cause }),
        }
        let mut wake = |waiters: &Waiters| {
            let waiters = waiters.iter().flatten();
            wakes.extend(waiters.filter(|(of, _)| *of == index).map(|(_, waker)| waker.clone()));
        };
        wake(&self.first_waiters);
        if taken {
            wake(&self.last_waiters);
        }
    }

    /// Notes what became of the batch, and wakes those that waited for it.
    pub(crate) fn tell(
        &mut self,
        partition: i32,
        outcome: Outcome,
        last: bool,
        wakes: &mut Vec<Waker>,
    ) {
        self.partition = partition;
        self.first.get_or_insert(outcome);
        wakes.extend(self.first_waiters.drain(..).flatten().map(|(_, waker)| waker));
        if last {
            self.last = Some(outcome);
            wakes.extend(self.last_waiters.drain(..).flatten().map(|(_, waker)| waker));
        }
    }

    /// Waits for a record's answer. `place` is where this waiter is noted.
    pub(crate) fn wait(
        &mut self,
        which: Answer,
        index: u32,
        place: &mut Option<usize>,
        waker: &Waker,
    ) {
        let waiters = self.waiters(which);
        let held = place.and_then(|place| waiters.get_mut(place));
        if let Some(Some((_, held))) = held {
            held.clone_from(waker);
        } else {
            *place = Some(waiters.len());
            waiters.push(Some((index, waker.clone())));
        }
    }

    /// Waits no longer.
    pub(crate) fn leave(&mut self, which: Answer, place: usize) {
        let told = match which {
            Answer::First => self.first.is_some(),
            Answer::Last => self.last.is_some(),
        };
        // Once told, all places are void, and another may have this one.
        if told {
            return;
        }
        let waiters = self.waiters(which);
        if let Some(waiter) = waiters.get_mut(place) {
            *waiter = None;
        }
        while let Some(None) = waiters.last() {
            waiters.pop();
        }
    }

    fn waiters(&mut self, which: Answer) -> &mut Waiters {
        match which {
            Answer::First => &mut self.first_waiters,
            Answer::Last => &mut self.last_waiters,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::{sync::Arc, task::Wake};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const DELIVERED: Outcome =
        Outcome::Delivered { base_offset: Some(100), log_append_time: Some(7) };

    fn offset(outcome: Option<RecordOutcome>) -> Option<i64> {
        match outcome {
            Some(RecordOutcome::Delivered { offset, partition: 3, timestamp: Some(7) }) => offset,
            _ => None,
        }
    }

    #[test]
    fn records_before_that_were_taken_out_shift_the_offset() {
        let mut state = CellState::default();
        let mut wakes = Vec::new();
        state.cancel(4, true, Cause::Cancelled, &mut wakes);
        state.cancel(1, true, Cause::Cancelled, &mut wakes);
        state.cancel(2, false, Cause::Cancelled, &mut wakes);
        state.tell(3, DELIVERED, true, &mut wakes);
        assert_eq!(offset(state.first(0)), Some(100));
        assert_eq!(state.first(1), Some(RecordOutcome::NotDelivered(Cause::Cancelled)));
        // Cancelled too late: it is in the log, and counts.
        assert_eq!(offset(state.first(2)), Some(101));
        assert_eq!(offset(state.first(3)), Some(102));
        assert_eq!(offset(state.last(5)), Some(103));
    }

    #[test]
    fn unknown_is_an_answer_and_the_last_word_replaces_it() {
        let mut state = CellState::default();
        let mut wakes = Vec::new();
        let unknown = Outcome::Unknown(Cause::DeliveryTimeout);
        state.tell(3, unknown, false, &mut wakes);
        let told = Some(RecordOutcome::Unknown(Cause::DeliveryTimeout));
        assert_eq!((state.first(0), state.last(0)), (told, None));
        state.tell(3, DELIVERED, true, &mut wakes);
        assert_eq!(offset(state.first(0)), Some(100));
        assert_eq!(offset(state.last(0)), Some(100));
    }

    #[test]
    fn a_record_may_be_taken_out_after_it_was_unknown() {
        let mut state = CellState::default();
        let mut wakes = Vec::new();
        state.cancel(0, false, Cause::Cancelled, &mut wakes);
        assert_eq!(state.verdict(0), Some(Verdict::Unknown));
        assert_eq!((state.marked_unknown(), state.last(0)), (1, None));
        state.cancel(0, true, Cause::Cancelled, &mut wakes);
        assert_eq!(state.verdict(0), Some(Verdict::NotDelivered));
        assert_eq!(state.marked_unknown(), 0);
        assert_eq!(state.last(0), Some(RecordOutcome::NotDelivered(Cause::Cancelled)));
    }

    #[test]
    fn each_waiter_is_woken_for_what_it_waits_for_and_once() {
        let counts: [Arc<Count>; 3] = core::array::from_fn(|_| Arc::default());
        let [mine, other, late] = &counts;
        let mut state = CellState::default();
        let mut wakes = Vec::new();
        let mut places = [None; 4];
        state.wait(Answer::First, 0, &mut places[0], &Arc::clone(mine).into());
        state.wait(Answer::First, 1, &mut places[1], &Arc::clone(other).into());
        state.wait(Answer::Last, 0, &mut places[2], &Arc::clone(late).into());
        // Another handle to the same record, which is dropped, and one that asks twice.
        state.wait(Answer::First, 0, &mut places[3], &Arc::clone(mine).into());
        state.leave(Answer::First, places[3].unwrap());
        state.wait(Answer::First, 0, &mut places[0], &Arc::clone(mine).into());
        let told = |wakes: &mut Vec<Waker>| {
            wakes.drain(..).for_each(Waker::wake);
            counts.each_ref().map(|count| count.0.swap(0, Ordering::Relaxed))
        };
        state.cancel(0, false, Cause::Cancelled, &mut wakes);
        assert_eq!(told(&mut wakes), [1, 0, 0]);
        state.leave(Answer::First, places[0].unwrap());
        state.tell(3, Outcome::Unknown(Cause::DeliveryTimeout), false, &mut wakes);
        assert_eq!(told(&mut wakes), [0, 1, 0]);
        state.tell(3, DELIVERED, true, &mut wakes);
        assert_eq!(told(&mut wakes), [0, 0, 1]);
        // Its place is void by now, and must not be another's.
        state.leave(Answer::First, places[1].unwrap());
    }
}
