//! What tokio supplies.

use core::{
    future::Future,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};
use std::{
    io::{self, IoSlice},
    panic::catch_unwind,
    time::Instant,
};

use ottla_client::{BuildError, tasks::Runtime};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    runtime::Handle,
    task::coop::consume_budget,
    time::{Sleep, sleep, sleep_until},
};

/// tokio, as a producer runs on it.
#[derive(Clone, Debug)]
pub struct Tokio(Handle);

impl From<Handle> for Tokio {
    fn from(handle: Handle) -> Self {
        Self(handle)
    }
}

impl Runtime for Tokio {
    type Stream = TcpStream;
    type Timer = Sleep;

    fn current() -> Result<Self, BuildError> {
        Handle::try_current().map(Self).map_err(|_| BuildError::NoRuntime)
    }

    fn check(&self) -> Result<(), BuildError> {
        let _entered = self.0.enter();
        // tokio has no other way to ask. Where it is without, its panic may be heard of on the way.
        let works = |touch: fn()| catch_unwind(AssertUnwindSafe(touch)).is_ok();
        if !works(|| drop(sleep(Duration::ZERO))) {
            return Err(BuildError::RuntimeWithout("time"));
        }
        if !works(touch_io) {
            return Err(BuildError::RuntimeWithout("io"));
        }
        Ok(())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.0.spawn(task));
    }

    async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        lookup_host((host.as_str(), port)).await.map(Iterator::collect)
    }

    async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn poll_read(
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        window: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut window = ReadBuf::new(window);
        Pin::new(stream).poll_read(cx, &mut window).map_ok(|()| window.filled().len())
    }

    fn poll_write(
        stream: &mut TcpStream,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(stream).poll_write_vectored(cx, pieces)
    }

    /// Asks the system itself. tokio would ask its reactor, which knows of what has come only once the
    /// thread that it is on has run.
    #[cfg(unix)]
    fn try_read(stream: &mut TcpStream, window: &mut [u8]) -> io::Result<usize> {
        let (len, _) = rustix::net::recv(stream, window, rustix::net::RecvFlags::DONTWAIT)?;
        Ok(len)
    }

    #[cfg(not(unix))]
    fn try_read(stream: &mut TcpStream, window: &mut [u8]) -> io::Result<usize> {
        stream.try_read(window)
    }

    fn timer(&self, at: Instant) -> Sleep {
        let _entered = self.0.enter();
        sleep_until(at.into())
    }

    fn reset(timer: Pin<&mut Sleep>, at: Instant) {
        timer.reset(at.into());
    }

    fn poll_turn(cx: &mut Context<'_>) -> Poll<()> {
        pin!(consume_budget()).poll(cx)
    }
}

/// Makes something that only a runtime with `io` can, and lets it go. Where the system does not give it,
/// nothing is found out.
#[cfg(unix)]
fn touch_io() {
    drop(tokio::net::UnixStream::pair());
}

#[cfg(not(unix))]
fn touch_io() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0");
    let socket = socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket));
    if let Ok(socket) = socket {
        drop(tokio::net::UdpSocket::from_std(socket));
    }
}
