//! How often a task that sends records lets others run.

use core::cell::Cell;

use crate::record::Record;

/// Units of work for one unit of tokio's budget, of which a task has 128: together some hundred
/// microseconds.
const WORK: usize = 32;
/// Bytes whose copying and checksum are a unit of work, as is a record by itself.
const BYTES: usize = 256;

thread_local! {
    static DONE: Cell<usize> = const { Cell::new(0) };
}

/// No more is owed than this: a whole budget, after which others had their turn.
const MOST_OWED: usize = 128 * WORK;

/// Notes that so many records of so many bytes together were sent.
pub(crate) fn note(records: usize, bytes: usize) {
    let work = DONE.get().saturating_add(records).saturating_add(bytes / BYTES);
    DONE.set(work.min(MOST_OWED));
}

/// Whether what was noted used up another unit of the budget, which is then taken off.
pub(crate) fn is_owed() -> bool {
    let done = DONE.get();
    let owed = done >= WORK;
    if owed {
        DONE.set(done - WORK);
    }
    owed
}

/// Whether with this record another unit of the budget is used up. One for each record would be much too
/// often: a task that yields wakes another thread, which costs as much as a hundred records.
pub(crate) fn is_due(record: &Record<'_>) -> bool {
    let work = 1 + record.value.map_or(0, <[u8]>::len) / BYTES;
    let done = DONE.get() + work;
    let due = done >= WORK;
    DONE.set(if due { 0 } else { done });
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_records_are_many_to_a_unit_and_large_ones_are_each_a_unit() {
        let due = |len: usize| {
            let value = vec![0; len];
            let record = Record { value: Some(&value), ..Record::default() };
            (0..10_000).filter(|_| is_due(&record)).count()
        };
        assert_eq!(due(100), 10_000 / WORK);
        assert_eq!(due(1_000), 10_000 * 4 / WORK);
        assert_eq!(due(10_000), 10_000);
    }

    #[test]
    fn records_that_were_sent_together_are_paid_for_as_single_ones_and_never_by_more_than_a_turn() {
        let owed = || core::iter::from_fn(|| is_owed().then_some(())).count();
        assert_eq!(owed(), 0);
        (0..10).for_each(|_| note(100, 100 * 100));
        assert_eq!(owed(), 10 * (100 + 100 * 100 / BYTES) / WORK);
        note(1, usize::MAX);
        assert_eq!(owed(), 128);
    }
}
