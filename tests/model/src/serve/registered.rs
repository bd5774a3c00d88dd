//! Sockets that a poller watches, and stops to watch before they are closed.

use core::time::Duration;
use std::{io, sync::Arc};

use polling::{AsSource, Event, Events};

/// A poller for readiness; `polling` with a name of its own, so that sources go in and out only by
/// way of [`Registered`].
#[derive(Clone, Debug)]
pub(super) struct Poller(Arc<polling::Poller>);

impl Poller {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(polling::Poller::new()?)))
    }

    /// Wakes up who waits. It cannot fail for a reason that waiting would survive.
    pub(super) fn notify(&self) {
        let _ = self.0.notify();
    }

    pub(super) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        self.0.wait(events, timeout)?;
        Ok(())
    }
}

/// A socket that the poller knows.
#[derive(Debug)]
pub(super) struct Registered<S: AsSource> {
    socket: S,
    poller: Poller,
    key: usize,
}

impl<S: AsSource> Registered<S> {
    /// Makes the poller know a socket; it is watched for nothing yet.
    #[allow(unsafe_code)]
    pub(super) fn new(socket: S, poller: &Poller, key: usize) -> io::Result<Self> {
        // SAFETY: the socket must be taken out of the poller before it is closed. `Drop` does so,
        // the socket is private, is never moved out, and so lives as long as this.
        unsafe { poller.0.add(&socket.source(), Event::none(key))? };
        Ok(Self { socket, poller: poller.clone(), key })
    }

    pub(super) const fn socket(&self) -> &S {
        &self.socket
    }

    pub(super) const fn key(&self) -> usize {
        self.key
    }

    /// Watches for one event, and then no more until this is called again.
    pub(super) fn watch(&self, readable: bool, writable: bool) -> io::Result<()> {
        let event = Event::new(self.key, readable, writable);
        self.poller.0.modify(&self.socket, event)
    }
}

impl<S: AsSource> Drop for Registered<S> {
    fn drop(&mut self) {
        let _ = self.poller.0.delete(&self.socket);
    }
}
