//! What is between the core and an adapter's connections: nothing, or TLS.

use std::io::{self, IoSlice, Read, Write};

#[cfg(feature = "_tls")]
use crate::io::tls::TlsLink;
use crate::{
    io::{link_error::LinkError, network::Link},
    security::Security,
};

/// A connection as the driver has it.
#[derive(Debug)]
pub(crate) enum Transport<L: Link> {
    Plain(L),
    #[cfg(feature = "_tls")]
    Tls(Box<TlsLink<L>>),
}

impl<L: Link> Transport<L> {
    /// A connection to this host, which `dial` begins.
    pub(crate) fn new(
        security: &Security,
        host: &str,
        dial: impl FnOnce() -> Result<L, LinkError>,
    ) -> Result<Self, LinkError> {
        #[cfg(feature = "_tls")]
        if let Some(config) = &security.tls {
            return TlsLink::new(config, host, dial).map(|link| Self::Tls(Box::new(link)));
        }
        let _ = (security, host);
        dial().map(Self::Plain)
    }

    /// Whether opening it is work for the processor, beyond the system's own.
    pub(crate) const fn has_handshake(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "_tls")]
            Self::Tls(_) => true,
        }
    }

    /// The adapter's own.
    pub(crate) fn link_mut(&mut self) -> &mut L {
        match self {
            Self::Plain(link) => link,
            #[cfg(feature = "_tls")]
            Self::Tls(link) => link.link_mut(),
        }
    }
}

impl<L: Link> Link for Transport<L> {
    fn try_read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(link) => link.try_read(window),
            #[cfg(feature = "_tls")]
            Self::Tls(link) => link.try_read(window),
        }
    }

    fn open(&mut self) -> Result<bool, LinkError> {
        match self {
            Self::Plain(link) => link.open(),
            #[cfg(feature = "_tls")]
            Self::Tls(link) => link.open(),
        }
    }
}

impl<L: Link> Read for Transport<L> {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(link) => link.read(window),
            #[cfg(feature = "_tls")]
            Self::Tls(link) => link.read(window),
        }
    }
}

impl<L: Link> Write for Transport<L> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(link) => link.write_vectored(pieces),
            #[cfg(feature = "_tls")]
            Self::Tls(link) => link.write_vectored(pieces),
        }
    }

    /// Hands on what was taken and not yet written. A plain connection keeps nothing.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            #[cfg(feature = "_tls")]
            Self::Tls(link) => link.flush(),
        }
    }
}
