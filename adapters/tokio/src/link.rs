//! Connections: dialled, then read and written without waiting.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    sync::Arc,
};

use ottla_client::{Link, Lost, Network, Rotation, literal};
use ottla_core::{ConnId, Disconnect};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
};

use crate::ready::ReadyList;

/// Dials with tokio.
#[derive(Debug)]
pub(crate) struct Tcp {
    ready: Arc<ReadyList>,
    rotation: Rotation,
}

/// One connection with a waker of its own.
pub(crate) struct TcpLink {
    stream: Stream,
    waker: Waker,
}

enum Stream {
    Dialing(Pin<Box<dyn Future<Output = Result<TcpStream, Lost>> + Send>>),
    Open(TcpStream),
}

impl Tcp {
    pub(crate) fn new(ready: Arc<ReadyList>) -> Self {
        Self { ready, rotation: Rotation::default() }
    }
}

impl Network for Tcp {
    type Link = TcpLink;

    fn dial(&mut self, conn: ConnId, host: &str, port: u16) -> Result<TcpLink, Lost> {
        let attempt = self.rotation.attempt(host, port);
        let dial = Box::pin(dial(host.to_owned(), port, attempt));
        Ok(TcpLink { stream: Stream::Dialing(dial), waker: self.ready.waker(conn.index()) })
    }
}

/// Tries a host's addresses in turn. Dropped, it stops.
async fn dial(host: String, port: u16, attempt: usize) -> Result<TcpStream, Lost> {
    let mut addresses = match literal(&host, port) {
        Some(address) => vec![address],
        None => {
            let found = lookup_host((host.as_str(), port)).await;
            found.map_err(|error| Lost::undialled(Disconnect::Unresolved, error))?.collect()
        }
    };
    if addresses.is_empty() {
        return Err(Disconnect::Unresolved.into());
    }
    Rotation::order(&mut addresses, attempt);
    let mut lost = Lost::from(Disconnect::Refused);
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Batches are written whole; waiting for more would only delay them.
                return stream.set_nodelay(true).map(|()| stream).map_err(Lost::broken);
            }
            Err(error) => lost = Lost::undialled(Disconnect::Refused, error),
        }
    }
    Err(lost)
}

impl TcpLink {
    fn open_stream(&mut self) -> io::Result<(Pin<&mut TcpStream>, Context<'_>)> {
        match &mut self.stream {
            Stream::Open(stream) => Ok((Pin::new(stream), Context::from_waker(&self.waker))),
            Stream::Dialing(_) => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl Link for TcpLink {
    fn open(&mut self) -> Result<bool, Lost> {
        if let Stream::Dialing(dial) = &mut self.stream {
            let mut cx = Context::from_waker(&self.waker);
            let Poll::Ready(stream) = dial.as_mut().poll(&mut cx) else {
                return Ok(false);
            };
            self.stream = Stream::Open(stream?);
        }
        Ok(true)
    }

    fn try_read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        match &self.stream {
            Stream::Open(stream) => read_now(stream, window),
            Stream::Dialing(_) => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl Read for TcpLink {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        let (stream, mut cx) = self.open_stream()?;
        let mut window = ReadBuf::new(window);
        would_block(stream.poll_read(&mut cx, &mut window))?;
        Ok(window.filled().len())
    }
}

impl Write for TcpLink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let (stream, mut cx) = self.open_stream()?;
        would_block(stream.poll_write_vectored(&mut cx, pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Asks the system itself. tokio would ask its reactor, which knows of what has come only once the thread
/// that it is on has run.
#[cfg(unix)]
fn read_now(stream: &TcpStream, window: &mut [u8]) -> io::Result<usize> {
    let (len, _) = rustix::net::recv(stream, window, rustix::net::RecvFlags::DONTWAIT)?;
    Ok(len)
}

#[cfg(not(unix))]
fn read_now(stream: &TcpStream, window: &mut [u8]) -> io::Result<usize> {
    stream.try_read(window)
}

/// `Pending` has noted the waker, as `WouldBlock` promises.
fn would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

impl fmt::Debug for TcpLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = matches!(self.stream, Stream::Open(_));
        f.debug_struct("TcpLink").field("open", &open).finish_non_exhaustive()
    }
}
