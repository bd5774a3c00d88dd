//! Threads have numbers, so that those that send at a time can be told apart.

use core::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::sync::thread_local;

thread_local! {
    static NUMBER: Cell<usize> = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        Cell::new(NEXT.fetch_add(1, Ordering::Relaxed))
    };
}

/// This thread's number. Those of two threads may come to be the same, where there are shards.
pub(crate) fn this_thread() -> usize {
    NUMBER.with(Cell::get)
}

/// Gives this thread another number.
pub(crate) fn set(number: usize) {
    NUMBER.with(|of_this| of_this.set(number));
}
