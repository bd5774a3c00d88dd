//! What went wrong last: the second half of a sentence of which a cause is the first.

use core::fmt;

#[cfg(doc)]
use crate::{Cause, Producer};
use crate::{Disconnect, error::SECURED, wire::ErrorCode};

/// What stood in the way last: told beside a [`Cause`] that does not say it itself, such as
/// [`Cause::DeliveryTimeout`].
///
/// It is about the partition, since a batch of it was last acknowledged, and about its leader as it is
/// now: what keeps one batch waiting keeps those behind it. It is no proof of anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)] // from 1, so that none is 0, and an empty slot all zeros
pub enum LastError {
    /// The leader answered a batch with this error.
    Answer(ErrorCode) = 1,
    /// The brokers name no leader for the partition, with this error; [`ErrorCode::NONE`] where they gave
    /// none.
    NoLeader(ErrorCode),
    /// The brokers answer the question for the topic with this error. Told by
    /// [`Producer::waiting`] alone, as no record is taken for such a topic.
    Topic(ErrorCode),
    /// The leader is said to listen on this port, which is none of TCP's. It is its
    /// `advertised.listeners` that say so.
    Port(i32),
    /// The leader is said to be at a host without a name, or with one that is longer than the lent
    /// memory allows; nobody can dial it.
    Host,
    /// The connection to the leader ended, or could not be had.
    Connection(Loss),
    /// The leader wants to be left alone for a while: a quota is exceeded (KIP-219).
    Throttled,
    /// There is no producer id yet; a broker that was asked for one answered with this error,
    /// [`ErrorCode::NONE`] where none did.
    NoProducerId(ErrorCode),
}

/// How a connection was lost, or not had, without what is known beside: that is told by
/// [`Disconnect`], once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[repr(u8)] // from 1, so that none is 0, and an empty slot all zeros
pub enum Loss {
    /// [`Disconnect::Unresolved`].
    Unresolved = 1,
    /// [`Disconnect::Refused`].
    Refused,
    /// [`Disconnect::Exhausted`].
    Exhausted,
    /// [`Disconnect::SetupTimeout`].
    SetupTimeout,
    /// [`Disconnect::Eof`].
    Eof,
    /// [`Disconnect::HungUp`].
    HungUp,
    /// [`Disconnect::Mute`].
    Mute,
    /// [`Disconnect::Io`].
    Io,
    /// [`Disconnect::Tls`].
    Tls,
    /// [`Disconnect::RequestTimedOut`].
    RequestTimedOut,
    /// [`Disconnect::Malformed`].
    Malformed,
    /// [`Disconnect::Unexpected`].
    Unexpected,
    /// [`Disconnect::Incomplete`].
    Incomplete,
    /// [`Disconnect::UnsupportedVersion`].
    UnsupportedVersion,
    /// [`Disconnect::ProducerIdRefused`].
    ProducerIdRefused,
    /// [`Disconnect::Authentication`].
    #[cfg(feature = "_sasl")]
    Authentication(crate::AuthenticationFailure),
}

impl Disconnect {
    /// How the connection was lost; `None` where it was this producer's own wish.
    #[must_use]
    pub const fn loss(&self) -> Option<Loss> {
        if self.is_wished() {
            return None;
        }
        // In the order of both, so that there is nothing to look up.
        Some(match self {
            Self::Unresolved => Loss::Unresolved,
            Self::Refused => Loss::Refused,
            Self::Exhausted => Loss::Exhausted,
            Self::SetupTimeout => Loss::SetupTimeout,
            Self::Eof => Loss::Eof,
            Self::HungUp => Loss::HungUp,
            Self::Mute => Loss::Mute,
            Self::Io => Loss::Io,
            Self::Tls => Loss::Tls,
            Self::RequestTimedOut => Loss::RequestTimedOut,
            Self::Malformed(_) => Loss::Malformed,
            Self::Unexpected { .. } => Loss::Unexpected,
            Self::Incomplete => Loss::Incomplete,
            Self::UnsupportedVersion { .. } => Loss::UnsupportedVersion,
            #[cfg(feature = "_sasl")]
            Self::Authentication(failure) => Loss::Authentication(*failure),
            Self::ProducerIdRefused(_) | Self::Idle | Self::Replaced | Self::Closed => {
                Loss::ProducerIdRefused
            }
        })
    }

    /// Whether it was this producer's own wish.
    pub(crate) const fn is_wished(&self) -> bool {
        matches!(self, Self::Idle | Self::Replaced | Self::Closed)
    }
}

impl fmt::Display for LastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(code) => write!(f, "{code}"),
            Self::NoLeader(ErrorCode::NONE) => f.write_str("the partition has no leader"),
            Self::NoLeader(code) => write!(f, "the partition has no leader: {code}"),
            Self::Topic(code) => write!(f, "the topic is not known: {code}"),
            Self::Port(port) => {
                write!(f, "the leader's advertised.listeners name port {port}, which is none")
            }
            Self::Host => {
                f.write_str("the leader's advertised.listeners name no host that can be dialled")
            }
            Self::Connection(loss) => write!(f, "the leader's connection: {loss}"),
            Self::Throttled => f.write_str("the leader throttles this client"),
            Self::NoProducerId(ErrorCode::NONE) => f.write_str("no producer id yet"),
            Self::NoProducerId(code) => write!(f, "no producer id yet: {code}"),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unresolved => "the address does not resolve",
            Self::Refused => "the connection could not be set up",
            Self::Exhausted => "the machine has nothing left for another connection",
            Self::SetupTimeout => "the connection was not set up in time",
            Self::Eof => "the peer closed the connection",
            Self::HungUp => {
                return write!(f, "the peer closed the connection rather than answer: {SECURED}");
            }
            Self::Mute => return write!(f, "the peer says nothing: {SECURED}"),
            Self::Io => "reading or writing failed",
            Self::Tls => "TLS failed",
            Self::RequestTimedOut => "a request was not answered in time",
            Self::Malformed => "the peer does not speak Kafka",
            Self::Unexpected => "the peer broke Kafka's protocol",
            Self::Incomplete => "an answer left out a partition that was asked about",
            Self::UnsupportedVersion => "no version in common with the broker",
            Self::ProducerIdRefused => "the broker gave no producer id",
            #[cfg(feature = "_sasl")]
            Self::Authentication(failure) => {
                return write!(f, "not authenticated: {failure}");
            }
        })
    }
}
