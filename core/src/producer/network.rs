//! Which connections have something to write or to tell, and who gets the next slot for one.

use crate::{
    broker_slot::Broker,
    conn::{Conn, Writable},
    list::List,
    random::Random,
    slots::{Ix, Table},
};

/// What is to be done for connections, and for whom first.
#[derive(Debug)]
pub(super) struct Network {
    writable: List<Conn, Writable>,
    /// One of them, since the list was last empty, had no answer to come that would be a reason to look.
    urgent: bool,
    /// Connections that have something to tell.
    untold: u32,
    /// A broker with something to send found no slot for a connection.
    wants_slot: bool,
    /// The broker that is first in turn for a free slot.
    first: u32,
    /// Of the last request, on whatever connection.
    correlation_id: i32,
}

impl Network {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            writable: List::EMPTY,
            urgent: false,
            untold: 0,
            wants_slot: false,
            first: 0,
            correlation_id: Random::new(!seed).below(1 << 31) as i32,
        }
    }

    /// Whether [`Self::pop_writable`] has one.
    #[inline(always)]
    pub(super) const fn has_writable(&self) -> bool {
        !self.writable.is_empty()
    }

    /// Whether one of them is to be looked at now.
    #[inline(always)]
    pub(super) const fn has_urgent(&self) -> bool {
        self.urgent && self.has_writable()
    }

    /// A connection is to be looked at for something to write: now, or with others.
    #[inline(always)]
    pub(super) fn push_writable(
        &mut self,
        conns: &mut Table<'_, Conn>,
        conn: Ix<Conn>,
        urgent: bool,
    ) {
        self.urgent |= urgent;
        self.writable.push(conns, conn);
    }

    /// Takes out the connection that is next to be looked at.
    #[inline(always)]
    pub(super) fn pop_writable(&mut self, conns: &mut Table<'_, Conn>) -> Option<Ix<Conn>> {
        let next = self.writable.pop(conns);
        if next.is_none() {
            self.urgent = false;
        }
        next
    }

    /// A connection was looked at, or is over.
    #[inline(always)]
    pub(super) fn remove_writable(&mut self, conns: &mut Table<'_, Conn>, conn: Ix<Conn>) {
        self.writable.remove(conns, conn);
    }

    /// A connection has something to tell that it had not before, if so.
    #[inline(always)]
    pub(super) fn note_output_if(&mut self, new: bool) {
        self.untold += u32::from(new);
    }

    /// It was told, or is no more to be told.
    #[inline(always)]
    pub(super) const fn end_output(&mut self) {
        self.untold -= 1;
    }

    #[inline(always)]
    pub(super) const fn has_output(&self) -> bool {
        self.untold > 0
    }

    /// A broker with something to send found no slot.
    #[inline(always)]
    pub(super) const fn want_slot(&mut self) {
        self.wants_slot = true;
    }

    #[inline(always)]
    pub(super) const fn wants_slot(&self) -> bool {
        self.wants_slot
    }

    /// A slot is free: whether a broker found none.
    #[inline(always)]
    pub(super) const fn take_want_of_slot(&mut self) -> bool {
        core::mem::replace(&mut self.wants_slot, false)
    }

    /// A broker's connection gave way: of `count` brokers, the one behind it is first in turn now.
    #[inline(always)]
    pub(super) fn pass_turn(&mut self, broker: Ix<Broker>, count: u32) {
        self.first = (broker.number() + 1).checked_rem(count).unwrap_or(0);
    }

    /// Of `count` brokers, the one that is at this place from the first in turn on.
    #[inline(always)]
    pub(super) const fn in_turn(&self, place: u32, count: u32) -> Ix<Broker> {
        Ix::new((self.first + place) % count)
    }

    #[inline(always)]
    pub(super) const fn next_correlation_id(&mut self) -> i32 {
        self.correlation_id = self.correlation_id.wrapping_add(1) & i32::MAX;
        self.correlation_id
    }

    #[cfg(feature = "_internal")]
    #[inline(always)]
    pub(super) const fn untold(&self) -> u32 {
        self.untold
    }

    #[cfg(feature = "_internal")]
    #[inline(always)]
    pub(super) const fn writable(&self) -> &List<Conn, Writable> {
        &self.writable
    }
}
