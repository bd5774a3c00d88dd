//! What mio supplies.

use core::{task::Waker, time::Duration};
use std::{
    io::{self, ErrorKind},
    sync::Arc,
    task::Wake,
};

use mio::{Events, Poll, Token};
use ottla_client::{
    Driver, Ready,
    threads::{Poller, Resolver},
};

use crate::link::Tcp;

/// What the poller calls a wake-up; no slot has this number.
const WOKEN: Token = Token(usize::MAX);
/// Events that are taken at a time; more wait for the next.
const EVENTS: usize = 256;

/// A poller of mio's, on which the producer's thread sleeps.
#[derive(Debug)]
pub struct Mio {
    poll: Poll,
    events: Events,
}

struct WakePoll(mio::Waker);

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

impl Poller for Mio {
    type Network = Tcp;

    fn new() -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let wake = WakePoll(mio::Waker::new(poll.registry(), WOKEN)?);
        Ok((Self { poll, events: Events::with_capacity(EVENTS) }, Waker::from(Arc::new(wake))))
    }

    fn network(&self, resolver: Resolver) -> io::Result<Tcp> {
        Ok(Tcp::new(self.poll.registry().try_clone()?, resolver))
    }

    fn wait(
        &mut self,
        driver: &mut Driver<Tcp>,
        ready: &mut Vec<Ready>,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            // What was noted before would be taken for news.
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in self.events.iter().filter(|event| event.token() != WOKEN) {
            let index = event.token().0;
            driver.with_link(index, |link| {
                link.note(event);
                let readable = event.is_readable() || event.is_read_closed() || event.is_error();
                let writable = event.is_writable() || event.is_write_closed() || event.is_error();
                ready.push(Ready { index, readable, writable });
            });
        }
        Ok(())
    }
}
