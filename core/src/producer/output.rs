//! What the caller is to do or to know, derived from the state: nothing is queued.

use super::{Producer, window};
#[cfg(feature = "oauthbearer")]
use crate::sasl::Tokens;
use crate::{
    Address, ConnId, Event, Instant, Output, Segments,
    conn::{Conn, State},
    slots::Ix,
};

/// The id of the connection in a slot.
const fn conn_id(index: Ix<Conn>, slot: &Conn) -> ConnId {
    ConnId { index: index.number() as u16, generation: slot.generation }
}

impl Producer<'_> {
    /// The next thing to do or to know; drain until `None` before waiting. `None` only where
    /// [`has_output`](Self::has_output) is false: to take one output may make another.
    #[must_use]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.free_shown();
        // First of all, since it makes outputs.
        self.check_closing();
        if self.network.has_output()
            && let Some(output) = self.connection_output()
        {
            return Some(output);
        }
        if let Some(settled) = self.next_settled() {
            return Some(Output::Event(Event::BatchOutcome(settled)));
        }
        if self.registry.has_output()
            && let Some(topic) = self.next_changed_topic()
        {
            return Some(Output::Event(Event::Topic(topic)));
        }
        if self.back_pressure.take_output() {
            return Some(Output::Event(Event::BufferAvailable));
        }
        if let Some(event) = self.identity_event() {
            return Some(Output::Event(event));
        }
        if self.lifecycle.take_output() {
            return Some(Output::Closed);
        }
        debug_assert!(!self.has_output(), "what there is was told");
        None
    }

    /// Whether [`poll_output`](Self::poll_output) has something, or [`poll_writable`](Self::poll_writable) may
    /// have, or `poll_compress` (feature `compression`). Costs next to nothing, so that a caller that has just produced can tell whether to wake the
    /// one that does the I/O, and the one that does it whether it may sleep.
    #[must_use]
    pub fn needs_service(&self) -> bool {
        #[cfg(feature = "compression")]
        if self.wants_compression() {
            return true;
        }
        self.network.has_writable() || self.has_output()
    }

    /// Whether [`poll_writable`](Self::poll_writable) has something that is to leave now.
    ///
    /// Full batches need not, whose connection has a request under way, as long as records linger at all.
    /// There, the answer to it is the next reason to look, and at the latest the time for which
    /// [`poll_timeout`](Self::poll_timeout) asked when such a batch was begun. Whoever looks only then
    /// sends fewer and larger requests, and is woken less often. It is no reason to wait while many
    /// batches gather, or where memory is full.
    #[must_use]
    pub fn has_urgent_write(&self) -> bool {
        self.network.has_urgent()
    }

    /// Whether [`poll_output`](Self::poll_output) has something.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.network.has_output()
            || self.registry.has_output()
            || self.queues.has_output()
            || self.back_pressure.has_output()
            || self.identity.has_output()
            || self.lifecycle.has_output()
            || self.closing_is_due()
    }

    /// The connections that are open and on which the peer has not said a word, though it was asked; nor
    /// did anybody at its address before. When the time for it is over, that is
    /// [`Disconnect::Mute`](crate::Disconnect::Mute).
    pub fn unanswered(&self) -> impl Iterator<Item = ConnId> {
        let mute = |slot: &Conn| {
            slot.is_negotiating()
                && !slot.requests.is_empty()
                && !self.brokers.at(slot.broker).answered
                && !self.settings.secured()
        };
        let mute = self.conns.iter().filter(move |(_, slot)| mute(slot));
        mute.map(|(index, slot)| conn_id(index, slot))
    }

    fn connection_output(&mut self) -> Option<Output> {
        #[cfg(feature = "oauthbearer")]
        if self.with_tokens(Tokens::take_output) {
            return Some(Output::WantToken);
        }
        let told = |slot: &Conn| {
            matches!(slot.state, State::Ended { .. })
                || matches!(slot.state, State::Dialing { told: false })
        };
        let (index, slot) = self.conns.iter().find(|(_, slot)| told(slot))?;
        let conn = conn_id(index, slot);
        match slot.state {
            State::Ended { cause, close: true } => {
                self.conns.at_mut(index).state = State::Ended { cause, close: false };
                Some(Output::Disconnect(conn))
            }
            State::Ended { cause, close: false } => {
                self.network.end_output();
                self.free_connection(index);
                Some(Output::Event(Event::Disconnected { conn, cause }))
            }
            State::Dialing { .. } => {
                self.network.end_output();
                self.conns.at_mut(index).state = State::Dialing { told: true };
                Some(Output::Connect(conn))
            }
            State::Free | State::Negotiating | State::Ready => None,
            #[cfg(feature = "_sasl")]
            State::Authenticating(_) => None,
        }
    }

    /// The next connection that has something to write; drain until `None`. One whose socket does
    /// not accept all of it is not named again: the caller waits for the socket.
    ///
    /// To make a request may have consequences that are told: afterwards
    /// [`has_output`](Self::has_output) may be true.
    #[must_use]
    pub fn poll_writable(&mut self, now: Instant) -> Option<ConnId> {
        self.advance(now);
        while let Some(index) = self.network.pop_writable(&mut self.conns) {
            #[cfg(feature = "_sasl")]
            if self.is_overdue(index) {
                self.recall(index);
            }
            self.compose(index);
            let slot = self.conns.at(index);
            if !slot.tx.is_nothing() && slot.is_open() {
                return Some(conn_id(index, slot));
            }
        }
        None
    }

    /// Makes the next request of a connection, where none is under way. Whether it has something to write then.
    #[must_use]
    pub fn prepare_write(&mut self, now: Instant, conn: ConnId) -> bool {
        self.advance(now);
        let Some(index) = self.live_connection(conn) else {
            return false;
        };
        #[cfg(feature = "_sasl")]
        if self.is_overdue(index) {
            self.recall(index);
        }
        if self.conns.at(index).tx.is_nothing() {
            self.network.remove_writable(&mut self.conns, index);
            self.compose(index);
        }
        let slot = self.conns.at(index);
        slot.is_open() && !slot.tx.is_nothing()
    }

    /// Whether a connection has room to receive into.
    #[must_use]
    pub fn wants_read(&self, conn: ConnId) -> bool {
        self.live_connection(conn).is_some_and(|index| self.conns.at(index).is_open())
    }

    /// Whether a connection has a request that was not answered, be it that it was not written.
    #[must_use]
    pub fn has_pending_response(&self, conn: ConnId) -> bool {
        self.live_connection(conn).is_some_and(|index| !self.conns.at(index).requests.is_empty())
    }

    /// What a connection is to write, in pieces lent from the core's own memory; empty where there
    /// is nothing.
    #[must_use]
    pub fn pending_write(&self, conn: ConnId) -> Segments<'_> {
        let Some(index) = self.live_connection(conn) else {
            return Segments::NOTHING;
        };
        let slot = self.conns.at(index);
        let Some(request) = slot.requests.back().filter(|_| !slot.tx.is_nothing()) else {
            return Segments::NOTHING;
        };
        let len = window(&self.tx, self.conns.len()) as usize;
        let start = index.number() as usize * len;
        let head = self.tx.all().get(start..start + slot.tx.head as usize).unwrap_or_default();
        #[cfg(feature = "oauthbearer")]
        if let Some(sasl) = self.sasl.as_ref().filter(|_| slot.session.cut > 0) {
            return Segments::with_token(head, sasl.secret(), slot.session.cut, slot.tx.sent);
        }
        Segments::new(head, request.batches, &self.batches, &self.pages, slot.tx.sent)
    }

    /// Where to read into; empty for a dead id. What is read is taken by
    /// [`handle_received`](Self::handle_received), which leaves room for more.
    #[must_use]
    pub fn rx_buffer(&mut self, conn: ConnId) -> &mut [u8] {
        let Some(index) = self.live_connection(conn) else {
            return &mut [];
        };
        let room = window(&self.rx, self.conns.len()) as usize;
        let start = index.number() as usize * room;
        let len = self.conns.at(index).rx.len as usize;
        self.rx.all_mut().get_mut(start + len..start + room).unwrap_or_default()
    }

    /// Where a connection leads; `None` for a dead id.
    #[must_use]
    pub fn address(&self, conn: ConnId) -> Option<Address<'_>> {
        let index: Ix<Conn> = self.live_connection(conn)?;
        let broker = self.conns.at(index).broker;
        Some(Address { host: self.host_of(broker), port: self.brokers.at(broker).port })
    }
}
