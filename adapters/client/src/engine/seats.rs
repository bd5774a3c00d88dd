//! What a thread remembers of the topics that it sends to while there is a crowd.

use core::cell::Cell;

use ottla_core::TopicId;

use crate::{engine::thread_number::this_thread, sync::thread_local};

/// For so many topics, or a few less where they get in each other's way: then one is forgotten.
const SEATS: usize = 8;

/// One topic of one engine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) owner: u32,
    pub(super) topic: TopicId,
    /// The thread. Where it is not this one, that is a test that has but one.
    thread: usize,
    /// How many partitions the topic has.
    pub(super) partitions: u32,
    /// Where this thread's records go that may go anywhere.
    pub(super) sticky: Option<u32>,
}

thread_local! {
    static ALL: [Cell<Option<Seat>>; SEATS] = const { [const { Cell::new(None) }; SEATS] };
}

const fn place(owner: u32, topic: TopicId) -> usize {
    topic.index().wrapping_add(owner as usize) % SEATS
}

/// What this thread remembers of a topic.
#[inline]
pub(super) fn find(owner: u32, topic: TopicId) -> Option<Seat> {
    let seat = ALL.with(|all| all.get(place(owner, topic))?.get())?;
    let is_here = !cfg!(feature = "_internal") || seat.thread == this_thread();
    (seat.owner == owner && seat.topic == topic && is_here).then_some(seat)
}

/// Has this thread remember a topic.
pub(super) fn keep(owner: u32, topic: TopicId, partitions: u32, sticky: Option<u32>) {
    let seat = Seat { owner, topic, thread: this_thread(), partitions, sticky };
    ALL.with(|all| {
        if let Some(place) = all.get(place(owner, topic)) {
            place.set(Some(seat));
        }
    });
}

/// Has this thread forget all: a test that is run again finds what it found.
#[cfg(feature = "_internal")]
pub(crate) fn forget_all() {
    ALL.with(|all| all.iter().for_each(|place| place.set(None)));
}
