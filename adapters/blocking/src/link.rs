//! Connections: looked up, dialled, then read and written, all without waiting.

use core::net::SocketAddr;
use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    sync::Arc,
    vec,
};

use mio::{Interest, Registry, Token, event::Event, net::TcpStream};
use ottla_client::{
    Link, LinkError, Network, Rotation, literal,
    threads::{Lookup, Resolver},
};
use ottla_core::{ConnId, Disconnect};

/// Where a short read says that there is nothing more until the poller says otherwise: with epoll
/// and kqueue. Elsewhere only `WouldBlock` makes the poller look again.
const SHORT_READ_DRAINS: bool = cfg!(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    target_os = "netbsd",
    target_os = "openbsd",
));

/// Dials with mio.
#[derive(Debug)]
pub struct Tcp {
    registry: Arc<Registry>,
    resolver: Resolver,
    rotation: Rotation,
}

/// One connection, known to the poller by its slot's number.
#[derive(Debug)]
pub struct TcpLink {
    registry: Arc<Registry>,
    index: usize,
    stage: Stage,
    /// There may be something to read.
    readable: bool,
    /// The peer will send no more, so that reading goes on to the end.
    closed: bool,
}

#[derive(Debug)]
enum Stage {
    LookingUp {
        lookup: Arc<Lookup>,
        attempt: usize,
    },
    Connecting {
        stream: Option<TcpStream>,
        left: vec::IntoIter<SocketAddr>,
        /// Why the last address was of no use.
        error: Option<io::Error>,
    },
    Open(TcpStream),
}

impl Tcp {
    pub(crate) fn new(registry: Registry, resolver: Resolver) -> Self {
        Self { registry: Arc::new(registry), resolver, rotation: Rotation::default() }
    }
}

impl Network for Tcp {
    type Link = TcpLink;

    fn dial(&mut self, conn: ConnId, host: &str, port: u16) -> Result<TcpLink, LinkError> {
        let index = conn.index();
        let stage = match literal(host, port) {
            Some(address) => {
                Stage::Connecting { stream: None, left: vec![address].into_iter(), error: None }
            }
            None => {
                let lookup = self.resolver.look_up(index, host, port);
                let lookup =
                    lookup.map_err(|error| LinkError::undialled(Disconnect::Unresolved, error))?;
                Stage::LookingUp { lookup, attempt: self.rotation.attempt(host, port) }
            }
        };
        let registry = Arc::clone(&self.registry);
        Ok(TcpLink { registry, index, stage, readable: true, closed: false })
    }
}

impl TcpLink {
    /// Notes what the poller said.
    pub(crate) fn note(&mut self, event: &Event) {
        let closed = event.is_read_closed() || event.is_error();
        self.closed |= closed;
        self.readable |= event.is_readable() || closed;
    }

    fn stream(&mut self) -> io::Result<&mut TcpStream> {
        match &mut self.stage {
            Stage::Open(stream) => Ok(stream),
            Stage::LookingUp { .. } | Stage::Connecting { .. } => {
                Err(ErrorKind::NotConnected.into())
            }
        }
    }

    /// Begins with the next address that it is possible to begin with.
    fn next(
        registry: &Registry,
        index: usize,
        left: &mut vec::IntoIter<SocketAddr>,
        error: &mut Option<io::Error>,
    ) -> Result<TcpStream, LinkError> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        for address in left {
            let stream = TcpStream::connect(address).and_then(|mut stream| {
                registry.register(&mut stream, Token(index), interest).map(|()| stream)
            });
            match stream {
                Ok(stream) => return Ok(stream),
                Err(other) => *error = Some(other),
            }
        }
        Err(match error.take() {
            Some(error) => LinkError::undialled(Disconnect::Refused, error),
            None => Disconnect::Refused.into(),
        })
    }
}

impl Link for TcpLink {
    fn open(&mut self) -> Result<bool, LinkError> {
        if let Stage::LookingUp { lookup, attempt } = &self.stage {
            let Some(found) = lookup.take() else {
                return Ok(false);
            };
            let mut addresses =
                found.map_err(|error| LinkError::undialled(Disconnect::Unresolved, error))?;
            if addresses.is_empty() {
                return Err(Disconnect::Unresolved.into());
            }
            Rotation::order(&mut addresses, *attempt);
            self.stage =
                Stage::Connecting { stream: None, left: addresses.into_iter(), error: None };
        }
        let Stage::Connecting { stream, left, error } = &mut self.stage else {
            return Ok(true);
        };
        loop {
            let Some(trying) = stream else {
                *stream = Some(Self::next(&self.registry, self.index, left, error)?);
                // The poller tells when it is connected, or has failed to.
                return Ok(false);
            };
            match connected(trying) {
                Ok(false) => return Ok(false),
                Ok(true) => break,
                Err(other) => {
                    *error = Some(other);
                    forget(&self.registry, trying);
                    *stream = None;
                    self.closed = false;
                }
            }
        }
        if let Some(stream) = stream.take() {
            // Batches are written whole; waiting for more would only delay them.
            let nodelay = stream.set_nodelay(true);
            self.stage = Stage::Open(stream);
            nodelay.map_err(LinkError::broken)?;
        }
        self.readable = true;
        Ok(true)
    }

    fn try_read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        self.stream()?.read(window)
    }
}

fn connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(true),
        // macOS says so of a connection that was had and lost again.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Err(error),
        Err(_) => Ok(false),
    }
}

/// Closing takes a socket out of the poller as well; on some systems only late.
fn forget(registry: &Registry, stream: &mut TcpStream) {
    if let Err(error) = registry.deregister(stream) {
        tracing::debug!(%error, "a socket was not known to the poller");
    }
}

impl Drop for TcpLink {
    fn drop(&mut self) {
        match &mut self.stage {
            Stage::LookingUp { .. } => {}
            Stage::Connecting { stream, .. } => {
                if let Some(stream) = stream {
                    forget(&self.registry, stream);
                }
            }
            Stage::Open(stream) => forget(&self.registry, stream),
        }
    }
}

impl Read for TcpLink {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        if !self.readable {
            return Err(ErrorKind::WouldBlock.into());
        }
        let result = self.stream()?.read(window);
        match &result {
            Ok(len) if *len < window.len() && SHORT_READ_DRAINS => self.readable = self.closed,
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
            Ok(_) | Err(_) => {}
        }
        result
    }
}

impl Write for TcpLink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream()?.write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream()?.write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
