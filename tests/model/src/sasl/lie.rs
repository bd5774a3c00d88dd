//! What a hostile node says of SASL.

use ottla_core::wire::ErrorCode;

use crate::random::Random;

/// A lie about SASL. It waits on its connection for the message that it is about; what else there is to
/// say is said truly, so that a client that overlooks it comes through with all the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslLie {
    /// SaslHandshake: this error, and so many mechanisms that nobody has.
    Mechanisms(ErrorCode, u32),
    /// SaslAuthenticate: this error, with words of so many bytes.
    Refuse(ErrorCode, u32),
    /// SaslAuthenticate: so many bytes that mean nothing.
    Noise(u32),
    /// SaslAuthenticate: the session lasts so many milliseconds.
    Lifetime(i64),
    /// SCRAM: the client is in at its first message.
    AtOnce,
    /// SCRAM: so many iterations.
    Iterations(u32),
    /// SCRAM: the client's own nonce, with nothing behind it.
    NonceNotExtended,
    /// SCRAM: a nonce that does not begin with the client's.
    OtherNonce,
    /// SCRAM: the client's nonce and so many bytes more.
    LongNonce(u32),
    /// SCRAM: a salt of so many bytes.
    Salt(u32),
    /// SCRAM: a salt that is no base64.
    SaltNotBase64,
    /// SCRAM: the client is in, by the signature of who does not know the password.
    WrongSignature,
    /// SCRAM: the client is in, and there is no signature.
    NoSignature,
    /// SCRAM: the client is in, by a signature that is no base64.
    SignatureNotBase64,
    /// SCRAM: `e=`, in an answer without an error.
    ServerError,
}

impl SaslLie {
    /// A word for each kind, as in [`SaslLie::KINDS`].
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Mechanisms(..) => "hostile: SASL mechanisms",
            Self::Refuse(..) => "hostile: SASL refusal",
            Self::Noise(_) => "hostile: SASL noise",
            Self::Lifetime(_) => "hostile: SASL lifetime",
            Self::AtOnce => "hostile: SCRAM in at once",
            Self::Iterations(_) => "hostile: SCRAM iterations",
            Self::NonceNotExtended => "hostile: SCRAM nonce not extended",
            Self::OtherNonce => "hostile: SCRAM other nonce",
            Self::LongNonce(_) => "hostile: SCRAM long nonce",
            Self::Salt(_) => "hostile: SCRAM salt",
            Self::SaltNotBase64 => "hostile: SCRAM salt not base64",
            Self::WrongSignature => "hostile: SCRAM wrong signature",
            Self::NoSignature => "hostile: SCRAM no signature",
            Self::SignatureNotBase64 => "hostile: SCRAM signature not base64",
            Self::ServerError => "hostile: SCRAM server error",
        }
    }

    /// All kinds.
    pub const KINDS: [&'static str; 15] = [
        "hostile: SASL lifetime",
        "hostile: SASL mechanisms",
        "hostile: SASL noise",
        "hostile: SASL refusal",
        "hostile: SCRAM in at once",
        "hostile: SCRAM iterations",
        "hostile: SCRAM long nonce",
        "hostile: SCRAM no signature",
        "hostile: SCRAM nonce not extended",
        "hostile: SCRAM other nonce",
        "hostile: SCRAM salt",
        "hostile: SCRAM salt not base64",
        "hostile: SCRAM server error",
        "hostile: SCRAM signature not base64",
        "hostile: SCRAM wrong signature",
    ];

    /// Whether it is about SaslHandshake; the others are about SaslAuthenticate.
    pub(crate) const fn is_about_handshake(&self) -> bool {
        matches!(self, Self::Mechanisms(..))
    }

    /// Whether no client may go on after it. A salt or a nonce that is merely long it may take, and
    /// whatever is said of the session.
    pub(crate) const fn must_be_refused(&self) -> bool {
        match self {
            Self::Mechanisms(error, _) | Self::Refuse(error, _) => !error.is_none(),
            Self::Iterations(iterations) => {
                *iterations < super::LEAST_ITERATIONS || *iterations > 1_000_000
            }
            Self::Salt(bytes) => *bytes == 0,
            Self::Lifetime(_) | Self::LongNonce(_) | Self::Noise(_) => false,
            Self::AtOnce
            | Self::NonceNotExtended
            | Self::OtherNonce
            | Self::SaltNotBase64
            | Self::WrongSignature
            | Self::NoSignature
            | Self::SignatureNotBase64
            | Self::ServerError => true,
        }
    }

    /// Makes something up for SaslHandshake or for SaslAuthenticate; `None` is the truth.
    pub(crate) fn invent(dice: &mut Random, handshake: bool) -> Option<Self> {
        if handshake {
            let many = if dice.next().is_multiple_of(2) { 0 } else { 1_000 };
            let error = match dice.next() % 4 {
                0 => ErrorCode(33),
                1 => ErrorCode(34),
                2 => ErrorCode(999),
                // It would hardly come to an exchange otherwise.
                _ => return None,
            };
            return Some(Self::Mechanisms(error, many));
        }
        Some(match dice.next() % 20 {
            0 => Self::Refuse(ErrorCode(58), 20_000),
            1 => Self::Refuse(ErrorCode(999), 0),
            2 => Self::Noise(u32::try_from(dice.next() % 2_000).unwrap_or(0)),
            3 => Self::Lifetime(i64::MAX),
            4 => Self::Lifetime(-1),
            5 => Self::Lifetime(1),
            6 => Self::AtOnce,
            7 => Self::Iterations(1),
            8 => Self::Iterations(1_000_000_000),
            9 => Self::NonceNotExtended,
            10 => Self::OtherNonce,
            11 => Self::LongNonce(3_000),
            12 => Self::Salt(0),
            13 => Self::Salt(3_000),
            14 => Self::SaltNotBase64,
            15 => Self::WrongSignature,
            16 => Self::NoSignature,
            17 => Self::SignatureNotBase64,
            18 => Self::ServerError,
            _ => return None,
        })
    }
}

/// Lies that wait on a connection.
pub(super) struct Lies<'a> {
    pub(super) waiting: &'a mut Vec<SaslLie>,
    /// The kind of one that was told and that nobody may believe.
    pub(super) told: &'a mut Option<&'static str>,
}

impl Lies<'_> {
    /// Tells the first one that fits.
    pub(super) fn take(&mut self, fits: impl Fn(&SaslLie) -> bool) -> Option<SaslLie> {
        let at = self.waiting.iter().position(fits)?;
        let lie = self.waiting.remove(at);
        if lie.must_be_refused() {
            *self.told = Some(lie.kind());
        }
        Some(lie)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn dice_come_to_every_kind() {
        let mut dice = Random::new(1);
        let lies = (0..2_000).filter_map(|i| SaslLie::invent(&mut dice, i % 3 == 0));
        let kinds: BTreeSet<_> = lies.map(|lie| lie.kind()).collect();
        assert_eq!(kinds, SaslLie::KINDS.into_iter().collect());
    }
}
