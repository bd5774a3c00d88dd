//! What the polled API needs of a connection.

use core::task::Poll;

use embedded_io::{Read, ReadReady, Write, WriteReady};
use ottla_core::{Disconnect, Instant};

/// A connection that can be opened, closed and opened again: a socket with its buffers, a modem's
/// channel, a serial line ([`Serial`](crate::Serial)).
///
/// Nothing here may block. [`Driver`](crate::Driver) reads only when `read_ready` is true and writes
/// only when `write_ready` is; it never calls `flush`, so that a port sends what it accepted by
/// itself. What `write` returns must have been accepted by what sends it: it is where a record turns
/// from one that can be taken back into one that cannot.
pub trait Port: Read + Write + ReadReady + WriteReady {
    /// Opens a connection, or goes on with that: called again, with the same address, until it is
    /// ready or [`close`](Self::close) is called instead.
    ///
    /// `host` is a name or an IP address; an IPv6 address comes without brackets. How long it may
    /// take is `socket.connection.setup.timeout.ms`, and the driver sees to it.
    fn open(&mut self, now: Instant, host: &str, port: u16) -> Poll<Result<(), Disconnect>>;

    /// Closes the connection, or gives up to open one: called again until it is ready. Bytes that
    /// were not sent yet are not to be sent.
    fn close(&mut self, now: Instant) -> Poll<()>;

    /// When `open` or `close` should be called again, where that is a matter of time and not of the
    /// port's becoming ready.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

impl<P: Port + ?Sized> Port for &mut P {
    fn open(&mut self, now: Instant, host: &str, port: u16) -> Poll<Result<(), Disconnect>> {
        (**self).open(now, host, port)
    }

    fn close(&mut self, now: Instant) -> Poll<()> {
        (**self).close(now)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (**self).poll_timeout()
    }
}
