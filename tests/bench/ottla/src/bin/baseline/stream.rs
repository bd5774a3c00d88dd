//! The socket, as it is or with TLS over it.

use std::{
    io::{IoSlice, Read, Result as IoResult, Write},
    net::TcpStream,
};

use anyhow::{Context as _, Result};
use bench_contestant::Arguments;
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};

/// A connection that blocks.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    pub(crate) fn connect(arguments: &Arguments) -> Result<Self> {
        let mut socket = TcpStream::connect(&arguments.bootstrap)?;
        socket.set_nodelay(true)?;
        let Some(config) = arguments.tls_config()? else {
            return Ok(Self::Plain(socket));
        };
        let (host, _) = arguments.bootstrap.rsplit_once(':').context("no port")?;
        let name = ServerName::try_from(host.to_owned())?;
        let mut tls = ClientConnection::new(config, name)?;
        // A whole request is encrypted, then written.
        tls.set_buffer_limit(None);
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(tls, socket))))
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> IoResult<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> IoResult<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> IoResult<usize> {
        match self {
            Self::Plain(socket) => socket.write_vectored(pieces),
            Self::Tls(stream) => {
                // Its own writes the first of the pieces alone.
                let StreamOwned { conn, sock } = &mut **stream;
                let len = conn.writer().write_vectored(pieces)?;
                while conn.wants_write() {
                    conn.write_tls(sock)?;
                }
                Ok(len)
            }
        }
    }

    fn flush(&mut self) -> IoResult<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
