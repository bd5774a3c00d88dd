//! Who a connection speaks for: how far it is in saying so, and for how long that is good.

#[cfg(feature = "_scram")]
use crate::sasl::{Hashed, scram::Nonce};
use crate::{Instant, Mechanisms, time::Micros};

/// How far a connection is in authenticating. Each step is one request, or none while something is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    /// Which mechanism is being said.
    Handshake,
    /// The mechanism's first message: all that PLAIN and OAUTHBEARER have to say.
    First,
    /// SCRAM: the broker's first message is in the window for heads, and is answered once the keys are there.
    #[cfg(feature = "_scram")]
    Prove,
    /// SCRAM: it is answered.
    #[cfg(feature = "_scram")]
    Verify,
    /// OAUTHBEARER: the token is refused, which the broker wants to hear of before it says so.
    #[cfg(feature = "oauthbearer")]
    Farewell,
}

/// A connection's session.
pub(crate) struct Session {
    /// When it was authenticated last; zero for never.
    pub(crate) begun: Instant,
    /// From when on it is to be authenticated anew, before anything else; zero for never.
    renew: Instant,
    /// From when on the broker takes nothing but that; zero for never.
    expires: Instant,
    /// Bytes of the request's head before the token, which is lent.
    #[cfg(feature = "oauthbearer")]
    pub(crate) cut: u32,
    /// What the answer that is being read told of the session's length, in milliseconds.
    pub(crate) lifetime_ms: i64,
    /// The broker had something to say to a token: that it is refused.
    #[cfg(feature = "oauthbearer")]
    pub(crate) refused: bool,
    /// The mechanisms that the broker named.
    pub(crate) offered: Mechanisms,
    /// Bytes of the broker's first message.
    #[cfg(feature = "_scram")]
    pub(crate) message: u16,
    #[cfg(feature = "_scram")]
    pub(crate) nonce: Nonce,
    /// What the broker is to sign with.
    #[cfg(feature = "_scram")]
    pub(crate) signature: Hashed,
    /// It did.
    #[cfg(feature = "_scram")]
    pub(crate) verified: bool,
}

impl Session {
    pub(crate) const EMPTY: Self = Self {
        begun: Instant::ZERO,
        renew: Instant::ZERO,
        expires: Instant::ZERO,
        #[cfg(feature = "oauthbearer")]
        cut: 0,
        lifetime_ms: 0,
        #[cfg(feature = "oauthbearer")]
        refused: false,
        offered: Mechanisms::NONE,
        #[cfg(feature = "_scram")]
        message: 0,
        #[cfg(feature = "_scram")]
        nonce: Nonce::NONE,
        #[cfg(feature = "_scram")]
        signature: Hashed::NONE,
        #[cfg(feature = "_scram")]
        verified: false,
    };

    /// Begins: for so many milliseconds, of which the last twentieth, or as much as `early` says of it in
    /// 1,024ths, is left for authenticating anew. A number that cannot be is none.
    ///
    /// Brokers take no more than one a second (KIP-368).
    pub(crate) fn begin(&mut self, now: Instant, early: u32) {
        // As much as 32 bits hold, which is seven weeks.
        let lifetime = u32::try_from(self.lifetime_ms.min(u32::MAX.into())).unwrap_or(0);
        // Never zero, which stands for never.
        let now = now.max(Instant::from_micros(1));
        *self = Self::EMPTY;
        self.begun = now;
        if lifetime > 0 {
            // In 1,024ths, since a machine of 32 bits would take a kilobyte of flash to divide.
            let share = (lifetime >> 10).saturating_mul(52 + early.min(1_023) / 10);
            let until = lifetime.saturating_sub(share).max(1_000);
            let at = |ms: u32| now.later(Micros(u64::from(ms) * 1_000));
            self.renew = at(until);
            self.expires = at(lifetime);
        }
    }

    /// The nonce, of a mechanism that has one.
    #[allow(clippy::unused_self, reason = "it has none where there is no SCRAM")]
    pub(crate) const fn nonce(&self) -> &[u8] {
        #[cfg(feature = "_scram")]
        return self.nonce.as_bytes();
        #[cfg(not(feature = "_scram"))]
        &[]
    }

    /// Whether the broker takes nothing but another authentication.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.expires > Instant::ZERO && self.expires <= now
    }

    /// Whether it is to be authenticated anew before anything else is sent.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.renew > Instant::ZERO && self.renew <= now
    }

    /// From when on it may be authenticated anew, where it is over before that.
    pub(crate) fn rest(&self, now: Instant) -> Option<Instant> {
        (self.is_over(now) && !self.is_due(now)).then_some(self.renew)
    }
}

impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Session")
            .field("begun", &self.begun)
            .field("renew", &self.renew)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}
