//! What an async runtime supplies.

use core::{
    fmt,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
};
use std::{
    io::{self, IoSlice},
    time::Instant,
};

use crate::error::BuildError;

/// A handle to an async runtime, by which a producer runs on it.
///
/// All else of a producer is the client's: an adapter is an implementation of this, and two names,
/// `pub type Producer = ottla_client::tasks::Producer<MyRuntime>` and the same for its builder.
pub trait Runtime: Clone + fmt::Debug + Send + Sync + Unpin + 'static {
    /// A TCP connection that does not block.
    type Stream: Send + 'static;
    /// A future that is ready when a time has come.
    type Timer: Future + Send + 'static;

    /// The runtime that this thread is in.
    ///
    /// # Errors
    ///
    /// Where there is none.
    fn current() -> Result<Self, BuildError>;

    /// Checks that the runtime has what a producer needs: better when it is built than by a panic of its task.
    ///
    /// # Errors
    ///
    /// Where it has not.
    fn check(&self) -> Result<(), BuildError> {
        Ok(())
    }

    /// Runs a task in the background, until it is done.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);

    /// Looks a host up. Called and awaited in a task of this runtime. Dropped, it need not stop.
    fn look_up(
        host: String,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static;

    /// Connects, with `TCP_NODELAY`: batches are written whole, and to wait for more would only delay them.
    /// Awaited in a task of this runtime. Dropped, it stops.
    fn connect(to: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send + 'static;

    /// Reads what there is; 0 where the peer has closed. `Pending` has noted the waker.
    fn poll_read(
        stream: &mut Self::Stream,
        cx: &mut Context<'_>,
        window: &mut [u8],
    ) -> Poll<io::Result<usize>>;

    /// Writes as much as is taken, and says how much. `Pending` has noted the waker.
    fn poll_write(
        stream: &mut Self::Stream,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Reads what the system has now, though the runtime may not know of it, from whatever thread. Here
    /// `WouldBlock` promises nothing.
    ///
    /// # Errors
    ///
    /// As for reading from a socket that does not block.
    fn try_read(stream: &mut Self::Stream, window: &mut [u8]) -> io::Result<usize>;

    /// A timer for this time, from whatever thread.
    fn timer(&self, at: Instant) -> Self::Timer;

    /// Sets a timer to another time.
    fn reset(timer: Pin<&mut Self::Timer>, at: Instant);

    /// Ready unless this task has run for so long that others are to have their turn. Asked once in some
    /// microseconds' worth of records.
    fn poll_turn(_cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// Waits for a future until then at most, by a runtime's time, on whatever thread and executor.
pub(crate) async fn until<R: Runtime, F: Future + Unpin>(
    runtime: &R,
    at: Instant,
    mut future: F,
) -> Option<F::Output> {
    let mut timer = pin!(runtime.timer(at));
    poll_fn(|cx| match Pin::new(&mut future).poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.as_mut().poll(cx).map(|_| None),
    })
    .await
}
