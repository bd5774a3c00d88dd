//! Deadlines: what each is for, when the next one is, and what happens then.

use super::Producer;
use crate::{
    Cause, Disconnect, Instant, TimerKind,
    conn::{Conn, State},
    coverage::seen,
    slots::Ix,
    time::Micros,
};

/// Deadlines of many things at once, each no later than the earliest of its kind. One that is too
/// early costs a look at the things; keeping them exact would cost one at every change.
#[derive(Debug)]
pub(super) struct Timers {
    /// Set-up, requests, throttles and idleness of connections.
    pub(super) conn: Instant,
    /// Backoffs of brokers.
    pub(super) dial: Instant,
}

impl Timers {
    pub(super) const NEW: Self = Self { conn: Instant::NEVER, dial: Instant::NEVER };
}

impl Producer<'_> {
    /// When to call [`handle_timeout`](Self::handle_timeout) next, and what for; `None` while
    /// nothing is waited for. The time may have come already.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, TimerKind)> {
        let wants = self.registry.count() > 0;
        let identity = if wants { self.identity.deadline() } else { Instant::NEVER };
        let close = self.lifecycle.deadline();
        let lingers = self.first_of(self.queues.lingering(), self.settings.linger);
        let expires = self.first_of(self.queues.untold(), self.settings.delivery_timeout);
        let resolves = self.first_of(self.queues.resolving(), self.settings.resolve_timeout);
        [
            #[cfg(feature = "_scram")]
            (self.keys_due(), TimerKind::KeyDerivation),
            #[cfg(feature = "oauthbearer")]
            (self.token_due(), TimerKind::Token),
            (lingers, TimerKind::Linger),
            (expires.min(resolves), TimerKind::Delivery),
            (self.backoff.until(), TimerKind::RetryBackoff),
            (self.timers.dial, TimerKind::ReconnectBackoff),
            (self.timers.conn, TimerKind::Request),
            (close, TimerKind::Close),
            (self.unless_looked_for(identity, Ix::NONE), TimerKind::ProducerId),
            (
                self.unless_looked_for(self.metadata.deadline(), self.metadata.prefer),
                TimerKind::Metadata,
            ),
        ]
        .into_iter()
        .min_by_key(|(at, _)| *at)
        .filter(|(at, _)| *at < Instant::NEVER)
    }

    /// When a question is due, unless it is and waits for something else than time.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn unless_looked_for(&self, at: Instant, on: Ix<Conn>) -> Instant {
        if at <= self.now && self.is_looked_for(on) { Instant::NEVER } else { at }
    }

    /// Whether a question that is due, on this connection or on any, waits for the connection or for the
    /// next dial, and not for time.
    fn is_looked_for(&self, on: Ix<Conn>) -> bool {
        if let Some(conn) = on.some() {
            return self.stirs(self.conns.at(conn));
        }
        let mut alive = self.conns.iter().filter(|(_, slot)| slot.is_alive()).peekable();
        if alive.peek().is_none() {
            return self.timers.dial < Instant::NEVER;
        }
        alive.any(|(_, slot)| self.stirs(slot))
    }

    /// Whether something is bound to happen to a connection: a look at it, an answer, or the end of a
    /// throttle.
    pub(super) fn stirs(&self, slot: &Conn) -> bool {
        let idle = slot.is_ready() && slot.is_quiet() && !slot.draining;
        #[cfg(feature = "_sasl")]
        let idle = idle && !self.rests(slot);
        slot.is_alive() && (!idle || slot.write.is_listed() || slot.throttled_until > self.now)
    }

    /// When the first batch of a list, in which all wait equally long, has waited.
    fn first_of(&self, head: Ix<crate::batch::Batch>, wait: Micros) -> Instant {
        head.some().map_or(Instant::NEVER, |index| self.batches.at(index).since.later(wait))
    }

    /// The time of [`poll_timeout`](Self::poll_timeout) has come; harmless at any other.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        self.end_lingers();
        self.end_deliveries();
        if self.backoff.until() <= self.now {
            self.end_backoffs();
        }
        if self.timers.conn <= self.now {
            self.check_connections();
        }
        if self.timers.dial <= self.now {
            self.dial_due();
        }
        #[cfg(feature = "_scram")]
        self.go_on_with_keys();
        #[cfg(feature = "oauthbearer")]
        self.go_on_with_tokens();
        self.ask_for_producer_id();
        self.seek_metadata();
        self.check_closing();
    }

    fn end_lingers(&mut self) {
        while let Some(index) = self.queues.lingering().some() {
            let batch = self.batches.at(index);
            if batch.since.later(self.settings.linger) > self.now {
                return;
            }
            let home = batch.partition;
            self.queues.end_linger(&mut self.batches, index);
            self.reconsider(home);
        }
    }

    fn end_deliveries(&mut self) {
        while let Some(index) = self.queues.untold().some() {
            if self.batches.at(index).since.later(self.settings.delivery_timeout) > self.now {
                break;
            }
            self.expire(index);
        }
        while let Some(index) = self.queues.resolving().some() {
            if self.batches.at(index).since.later(self.settings.resolve_timeout) > self.now {
                break;
            }
            seen!(self, ResolveTimeout);
            self.abandon(index, Cause::ResolveTimeout);
        }
    }

    /// Ends connections whose time is over, and finds the next time to look.
    fn check_connections(&mut self) {
        self.timers.conn = Instant::NEVER;
        for conn in self.conns.indices() {
            let (deadline, cause) = self.connection_deadline(conn);
            if deadline <= self.now {
                self.drop_connection(conn, cause);
            } else {
                self.timers.conn = self.timers.conn.min(deadline);
            }
            let throttled = self.conns.at(conn).throttled_until;
            if throttled > self.now {
                self.timers.conn = self.timers.conn.min(throttled);
            } else {
                self.wake_conn(conn);
            }
        }
    }

    /// A request of a connection is over. With none left, what the connection waits for comes sooner than
    /// an answer, where it may be idle for less time than a request may take.
    pub(super) fn watch_idleness(&mut self, conn: Ix<Conn>) {
        if self.conns.at(conn).requests.is_empty() {
            let (deadline, _) = self.connection_deadline(conn);
            self.timers.conn = self.timers.conn.min(deadline);
        }
    }

    pub(super) fn connection_deadline(&self, conn: Ix<Conn>) -> (Instant, Disconnect) {
        let slot = self.conns.at(conn);
        let oldest = slot.requests.front();
        match (slot.state, oldest) {
            (State::Free | State::Ended { .. }, _) => (Instant::NEVER, Disconnect::Closed),
            (State::Dialing { .. }, _) => (slot.setup_deadline, Disconnect::SetupTimeout),
            (_, Some(request)) => (request.deadline, Disconnect::RequestTimedOut),
            #[cfg(feature = "oauthbearer")]
            (State::Authenticating(step), None) => {
                (slot.setup_deadline, self.late_authentication(step))
            }
            #[cfg(all(feature = "_sasl", not(feature = "oauthbearer")))]
            (State::Authenticating(_), None) => (slot.setup_deadline, Disconnect::SetupTimeout),
            (State::Negotiating | State::Ready, None) => {
                (slot.used.later(self.settings.connections_max_idle), Disconnect::Idle)
            }
        }
    }

    /// Sends what is buffered without waiting for it to linger.
    pub fn flush(&mut self, now: Instant) {
        self.advance(now);
        while let Some(index) = self.queues.pop_lingering(&mut self.batches) {
            let home = self.batches.at(index).partition;
            self.reconsider(home);
        }
    }

    /// Takes no more records, sends what is buffered, and ends by `deadline` at the latest: what is
    /// not settled by then is told `NotDelivered` where no byte of it can be in the log, and
    /// `Unknown` otherwise. [`Output::Closed`](crate::Output::Closed) is the last output.
    ///
    /// A later call can only bring the deadline forward.
    pub fn close(&mut self, now: Instant, deadline: Instant) {
        self.flush(now);
        self.lifecycle.close(deadline);
        self.check_closing();
    }

    /// Whether `close` has nothing left to wait for.
    pub(super) fn closing_is_due(&self) -> bool {
        self.lifecycle.is_due(self.now, self.queues.unsettled())
    }

    /// Ends `close` where it is due.
    #[inline]
    pub(super) fn check_closing(&mut self) {
        if self.closing_is_due() {
            // First, so that nobody is dialled for what goes back to be sent again as its connection ends.
            self.lifecycle.end();
            self.give_up_everything(Cause::Closed);
        }
    }
}
