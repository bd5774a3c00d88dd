//! Why there is no TLS connection, or no more.

use core::fmt;

use embedded_io::ErrorKind;
use embedded_tls::{TlsError, alert::AlertDescription};
use ottla_core::Disconnect;

/// Why a connection could not be made, or ended. Its words say what was expected and where to look.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The certificate of whoever is to be trusted cannot be read.
    Authority(webpki::Error),
    /// The network did not connect.
    Dial(Disconnect),
    /// The host is neither a DNS name nor an IP address.
    NoName,
    /// It is not known what time it is.
    NoTime,
    /// There is no entropy.
    NoEntropy,
    /// The broker's certificate is refused.
    Certificate(webpki::Error),
    /// The handshake ended, and the peer has not shown that it has the key of a certificate.
    Unproven,
    /// The broker refuses the handshake.
    Refused(AlertDescription),
    /// The peer closed the connection in the handshake.
    Closed,
    /// A message of the broker's is larger than the buffer for what is received.
    TooLarge,
    /// The broker ended the session with an alert.
    Alert,
    /// The peer closed the connection.
    Ended,
    /// Reading or writing failed.
    Io(ErrorKind),
    /// What came is no TLS, or somebody on the way has put something in.
    NotTls,
    /// Anything else.
    Tls(TlsError),
}

impl Failure {
    /// What an error means in a handshake.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever else there is has no better words"
    )]
    pub(crate) const fn in_handshake(error: TlsError) -> Self {
        match error {
            TlsError::IoError | TlsError::ConnectionClosed => Self::Closed,
            TlsError::HandshakeAborted(_, alert) => Self::Refused(alert),
            TlsError::InsufficientSpace => Self::TooLarge,
            TlsError::Io(ErrorKind::InvalidData) | TlsError::InvalidRecord => Self::NotTls,
            TlsError::Io(kind) => Self::Io(kind),
            error => Self::Tls(error),
        }
    }

    /// What it means later on.
    #[expect(clippy::wildcard_enum_match_arm, reason = "as above")]
    pub(crate) const fn in_session(error: TlsError) -> Self {
        match error {
            TlsError::IoError | TlsError::ConnectionClosed => Self::Ended,
            TlsError::InternalError => Self::Alert,
            TlsError::InsufficientSpace => Self::TooLarge,
            TlsError::Io(ErrorKind::InvalidData) | TlsError::InvalidRecord => Self::NotTls,
            TlsError::Io(kind) => Self::Io(kind),
            error => Self::Tls(error),
        }
    }

    /// What the producer is told.
    pub(crate) const fn cause(&self) -> Disconnect {
        match self {
            Self::Dial(cause) => *cause,
            Self::Ended => Disconnect::Eof,
            Self::Io(_) => Disconnect::Io,
            Self::Authority(_)
            | Self::NoName
            | Self::NoTime
            | Self::NoEntropy
            | Self::Certificate(_)
            | Self::Unproven
            | Self::Refused(_)
            | Self::Closed
            | Self::TooLarge
            | Self::Alert
            | Self::NotTls
            | Self::Tls(_) => Disconnect::Tls,
        }
    }
}

impl core::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused = "the broker's certificate is refused: ";
        match self {
            Self::Authority(error) => write!(f, "the authority's certificate is none: {error:?}"),
            Self::Dial(cause) => write!(f, "not connected: {cause}"),
            Self::NoName => f.write_str("the host is no name that a certificate can be for"),
            Self::NoTime => {
                f.write_str("the time is not known, so that no certificate can be believed")
            }
            Self::NoEntropy => f.write_str("there is no entropy, so that nothing can be kept secret"),
            Self::Certificate(webpki::Error::UnknownIssuer) => {
                write!(f, "{refused}nobody who is trusted has signed it")
            }
            Self::Certificate(webpki::Error::CertNotValidForName(_)) => {
                write!(f, "{refused}it is not for the host that was dialled")
            }
            Self::Certificate(
                webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. },
            ) => {
                write!(f, "{refused}its time is over, or has not come, or the clock is wrong")
            }
            Self::Certificate(error) => write!(f, "{refused}{error:?}"),
            Self::Unproven => f.write_str("the peer has not shown that it is the broker"),
            Self::Refused(AlertDescription::ProtocolVersion) => {
                f.write_str("the broker has no TLS 1.3: look at ssl.enabled.protocols there")
            }
            Self::Refused(AlertDescription::HandshakeFailure) => f.write_str(
                "no cipher suite, curve or kind of key in common: TLS_AES_128_GCM_SHA256 and P-256 are needed",
            ),
            Self::Refused(alert) => write!(f, "the broker refuses the handshake: {alert:?}"),
            Self::Closed => f.write_str(
                "the peer closed the connection in the TLS handshake: is that a listener with TLS?",
            ),
            Self::TooLarge => f.write_str(
                "what the broker sends does not fit the buffer; with mutual TLS its session ticket holds this client's \
                 certificate",
            ),
            Self::Alert => f.write_str(
                "the broker ended the session with an alert; where that is the first that it says, \
                 it refuses this client's certificate, or wants one",
            ),
            Self::Ended => f.write_str("the broker closed the connection"),
            Self::Io(kind) => write!(f, "reading or writing failed: {kind:?}"),
            Self::NotTls => {
                f.write_str("what came is no TLS, or somebody on the way has put something in")
            }
            Self::Tls(error) => write!(f, "TLS failed: {error:?}"),
        }
    }
}
