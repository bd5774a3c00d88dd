//! Who waits for the records of one batch.

use core::{ops::Range, task::Waker};

use crate::panic_containment::Wakes;

/// Wakers with the index of the record that each waits for. A place is cleared by its owner, or
/// with all that wait for the same answer once it is there.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    pub(super) places: Vec<Option<(u32, Waker)>>,
    /// Places that are free, so that who waits and leaves again and again takes no more than one.
    pub(super) free: Vec<usize>,
}

impl Waiters {
    /// Takes a free place.
    pub(super) fn enter(&mut self, index: u32, waker: Waker) -> usize {
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
    pub(super) fn held(&mut self, index: u32, place: usize) -> Option<&mut Waker> {
        let waiter = self.places.get_mut(place)?.as_mut();
        waiter.filter(|(of, _)| *of == index).map(|(_, waker)| waker)
    }

    pub(super) fn leave(&mut self, index: u32, place: usize) -> Option<Waker> {
        self.held(index, place)?;
        let waiter = self.places.get_mut(place)?.take();
        self.free.push(place);
        self.trim();
        waiter.map(|(_, waker)| waker)
    }

    /// Takes those that wait for one of these records.
    pub(super) fn take(&mut self, indexes: &Range<u32>, wakes: &mut Wakes) {
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
