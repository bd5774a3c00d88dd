//! Which broker has a connection: dialling, giving up, and making room.

#[cfg(feature = "_sasl")]
use super::authentication::LEAST_BACKOFF;
use super::{Producer, poll_trace::trace, record_errors::LISTENS};
use crate::{
    Acks, Disconnect, Instant, LastError,
    batch::{Batch, Exposure, Life},
    broker_slot::{Broker, Origin},
    conn::{Conn, Reader, State, Transmission},
    coverage::seen,
    logging::tell,
    partition_slot::Partition,
    slots::Ix,
    time::Micros,
    wire::ApiKey,
};

impl Producer<'_> {
    /// Sees to it that a broker with something to send is written to, or dialled.
    pub(super) fn wake_broker(&mut self, broker: Ix<Broker>) {
        match self.brokers.at(broker).conn.some() {
            Some(conn) => self.wake_conn(conn),
            None => self.dial(broker),
        }
    }

    /// Has a connection looked at for something to write.
    pub(super) fn wake_conn(&mut self, conn: Ix<Conn>) {
        let slot = self.conns.at(conn);
        if slot.is_open() && slot.tx.is_nothing() {
            let urgent = slot.requests.is_empty() || self.settings.linger == Micros(0);
            self.network.push_writable(&mut self.conns, conn, urgent);
        }
    }

    /// The best of the open connections that are fit: the one with the fewest requests, and of those
    /// the one that was heard of last.
    // Not generic, nor is `dial_any`: a copy for each of those that ask was a kilobyte of flash.
    pub(super) fn best_conn(&self, fit: &dyn Fn(&Self, &Conn) -> bool) -> Option<Ix<Conn>> {
        let fit = self.conns.iter().filter(|(_, slot)| fit(self, slot));
        let best = fit.min_by_key(|(_, slot)| (slot.requests.len(), core::cmp::Reverse(slot.used)));
        best.map(|(conn, _)| conn)
    }

    /// Dials some fit broker that has no connection; false where there is none, now.
    ///
    /// It is one of the cluster, or else a bootstrap server (KIP-899) that is none of them, since one that
    /// is would have to make room for itself where there is but one connection. Until an answer is of use
    /// they take turns: who is in the cluster, and where, may be invented, and no number of those, nor of
    /// dials to them for what they are said to lead, keeps the bootstrap servers from their turn, as which
    /// whatever is at the same address counts as well.
    pub(super) fn dial_any(&mut self, fit: &dyn Fn(&Broker) -> bool) -> bool {
        let count = self.brokers.len();
        let start = self.random.below(count);
        let turn =
            |broker: Ix<Broker>| (broker.number() + count - start).checked_rem(count).unwrap_or(0);
        let cluster_first = !self.metadata.bootstrap_next;
        let mut best = None;
        let mut next = Instant::NEVER;
        for (broker, slot) in self.brokers.iter() {
            if slot.conn.is_some() || !fit(slot) || !self.is_distinct(broker) {
                continue;
            }
            if slot.dial_at > self.now {
                next = next.min(slot.dial_at);
                continue;
            }
            let is_first = if cluster_first {
                slot.origin == Origin::Cluster
            } else {
                self.has_address_of(broker, Origin::Bootstrap)
            };
            let rank = (!is_first, slot.failures, turn(broker));
            if best.is_none_or(|(other, _)| rank < other) {
                best = Some((rank, broker));
            }
        }
        if let Some((_, broker)) = best {
            if self.metadata.seek_at <= self.now {
                self.dial(broker);
                if self.brokers.at(broker).conn.is_some() {
                    let bootstrap = self.has_address_of(broker, Origin::Bootstrap);
                    self.metadata.bootstrap_next = !bootstrap;
                    // The first after one that was of use costs no time.
                    let lost = self.metadata.lost;
                    if lost > 0 {
                        let wait = self.settings.reconnect_backoff(&mut self.random, lost);
                        self.metadata.seek_at = self.now.later(wait);
                    }
                }
                return true;
            }
            next = next.min(self.metadata.seek_at);
        }
        self.timers.dial = self.timers.dial.min(next);
        false
    }

    /// An answer of a broker was of use.
    pub(super) fn note_use(&mut self, broker: Ix<Broker>) {
        let slot = self.brokers.at_mut(broker);
        slot.failures = 0;
        // An error that it answered a batch with is made good by no other answer than to a batch.
        if matches!(slot.trouble, Some(LastError::Connection(_))) {
            slot.trouble = None;
        }
        self.metadata.note_use(self.now);
    }

    /// Whether a broker can be dialled, and is no bootstrap server that is known as one of the cluster.
    fn is_distinct(&self, broker: Ix<Broker>) -> bool {
        let slot = self.brokers.at(broker);
        match slot.origin {
            Origin::Free => false,
            Origin::Cluster => slot.has_address(),
            Origin::Bootstrap => {
                slot.has_address() && !self.has_address_of(broker, Origin::Cluster)
            }
        }
    }

    /// Whether a broker is reached where one of that origin is, if it is not such a one itself.
    fn has_address_of(&self, broker: Ix<Broker>, origin: Origin) -> bool {
        let port = self.brokers.at(broker).port;
        self.brokers.iter().any(|(other, slot)| {
            slot.origin == origin
                && slot.port == port
                && self.host_of(other) == self.host_of(broker)
        })
    }

    /// Opens a connection to a broker that has none, now or when its backoff is over.
    fn dial(&mut self, broker: Ix<Broker>) {
        let slot = self.brokers.at(broker);
        if slot.conn.is_some() || self.is_over() {
            return;
        }
        if !slot.has_address() {
            self.want_metadata();
            return;
        }
        if slot.dial_at > self.now {
            self.timers.dial = self.timers.dial.min(slot.dial_at);
            return;
        }
        let failures = slot.failures;
        let Some((conn, _)) = self.conns.iter().find(|(_, slot)| slot.is_free()) else {
            self.network.want_slot();
            self.make_room();
            return;
        };
        let timeout = self.settings.setup_timeout(&mut self.random, failures);
        let deadline = self.now.later(timeout);
        let generation = self.conns.at(conn).generation.wrapping_add(1);
        let slot = self.conns.at_mut(conn);
        slot.clear(generation);
        slot.state = State::Dialing { told: false };
        slot.broker = broker;
        slot.setup_deadline = deadline;
        slot.api_versions = ApiKey::API_VERSIONS.versions().map_or(0, |range| range.max);
        slot.used = self.now;
        self.brokers.at_mut(broker).conn = conn;
        self.network.note_output_if(true);
        self.timers.conn = self.timers.conn.min(deadline);
    }

    /// Dials every broker that has something to send and may be dialled, and, where nothing else
    /// is open, some broker for what the producer itself has to ask.
    pub(super) fn dial_due(&mut self) {
        self.timers.dial = Instant::NEVER;
        let count = self.brokers.len();
        for place in 0..count {
            let broker = self.network.in_turn(place, count);
            let slot = self.brokers.at(broker);
            if slot.has_work() && slot.conn.is_none() {
                self.dial(broker);
            }
        }
        self.seek_metadata();
        self.ask_for_producer_id();
    }

    /// Ends the connection that is needed least, so that another broker gets its slot. One with
    /// something to send keeps it until a request of it was answered.
    pub(super) fn make_room(&mut self) {
        let leaving =
            |slot: &Conn| slot.draining || matches!(slot.state, State::Ended { .. } | State::Free);
        if !self.conns.iter().any(|(_, slot)| leaving(slot)) {
            self.give_way();
        }
    }

    /// The same where no slot is missing but the machine's means for another connection.
    fn make_room_instead_of(&mut self, failed: Ix<Conn>) {
        let leaving = |slot: &Conn| slot.draining || matches!(slot.state, State::Ended { .. });
        if !self.conns.iter().any(|(conn, slot)| conn != failed && leaving(slot)) {
            self.give_way();
        }
    }

    fn give_way(&mut self) {
        let waits = |slot: &Conn| self.brokers.at(slot.broker).has_work();
        // It was opened for that: to take it away before it has asked would be to begin again for ever.
        let asks = self.metadata.prefer.some().filter(|_| self.metadata.is_due(self.now));
        // Who throttles is asked when that is over, unless another has something to send meanwhile. For a
        // question that any of them can answer they would take the slot from each other without end.
        let lacks = |broker: &Broker| {
            let may = broker.conn.is_none() && broker.has_address() && broker.dial_at <= self.now;
            may && broker.has_work()
        };
        let spared = !self.brokers.iter().any(|(_, broker)| lacks(broker));
        let useless = |conn: Ix<Conn>, slot: &Conn| {
            let spared = spared && slot.throttled_until > self.now;
            slot.is_ready() && slot.is_quiet() && !waits(slot) && asks != Some(conn) && !spared
        };
        // The one that is idle for longest, or else the one that was served and is oldest.
        let mut best: Option<(bool, Instant, Ix<Conn>)> = None;
        for (conn, slot) in self.conns.iter() {
            let needed = !useless(conn, slot);
            if needed && !(slot.is_ready() && slot.served) {
                continue;
            }
            if best.is_none_or(|(other, used, _)| (needed, slot.used) < (other, used)) {
                best = Some((needed, slot.used, conn));
            }
        }
        let Some((.., conn)) = best else {
            return;
        };
        let slot = self.conns.at(conn);
        self.network.pass_turn(slot.broker, self.brokers.len());
        if slot.is_quiet() {
            self.drop_connection(conn, Disconnect::Replaced);
        } else {
            self.conns.at_mut(conn).draining = true;
        }
    }

    /// Ends a connection by our own wish.
    pub(super) fn drop_connection(&mut self, conn: Ix<Conn>, cause: Disconnect) {
        self.end_connection(conn, cause, true);
    }

    /// Ends a connection: what was on it goes back to where it can be tried again.
    pub(super) fn end_connection(&mut self, conn: Ix<Conn>, cause: Disconnect, close: bool) {
        let slot = self.conns.at_mut(conn);
        if !slot.is_alive() {
            return;
        }
        if LISTENS {
            self.conclude_refusal(conn, false);
        }
        #[cfg(feature = "_sasl")]
        let refused = matches!(cause, Disconnect::Authentication(_));
        #[cfg(feature = "_sasl")]
        let cause = self.cause_of_end(conn, cause);
        let slot = self.conns.at_mut(conn);
        let untold = matches!(slot.state, State::Dialing { told: false });
        let negotiating = slot.is_negotiating();
        // Who closes at once did not wait to be asked.
        let asked = negotiating || (slot.is_open() && !slot.requests.is_empty());
        let peer = self.brokers.at_mut(slot.broker);
        // Noted here, as it would cost each answer something to note it there.
        peer.answered |= slot.served;
        let secured = self.settings.secured();
        let closed = matches!(cause, Disconnect::Eof | Disconnect::Io);
        let cause = if asked && closed && !peer.answered {
            Disconnect::HungUp
        } else if negotiating && cause == Disconnect::RequestTimedOut && !(peer.answered || secured)
        {
            Disconnect::Mute
        } else {
            cause
        };
        slot.state = State::Ended { cause, close: close && !untold };
        self.network.note_output_if(!untold);
        let broker = slot.broker;
        self.network.remove_writable(&mut self.conns, conn);
        let loss = cause.loss().map(LastError::Connection);
        let wished = cause.is_wished();
        let throttled_until = self.conns.at(conn).throttled_until;
        let before = self.brokers.at(broker).failures;
        let failures = if wished { before } else { before.saturating_add(1) };
        let backoff = self.settings.reconnect_backoff(&mut self.random, failures);
        #[cfg(feature = "_sasl")]
        let backoff = if refused { backoff.max(LEAST_BACKOFF) } else { backoff };
        if !wished {
            self.metadata.lost = self.metadata.lost.saturating_add(1);
        }
        let slot = self.brokers.at_mut(broker);
        slot.conn = Ix::NONE;
        slot.failures = failures;
        slot.dial_at = if failures == 0 { self.now } else { self.now.later(backoff) };
        if wished {
            // Who wants to be left alone wants that of the next connection as well.
            slot.dial_at = slot.dial_at.max(throttled_until);
        }
        slot.disconnects = slot.disconnects.saturating_add(u32::from(!wished));
        slot.trouble = loss.or(slot.trouble);
        self.stats.disconnects += u64::from(!wished);
        self.land_requests(conn, loss);
        self.drop_questions(conn, true);
        let slot = self.conns.at_mut(conn);
        slot.tx = Transmission::NOTHING;
        slot.rx = Reader::EMPTY;
        if self.metadata.prefer == conn {
            self.metadata.prefer = Ix::NONE;
        }
        if !matches!(cause, Disconnect::Closed) {
            if !wished {
                tell!(warn, "disconnected from {}: {}", self.host_of(broker), cause);
                self.want_metadata();
            }
            if matches!(cause, Disconnect::Exhausted) {
                self.make_room_instead_of(conn);
            }
            if self.brokers.at(broker).has_work() {
                self.dial(broker);
            }
            self.seek_metadata();
            self.ask_for_producer_id();
        }
    }

    /// Takes every request off a connection that is over, last one first.
    fn land_requests(&mut self, conn: Ix<Conn>, loss: Option<LastError>) {
        self.recall(conn);
        while let Some(request) = self.conns.at_mut(conn).requests.pop_back() {
            #[cfg(feature = "_sasl")]
            self.wipe_request(conn, request.api);
            match request.api {
                ApiKey::METADATA => self.metadata_failed(),
                ApiKey::INIT_PRODUCER_ID => {
                    let broker = self.conns.at(conn).broker;
                    self.brokers.at_mut(broker).gave_no_id = true;
                    self.retry_producer_id();
                    self.timers.dial = self.now;
                }
                _ => {}
            }
            // A frame that was not written to its end can never be acted on (semantics §3.7).
            let proof = if request.complete { Exposure::Ambiguous } else { Exposure::NotAppended };
            if request.batches.is_some() {
                if request.complete {
                    seen!(self, LostComplete);
                } else {
                    seen!(self, LostPartial);
                }
            }
            let mut next = request.batches;
            while let Some(index) = next.some() {
                next = self.batches.at(index).next_in_request;
                self.land(index);
                self.note_attempt(index, proof);
                let home = self.batches.at(index).partition;
                let partition = self.partitions.at_mut(home);
                partition.proven = false;
                partition.fault = loss.or(partition.fault);
                self.after_landing(index);
            }
        }
    }

    /// Takes a batch out of its request; the caller has unlinked it, or is about to drop the chain.
    pub(super) fn land(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at_mut(index);
        debug_assert!(batch.life == Life::InFlight, "only what is in a request can land");
        batch.life = Life::Idle;
        batch.unjudged = true;
        batch.next_in_request = Ix::NONE;
        let partition = self.partitions.at_mut(batch.partition);
        partition.in_flight -= 1;
        self.queues.is_due(&mut self.batches, index);
    }

    /// Takes back the request of a connection of which no byte was accepted.
    pub(super) fn recall(&mut self, conn: Ix<Conn>) {
        let slot = self.conns.at_mut(conn);
        if !slot.tx.is_unsent() {
            return;
        }
        slot.tx = Transmission::NOTHING;
        let Some(request) = slot.requests.pop_back() else {
            return;
        };
        #[cfg(feature = "_sasl")]
        self.wipe_request(conn, request.api);
        match request.api {
            ApiKey::METADATA => self.metadata.asked = false,
            ApiKey::DESCRIBE_PRODUCERS => {
                self.drop_questions(conn, false);
            }
            ApiKey::INIT_PRODUCER_ID => self.recall_producer_id(),
            _ => {}
        }
        if request.batches.is_some() {
            seen!(self, Recalled);
        }
        let mut next = request.batches;
        while let Some(index) = next.some() {
            next = self.batches.at(index).next_in_request;
            self.land(index);
            let batch = self.batches.at_mut(index);
            batch.attempts = batch.attempts.saturating_sub(1);
            batch.unjudged = false;
            let home = batch.partition;
            if batch.attempts == 0 {
                self.unbind(index);
            }
            self.leave_incarnation_if_landed(home);
            self.reconsider(home);
        }
        self.watch_idleness(conn);
        self.wake_conn(conn);
    }

    /// After an error nothing is to leave for the partition but what is oldest (semantics I5): a
    /// request that is made and not begun is made anew.
    pub(super) fn recall_successors(&mut self, home: Ix<Partition>) {
        let mut next = self.partitions.at(home).queue.head();
        while let Some(index) = next.some().filter(|index| self.batches.at(*index).is_bound()) {
            if self.batches.at(index).life == Life::InFlight && self.recall_if_unsent(index) {
                return;
            }
            next = self.batches.at(index).queue.next();
        }
    }

    /// Takes a batch's request back if no byte of it was accepted; tells whether it was so.
    pub(super) fn recall_if_unsent(&mut self, index: Ix<Batch>) -> bool {
        let batch = self.batches.at(index);
        let conn = self.partitions.at(batch.partition).conn;
        let unsent = self.conns.at(conn).has_unsent(batch.correlation_id);
        if unsent {
            self.recall(conn);
        }
        unsent
    }

    /// The connection is open: asks what the broker speaks.
    pub(super) fn open_connection(&mut self, conn: Ix<Conn>) {
        let slot = self.conns.at_mut(conn);
        if !matches!(slot.state, State::Dialing { .. }) {
            return;
        }
        if matches!(slot.state, State::Dialing { told: false }) {
            self.network.end_output();
        }
        slot.state = State::Negotiating;
        slot.used = self.now;
        slot.rx = Reader::EMPTY;
        self.stats.connections += 1;
        self.wake_conn(conn);
    }

    /// The broker's versions are known: whatever waited for it can go.
    pub(super) fn ready_connection(&mut self, conn: Ix<Conn>) {
        let slot = self.conns.at_mut(conn);
        slot.state = State::Ready;
        tell!(
            info,
            "connected to {}:{}, which speaks Produce {}, Metadata {}, InitProducerId {}",
            self.host_of(self.conns.at(conn).broker),
            self.brokers.at(self.conns.at(conn).broker).port,
            self.conns.at(conn).versions.produce,
            self.conns.at(conn).versions.metadata,
            self.conns.at(conn).versions.init_producer_id,
        );
        trace!(
            self,
            Versions {
                node_id: self.node_of(self.conns.at(conn).broker),
                produce: self.conns.at(conn).versions.produce,
                metadata: self.conns.at(conn).versions.metadata,
                init_producer_id: self.conns.at(conn).versions.init_producer_id,
            }
        );
        self.end_doubts_of_mute(self.conns.at(conn).broker);
        self.wake_conn(conn);
        self.seek_metadata();
        self.ask_for_producer_id();
    }

    /// The slot of an ended connection is free: another broker may want it.
    pub(super) fn free_connection(&mut self, conn: Ix<Conn>) {
        let slot = self.conns.at_mut(conn);
        // What was said of the connection is not to be taken for something about the slot.
        slot.clear(slot.generation);
        if self.network.take_want_of_slot() {
            self.dial_due();
        }
    }

    /// Whether brokers answer produce requests at all.
    pub(super) fn expects_answers(&self) -> bool {
        self.settings.acks != Acks::None
    }
}
