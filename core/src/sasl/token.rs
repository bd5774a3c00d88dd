//! OAUTHBEARER: the token that there is, and when another one is wanted.

use core::{fmt, time::Duration};

use super::{Mechanism, Sasl, SaslError};
use crate::{Instant, time::Micros, wire::Writer};

/// A token, and for how long it is good. Shown without itself.
#[derive(Clone, Copy)]
#[allow(clippy::exhaustive_structs)] // built by literal
pub struct Token<'a> {
    /// The token, as it is to be sent.
    pub text: &'a str,
    /// Extensions by name and value (KIP-342), such as `logicalCluster`.
    pub extensions: &'a [(&'a str, &'a str)],
    /// For how long from now on.
    pub lifetime: Duration,
}

impl Token<'_> {
    /// Checks that it can be said, and says it: a SASL client's first message (RFC 7628).
    fn write(&self, w: &mut Writer<'_>) -> Result<(), SaslError> {
        let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if self.text.is_empty() || !self.text.bytes().all(of_token) {
            return Err(SaslError::Token);
        }
        w.bytes(b"n,,\x01auth=Bearer ");
        w.bytes(self.text.as_bytes());
        w.bytes(b"\x01");
        for (name, value) in self.extensions {
            let named = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
            let of_value = |byte: u8| (b' '..=b'~').contains(&byte) || b"\t\r\n".contains(&byte);
            if !named || *name == "auth" || !value.bytes().all(of_value) {
                return Err(SaslError::Extension);
            }
            w.bytes(name.as_bytes());
            w.bytes(b"=");
            w.bytes(value.as_bytes());
            w.bytes(b"\x01");
        }
        w.bytes(b"\x01");
        Ok(())
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// Whether the caller is to be asked for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    /// It was given the last one that was wanted.
    No,
    /// It is to be told.
    Due,
    /// It was told.
    Told,
    /// It had none; not before this.
    Later(Instant),
}

/// What is known of tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// The last one is good until then.
    expires: Instant,
    /// From then on another one is wanted.
    stale: Instant,
    asking: Asking,
}

impl Tokens {
    pub(crate) const NONE: Self =
        Self { expires: Instant::ZERO, stale: Instant::ZERO, asking: Asking::No };

    /// Whether there is a token to authenticate by now. If none, or an old one, the caller is asked.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        if now < self.stale {
            return true;
        }
        match self.asking {
            Asking::No => self.asking = Asking::Due,
            Asking::Later(at) if at <= now => self.asking = Asking::Due,
            // Better an old one than none.
            Asking::Later(_) => return now < self.expires,
            Asking::Due | Asking::Told => {}
        }
        false
    }

    /// Whether the caller is to be told that one is wanted.
    pub(crate) fn has_output(&self) -> bool {
        self.asking == Asking::Due
    }

    /// The same, and it is told.
    pub(crate) fn take_output(&mut self) -> bool {
        let due = self.has_output();
        if due {
            self.asking = Asking::Told;
        }
        due
    }

    /// The caller has none.
    pub(crate) fn refuse(&mut self, until: Instant) {
        self.asking = Asking::Later(until);
    }

    /// The caller may be asked again.
    pub(crate) fn end_refusal(&mut self) {
        if matches!(self.asking, Asking::Later(_)) {
            self.asking = Asking::No;
        }
    }

    /// The broker did not like the last one: it is not sent again.
    pub(crate) fn drop_refused(&mut self) {
        self.expires = Instant::ZERO;
        self.stale = Instant::ZERO;
    }

    /// When to ask again.
    pub(crate) const fn due(&self) -> Instant {
        match self.asking {
            Asking::Later(at) => at,
            Asking::No | Asking::Due | Asking::Told => Instant::NEVER,
        }
    }
}

impl Sasl<'_> {
    /// Takes a token over.
    pub(crate) fn set_token(&mut self, now: Instant, token: &Token<'_>) -> Result<(), SaslError> {
        if self.mechanism() != Mechanism::OAuthBearer {
            return Err(SaslError::NoTokenWanted);
        }
        let mut measure = Writer::new(&mut []);
        token.write(&mut measure)?;
        let len = measure.len();
        if len > 65_535 {
            return Err(SaslError::TooLong);
        }
        token.write(&mut Writer::new(self.make_room(len)?))?;
        self.secret = len as u32;
        let lifetime = Micros::of(token.lifetime);
        self.tokens = Tokens {
            expires: now.later(lifetime),
            // As Java has it: sasl.login.refresh.window.factor.
            // (In 1,024ths, since a machine of 32 bits would take a kilobyte of flash to divide.)
            stale: now.later(Micros((lifetime.0 >> 10).saturating_mul(819))),
            asking: Asking::No,
        };
        Ok(())
    }
}
