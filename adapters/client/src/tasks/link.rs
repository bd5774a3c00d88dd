//! Connections of a runtime's: dialled, then read and written without waiting.

use core::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use std::{
    io::{self, ErrorKind, IoSlice, Read, Write},
    sync::Arc,
};

use ottla_core::{ConnId, Disconnect};

use crate::{
    io::{
        address_resolution::{Rotation, literal},
        link_error::LinkError,
        network::{Link, Network},
    },
    tasks::{ready::ReadyList, runtime::Runtime},
};

/// Dials with a runtime.
#[derive(Debug)]
pub(crate) struct Dialler<R> {
    ready: Arc<ReadyList>,
    rotation: Rotation,
    runtime: PhantomData<fn() -> R>,
}

/// One connection with a waker of its own.
pub(crate) struct TaskLink<R: Runtime> {
    stream: Stream<R>,
    waker: Waker,
}

type Dialing<S> = Pin<Box<dyn Future<Output = Result<S, LinkError>> + Send>>;

enum Stream<R: Runtime> {
    Dialing(Dialing<R::Stream>),
    Open(R::Stream),
}

impl<R: Runtime> Dialler<R> {
    pub(crate) fn new(ready: Arc<ReadyList>) -> Self {
        Self { ready, rotation: Rotation::default(), runtime: PhantomData }
    }
}

impl<R: Runtime> Network for Dialler<R> {
    type Link = TaskLink<R>;

    fn dial(&mut self, conn: ConnId, host: &str, port: u16) -> Result<TaskLink<R>, LinkError> {
        let attempt = self.rotation.attempt(host, port);
        let dial = Box::pin(dial::<R>(host.to_owned(), port, attempt));
        Ok(TaskLink { stream: Stream::Dialing(dial), waker: self.ready.waker(conn.index()) })
    }
}

/// Tries a host's addresses in turn. Dropped, it stops.
async fn dial<R: Runtime>(host: String, port: u16, attempt: usize) -> Result<R::Stream, LinkError> {
    let mut addresses = match literal(&host, port) {
        Some(address) => vec![address],
        None => {
            let found = R::look_up(host, port).await;
            found.map_err(|error| LinkError::undialled(Disconnect::Unresolved, error))?
        }
    };
    if addresses.is_empty() {
        return Err(Disconnect::Unresolved.into());
    }
    Rotation::order(&mut addresses, attempt);
    let mut lost = LinkError::from(Disconnect::Refused);
    for address in addresses {
        match R::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => lost = LinkError::undialled(Disconnect::Refused, error),
        }
    }
    Err(lost)
}

impl<R: Runtime> TaskLink<R> {
    fn open_stream(&mut self) -> io::Result<(&mut R::Stream, Context<'_>)> {
        match &mut self.stream {
            Stream::Open(stream) => Ok((stream, Context::from_waker(&self.waker))),
            Stream::Dialing(_) => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl<R: Runtime> Link for TaskLink<R> {
    fn open(&mut self) -> Result<bool, LinkError> {
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
        R::try_read(self.open_stream()?.0, window)
    }
}

impl<R: Runtime> Read for TaskLink<R> {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        let (stream, mut cx) = self.open_stream()?;
        would_block(R::poll_read(stream, &mut cx, window))
    }
}

impl<R: Runtime> Write for TaskLink<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let (stream, mut cx) = self.open_stream()?;
        would_block(R::poll_write(stream, &mut cx, pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `Pending` has noted the waker, as `WouldBlock` promises.
fn would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

impl<R: Runtime> fmt::Debug for TaskLink<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = matches!(self.stream, Stream::Open(_));
        f.debug_struct("TaskLink").field("open", &open).finish_non_exhaustive()
    }
}
