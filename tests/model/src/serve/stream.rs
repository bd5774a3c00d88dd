//! A client's socket, with TLS or without.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

use super::registered::Registered;

/// What connections are secured with.
#[cfg(feature = "tls")]
pub(super) type Tls = std::sync::Arc<rustls::ServerConfig>;
/// Nothing: it cannot be had.
#[cfg(not(feature = "tls"))]
pub(super) type Tls = core::convert::Infallible;

#[cfg(feature = "tls")]
type Session = Box<rustls::ServerConnection>;
#[cfg(not(feature = "tls"))]
type Session = core::convert::Infallible;

/// A socket that does not block.
#[derive(Debug)]
pub(super) struct Stream {
    socket: Registered<TcpStream>,
    session: Option<Session>,
}

impl Stream {
    /// Begins with a socket, which the poller knows.
    pub(super) fn new(socket: Registered<TcpStream>, tls: Option<&Tls>) -> io::Result<Self> {
        let session = tls.map(begin).transpose()?;
        Ok(Self { socket, session })
    }

    pub(super) const fn key(&self) -> usize {
        self.socket.key()
    }

    /// Watches for one event, and then no more until this is called again.
    pub(super) fn watch(&self, readable: bool, writable: bool) -> io::Result<()> {
        self.socket.watch(readable, writable)
    }

    /// Reads what there is, as far as there is room.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.socket.socket();
        match &mut self.session {
            Some(session) => read(session, socket, room),
            None => socket.read(room),
        }
    }

    /// Takes some of it. Under TLS it is encrypted, and may wait for [`flush`](Self::flush).
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut socket = self.socket.socket();
        match &mut self.session {
            Some(session) => write(session, socket, bytes),
            None => socket.write(bytes),
        }
    }

    /// Whether the socket has taken all that was written.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        match &mut self.session {
            Some(session) => flush(session, self.socket.socket()),
            None => Ok(true),
        }
    }

    /// Says goodbye, where there is a way to.
    pub(super) fn close(&mut self) {
        if let Some(session) = &mut self.session {
            close(session, self.socket.socket());
        }
    }
}

#[cfg(feature = "tls")]
fn begin(tls: &Tls) -> io::Result<Session> {
    let session = rustls::ServerConnection::new(std::sync::Arc::clone(tls));
    session.map(Box::new).map_err(io::Error::other)
}

#[cfg(feature = "tls")]
fn read(session: &mut Session, mut socket: &TcpStream, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match session.reader().read(room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // Who goes without a goodbye has gone all the same.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            read => return read,
        }
        session.read_tls(&mut socket)?;
        if let Err(error) = session.process_new_packets() {
            // The alert says why.
            let _ = flush(session, socket);
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
    }
}

#[cfg(feature = "tls")]
fn write(session: &mut Session, socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    // Nothing is encrypted while earlier bytes wait, so that the room for it is never full.
    if !flush(session, socket)? {
        return Err(io::Error::from(io::ErrorKind::WouldBlock));
    }
    session.writer().write(bytes)
}

#[cfg(feature = "tls")]
fn flush(session: &mut Session, mut socket: &TcpStream) -> io::Result<bool> {
    while session.wants_write() {
        match session.write_tls(&mut socket) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(feature = "tls")]
fn close(session: &mut Session, socket: &TcpStream) {
    session.send_close_notify();
    let _ = flush(session, socket);
}

#[cfg(not(feature = "tls"))]
fn begin(tls: &Tls) -> io::Result<Session> {
    match *tls {}
}

#[cfg(not(feature = "tls"))]
fn read(session: &mut Session, _: &TcpStream, _: &mut [u8]) -> io::Result<usize> {
    match *session {}
}

#[cfg(not(feature = "tls"))]
fn write(session: &mut Session, _: &TcpStream, _: &[u8]) -> io::Result<usize> {
    match *session {}
}

#[cfg(not(feature = "tls"))]
fn flush(session: &mut Session, _: &TcpStream) -> io::Result<bool> {
    match *session {}
}

#[cfg(not(feature = "tls"))]
fn close(session: &mut Session, _: &TcpStream) {
    match *session {}
}
