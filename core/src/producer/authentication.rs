//! Authentication: SaslHandshake and SaslAuthenticate before anything else, and again before a session is
//! over (KIP-152, KIP-368).
//!
//! Nothing goes out between the two, nor after a session is over: a broker that gets a request there drops the
//! connection, and nobody hears what became of it.

use super::{Producer, sasl_exchange::is_sasl};
use crate::{
    AuthenticationFailure, Disconnect, Instant, LastError, Loss, Sasl,
    conn::{Conn, State, Step},
    slots::Ix,
    time::Micros,
};

/// After a refusal a broker is left alone for this long at least: who tries wrong passwords fast is locked out. (A connection
/// that it closes in the middle of an authentication, or after a session, is nobody's mistake, or may be.)
pub(super) const LEAST_BACKOFF: Micros = Micros(1_000_000);

impl<'m> Producer<'m> {
    /// Authenticates on all connections from now on, in place of what was given before, if anything was. Sessions that
    /// have begun go on until they are to be renewed. Who gives other credentials after a refusal need not wait for
    /// the backoff.
    ///
    /// To be given before the first call that dials, [`topic`](Self::topic), where brokers want it from the beginning.
    pub fn set_sasl(&mut self, sasl: Sasl<'m>) {
        // What was begun with others cannot be ended with these.
        for conn in self.conns.indices() {
            if matches!(self.conns.at(conn).state, State::Authenticating(_)) {
                self.drop_connection(conn, Disconnect::Replaced);
            }
        }
        #[cfg(feature = "oauthbearer")]
        self.with_tokens(crate::sasl::Tokens::take_output);
        self.sasl = Some(sasl);
        for broker in self.brokers.indices() {
            let slot = self.brokers.at_mut(broker);
            if matches!(slot.trouble, Some(LastError::Connection(Loss::Authentication(_)))) {
                slot.failures = 0;
                slot.dial_at = self.now;
            }
        }
        if !self.is_over() {
            self.dial_due();
        }
    }
}

impl Producer<'_> {
    /// What a broker said of its last refusal, at most 160 bytes of it on one line, until the next one: as such of use
    /// when [`Disconnect::Authentication`] is told.
    #[must_use]
    pub fn authentication_message(&self) -> Option<&str> {
        self.sasl.as_ref().and_then(Sasl::said)
    }

    /// Connections that wait for keys or for a token may go on.
    #[cfg(any(feature = "_scram", feature = "oauthbearer"))]
    pub(super) fn wake_who_waits(&mut self) {
        for conn in self.conns.indices() {
            if self.waits(conn) {
                self.wake_conn(conn);
            }
        }
    }

    /// Whether a connection waits for something else than its broker before it is authenticated.
    pub(super) fn waits(&self, conn: Ix<Conn>) -> bool {
        let slot = self.conns.at(conn);
        let asked = slot.requests.back().is_some_and(|request| is_sasl(request.api));
        matches!(slot.state, State::Authenticating(_)) && !asked
    }

    /// The versions are known: who wants to be authenticated is, and then it is ready.
    pub(super) fn begin_session(&mut self, conn: Ix<Conn>) -> Result<(), Disconnect> {
        if self.sasl.is_none() {
            self.ready_connection(conn);
            return Ok(());
        }
        if self.conns.at(conn).versions.sasl_authenticate < 0 {
            return Err(Disconnect::Authentication(AuthenticationFailure::NotOffered));
        }
        self.begin_authentication(conn);
        Ok(())
    }

    fn begin_authentication(&mut self, conn: Ix<Conn>) {
        let failures = self.brokers.at(self.conns.at(conn).broker).failures;
        let timeout = self.settings.setup_timeout(&mut self.random, failures);
        let deadline = self.now.later(timeout);
        let slot = self.conns.at_mut(conn);
        slot.state = State::Authenticating(Step::Handshake);
        slot.setup_deadline = deadline;
        self.timers.conn = self.timers.conn.min(deadline);
    }

    /// Makes the next request of an authentication; true where there is one under way, or one must come before
    /// anything else.
    pub(super) fn compose_authentication(&mut self, conn: Ix<Conn>) -> bool {
        if !matches!(self.conns.at(conn).state, State::Authenticating(_)) {
            let session = &self.conns.at(conn).session;
            let (due, rest) = (session.is_due(self.now), session.rest(self.now));
            if !(due || rest.is_some()) || !self.has_something_to_ask(conn) {
                return false;
            }
            if let Some(rest) = rest {
                self.timers.conn = self.timers.conn.min(rest);
                return true;
            }
            self.begin_authentication(conn);
        }
        let State::Authenticating(step) = self.conns.at(conn).state else {
            return false;
        };
        if self.waits(conn)
            && let Err(failure) = self.say_next(conn, step)
        {
            self.drop_connection(conn, Disconnect::Authentication(failure));
        }
        true
    }

    /// Whether there is something that a connection would be used for: for that alone a session is renewed.
    pub(super) fn has_something_to_ask(&self, conn: Ix<Conn>) -> bool {
        let slot = self.conns.at(conn);
        let asks = self.metadata.prefer == conn || self.metadata.prefer.is_none();
        self.brokers.at(slot.broker).has_work()
            || (self.metadata.is_due(self.now) && asks)
            || (self.wants_producer_id() && self.may_ask_for_producer_id(slot))
    }

    /// The broker takes this client for who it says it is.
    pub(super) fn authenticated(&mut self, conn: Ix<Conn>) {
        let early = self.random.below(1_024);
        let slot = self.conns.at_mut(conn);
        let renewed = slot.session.begun > Instant::ZERO;
        self.brokers.at_mut(slot.broker).answered = true;
        slot.session.begin(self.now, early);
        slot.state = State::Ready;
        if !renewed {
            self.ready_connection(conn);
        }
    }

    /// What the end of a connection says of its session.
    pub(super) fn cause_of_end(&self, conn: Ix<Conn>, cause: Disconnect) -> Disconnect {
        let slot = self.conns.at(conn);
        if !matches!(cause, Disconnect::Eof | Disconnect::Io) {
            return cause;
        }
        if matches!(slot.state, State::Authenticating(_)) {
            Disconnect::Authentication(AuthenticationFailure::Closed)
        } else if slot.session.is_over(self.now) {
            Disconnect::Authentication(AuthenticationFailure::SessionOver)
        } else {
            cause
        }
    }

    /// Whether a connection's session is over, and time is waited for until it may be renewed.
    pub(super) fn rests(&self, slot: &Conn) -> bool {
        slot.session.rest(self.now).is_some_and(|rest| self.timers.conn <= rest)
    }

    /// Whether the request of a connection that is not begun may no longer go.
    pub(super) fn is_overdue(&self, conn: Ix<Conn>) -> bool {
        let slot = self.conns.at(conn);
        slot.session.is_over(self.now) && slot.is_ready() && slot.tx.is_unsent()
    }

    /// When keys are due.
    #[cfg(feature = "_scram")]
    pub(super) fn keys_due(&self) -> Instant {
        let derives = self.sasl.as_ref().is_some_and(Sasl::derives) && !self.is_over();
        if derives { self.now } else { Instant::NEVER }
    }

    /// Goes on with the keys.
    #[cfg(feature = "_scram")]
    pub(super) fn go_on_with_keys(&mut self) {
        if self.sasl.as_mut().is_some_and(Sasl::derive) {
            self.wake_who_waits();
        }
    }
}
