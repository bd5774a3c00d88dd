//! Who waits for something, in the order in which they came.

use core::task::Waker;
use std::collections::VecDeque;

use crate::panic_containment::Wakes;

/// Waiters with a note each.
#[derive(Debug)]
pub(crate) struct WaitList<T> {
    next: u64,
    /// In the order of their keys.
    entries: VecDeque<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    key: u64,
    note: T,
    /// Taken when it is woken: a waiter without one has been told and has not come back yet.
    waker: Option<Waker>,
}

/// How a waiter left that was in the list.
#[derive(Debug)]
pub(crate) enum Left {
    /// It had been woken: what it was woken for is now free for the next.
    Woken,
    /// This is its waker, to be dropped with the lock free.
    Asleep(#[expect(dead_code, reason = "it is there to be dropped")] Waker),
}

impl<T> WaitList<T> {
    pub(crate) const fn new() -> Self {
        Self { next: 0, entries: VecDeque::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Waits, or waits again in the same place. Returns a waker that is of no use any more, to be
    /// dropped with the lock free: what that does is not ours.
    pub(crate) fn wait(&mut self, key: &mut Option<u64>, note: T, waker: Waker) -> Option<Waker> {
        let at = key.and_then(|key| self.position(key));
        if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
            entry.note = note;
            return entry.waker.replace(waker);
        }
        *key = Some(self.next);
        self.entries.push_back(Entry { key: self.next, note, waker: Some(waker) });
        self.next += 1;
        None
    }

    /// Waits no longer.
    pub(crate) fn leave(&mut self, key: u64) -> Option<Left> {
        let entry = self.position(key).and_then(|at| self.entries.remove(at))?;
        Some(entry.waker.map_or(Left::Woken, Left::Asleep))
    }

    /// Wakes up to `count` of those that have waited longest and were not woken yet.
    pub(crate) fn wake(&mut self, count: usize, wakes: &mut Wakes) {
        let asleep = self.entries.iter_mut().filter_map(|entry| entry.waker.take());
        wakes.extend(asleep.take(count));
    }

    /// Wakes all whose note says so.
    pub(crate) fn wake_where(&mut self, wakes: &mut Wakes, mut told: impl FnMut(&T) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| told(&entry.note)) {
            wakes.extend(entry.waker.take());
        }
    }

    /// The notes of those that were not chosen to be woken.
    #[cfg(feature = "_internal")]
    pub(crate) fn asleep(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().filter(|entry| entry.waker.is_some()).map(|entry| &entry.note)
    }

    fn position(&self, key: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&key, |entry| entry.key).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_come_is_woken_first_and_keeps_its_place() {
        let mut list = WaitList::new();
        let (mut first, mut second) = (None, None);
        list.wait(&mut first, (), Waker::noop().clone());
        list.wait(&mut second, (), Waker::noop().clone());
        let mut wakes = Wakes::default();
        list.wake(1, &mut wakes);
        assert_eq!(wakes.len(), 1);
        // Woken in vain: it waits again, and is still ahead of the second.
        list.wait(&mut first, (), Waker::noop().clone());
        list.wake(1, &mut wakes);
        assert!(matches!(list.leave(first.unwrap()), Some(Left::Woken)));
        assert!(list.leave(first.unwrap()).is_none());
        assert!(matches!(list.leave(second.unwrap()), Some(Left::Asleep(_))));
        assert_eq!(list.len(), 0);
    }

    #[test]
    fn notes_choose_whom_to_wake() {
        let mut list = WaitList::new();
        let mut keys = [None; 3];
        for (note, key) in keys.iter_mut().enumerate() {
            list.wait(key, note, Waker::noop().clone());
        }
        let mut wakes = Wakes::default();
        list.wake_where(&mut wakes, |note| *note < 2);
        assert_eq!(wakes.len(), 2);
        list.wake(9, &mut wakes);
        assert_eq!(wakes.len(), 3);
    }
}
