//! One batch, as those see it who wait for its records.

use core::{ops::Range, task::Waker};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

use ottla_core::{Cause, LastError, Verdict};

use crate::{
    contain::Wakes,
    delivery::outcome::{RecordOutcome, Told, Why},
    engine::locked_core::Engine,
};

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    pub(crate) partition: i32,
    /// The number of the first record and how many there are, those taken out not counted; `None`
    /// is the whole batch.
    pub(crate) part: Option<(u32, u32)>,
    pub(crate) told: Told,
    pub(crate) last: bool,
}

/// The indexes of a batch that was not split.
pub(crate) const WHOLE: Range<u32> = 0..u32::MAX;

/// Why a record was cancelled, and what had gone wrong last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone {
    pub(crate) by: By,
    pub(crate) last_error: Option<LastError>,
}

/// Who cancels a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Its caller.
    Caller,
    /// Its own deadline.
    Deadline,
}

impl Gone {
    pub(crate) const fn why(&self) -> Why {
        let cause = match self.by {
            By::Caller => Cause::Cancelled,
            By::Deadline => Cause::Deadline,
        };
        Why::new(cause, self.last_error)
    }
}

/// A record that was cancelled: its index, and two bits. There is room for one for each record of
/// a batch before it is needed, so that it is small.
#[derive(Clone, Copy, Debug)]
struct Mark(u32);

impl Mark {
    const TAKEN: u32 = 1;
    const DEADLINE: u32 = 2;

    const fn new(index: u32, taken: bool, by: By) -> Self {
        let deadline = matches!(by, By::Deadline);
        // A record has some bytes, so that no batch has 2³⁰ of them.
        Self(index << 2 | if deadline { Self::DEADLINE } else { 0 } | taken as u32)
    }

    const fn index(self) -> u32 {
        self.0 >> 2
    }

    /// Taken out of the batch, so that it is not in the log; otherwise its bytes had left.
    const fn taken(self) -> bool {
        self.0 & Self::TAKEN != 0
    }

    const fn cause(self) -> Cause {
        if self.0 & Self::DEADLINE != 0 { Cause::Deadline } else { Cause::Cancelled }
    }
}

/// Wakers with the index of the record that each waits for. A place is cleared by its owner, or
/// with all that wait for the same answer once it is there.
#[derive(Debug, Default)]
struct Waiters {
    places: Vec<Option<(u32, Waker)>>,
    /// Places that are free, so that who waits and leaves again and again takes no more than one.
    free: Vec<usize>,
}

impl Waiters {
    /// Takes a free place.
    fn enter(&mut self, index: u32, waker: Waker) -> usize {
        let waiter = Some((index, waker));
        let place = self.free.pop();
        if let Some((place, slot)) = place.and_then(|at| Some((at, self.places.get_mut(at)?))) {
            *slot = waiter;
            return place;
        }
        self.places.push(waiter);
        self.places.len() - 1
    }

    /// The waker in a place, if it waits for this record: once told, the place is void, and another may
    /// have it, which waits for another record, as nobody waits for an answer that is there.
    fn held(&mut self, index: u32, place: usize) -> Option<&mut Waker> {
        let waiter = self.places.get_mut(place)?.as_mut();
        waiter.filter(|(of, _)| *of == index).map(|(_, waker)| waker)
    }

    fn leave(&mut self, index: u32, place: usize) -> Option<Waker> {
        self.held(index, place)?;
        let waiter = self.places.get_mut(place)?.take();
        self.free.push(place);
        self.trim();
        waiter.map(|(_, waker)| waker)
    }

    /// Takes those that wait for one of these records.
    fn take(&mut self, indexes: &Range<u32>, wakes: &mut Wakes) {
        for (place, slot) in self.places.iter_mut().enumerate() {
            if let Some((_, waker)) = slot.take_if(|(of, _)| indexes.contains(of)) {
                wakes.extend([waker]);
                self.free.push(place);
            }
        }
        self.trim();
    }

    /// Once nobody waits, all places are free, and none is worth a note.
    fn trim(&mut self) {
        if self.free.len() == self.places.len() {
            self.places.clear();
            self.free.clear();
        }
    }
}

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
        state.parts.clear();
        state.rest = None;
        state.marks.clear();
        state.last_error = None;
        state.first_waiters = Waiters::default();
        state.last_waiters = Waiters::default();
    }
}

impl CellState {
    /// Makes room for as many cancelled records, so that to cancel takes nothing from the heap.
    pub(crate) fn reserve(&mut self, records: usize) {
        self.marks.reserve(records.saturating_sub(self.marks.len()));
    }

    /// What can be said of a record now: the last word if it is there, or the first answer.
    pub(crate) fn first(&self, index: u32) -> Option<RecordOutcome> {
        self.last(index).or_else(|| match self.mark(index) {
            Some(mark) => Some(RecordOutcome::Unknown(self.gone(*mark))),
            None => self.part(index).map(|part| self.of(part, index)),
        })
    }

    /// The last word on a record.
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
    pub(crate) fn cancel(&mut self, index: u32, taken: bool, gone: &Gone, wakes: &mut Wakes) {
        self.last_error = gone.last_error;
        match self.marks.binary_search_by_key(&index, |mark| mark.index()) {
            Ok(at) => {
                if let Some(mark) = self.marks.get_mut(at).filter(|_| taken) {
                    mark.0 |= Mark::TAKEN;
                }
            }
            Err(at) => self.marks.insert(at, Mark::new(index, taken, gone.by)),
        }
        let indexes = index..index.saturating_add(1);
        self.first_waiters.take(&indexes, wakes);
        if taken {
            self.last_waiters.take(&indexes, wakes);
        }
    }

    /// Notes what became of the batch or of a part of it, and wakes those that waited for that.
    /// Returns the indexes that it is about, and whether it is the first word on them.
    pub(crate) fn tell(&mut self, word: &Word, wakes: &mut Wakes) -> (Range<u32>, bool) {
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
        let at = self.parts.partition_point(|part| part.indexes.start < indexes.start);
        let known = self.parts.get_mut(at).filter(|part| part.indexes == indexes);
        let fresh = known.is_none();
        match known {
            Some(part) => {
                (part.told, part.last) = (word.told, word.last);
            }
            None => {
                let (told, last) = (word.told, word.last);
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
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::{sync::Arc, task::Wake};

    use ottla_core::Outcome;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    const BY_CALLER: Gone = Gone { by: By::Caller, last_error: None };
    const BY_DEADLINE: Gone = Gone { by: By::Deadline, last_error: None };
    const DELIVERED: Outcome = delivered(100);

    const fn told(outcome: Outcome) -> Told {
        Told { outcome, last_error: None, unique: true }
    }

    const fn whole(outcome: Outcome, last: bool) -> Word {
        Word { partition: 3, part: None, told: told(outcome), last }
    }

    const fn part(first: u32, records: u32, outcome: Outcome) -> Word {
        Word { partition: 3, part: Some((first, records)), told: told(outcome), last: true }
    }

    const fn delivered(base: i64) -> Outcome {
        Outcome::Delivered { base_offset: Some(base), log_append_time: Some(7) }
    }

    fn offset(outcome: Option<RecordOutcome>) -> Option<i64> {
        match outcome {
            Some(RecordOutcome::Delivered { offset, partition: 3, timestamp: Some(7), .. }) => {
                offset
            }
            _ => None,
        }
    }

    #[test]
    fn records_before_that_were_taken_out_shift_the_offset() {
        let mut state = CellState::default();
        let mut wakes = Wakes::default();
        state.cancel(4, true, &BY_CALLER, &mut wakes);
        state.cancel(1, true, &BY_CALLER, &mut wakes);
        state.cancel(2, false, &BY_CALLER, &mut wakes);
        state.tell(&whole(DELIVERED, true), &mut wakes);
        assert_eq!(offset(state.first(0)), Some(100));
        assert_eq!(state.first(1), Some(RecordOutcome::NotDelivered(Cause::Cancelled.into())));
        // Cancelled too late: it is in the log, and counts.
        assert_eq!(offset(state.first(2)), Some(101));
        assert_eq!(offset(state.first(3)), Some(102));
        assert_eq!(offset(state.last(5)), Some(103));
    }

    #[test]
    fn unknown_is_an_answer_and_the_last_word_replaces_it() {
        let mut state = CellState::default();
        let mut wakes = Wakes::default();
        let unknown = Outcome::Unknown(Cause::DeliveryTimeout);
        state.tell(&whole(unknown, false), &mut wakes);
        let told = Some(RecordOutcome::Unknown(Cause::DeliveryTimeout.into()));
        assert_eq!((state.first(0), state.last(0)), (told, None));
        state.tell(&whole(DELIVERED, true), &mut wakes);
        assert_eq!(offset(state.first(0)), Some(100));
        assert_eq!(offset(state.last(0)), Some(100));
    }

    #[test]
    fn a_record_may_be_taken_out_after_it_was_unknown() {
        let mut state = CellState::default();
        let mut wakes = Wakes::default();
        state.cancel(0, false, &BY_CALLER, &mut wakes);
        assert_eq!(state.verdict(0), Some(Verdict::Unknown));
        assert_eq!((state.marked_unknown(&WHOLE), state.last(0)), (1, None));
        state.cancel(0, true, &BY_CALLER, &mut wakes);
        assert_eq!(state.verdict(0), Some(Verdict::NotDelivered));
        assert_eq!(state.marked_unknown(&WHOLE), 0);
        assert_eq!(state.last(0), Some(RecordOutcome::NotDelivered(Cause::Cancelled.into())));
    }

    #[test]
    fn each_waiter_is_woken_for_what_it_waits_for_and_once() {
        let counts: [Arc<Count>; 3] = core::array::from_fn(|_| Arc::default());
        let [mine, other, late] = &counts;
        let mut state = CellState::default();
        let mut wakes = Wakes::default();
        let mut places = [None; 4];
        state.wait(Answer::First, 0, &mut places[0], Arc::clone(mine).into());
        state.wait(Answer::First, 1, &mut places[1], Arc::clone(other).into());
        state.wait(Answer::Last, 0, &mut places[2], Arc::clone(late).into());
        // Another handle to the same record, which is dropped, and one that asks twice.
        state.wait(Answer::First, 0, &mut places[3], Arc::clone(mine).into());
        state.leave(Answer::First, 0, places[3].unwrap());
        state.wait(Answer::First, 0, &mut places[0], Arc::clone(mine).into());
        let told = |wakes: &mut Wakes| {
            wakes.wake();
            counts.each_ref().map(|count| count.0.swap(0, Ordering::Relaxed))
        };
        state.cancel(0, false, &BY_CALLER, &mut wakes);
        assert_eq!(told(&mut wakes), [1, 0, 0]);
        state.leave(Answer::First, 0, places[0].unwrap());
        state.tell(&whole(Outcome::Unknown(Cause::DeliveryTimeout), false), &mut wakes);
        assert_eq!(told(&mut wakes), [0, 1, 0]);
        state.tell(&whole(DELIVERED, true), &mut wakes);
        assert_eq!(told(&mut wakes), [0, 0, 1]);
        // Its place is void by now, and must not be another's.
        state.leave(Answer::First, 1, places[1].unwrap());
    }

    #[test]
    fn who_waits_and_leaves_again_and_again_takes_no_more_room() {
        let mut state = CellState::default();
        let noop = || Waker::noop().clone();
        let mut places = [None; 2];
        state.wait(Answer::First, 0, &mut places[0], noop());
        for turn in 0..1_000 {
            // There is always somebody who waits.
            let (mine, other) = (turn % 2, (turn + 1) % 2);
            state.wait(Answer::First, 0, &mut places[other], noop());
            assert!(state.leave(Answer::First, 0, places[mine].take().unwrap()).is_some());
        }
        assert!(state.first_waiters.places.len() <= 2);
        assert!(state.first_waiters.free.len() <= 2);
    }

    #[test]
    fn parts_are_told_one_by_one_in_any_order() {
        let mut state = CellState::default();
        let mut wakes = Wakes::default();
        // Eight records; 0, 3 and 6 were taken out before the other five, in two parts, left.
        for index in [6, 0, 3] {
            state.cancel(index, true, &BY_DEADLINE, &mut wakes);
        }
        let too_large = Outcome::NotDelivered(Cause::Closed);
        // Numbers 3 and 4, which are the records 5 and 7.
        assert_eq!(state.tell(&part(3, 2, delivered(40)), &mut wakes), (5..8, true));
        assert_eq!((state.first(1), state.first(4)), (None, None));
        assert_eq!(state.tell(&part(2, 1, too_large), &mut wakes), (4..5, true));
        assert_eq!(state.tell(&part(0, 2, delivered(30)), &mut wakes), (1..3, true));
        let told = (0..8).map(|index| match state.last(index) {
            Some(RecordOutcome::NotDelivered(Why { cause: Cause::Deadline, .. })) => {
                "taken".to_owned()
            }
            Some(RecordOutcome::NotDelivered(_)) => "refused".to_owned(),
            other => offset(other).unwrap().to_string(),
        });
        let told: Vec<_> = told.collect();
        assert_eq!(told, ["taken", "30", "31", "taken", "refused", "40", "taken", "41"]);
    }

    #[test]
    fn one_part_may_be_unknown_for_long_and_others_not() {
        let mut state = CellState::default();
        let mut wakes = Wakes::default();
        let unknown = Outcome::Unknown(Cause::DeliveryTimeout);
        let first = Word { last: false, ..part(0, 2, unknown) };
        state.cancel(1, false, &BY_CALLER, &mut wakes);
        assert_eq!(state.tell(&first, &mut wakes), (0..2, true));
        assert_eq!(state.tell(&part(2, 2, delivered(12)), &mut wakes), (2..4, true));
        assert_eq!(state.first(0), Some(RecordOutcome::Unknown(Cause::DeliveryTimeout.into())));
        assert_eq!(state.first(1), Some(RecordOutcome::Unknown(Cause::Cancelled.into())));
        assert_eq!((state.last(0), offset(state.last(3))), (None, Some(13)));
        assert_eq!((state.marked_unknown(&(0..2)), state.marked_unknown(&(2..4))), (1, 0));
        assert_eq!(state.tell(&part(0, 2, delivered(10)), &mut wakes), (0..2, false));
        assert_eq!((offset(state.last(0)), offset(state.first(1))), (Some(10), Some(11)));
    }

    #[test]
    fn where_no_more_word_comes_the_rest_is_unknown() {
        let mut state = CellState::default();
        let mut wakes = Wakes::default();
        state.tell(&part(0, 2, delivered(10)), &mut wakes);
        state.cancel(3, false, &BY_CALLER, &mut wakes);
        state.give_up(Cause::Closed, &mut wakes);
        assert_eq!(offset(state.last(1)), Some(11));
        assert_eq!(state.last(2), Some(RecordOutcome::Unknown(Cause::Closed.into())));
        assert_eq!(state.last(3), Some(RecordOutcome::Unknown(Cause::Closed.into())));
    }

    #[test]
    fn a_part_wakes_its_own_waiters_and_a_void_place_is_left_alone() {
        let counts: [Arc<Count>; 3] = core::array::from_fn(|_| Arc::default());
        let mut state = CellState::default();
        let mut wakes = Wakes::default();
        let mut places = [None; 3];
        for (index, (place, count)) in (0..).zip(places.iter_mut().zip(&counts)) {
            state.wait(Answer::First, index, place, Arc::clone(count).into());
        }
        state.tell(&part(1, 2, delivered(11)), &mut wakes);
        wakes.wake();
        // The places of 1 and 2 are void; another waits where 1 did.
        let mut place = None;
        state.wait(Answer::First, 0, &mut place, Arc::clone(&counts[0]).into());
        assert_eq!(place, places[2]);
        state.leave(Answer::First, 1, places[1].unwrap());
        state.leave(Answer::First, 2, places[2].unwrap());
        state.tell(&part(0, 1, delivered(10)), &mut wakes);
        wakes.wake();
        assert_eq!(counts.each_ref().map(|count| count.0.load(Ordering::Relaxed)), [2, 1, 1]);
    }
}
