//! The thread that moves all bytes of a producer.

use core::{task::Waker, time::Duration};
use std::{
    io::{self, ErrorKind},
    sync::{Arc, OnceLock},
    task::Wake,
    thread::{self, Thread},
    time::Instant,
};

use mio::{Events, Poll, Token};
use ottla_shared::{Driver, Engine, Ready, Turn};

use crate::{
    link::Tcp,
    resolver::{Inbox, Resolver},
};

/// What the poller calls a wake-up; no slot has this number.
const WOKEN: Token = Token(usize::MAX);
/// Events that are taken at a time; more wait for the next.
const EVENTS: usize = 256;

/// A driver with what it sleeps on.
#[derive(Debug)]
pub(crate) struct Drive {
    driver: Driver<Tcp>,
    poll: Poll,
    inbox: Arc<Inbox>,
    wake: Arc<WakeDriver>,
    waker: Waker,
}

#[derive(Debug)]
struct WakeDriver {
    poll: Arc<mio::Waker>,
    /// The driver's thread, which naps without the poller.
    thread: OnceLock<Thread>,
}

impl Wake for WakeDriver {
    fn wake(self: Arc<Self>) {
        Self::wake_by_ref(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
        if let Err(error) = self.poll.wake() {
            tracing::error!(%error, "the driver cannot be woken");
        }
    }
}

impl Drive {
    pub(crate) fn new(engine: Arc<Engine>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let wake_poll = Arc::new(mio::Waker::new(poll.registry(), WOKEN)?);
        let inbox = Arc::new(Inbox::new(Arc::clone(&wake_poll)));
        let resolver = Resolver::new(Arc::clone(&inbox));
        let network = Tcp::new(poll.registry().try_clone()?, resolver);
        let driver = Driver::new(engine, network);
        let wake = Arc::new(WakeDriver { poll: wake_poll, thread: OnceLock::new() });
        let waker = Waker::from(Arc::clone(&wake));
        Ok(Self { driver, poll, inbox, wake, waker })
    }

    /// Runs until the producer is closed.
    pub(crate) fn run(mut self) {
        self.wake.thread.get_or_init(thread::current);
        let mut events = Events::with_capacity(EVENTS);
        let mut ready = Vec::new();
        loop {
            self.inbox.take(&mut ready);
            let sleep = match self.driver.turn(&mut ready, &self.waker) {
                Turn::Closed => return,
                Turn::Again => Some(Duration::ZERO),
                Turn::Sleep(until) => until.map(left),
                Turn::Nap(until) => {
                    thread::park_timeout(left(until));
                    Some(Duration::ZERO)
                }
            };
            match self.poll.poll(&mut events, sleep) {
                Ok(()) => self.note(&events, &mut ready),
                // What was noted before would be taken for news.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    // The driver's end gives everybody an answer.
                    tracing::error!(%error, "the poller failed");
                    return;
                }
            }
        }
    }

    fn note(&mut self, events: &Events, ready: &mut Vec<Ready>) {
        for event in events.iter().filter(|event| event.token() != WOKEN) {
            let index = event.token().0;
            self.driver.with_link(index, |link| {
                link.note(event);
                let readable = event.is_readable() || event.is_read_closed() || event.is_error();
                let writable = event.is_writable() || event.is_write_closed() || event.is_error();
                ready.push(Ready { index, readable, writable });
            });
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long to sleep is asked of the clock")]
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
