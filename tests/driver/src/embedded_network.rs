//! The network as both APIs of the embedded adapter see it.

use core::{
    cell::RefCell,
    future::{Future, pending, poll_fn},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{collections::BTreeMap, io, rc::Rc};

use embedded_io::{ErrorKind, ErrorType, Read, ReadReady, Write, WriteReady};
use ottla_core::{Disconnect, Instant};
use ottla_embedded::{Clock, Connect, Duplex, Port};

use crate::{
    network::{Key, Shared, Woken},
    tasks::Timers,
};

fn kind(error: &io::Error) -> ErrorKind {
    let reset = error.kind() == io::ErrorKind::ConnectionReset;
    if reset { ErrorKind::ConnectionReset } else { ErrorKind::Other }
}

/// A connection for the polled API.
#[derive(Debug)]
pub(crate) struct SimPort {
    pub(crate) net: Shared,
    pub(crate) slot: usize,
    key: Option<Key>,
    /// To close takes until then: nothing but time says when it is done.
    closes: Option<Instant>,
}

impl SimPort {
    pub(crate) const fn new(net: Shared, slot: usize) -> Self {
        Self { net, slot, key: None, closes: None }
    }

    fn key(&self) -> Result<Key, ErrorKind> {
        self.key.ok_or(ErrorKind::NotConnected)
    }
}

impl Port for SimPort {
    fn open(&mut self, _: Instant, host: &str, port: u16) -> Poll<Result<(), Disconnect>> {
        let mut net = self.net.lock();
        let key = match self.key {
            Some(key) => key,
            None => *self.key.insert(net.dial(0, self.slot, host, port)?),
        };
        match net.open(key) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(cause) => Poll::Ready(Err(cause)),
        }
    }

    fn close(&mut self, now: Instant) -> Poll<()> {
        if let Some(key) = self.key.take() {
            self.net.lock().close(key);
            // As a modem takes its time.
            let takes = now.as_micros() % 300;
            self.closes = Some(now.after(Duration::from_micros(takes)));
        }
        if self.closes.is_some_and(|at| at > now) {
            return Poll::Pending;
        }
        self.closes = None;
        Poll::Ready(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.closes
    }
}

impl ErrorType for SimPort {
    type Error = ErrorKind;
}

impl ReadReady for SimPort {
    fn read_ready(&mut self) -> Result<bool, ErrorKind> {
        let key = self.key()?;
        Ok(self.net.lock().read_ready(key))
    }
}

impl WriteReady for SimPort {
    fn write_ready(&mut self) -> Result<bool, ErrorKind> {
        let key = self.key()?;
        Ok(self.net.lock().write_ready(key))
    }
}

impl Read for SimPort {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        let key = self.key()?;
        let read = self.net.lock().try_read(key, into);
        assert!(
            read.as_ref().map_err(io::Error::kind) != Err(io::ErrorKind::WouldBlock),
            "it blocks"
        );
        read.map_err(|error| kind(&error))
    }
}

impl Write for SimPort {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        let key = self.key()?;
        let wrote = self.net.lock().write(key, core::iter::once(bytes));
        // It may have begun to stall between the question and this.
        let stalls = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        wrote.map_err(|error| if stalls(&error) { ErrorKind::Interrupted } else { kind(&error) })
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        panic!("flush may block")
    }
}

/// Who waits for which socket: to read or to have it open, and to write.
type Waiters = Rc<RefCell<BTreeMap<Key, [Option<Waker>; 2]>>>;

/// The network for the async API.
#[derive(Clone, Debug)]
pub(crate) struct SimConnect {
    pub(crate) net: Shared,
    waiters: Waiters,
}

impl SimConnect {
    pub(crate) fn new(net: Shared) -> Self {
        Self { net, waiters: Waiters::default() }
    }

    /// Wakes who waits for these.
    pub(crate) fn wake(&self, woken: &[Woken]) {
        for Woken { key, readable, writable } in woken {
            if let Some(waiters) = self.waiters.borrow_mut().get_mut(key) {
                let [reader, writer] = waiters;
                reader.take_if(|_| *readable).into_iter().for_each(Waker::wake);
                writer.take_if(|_| *writable).into_iter().for_each(Waker::wake);
            }
        }
    }

    fn wait(&self, key: Key, direction: usize, context: &Context<'_>) {
        let mut waiters = self.waiters.borrow_mut();
        waiters.entry(key).or_default()[direction] = Some(context.waker().clone());
    }

    fn pass(
        &self,
        key: Key,
        direction: usize,
        context: &Context<'_>,
        passed: io::Result<usize>,
    ) -> Poll<Result<usize, ErrorKind>> {
        match passed {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.wait(key, direction, context);
                Poll::Pending
            }
            passed => Poll::Ready(passed.map_err(|error| kind(&error))),
        }
    }
}

impl Connect for SimConnect {
    type Stream<'a> = Stream<'a>;

    async fn connect(&self, slot: usize, host: &str, port: u16) -> Result<Stream<'_>, Disconnect> {
        let key = self.net.lock().dial(0, slot, host, port)?;
        let stream = Stream(self, key);
        poll_fn(|context| match self.net.lock().open(key) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => {
                self.wait(key, 0, context);
                Poll::Pending
            }
            Err(cause) => Poll::Ready(Err(cause)),
        })
        .await?;
        Ok(stream)
    }
}

/// A connection for the async API.
#[derive(Debug)]
pub(crate) struct Stream<'a>(&'a SimConnect, Key);

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.0.net.lock().close(self.1);
        self.0.waiters.borrow_mut().remove(&self.1);
    }
}

/// One end of it.
#[derive(Debug)]
pub(crate) struct End<'s>(&'s SimConnect, Key);

impl Duplex for Stream<'_> {
    type Reader<'s>
        = End<'s>
    where
        Self: 's;
    type Writer<'s>
        = End<'s>
    where
        Self: 's;

    fn split(&mut self) -> (End<'_>, End<'_>) {
        (End(self.0, self.1), End(self.0, self.1))
    }
}

impl ErrorType for End<'_> {
    type Error = ErrorKind;
}

impl embedded_io_async::Read for End<'_> {
    async fn read(&mut self, into: &mut [u8]) -> Result<usize, ErrorKind> {
        poll_fn(|context| {
            let read = self.0.net.lock().read(self.1, into);
            self.0.pass(self.1, 0, context, read)
        })
        .await
    }
}

impl embedded_io_async::Write for End<'_> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        poll_fn(|context| {
            let wrote = self.0.net.lock().write(self.1, core::iter::once(bytes));
            self.0.pass(self.1, 1, context, wrote)
        })
        .await
    }

    async fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

impl Clock for Timers {
    fn now(&self) -> Instant {
        self.now.get()
    }

    fn wait_until(&self, at: Instant) -> impl Future<Output = ()> {
        let waits = self.within(at, pending::<()>());
        async move {
            waits.await;
        }
    }
}
