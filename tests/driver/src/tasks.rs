//! Callers' futures, polled when they are woken and only then.

use core::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};
use std::{rc::Rc, sync::Arc, task::Wake};

use ottla_core::Instant;

/// What a waker sets.
#[derive(Debug, Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Time as tasks see it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    pub(crate) now: Rc<Cell<Instant>>,
    sleepers: Rc<RefCell<Vec<(Instant, Waker)>>>,
}

impl Timers {
    /// The future's output, or `None` once it is that late.
    pub(crate) async fn within<T>(
        &self,
        at: Instant,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = pin!(future);
        let mut set = false;
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            if self.now.get() >= at {
                return Poll::Ready(None);
            }
            if !core::mem::replace(&mut set, true) {
                self.sleepers.borrow_mut().push((at, cx.waker().clone()));
            }
            Poll::Pending
        })
        .await
    }

    pub(crate) fn next(&self) -> Instant {
        self.sleepers.borrow().iter().map(|(at, _)| *at).min().unwrap_or(Instant::NEVER)
    }

    /// Wakes those whose time has come.
    pub(crate) fn wake(&self) -> bool {
        let now = self.now.get();
        let mut moved = false;
        self.sleepers.borrow_mut().retain(|(at, waker)| {
            if *at <= now {
                waker.wake_by_ref();
                moved = true;
            }
            *at > now
        });
        moved
    }
}

/// Whether what a task waits for is there, without asking as a waiter would.
type Probe = Box<dyn Fn() -> bool>;

/// A caller.
pub(crate) struct Task {
    pub(crate) what: String,
    pub(crate) flag: Arc<Flag>,
    probe: Option<Probe>,
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Task {
    pub(crate) fn new(what: String, future: impl Future<Output = ()> + 'static) -> Self {
        let flag = Arc::new(Flag::default());
        Wake::wake_by_ref(&flag);
        Self { what, flag, probe: None, future: Some(Box::pin(future)) }
    }

    pub(crate) fn probed(mut self, probe: impl Fn() -> bool + 'static) -> Self {
        self.probe = Some(Box::new(probe));
        self
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.future.is_none()
    }

    /// Whether it ought to have been woken.
    pub(crate) fn is_kept_waiting(&self) -> bool {
        !self.is_over() && !self.flag.is_set() && self.probe.as_ref().is_some_and(|probe| probe())
    }

    /// Polls it if it was woken; tells whether it was.
    pub(crate) fn poll(&mut self) -> bool {
        if !self.flag.take() {
            return false;
        }
        let waker = Waker::from(Arc::clone(&self.flag));
        if let Some(future) = &mut self.future
            && future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            (self.future, self.probe) = (None, None);
        }
        true
    }
}
