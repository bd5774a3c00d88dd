//! Who moves all bytes of a producer: a thread of its own, and callers that wait while it naps.

use core::{task::Waker, time::Duration};
use std::{
    io::{self, ErrorKind},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError, Weak},
    task::Wake,
    thread::{self, Thread},
    time::Instant,
};

use mio::{Events, Poll, Token};
use ottla_client::{Driver, Engine, InlineDriver, Ready, Turn};

use crate::{
    link::Tcp,
    resolver::{Inbox, Resolver},
};

/// What the poller calls a wake-up; no slot has this number.
const WOKEN: Token = Token(usize::MAX);
/// Events that are taken at a time; more wait for the next.
const EVENTS: usize = 256;

/// How often the driver's thread looks whether a caller still drives.
const ATTENDED: Duration = Duration::from_millis(1);

/// A driver with what it sleeps on.
#[derive(Debug)]
pub(crate) struct Drive {
    driver: Driver<Tcp>,
    poll: Poll,
    inbox: Arc<Inbox>,
    wake: Arc<WakeDriver>,
    waker: Waker,
    events: Events,
    ready: Vec<Ready>,
    /// A caller that drove found the producer closed.
    over: bool,
}

/// What follows a step.
#[derive(Debug)]
enum Step {
    Next,
    Nap(Instant),
    Over,
}

/// A driver that its own thread drives, or a caller while that one naps.
#[derive(Debug)]
pub(crate) struct Shared(Mutex<Drive>);

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
        let events = Events::with_capacity(EVENTS);
        Ok(Self { driver, poll, inbox, wake, waker, events, ready: Vec::new(), over: false })
    }

    /// Does what there is to do and, unless that is `enough`, waits until there may be more, or until then.
    fn step(&mut self, until: Option<Instant>, enough: impl FnOnce() -> bool) -> Step {
        self.inbox.take(&mut self.ready);
        let turn = self.driver.turn(&mut self.ready, &self.waker);
        if enough() {
            return Step::Next;
        }
        match turn {
            Turn::Closed => Step::Over,
            Turn::Again => self.poll(Some(Duration::ZERO)),
            Turn::Sleep(due) => self.poll(due.into_iter().chain(until).min().map(left)),
            Turn::Nap(due) => Step::Nap(due),
        }
    }

    fn poll(&mut self, sleep: Option<Duration>) -> Step {
        match self.poll.poll(&mut self.events, sleep) {
            Ok(()) => self.note(),
            // What was noted before would be taken for news.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                // The driver's end gives everybody an answer.
                tracing::error!(%error, "the poller failed");
                return Step::Over;
            }
        }
        Step::Next
    }

    fn note(&mut self) {
        for event in self.events.iter().filter(|event| event.token() != WOKEN) {
            let index = event.token().0;
            self.driver.with_link(index, |link| {
                link.note(event);
                let readable = event.is_readable() || event.is_read_closed() || event.is_error();
                let writable = event.is_writable() || event.is_write_closed() || event.is_error();
                self.ready.push(Ready { index, readable, writable });
            });
        }
    }
}

impl Shared {
    pub(crate) fn new(engine: &Arc<Engine>) -> io::Result<Arc<Self>> {
        let drive = Drive::new(Arc::clone(engine))?;
        let shared = Arc::new(Self(Mutex::new(drive)));
        let driver: Weak<Self> = Arc::downgrade(&shared);
        engine.set_inline_driver(driver);
        Ok(shared)
    }

    /// Runs until the producer is closed.
    pub(crate) fn run(&self) {
        let mut drive = self.lock();
        drive.wake.thread.get_or_init(thread::current);
        loop {
            match drive.step(None, || false) {
                Step::Next => {}
                Step::Over => return,
                Step::Nap(until) => {
                    drop(drive);
                    thread::park_timeout(left(until));
                    drive = self.lock_after_nap();
                    if drive.over || matches!(drive.poll(Some(Duration::ZERO)), Step::Over) {
                        return;
                    }
                }
            }
        }
    }

    /// Naps on for as long as a caller drives.
    fn lock_after_nap(&self) -> MutexGuard<'_, Drive> {
        loop {
            match self.0.try_lock() {
                Ok(drive) => return drive,
                Err(TryLockError::Poisoned(poisoned)) => {
                    // A caller that drove came to a bad end in the middle of it. So does the driver, which
                    // gives everybody an answer.
                    let mut drive = poisoned.into_inner();
                    drive.over = true;
                    return drive;
                }
                Err(TryLockError::WouldBlock) => thread::park_timeout(ATTENDED),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Drive> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InlineDriver for Shared {
    fn drive_inline(&self, until: Option<Instant>, done: &mut dyn FnMut() -> bool) {
        let Ok(mut drive) = self.0.try_lock() else {
            return;
        };
        if !drive.driver.take_over() {
            return;
        }
        while !drive.over && !done() && until.is_none_or(|until| !left(until).is_zero()) {
            drive.over = match drive.step(until, &mut *done) {
                Step::Next => false,
                // Not while somebody waits; if it did, time would have to pass all the same.
                Step::Nap(due) => matches!(drive.poll(Some(left(due))), Step::Over),
                Step::Over => true,
            };
        }
        let waker = drive.waker.clone();
        let naps = drive.driver.hand_back(&waker);
        drop(drive);
        if !naps {
            waker.wake();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long to sleep is asked of the clock")]
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
