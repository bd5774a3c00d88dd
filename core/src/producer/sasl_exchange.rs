//! What a client and a broker say to each other to authenticate: SaslHandshake, then SaslAuthenticate once or
//! twice.

use super::{Producer, window};
use crate::{
    AuthenticationFailure, Disconnect,
    conn::{Conn, State, Step},
    logging::tell,
    sasl::wipe,
    slots::Ix,
    wire::{
        ApiKey, ErrorCode, dialect,
        sasl_authenticate::{self, AuthBytes},
        sasl_response::SaslItem,
    },
};
#[cfg(feature = "_scram")]
use crate::{
    Sasl,
    sasl::scram::{Salt, ServerFirst, verify},
    wire::{Writer, put},
};

/// Whether a request is part of an authentication.
pub(super) const fn is_sasl(api: ApiKey) -> bool {
    matches!(api, ApiKey::SASL_HANDSHAKE | ApiKey::SASL_AUTHENTICATE)
}

impl Producer<'_> {
    /// Makes the request of a step, or none where something else is waited for.
    pub(super) fn say_next(
        &mut self,
        conn: Ix<Conn>,
        step: Step,
    ) -> Result<(), AuthenticationFailure> {
        match step {
            Step::Handshake => {
                let name = self.sasl.as_ref().map_or("", |sasl| sasl.mechanism().name());
                self.say(conn, step, name.as_bytes());
            }
            Step::First => self.say_first(conn)?,
            #[cfg(feature = "_scram")]
            Step::Prove => self.say_proof(conn)?,
            #[cfg(feature = "_scram")]
            Step::Verify => {}
            #[cfg(feature = "oauthbearer")]
            Step::Farewell => self.say(conn, step, b"\x01"),
        }
        // It was made whether it fits or not.
        let fits = self.conns.at(conn).tx.head <= window(&self.tx, self.conns.len());
        if fits { Ok(()) } else { Err(AuthenticationFailure::TooLong) }
    }

    fn say_first(&mut self, conn: Ix<Conn>) -> Result<(), AuthenticationFailure> {
        #[cfg(feature = "oauthbearer")]
        if self.has_tokens() {
            self.say_token(conn);
            return Ok(());
        }
        #[cfg(feature = "_scram")]
        if let Some(sasl) = self.sasl.as_ref().filter(|sasl| sasl.is_scram()) {
            self.conns.at_mut(conn).session.nonce.renew(sasl.entropy())?;
        }
        self.say(conn, Step::First, &[]);
        Ok(())
    }

    /// Says the mechanism's first message, or else this text.
    fn say(&mut self, conn: Ix<Conn>, step: Step, text: &[u8]) {
        let (api, version) = if step == Step::Handshake {
            (ApiKey::SASL_HANDSHAKE, 1)
        } else {
            (ApiKey::SASL_AUTHENTICATE, self.conns.at(conn).versions.sasl_authenticate)
        };
        self.begin_request(conn, api, version, &|writer, this| {
            let Some(sasl) = &this.sasl else { return };
            let parts = if step == Step::First {
                sasl.first_message(this.conns.at(conn).session.nonce())
            } else {
                [text, &[], &[], &[]]
            };
            sasl_authenticate::write_in_parts(writer, dialect(api, version), api, &parts);
        });
    }

    /// Answers the broker's first message, once the keys are there.
    #[cfg(feature = "_scram")]
    fn say_proof(&mut self, conn: Ix<Conn>) -> Result<(), AuthenticationFailure> {
        let len = window(&self.tx, self.conns.len()) as usize;
        let window = self.tx.all().get(conn.number() as usize * len..).unwrap_or_default();
        let session = &mut self.conns.at_mut(conn).session;
        let message = window.get(..usize::from(session.message)).unwrap_or_default();
        let Some(sasl) = &mut self.sasl else {
            return Err(AuthenticationFailure::Closed);
        };
        // Not at once where it goes: what it answers lies there.
        let mut text = [0; 256];
        let mut writer = Writer::new(&mut text);
        if sasl.prove(&mut writer, session.nonce.as_bytes(), message, &mut session.signature)? {
            let len = writer.len();
            self.conns.at_mut(conn).state = State::Authenticating(Step::Verify);
            self.say(conn, Step::Prove, text.get(..len).unwrap_or_default());
            wipe(&mut text);
        }
        Ok(())
    }

    pub(super) fn read_sasl(
        &mut self,
        conn: Ix<Conn>,
        item: SaslItem<'_>,
    ) -> Result<(), Disconnect> {
        let slot = self.conns.at_mut(conn);
        let said = match item {
            SaslItem::Error(error) => {
                slot.place.error = error;
                &[]
            }
            SaslItem::Mechanism(name) => {
                slot.session.offered.add(name.as_bytes());
                return Ok(());
            }
            SaslItem::Message(text) => text.map_or(&[][..], |text| text.as_bytes()),
            SaslItem::Bytes(bytes) if slot.place.error.is_none() => {
                return self.read_message(conn, bytes).map_err(Disconnect::Authentication);
            }
            SaslItem::Bytes(_) => return Ok(()),
            SaslItem::Lifetime(ms) => {
                slot.session.lifetime_ms = ms;
                return Ok(());
            }
        };
        let refused = !slot.place.error.is_none();
        if let Some(sasl) = self.sasl.as_mut().filter(|_| refused) {
            sasl.note_said(said);
        }
        Ok(())
    }

    /// Reads what the broker says by the mechanism.
    fn read_message(
        &mut self,
        conn: Ix<Conn>,
        message: AuthBytes<'_>,
    ) -> Result<(), AuthenticationFailure> {
        #[cfg(feature = "oauthbearer")]
        let tokens = self.has_tokens();
        let slot = self.conns.at_mut(conn);
        let State::Authenticating(step) = slot.state else {
            return Ok(());
        };
        #[cfg(feature = "oauthbearer")]
        if tokens && step == Step::First {
            slot.session.refused = !message.bytes.is_empty();
        }
        #[cfg(feature = "_scram")]
        if step == Step::Verify {
            verify(message.bytes, &slot.session.signature)?;
            slot.session.verified = true;
        } else if step == Step::First && self.sasl.as_ref().is_some_and(Sasl::is_scram) {
            if message.cut {
                return Err(AuthenticationFailure::Malformed);
            }
            // Judged here, though it is needed later: nothing is done for one that cannot be.
            let mut salt = Salt::NONE;
            ServerFirst::read(message.bytes, slot.session.nonce.as_bytes(), &mut salt)?;
            slot.session.message = message.bytes.len() as u16;
            let head = self.head_of(conn);
            if message.bytes.len() > head.len() {
                return Err(AuthenticationFailure::TooLong);
            }
            put(head, message.bytes);
        }
        #[cfg(not(feature = "_scram"))]
        let _ = (step, message);
        Ok(())
    }

    /// An answer is complete: goes on to the next step, or says why not.
    pub(super) fn finish_step(&mut self, conn: Ix<Conn>) -> Result<(), Disconnect> {
        let slot = self.conns.at_mut(conn);
        let State::Authenticating(step) = slot.state else {
            return Ok(());
        };
        let failure = match slot.place.error {
            ErrorCode::NONE => match self.step_after(conn, step) {
                Ok(Some(step)) => {
                    self.conns.at_mut(conn).state = State::Authenticating(step);
                    return Ok(());
                }
                Ok(None) => {
                    self.authenticated(conn);
                    return Ok(());
                }
                Err(failure) => failure,
            },
            ErrorCode::UNSUPPORTED_SASL_MECHANISM => {
                AuthenticationFailure::Mechanism(slot.session.offered)
            }
            ErrorCode::SASL_AUTHENTICATION_FAILED => AuthenticationFailure::Refused,
            ErrorCode::ILLEGAL_SASL_STATE => AuthenticationFailure::NotSasl,
            error => AuthenticationFailure::Error(error),
        };
        tell!(warn, "not authenticated: {}", self.authentication_message().unwrap_or_default());
        #[cfg(feature = "oauthbearer")]
        if step != Step::Handshake {
            self.drop_refused_token();
        }
        Err(Disconnect::Authentication(failure))
    }

    /// What follows a step that the broker agreed to: none after the last one.
    fn step_after(
        &self,
        conn: Ix<Conn>,
        step: Step,
    ) -> Result<Option<Step>, AuthenticationFailure> {
        let session = &self.conns.at(conn).session;
        let _ = session;
        Ok(match step {
            Step::Handshake => Some(Step::First),
            #[cfg(feature = "oauthbearer")]
            Step::First if session.refused => Some(Step::Farewell),
            #[cfg(feature = "_scram")]
            Step::First if self.sasl.as_ref().is_some_and(Sasl::is_scram) => Some(Step::Prove),
            #[cfg(feature = "_scram")]
            Step::Verify if !session.verified => return Err(AuthenticationFailure::Signature),
            #[cfg(feature = "oauthbearer")]
            Step::Farewell => return Err(AuthenticationFailure::Refused),
            _ => None,
        })
    }

    /// Wipes what a request said, once it is written or will not be.
    pub(super) fn wipe_request(&mut self, conn: Ix<Conn>, api: ApiKey) {
        if api == ApiKey::SASL_AUTHENTICATE {
            #[cfg(feature = "oauthbearer")]
            {
                self.conns.at_mut(conn).session.cut = 0;
            }
            wipe(self.head_of(conn));
        }
    }
}
