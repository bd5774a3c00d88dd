//! Why a client is not authenticated.

use core::fmt;

use crate::wire::ErrorCode;

/// Mechanisms that a listener has, as far as their names are known here.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Mechanisms(u8);

impl Mechanisms {
    const NAMES: [&'static str; 5] =
        ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"];
    const OTHERS: u8 = 1 << 7;
    pub(crate) const NONE: Self = Self(0);

    pub(crate) fn add(&mut self, name: &[u8]) {
        let known = Self::NAMES.iter().position(|known| known.as_bytes() == name);
        self.0 |= known.map_or(Self::OTHERS, |place| 1 << place);
    }
}

impl fmt::Display for Mechanisms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = Self::NAMES.iter().enumerate().filter(|(place, _)| self.0 & (1 << place) != 0);
        let named = named.map(|(_, name)| *name);
        let others = (self.0 & Self::OTHERS != 0).then_some("others");
        let mut between = "";
        for name in named.chain(others) {
            write!(f, "{between}{name}")?;
            between = ", ";
        }
        f.write_str(if between.is_empty() { "none" } else { "" })
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Mechanisms {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{}", defmt::Display2Format(self));
    }
}

impl fmt::Debug for Mechanisms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Why a broker did not authenticate this client, or was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)] // from 1, so that none is 0, and an empty slot all zeros
pub enum AuthenticationFailure {
    /// The listener does not have the mechanism; it has these.
    Mechanism(Mechanisms) = 1,
    /// The user's name or the password is wrong, the token is, or the principal changed.
    /// [`Producer::authentication_message`](crate::Producer::authentication_message) has the broker's words.
    Refused,
    /// The listener has no SASL.
    NotSasl,
    /// The broker has no SaslAuthenticate (KIP-152): it is older than Kafka 1.0.
    NotOffered,
    /// The broker answered with this error.
    Error(ErrorCode),
    /// The broker closed the connection in the middle of it.
    Closed,
    /// The broker closed the connection after the session was over (`connections.max.reauth.ms`, KIP-368).
    SessionOver,
    /// No token was given in time.
    NoToken,
    /// There is no entropy for a nonce.
    NoEntropy,
    /// The request does not fit the window for requests' heads: user name or password are too long.
    TooLong,
    /// SCRAM: the broker's message is none.
    Malformed,
    /// SCRAM: the broker's nonce does not begin with this client's, or is longer than 128 bytes.
    Nonce,
    /// SCRAM: the broker's salt is empty, or longer than 64 bytes.
    Salt,
    /// SCRAM: the broker wants so few iterations that the password would lie open, or so many that they
    /// would never end: 4,096 to 16,384 are taken.
    Iterations,
    /// SCRAM: the broker's signature is wrong: it does not know the password, and is not what it says it is.
    Signature,
}

impl fmt::Display for AuthenticationFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mechanism(theirs) => {
                write!(f, "the listener has not the mechanism that sasl.mechanism names: it has {theirs}")
            }
            Self::Refused => f.write_str(
                "SASL_AUTHENTICATION_FAILED (58): look at sasl.username and sasl.password, or at the token",
            ),
            Self::NotSasl => f.write_str(
                "the listener has no SASL: look at security.protocol, and at the port",
            ),
            Self::NotOffered => f.write_str("the broker has no SaslAuthenticate: it is older than Kafka 1.0"),
            Self::Error(code) => write!(f, "{code}"),
            Self::Closed => f.write_str("the broker closed the connection in the middle of it"),
            Self::SessionOver => f.write_str("the session was over (connections.max.reauth.ms)"),
            Self::NoToken => f.write_str("no token was given in time"),
            Self::NoEntropy => f.write_str("there is no entropy for a nonce"),
            Self::TooLong => f.write_str("the request head's memory is too small for sasl.username and sasl.password"),
            Self::Malformed => f.write_str("the broker's SCRAM message is none"),
            Self::Nonce => f.write_str("the broker's SCRAM nonce does not go on from this client's"),
            Self::Salt => f.write_str("the broker's SCRAM salt: expected 1 to 64 bytes"),
            Self::Iterations => f.write_str("the broker's SCRAM iterations: expected 4096 to 16384"),
            Self::Signature => f.write_str(
                "the broker's SCRAM signature is wrong: it does not know the password, so that it is not to be trusted",
            ),
        }
    }
}
