//! Who moves all bytes of a producer: a thread of its own, and callers that wait while it naps.

use core::{task::Waker, time::Duration};
use std::{
    io,
    sync::{Arc, OnceLock, PoisonError, TryLockError, Weak},
    task::Wake,
    time::Instant,
};

use crate::{
    engine::locked_core::{Engine, InlineDriver},
    io::{
        driver::{Driver, Turn},
        network::Ready,
    },
    security::Security,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
        thread::{self, Thread},
    },
    threads::{
        poller::Poller,
        resolver::{Inbox, Resolver},
    },
};

/// How often the driver's thread looks whether a caller still drives.
const ATTENDED: Duration = Duration::from_millis(1);

/// A driver with what it sleeps on.
pub(crate) struct Drive<P: Poller> {
    driver: Driver<P::Network>,
    poller: P,
    inbox: Arc<Inbox>,
    wake: Arc<WakeDriver>,
    waker: Waker,
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
pub(crate) struct Shared<P: Poller> {
    drive: Mutex<Drive<P>>,
    /// Wakes the driver's thread.
    waker: Waker,
    /// The driver's thread wants to go on, and found a caller that drives.
    wanted: AtomicBool,
}

#[derive(Debug)]
struct WakeDriver {
    poller: Waker,
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
        self.poller.wake_by_ref();
    }
}

impl<P: Poller> Drive<P> {
    fn new(engine: Arc<Engine>, security: Security) -> io::Result<Self> {
        let (poller, wake_poller) = P::new()?;
        let inbox = Arc::new(Inbox::new(wake_poller.clone()));
        let network = poller.network(Resolver::new(Arc::clone(&inbox)))?;
        let driver = Driver::secured(engine, network, security);
        let wake = Arc::new(WakeDriver { poller: wake_poller, thread: OnceLock::new() });
        let waker = Waker::from(Arc::clone(&wake));
        Ok(Self { driver, poller, inbox, wake, waker, ready: Vec::new(), over: false })
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
        match self.poller.wait(&mut self.driver, &mut self.ready, sleep) {
            Ok(()) => Step::Next,
            Err(error) => {
                // The driver's end gives everybody an answer.
                tracing::error!(%error, "the poller failed");
                Step::Over
            }
        }
    }
}

impl<P: Poller> Shared<P> {
    pub(crate) fn new(engine: &Arc<Engine>, security: Security) -> io::Result<Arc<Self>> {
        let drive = Drive::new(Arc::clone(engine), security)?;
        let (waker, wanted) = (drive.waker.clone(), AtomicBool::new(false));
        let shared = Arc::new(Self { drive: Mutex::new(drive), waker, wanted });
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
    fn lock_after_nap(&self) -> MutexGuard<'_, Drive<P>> {
        loop {
            // Before it looks: a caller lets the driver go and then sees this, or was seen to have.
            self.wanted.store(true, Ordering::SeqCst);
            match self.drive.try_lock() {
                Ok(drive) => {
                    self.wanted.store(false, Ordering::SeqCst);
                    return drive;
                }
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

    fn lock(&self) -> MutexGuard<'_, Drive<P>> {
        self.drive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Poller> InlineDriver for Shared<P> {
    fn drive_inline(&self, until: Option<Instant>, done: &mut dyn FnMut() -> bool) {
        let Ok(mut drive) = self.drive.try_lock() else {
            return;
        };
        let napped = drive.driver.take_over();
        while napped && !drive.over && !done() && until.is_none_or(|until| !left(until).is_zero()) {
            drive.over = match drive.step(until, &mut *done) {
                Step::Next => false,
                // Not while somebody waits; if it did, time would have to pass all the same.
                Step::Nap(due) => matches!(drive.poll(Some(left(due))), Step::Over),
                Step::Over => true,
            };
        }
        let naps = !napped || drive.driver.hand_back(&self.waker);
        drop(drive);
        if self.wanted.swap(false, Ordering::SeqCst) || !naps {
            self.waker.wake_by_ref();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long to sleep is asked of the clock")]
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}
