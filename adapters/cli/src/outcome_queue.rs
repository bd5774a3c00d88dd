//! The way of outcomes from the adapter's driver to the writer.

use core::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Entries that may wait. Beyond them those who bring more wait for the writer, so that a slow
/// disk costs speed and not memory.
const LIMIT: usize = 1 << 16;

/// Many bring, one takes, and takes all there is at once.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    taken: Condvar,
}

#[derive(Debug)]
struct State<T> {
    entries: Vec<T>,
    open: bool,
}

impl<T> Mailbox<T> {
    pub(crate) const fn new() -> Self {
        Self {
            state: Mutex::new(State { entries: Vec::new(), open: true }),
            filled: Condvar::new(),
            taken: Condvar::new(),
        }
    }

    pub(crate) fn put(&self, entry: T) {
        let mut state = self.lock();
        while state.entries.len() >= LIMIT && state.open {
            state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.open {
            return;
        }
        state.entries.push(entry);
        let first = state.entries.len() == 1;
        drop(state);
        if first {
            self.filled.notify_one();
        }
    }

    /// Exchanges what is there for `entries`, which is empty. False at the end of it all.
    pub(crate) fn take(&self, entries: &mut Vec<T>) -> bool {
        let mut state = self.lock();
        while state.entries.is_empty() && state.open {
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        mem::swap(&mut state.entries, entries);
        drop(state);
        self.taken.notify_all();
        !entries.is_empty()
    }

    /// Takes no more; what is there can still be taken.
    pub(crate) fn close(&self) {
        self.lock().open = false;
        self.filled.notify_all();
        self.taken.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_was_brought_is_taken_in_order() {
        let mailbox = Mailbox::new();
        let count = 3 * LIMIT;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..count).for_each(|number| mailbox.put(number));
                mailbox.close();
            });
            let (mut all, mut some) = (Vec::new(), Vec::new());
            while mailbox.take(&mut some) {
                assert!(some.len() <= LIMIT);
                all.append(&mut some);
            }
            assert_eq!(all, (0..count).collect::<Vec<_>>());
        });
        mailbox.put(0);
        assert!(!mailbox.take(&mut Vec::new()));
    }
}
