//! What the async API needs: a network that connects, a stream with two ends, and a clock.

use core::future::Future;

use embedded_io_async::{Read, Write};
use ottla_core::{Disconnect, Instant};

/// Opens connections.
pub trait Connect {
    /// An open connection. Dropping it closes it.
    type Stream<'a>: Duplex
    where
        Self: 'a;

    /// Opens a connection for slot number `slot`, which had its last one dropped before.
    ///
    /// `host` is a name or an IP address; an IPv6 address comes without brackets. The future is
    /// dropped after `socket.connection.setup.timeout.ms`.
    fn connect<'a>(
        &'a self,
        slot: usize,
        host: &str,
        port: u16,
    ) -> impl Future<Output = Result<Self::Stream<'a>, Disconnect>>;
}

/// A stream that is read and written at the same time.
///
/// Futures of `read` and `write` are never dropped but with the connection, so that they need not
/// be free of side effects when they are. `flush` is awaited after each run of writes, and the next
/// request waits for it: where it means to wait for an acknowledgement of the peer, as with
/// embassy-net's sockets, a writer whose `flush` does nothing is faster.
pub trait Duplex {
    /// The end to read from.
    type Reader<'s>: Read
    where
        Self: 's;
    /// The end to write to.
    type Writer<'s>: Write
    where
        Self: 's;

    /// Both ends.
    fn split(&mut self) -> (Self::Reader<'_>, Self::Writer<'_>);
}

/// Microseconds, and a way to wait.
///
/// With embassy-time:
///
/// ```
/// use embassy_time::Timer;
/// use ottla_core::Instant;
///
/// struct Clock;
///
/// impl ottla_embedded::Clock for Clock {
///     fn now(&self) -> Instant {
///         Instant::from_micros(embassy_time::Instant::now().as_micros())
///     }
///
///     async fn wait_until(&self, at: Instant) {
///         Timer::at(embassy_time::Instant::from_micros(at.as_micros())).await;
///     }
/// }
/// ```
pub trait Clock {
    /// The time.
    fn now(&self) -> Instant;

    /// Waits until a time, which may have come and is not [`Instant::NEVER`]. The future may be
    /// dropped before.
    fn wait_until(&self, at: Instant) -> impl Future<Output = ()>;
}
