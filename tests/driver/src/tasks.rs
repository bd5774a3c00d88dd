//! Callers' futures, polled when they are woken and only then.

use core::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};
use std::{collections::BTreeMap, rc::Rc, sync::Arc, task::Wake};

use ottla_core::Instant;

thread_local! {
    static MEANWHILE: RefCell<Option<Rc<dyn Fn()>>> = const { RefCell::new(None) };
}

/// Has other threads do something, so to speak: where nobody has an engine's lock, callers may come between.
pub(crate) fn meanwhile() {
    let act = MEANWHILE.with_borrow(Clone::clone);
    if let Some(act) = act {
        act();
    }
}

/// What others do meanwhile.
pub(crate) fn set_meanwhile(act: Option<Rc<dyn Fn()>>) {
    MEANWHILE.set(act);
}

/// What a waker sets.
#[derive(Debug, Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) const fn set() -> Self {
        Self(AtomicBool::new(true))
    }

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
    sleepers: Rc<RefCell<BTreeMap<u64, (Instant, Waker)>>>,
    next: Rc<Cell<u64>>,
}

/// One that waits for a time. Nobody is woken for one that is gone.
#[derive(Debug)]
struct Sleep<'t>(&'t Timers, Option<u64>);

impl Sleep<'_> {
    fn until(&mut self, at: Instant, waker: &Waker) {
        let number = *self.1.get_or_insert_with(|| {
            self.0.next.set(self.0.next.get() + 1);
            self.0.next.get()
        });
        self.0.sleepers.borrow_mut().insert(number, (at, waker.clone()));
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.1 {
            self.0.sleepers.borrow_mut().remove(&number);
        }
    }
}

impl Timers {
    /// The future's output, or `None` once it is that late.
    pub(crate) async fn within<T>(
        &self,
        at: Instant,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut future = pin!(future);
        let mut sleep = Sleep(self, None);
        poll_fn(|cx| {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(value));
            }
            if self.now.get() >= at {
                return Poll::Ready(None);
            }
            sleep.until(at, cx.waker());
            Poll::Pending
        })
        .await
    }

    pub(crate) fn next(&self) -> Instant {
        self.sleepers.borrow().values().map(|(at, _)| *at).min().unwrap_or(Instant::NEVER)
    }

    /// Wakes those whose time has come.
    pub(crate) fn wake(&self) -> bool {
        let now = self.now.get();
        let mut moved = false;
        self.sleepers.borrow_mut().retain(|_, (at, waker)| {
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
