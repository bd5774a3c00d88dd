//! What a client and a broker say to each other to authenticate: SaslHandshake, then SaslAuthenticate once or
//! twice.

use zeroize::Zeroize as _;

use super::{Producer, window};
use crate::{
    AuthenticationFailure, Disconnect, Mechanism, Sasl,
    conn::{Conn, Request, State, Step},
    logging::tell,
    slots::Ix,
    wire::{
        ApiKey, ErrorCode, Text, Wire as _, Writer, dialect, frame,
        sasl_authenticate::{self, AuthBytes, SaslAuthenticateItem},
        sasl_handshake::{SaslHandshakeItem, SaslHandshakeRequest},
    },
};
#[cfg(feature = "_scram")]
use crate::{
    sasl::scram::{Nonce, Proof, ServerFirst, verify},
    wire::put,
};

/// Whether a request is part of an authentication.
pub(super) const fn is_sasl(api: ApiKey) -> bool {
    matches!(api, ApiKey::SASL_HANDSHAKE | ApiKey::SASL_AUTHENTICATE)
}

impl Producer<'_> {
    /// Makes the request of a step.
    pub(super) fn say_next(
        &mut self,
        conn: Ix<Conn>,
        step: Step,
    ) -> Result<(), AuthenticationFailure> {
        match step {
            Step::Handshake => self.say_mechanism(conn),
            Step::First => self.say_first(conn),
            #[cfg(feature = "_scram")]
            Step::Prove => self.say_proof(conn),
            #[cfg(feature = "_scram")]
            Step::Verify => Ok(()),
            Step::Farewell => self.say(conn, &|w, _| w.bytes(b"\x01")),
        }
    }

    fn say_mechanism(&mut self, conn: Ix<Conn>) -> Result<(), AuthenticationFailure> {
        let mechanism = self.sasl.as_ref().map_or("", |sasl| sasl.mechanism().name());
        let request = SaslHandshakeRequest { mechanism };
        self.begin_request(conn, ApiKey::SASL_HANDSHAKE, 1, &|writer, _| {
            request.write(writer, dialect(ApiKey::SASL_HANDSHAKE, 1));
        });
        self.check_room(conn)
    }

    fn say_first(&mut self, conn: Ix<Conn>) -> Result<(), AuthenticationFailure> {
        match self.sasl.as_ref().map(Sasl::mechanism) {
            Some(Mechanism::Plain) => self.say(conn, &|w, sasl| {
                w.bytes(b"\0");
                w.bytes(sasl.username());
                w.bytes(b"\0");
                w.bytes(sasl.secret());
            }),
            Some(Mechanism::OAuthBearer) => self.say_token(conn),
            #[cfg(feature = "_scram")]
            Some(_) => {
                let entropy = self.sasl.as_ref().and_then(Sasl::entropy);
                let nonce = entropy.and_then(Nonce::new);
                let nonce = nonce.ok_or(AuthenticationFailure::NoEntropy)?;
                self.conns.at_mut(conn).session.nonce = nonce;
                self.say(conn, &|w, sasl| sasl.write_client_first(w, &nonce))
            }
            None => Err(AuthenticationFailure::Closed),
        }
    }

    /// Says something of the mechanism's.
    fn say(
        &mut self,
        conn: Ix<Conn>,
        write: &dyn Fn(&mut Writer<'_>, &Sasl<'_>),
    ) -> Result<(), AuthenticationFailure> {
        let version = self.conns.at(conn).versions.sasl_authenticate;
        self.begin_request(conn, ApiKey::SASL_AUTHENTICATE, version, &|writer, this| {
            let dialect = dialect(ApiKey::SASL_AUTHENTICATE, version);
            if let Some(sasl) = &this.sasl {
                let len = Writer::measure(|w| write(w, sasl));
                sasl_authenticate::write_request_head(writer, dialect, len);
                write(writer, sasl);
                sasl_authenticate::write_request_end(writer, dialect);
            }
        });
        self.check_room(conn)
    }

    /// Whether the request that was made fits where it was made.
    fn check_room(&self, conn: Ix<Conn>) -> Result<(), AuthenticationFailure> {
        let fits = self.conns.at(conn).tx.head <= window(&self.tx, self.conns.len());
        if fits { Ok(()) } else { Err(AuthenticationFailure::TooLong) }
    }

    /// Says the token, which is lent: it may be larger than any window.
    fn say_token(&mut self, conn: Ix<Conn>) -> Result<(), AuthenticationFailure> {
        let now = self.now;
        if !self.with_tokens(|tokens| tokens.ask(now)) {
            return Ok(());
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
        self.check_room(conn)
    }

    /// Answers the broker's first message, once the keys are there.
    #[cfg(feature = "_scram")]
    fn say_proof(&mut self, conn: Ix<Conn>) -> Result<(), AuthenticationFailure> {
        let session = &self.conns.at(conn).session;
        let (nonce, len) = (session.nonce, usize::from(session.message));
        // Both lie in the window in which the answer is made.
        let mut message = [0; AuthBytes::MAX_LEN];
        self.with_head(conn, |_, head| put(&mut message, head.get(..len).unwrap_or_default()));
        let Some(sasl) = &mut self.sasl else {
            return Err(AuthenticationFailure::Closed);
        };
        let mut text = [0; 256];
        let mut writer = Writer::new(&mut text);
        let message = message.get(..len).unwrap_or_default();
        let Proof::Ready { signature } = sasl.prove(&mut writer, &nonce, message)? else {
            return Ok(());
        };
        let len = writer.len();
        let proof = text.get(..len).unwrap_or_default();
        let slot = self.conns.at_mut(conn);
        slot.session.signature = signature;
        slot.state = State::Authenticating(Step::Verify);
        let made = self.say(conn, &|w, _| w.bytes(proof));
        text.zeroize();
        made
    }

    pub(super) fn read_handshake(&mut self, conn: Ix<Conn>, item: SaslHandshakeItem<'_>) {
        let slot = self.conns.at_mut(conn);
        match item {
            SaslHandshakeItem::Error(error) => slot.place.error = error,
            SaslHandshakeItem::Mechanism(name) => slot.session.offered.add(name),
        }
    }

    pub(super) fn finish_handshake(&mut self, conn: Ix<Conn>) -> Result<(), Disconnect> {
        let slot = self.conns.at_mut(conn);
        let offered = core::mem::take(&mut slot.session.offered);
        let failure = match slot.place.error {
            ErrorCode::NONE => {
                slot.state = State::Authenticating(Step::First);
                return Ok(());
            }
            ErrorCode::UNSUPPORTED_SASL_MECHANISM => AuthenticationFailure::Mechanism(offered),
            ErrorCode::ILLEGAL_SASL_STATE => AuthenticationFailure::NotSasl,
            error => AuthenticationFailure::Error(error),
        };
        self.note_said(None);
        Err(Disconnect::Authentication(failure))
    }

    fn note_said(&mut self, text: Option<Text<'_>>) {
        if let Some(sasl) = &mut self.sasl {
            sasl.note_said(text);
        }
        tell!(warn, "not authenticated: {}", self.authentication_message().unwrap_or_default());
    }

    pub(super) fn read_authenticate(
        &mut self,
        conn: Ix<Conn>,
        item: SaslAuthenticateItem<'_>,
    ) -> Result<(), Disconnect> {
        let slot = self.conns.at_mut(conn);
        match item {
            SaslAuthenticateItem::Error(error) => slot.place.error = error,
            SaslAuthenticateItem::Message(text) if !slot.place.error.is_none() => {
                self.note_said(text);
            }
            SaslAuthenticateItem::Message(_) => {}
            SaslAuthenticateItem::Bytes(bytes) if slot.place.error.is_none() => {
                self.read_message(conn, bytes).map_err(Disconnect::Authentication)?;
            }
            SaslAuthenticateItem::Bytes(_) => {}
            SaslAuthenticateItem::Lifetime(ms) => slot.session.lifetime_ms = ms,
        }
        Ok(())
    }

    /// Reads what the broker says by the mechanism.
    fn read_message(
        &mut self,
        conn: Ix<Conn>,
        message: AuthBytes<'_>,
    ) -> Result<(), AuthenticationFailure> {
        let slot = self.conns.at_mut(conn);
        let State::Authenticating(step) = slot.state else {
            return Ok(());
        };
        match (step, self.sasl.as_ref().map(Sasl::mechanism)) {
            (Step::First, Some(Mechanism::OAuthBearer)) => {
                slot.session.refused = !message.bytes.is_empty();
            }
            #[cfg(feature = "_scram")]
            (Step::First, Some(mechanism)) if mechanism != Mechanism::Plain => {
                if message.cut {
                    return Err(AuthenticationFailure::Malformed);
                }
                // Judged here, though it is needed later: nothing is done for one that cannot be.
                ServerFirst::read(message.bytes, &slot.session.nonce)?;
                slot.session.message = message.bytes.len() as u16;
                if message.bytes.len() > window(&self.tx, self.conns.len()) as usize {
                    return Err(AuthenticationFailure::TooLong);
                }
                self.with_head(conn, |_, head| put(head, message.bytes));
            }
            #[cfg(feature = "_scram")]
            (Step::Verify, _) => {
                verify(message.bytes, &slot.session.signature)?;
                slot.session.verified = true;
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn finish_authenticate(&mut self, conn: Ix<Conn>) -> Result<(), Disconnect> {
        let mechanism = self.sasl.as_ref().map(Sasl::mechanism);
        let slot = self.conns.at_mut(conn);
        let error = slot.place.error;
        let State::Authenticating(step) = slot.state else {
            return Ok(());
        };
        let failure = match error {
            ErrorCode::NONE if step == Step::Farewell => AuthenticationFailure::Refused,
            ErrorCode::NONE => {
                if slot.session.refused {
                    slot.state = State::Authenticating(Step::Farewell);
                    return Ok(());
                }
                #[cfg(feature = "_scram")]
                match step {
                    Step::First if mechanism.is_some_and(Mechanism::is_scram) => {
                        slot.state = State::Authenticating(Step::Prove);
                        return Ok(());
                    }
                    Step::Verify if !slot.session.verified => {
                        let failure = AuthenticationFailure::Signature;
                        return Err(Disconnect::Authentication(failure));
                    }
                    Step::Handshake | Step::First | Step::Prove | Step::Verify | Step::Farewell => {
                    }
                }
                self.authenticated(conn);
                return Ok(());
            }
            ErrorCode::SASL_AUTHENTICATION_FAILED => AuthenticationFailure::Refused,
            ErrorCode::ILLEGAL_SASL_STATE => AuthenticationFailure::NotSasl,
            error => AuthenticationFailure::Error(error),
        };
        if mechanism == Some(Mechanism::OAuthBearer)
            && let Some(sasl) = &mut self.sasl
        {
            sasl.tokens.drop_refused();
        }
        Err(Disconnect::Authentication(failure))
    }

    /// Wipes what a request said, once it is written or will not be.
    pub(super) fn wipe_request(&mut self, conn: Ix<Conn>, request: &Request) {
        if request.api == ApiKey::SASL_AUTHENTICATE {
            self.conns.at_mut(conn).session.cut = 0;
            self.with_head(conn, |_, head| head.zeroize());
        }
    }
}
