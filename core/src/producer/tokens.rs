//! OAUTHBEARER: a token is asked for and given, and said, and the broker's objection to it is answered.

use super::Producer;
use crate::{
    AuthenticationFailure, Disconnect, Instant, Mechanism, Sasl, SaslError, Token,
    conn::{Conn, Step},
    sasl::Tokens,
    slots::Ix,
    wire::{ApiKey, Writer, dialect, frame, sasl_authenticate},
};

impl Producer<'_> {
    /// A token that [`Output::WantToken`](crate::Output::WantToken) asked for, or a newer one at any time.
    ///
    /// # Errors
    ///
    /// It is none that can be sent, or finds no room; another one is wanted still.
    pub fn handle_token(&mut self, now: Instant, token: &Token<'_>) -> Result<(), SaslError> {
        self.advance(now);
        // Who is about to say the old one says the new one; who has begun to say it cannot end.
        for conn in self.conns.indices() {
            let slot = self.conns.at(conn);
            if slot.session.cut > 0 && slot.is_alive() && !slot.tx.is_nothing() {
                if slot.tx.is_unsent() {
                    self.recall(conn);
                } else {
                    self.drop_connection(conn, Disconnect::Replaced);
                }
            }
        }
        // Whatever was to be told is answered now.
        self.with_tokens(Tokens::take_output);
        let taken = match &mut self.sasl {
            Some(sasl) => sasl.set_token(self.now, token),
            None => Err(SaslError::NoTokenWanted),
        };
        if taken.is_err() {
            self.handle_no_token(now);
        }
        self.wake_who_waits();
        taken
    }

    /// There is no token to be had now. One is wanted again after `retry.backoff.max.ms`, if it is of use then;
    /// until then an older one is used, as long as it is good.
    pub fn handle_no_token(&mut self, now: Instant) {
        self.advance(now);
        let until = self.now.later(self.settings.longest_retry_backoff());
        self.with_tokens(|tokens| tokens.refuse(until));
        self.wake_who_waits();
    }

    /// Does something to the tokens, and keeps count of what is to be told. The default where there are none.
    pub(super) fn with_tokens<R: Default>(&mut self, act: impl FnOnce(&mut Tokens) -> R) -> R {
        let Some(sasl) = &mut self.sasl else {
            return R::default();
        };
        let before = sasl.tokens.has_output();
        let result = act(&mut sasl.tokens);
        match (before, sasl.tokens.has_output()) {
            (false, true) => self.network.note_output_if(true),
            (true, false) => self.network.end_output(),
            (false, false) | (true, true) => {}
        }
        result
    }

    /// Whether the client authenticates by tokens.
    pub(super) fn has_tokens(&self) -> bool {
        self.sasl.as_ref().map(Sasl::mechanism) == Some(Mechanism::OAuthBearer)
    }

    /// Says the token, which is lent: it may be larger than any window.
    pub(super) fn say_token(&mut self, conn: Ix<Conn>) {
        let now = self.now;
        if !self.with_tokens(|tokens| tokens.ask(now)) {
            return;
        }
        let token = self.sasl.as_ref().map_or(0, |sasl| sasl.secret().len());
        let version = self.conns.at(conn).versions.sasl_authenticate;
        let correlation_id = self.next_correlation();
        self.with_head(conn, |this, head| {
            let dialect = dialect(ApiKey::SASL_AUTHENTICATE, version);
            let mut writer = Writer::new(head);
            let size = frame::begin(&mut writer);
            let (api, client_id) = (ApiKey::SASL_AUTHENTICATE, Some(this.settings.client_id()));
            frame::write_request_header(&mut writer, api, version, correlation_id, client_id);
            sasl_authenticate::write_request_head(&mut writer, dialect, token);
            let cut = writer.len();
            sasl_authenticate::write_request_end(&mut writer, dialect);
            frame::end(&mut writer, size, token);
            let len = writer.len() as u32;
            this.conns.at_mut(conn).session.cut = cut as u32;
            let lens = (len, len + token as u32);
            this.push_request(conn, api, version, correlation_id, Ix::NONE, lens);
        });
    }

    /// The broker refused the last one: it is not sent again.
    pub(super) fn drop_refused_token(&mut self) {
        if self.has_tokens()
            && let Some(sasl) = &mut self.sasl
        {
            sasl.tokens.drop_refused();
        }
    }

    /// Why a connection is given up that is not authenticated in time.
    pub(super) fn late_authentication(&self, step: Step) -> Disconnect {
        if step == Step::First && self.has_tokens() {
            Disconnect::Authentication(AuthenticationFailure::NoToken)
        } else {
            Disconnect::SetupTimeout
        }
    }

    /// When a token is due.
    pub(super) fn token_due(&self) -> Instant {
        let sasl = self.sasl.as_ref().filter(|_| !self.is_over());
        let token = sasl.map_or(Instant::NEVER, |sasl| sasl.tokens.due());
        let waits = token < Instant::NEVER && self.conns.indices().any(|conn| self.waits(conn));
        if waits { token } else { Instant::NEVER }
    }

    /// Has a token asked for again, where the time for that has come.
    pub(super) fn go_on_with_tokens(&mut self) {
        if self.token_due() <= self.now {
            // By whichever connection is the first that may go on.
            self.with_tokens(Tokens::end_refusal);
            self.wake_who_waits();
        }
    }
}
