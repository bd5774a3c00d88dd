//! The thread that moves all bytes of a producer.

use core::{task::Waker, time::Duration};
use std::{
    io::{self, ErrorKind},
    sync::Arc,
    task::Wake,
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
    waker: Waker,
}

#[derive(Debug)]
struct WakePoll(Arc<mio::Waker>);

impl Wake for WakePoll {
    fn wake(self: Arc<Self>) {
        Self::wake_by_ref(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Err(error) = self.0.wake() {
            tracing::error!(%error, "the driver cannot be woken");
        }
    }
}

impl Drive {
    pub(crate) fn new(engine: Arc<Engine>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let wake = Arc::new(mio::Waker::new(poll.registry(), WOKEN)?);
        let inbox = Arc::new(Inbox::new(Arc::clone(&wake)));
        let resolver = Resolver::new(Arc::clone(&inbox));
        let network = Tcp::new(poll.registry().try_clone()?, resolver);
        let driver = Driver::new(engine, network);
        Ok(Self { driver, poll, inbox, waker: Waker::from(Arc::new(WakePoll(wake))) })
    }

    /// Runs until the producer is closed.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut ready = Vec::new();
        loop {
            self.inbox.take(&mut ready);
            let sleep = match self.driver.turn(&mut ready, &self.waker) {
                Turn::Closed => return,
                Turn::Again => Some(Duration::ZERO),
                Turn::Sleep(until) => until.map(left),
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
