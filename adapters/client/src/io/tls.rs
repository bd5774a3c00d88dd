//! TLS over a connection, without waiting.
//!
//! *Encrypted is sent.* A number that [`Write::write_vectored`] returns counts bytes that were encrypted, whether the
//! socket has taken them or not: from then on they cannot be taken back. Nothing is encrypted while earlier
//! ciphertext waits, so that what is counted too early is a portion at most; too late it is never
//! (decision 52).

use core::fmt;
use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    sync::Arc,
};

use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, InvalidMessage,
    pki_types::ServerName,
};

use crate::{
    io::{
        link_error::{LinkError, TlsError},
        network::Link,
    },
    security::no_name,
};

/// Bytes that are encrypted at a time. With 64 KiB, which is what rustls has by default, a request of six batches is
/// written in two pieces, of which each wakes the peer; here two such requests go in one.
const PORTION: usize = 256 * 1_024;

/// A connection with TLS.
pub(crate) struct TlsLink<L: Link> {
    link: L,
    tls: ClientConnection,
    host: Box<str>,
    /// What is to be told once all that came before it was read, or once what was encrypted was counted.
    failed: Option<io::Error>,
}

/// The peer is told that this is the end, so that it can tell it from one that somebody else makes; and what was
/// encrypted leaves, as far as the socket takes it.
impl<L: Link> Drop for TlsLink<L> {
    fn drop(&mut self) {
        if !self.tls.is_handshaking() {
            self.tls.send_close_notify();
            let _ = self.write_out();
        }
    }
}

impl<L: Link> fmt::Debug for TlsLink<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsLink").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Reads from a connection in one of its two ways.
struct Source<'a, L> {
    link: &'a mut L,
    read: fn(&mut L, &mut [u8]) -> io::Result<usize>,
}

impl<L> Read for Source<'_, L> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (self.read)(self.link, into)
    }
}

impl<L: Link> TlsLink<L> {
    /// TLS with this host, over the connection that `dial` begins, which need not be open yet. Nobody is dialled whom no
    /// certificate can be for.
    pub(crate) fn new(
        config: &Arc<ClientConfig>,
        host: &str,
        dial: impl FnOnce() -> Result<L, LinkError>,
    ) -> Result<Self, LinkError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            let text = format!("{}: bootstrap.servers, advertised.listeners", no_name(host));
            LinkError::broken(TlsError::stream_error(text))
        })?;
        let mut tls = ClientConnection::new(Arc::clone(config), name)
            .map_err(|error| LinkError::broken(TlsError::stream_error(error.to_string())))?;
        tls.set_buffer_limit(Some(PORTION));
        Ok(Self { link: dial()?, tls, host: host.into(), failed: None })
    }

    pub(crate) const fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// Writes ciphertext until there is none.
    fn write_out(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.link) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads ciphertext once, and takes it apart. False at the end of the stream.
    fn read_in(&mut self, read: fn(&mut L, &mut [u8]) -> io::Result<usize>) -> io::Result<bool> {
        let mut source = Source { link: &mut self.link, read };
        let more = loop {
            match self.tls.read_tls(&mut source) {
                Ok(len) => break len > 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        if let Err(error) = self.tls.process_new_packets() {
            // The peer is told why, as far as it takes it.
            let _ = self.write_out();
            self.failed = Some(io::Error::new(ErrorKind::InvalidData, error));
        }
        Ok(more)
    }

    fn read_with(
        &mut self,
        window: &mut [u8],
        read: fn(&mut L, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        for has_read in [false, true] {
            match self.tls.reader().read(window) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Without close_notify as with it: what was whole counts, and the rest does not.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                done => return done,
            }
            if let Some(error) = self.failed.take() {
                return Err(in_use(error, &self.host));
            }
            if !has_read {
                self.read_in(read).map_err(|error| in_use(error, &self.host))?;
            }
        }
        // It brought nothing of the application's. Others get their turn, though the peer may go on like that.
        Err(ErrorKind::Interrupted.into())
    }
}

impl<L: Link> Link for TlsLink<L> {
    fn try_read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        self.read_with(window, L::try_read)
    }

    fn open(&mut self) -> Result<bool, LinkError> {
        if !self.link.open()? {
            return Ok(false);
        }
        let lost = |error: io::Error, host: &str| LinkError::broken(explained(error, host));
        loop {
            match self.write_out() {
                Ok(()) if !self.tls.is_handshaking() => return Ok(true),
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(lost(error, &self.host)),
            }
            match self.read_in(L::read) {
                Ok(true) => {}
                Ok(false) if self.failed.is_none() => {
                    return Err(lost(ErrorKind::UnexpectedEof.into(), &self.host));
                }
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(lost(error, &self.host)),
            }
            if let Some(error) = self.failed.take() {
                return Err(lost(error, &self.host));
            }
        }
    }
}

impl<L: Link> Read for TlsLink<L> {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        self.read_with(window, L::read)
    }
}

impl<L: Link> Write for TlsLink<L> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        // With an empty buffer rustls takes something of whatever there is: it never says 0.
        self.write_out()?;
        let encrypted = self.tls.writer().write_vectored(pieces)?;
        if encrypted > 0 && !self.tls.wants_write() {
            // TLS 1.2 has no new ones: rustls says that it took what it did not encrypt.
            let words = "the keys of this connection are used up, and another one is to follow";
            return Err(TlsError::stream_error(words));
        }
        // It is encrypted, and so it is sent, whatever becomes of it: `flush` goes on with it, and tells.
        if let Err(error) = self.write_out()
            && error.kind() != ErrorKind::WouldBlock
        {
            self.failed = Some(error);
        }
        Ok(encrypted)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)?;
        self.write_out()
    }
}

/// As [`explained`], of a connection that was had: that it is closed says nothing of TLS.
fn in_use(error: io::Error, host: &str) -> io::Error {
    if closed(error.kind()) { error } else { explained(error, host) }
}

/// With words for who has to mend it: what was expected, what came, and which property to look at.
fn explained(error: io::Error, host: &str) -> io::Error {
    let words = match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => in_words(error, host),
        None if closed(error.kind()) => "the peer closed the connection in the TLS handshake: \
            is that a listener without TLS? security.protocol is SSL"
            .to_owned(),
        None => return error,
    };
    TlsError::stream_error(words)
}

const fn closed(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnexpectedEof
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
    )
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what has no remedy has rustls's own words")]
fn in_words(error: &Error, host: &str) -> String {
    match error {
        Error::InvalidCertificate(why) => {
            let (why, remedy) = match why {
                // The latter where somebody of the same name is trusted.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    ("nobody who is trusted has signed it".to_owned(), "ssl.ca.location")
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    (why.to_string(), "renew it, or set this machine's clock")
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    (why.to_string(), "set this machine's clock")
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => (
                    why.to_string(),
                    "bootstrap.servers, advertised.listeners, ssl.endpoint.identification.algorithm",
                ),
                _ => (
                    why.to_string(),
                    "issue one of X.509 v3, with basicConstraints=CA:FALSE and a subjectAltName",
                ),
            };
            format!("the certificate of {host:?} is refused: {why}: {remedy}")
        }
        Error::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::DecryptError
            | AlertDescription::AccessDenied),
        ) => format!(
            "the broker refuses this client's certificate, or wants one ({alert:?}): \
             ssl.certificate.location, ssl.key.location"
        ),
        Error::AlertReceived(
            alert @ (AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion),
        ) => format!(
            "the broker and this client have no version or cipher suite in common ({alert:?}): \
             ssl.enabled.protocols, ssl.cipher.suites; or it wants a certificate: \
             ssl.certificate.location"
        ),
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
        ) => "the peer does not speak TLS: is that a listener without it? security.protocol is SSL"
            .to_owned(),
        other => other.to_string(),
    }
}

#[cfg(all(test, feature = "_tls_tests"))]
mod tests;
