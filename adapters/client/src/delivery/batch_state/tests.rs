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

const BY_CALLER: Why = Why::new(Cause::Cancelled, None);
const BY_DEADLINE: Why = Why::new(Cause::Deadline, None);
const DELIVERED: Outcome = delivered(100);

const fn told(outcome: Outcome) -> Told {
    Told { outcome, last_error: None, message: None, unique: true }
}

const fn whole(outcome: Outcome, last: bool) -> Update {
    Update { partition: 3, part: None, told: told(outcome), last }
}

const fn part(first: u32, records: u32, outcome: Outcome) -> Update {
    Update { partition: 3, part: Some((first, records)), told: told(outcome), last: true }
}

const fn delivered(base: i64) -> Outcome {
    Outcome::Delivered { base_offset: Some(base), log_append_time: Some(7) }
}

fn offset(outcome: Option<RecordOutcome>) -> Option<i64> {
    match outcome {
        Some(RecordOutcome::Delivered { offset, partition: 3, timestamp: Some(7), .. }) => offset,
        _ => None,
    }
}

#[test]
fn records_before_that_were_taken_out_shift_the_offset() {
    let mut state = BatchStateInner::default();
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
    let mut state = BatchStateInner::default();
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
    let mut state = BatchStateInner::default();
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
    let mut state = BatchStateInner::default();
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
    let mut state = BatchStateInner::default();
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
    let mut state = BatchStateInner::default();
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
        Some(RecordOutcome::NotDelivered(Why { cause: Cause::Deadline, .. })) => "taken".to_owned(),
        Some(RecordOutcome::NotDelivered(_)) => "refused".to_owned(),
        other => offset(other).unwrap().to_string(),
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, ["taken", "30", "31", "taken", "refused", "40", "taken", "41"]);
}

#[test]
fn one_part_may_be_unknown_for_long_and_others_not() {
    let mut state = BatchStateInner::default();
    let mut wakes = Wakes::default();
    let unknown = Outcome::Unknown(Cause::DeliveryTimeout);
    let first = Update { last: false, ..part(0, 2, unknown) };
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
fn what_was_unknown_as_a_whole_may_be_told_in_parts() {
    let mut state = BatchStateInner::default();
    let mut wakes = Wakes::default();
    let refused = |cause| Outcome::NotDelivered(cause);
    let code = ottla_core::wire::ErrorCode::INVALID_RECORD;
    let (bad, good) = (Cause::AtFault(code), Cause::Neighbour(code));
    // Record 1 was taken out, 3 was cancelled too late; the others are told Unknown.
    state.cancel(1, true, &BY_CALLER, &mut wakes);
    state.cancel(3, false, &BY_CALLER, &mut wakes);
    let unknown = Outcome::Unknown(Cause::DeliveryTimeout);
    assert_eq!(state.tell(&whole(unknown, false), &mut wakes), (WHOLE, true));
    assert_eq!(state.tell(&part(0, 1, refused(good)), &mut wakes), (0..1, false));
    assert_eq!(state.first(2), Some(RecordOutcome::Unknown(Cause::DeliveryTimeout.into())));
    assert_eq!((state.last(2), state.last(4)), (None, None));
    assert_eq!(state.tell(&part(1, 2, refused(bad)), &mut wakes), (2..4, false));
    assert_eq!(state.tell(&part(3, 1, refused(good)), &mut wakes), (4..5, false));
    let told = [0, 2, 3, 4].map(|index| state.last(index));
    let expected = [good, bad, bad, good];
    assert_eq!(told, expected.map(|cause| Some(RecordOutcome::NotDelivered(cause.into()))));
    assert_eq!(told, [0, 2, 3, 4].map(|index| state.first(index)));
}

#[test]
fn where_no_more_word_comes_the_rest_is_unknown() {
    let mut state = BatchStateInner::default();
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
    let mut state = BatchStateInner::default();
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
