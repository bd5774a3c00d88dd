//! The producer as tasks of one executor share it.

use core::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    task::{Poll, Waker},
};

use ottla_core::{Backlog, Event, Instant, Producer};

#[cfg(feature = "lz4")]
use crate::compressor::{Compressor, compress_next};

/// What goes with a producer: told of its events, and called in time. A [`Backlog`] is one; `()` is
/// one that does nothing.
pub trait Application {
    /// The producer told something. Its [`payload`](Producer::payload) can be asked for.
    fn handle_event(&mut self, producer: &mut Producer<'_>, now: Instant, event: &Event);

    /// A token for OAUTHBEARER is wanted: once for each. Give it here by [`Producer::handle_token`], or later, by
    /// [`Client::with`], where getting one takes time; connections wait for it that are to be authenticated, up to
    /// `socket.connection.setup.timeout.ms`. By itself this says that there is none
    /// ([`Producer::handle_no_token`]), and is asked again after `retry.backoff.max.ms`.
    #[cfg(feature = "oauthbearer")]
    fn want_token(&mut self, producer: &mut Producer<'_>, now: Instant) {
        producer.handle_no_token(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next; [`Instant::NEVER`] is not
    /// at all.
    fn poll_timeout(&self) -> Instant {
        Instant::NEVER
    }

    /// That time has come.
    fn handle_timeout(&mut self, producer: &mut Producer<'_>, now: Instant) {
        let _ = (producer, now);
    }
}

impl Application for () {
    fn handle_event(&mut self, _: &mut Producer<'_>, _: Instant, _: &Event) {}
}

impl<T: Copy, const N: usize> Application for Backlog<T, N> {
    fn handle_event(&mut self, producer: &mut Producer<'_>, _: Instant, event: &Event) {
        Self::handle_event(self, producer, event);
    }

    fn poll_timeout(&self) -> Instant {
        Self::poll_timeout(self)
    }

    fn handle_timeout(&mut self, producer: &mut Producer<'_>, now: Instant) {
        Self::handle_timeout(self, producer, now);
    }
}

/// A producer and what goes with it, shared by the tasks of one executor: one runs it
/// ([`run`](crate::run)), others use it.
///
/// It is lent to one at a time and never across an `await`, so nobody waits for it. Tasks of several
/// executors, which could interrupt each other, must not share one; it is not `Sync`.
pub struct Client<'m, A = ()> {
    state: RefCell<(Producer<'m>, A)>,
    #[cfg(feature = "lz4")]
    compressor: RefCell<Option<Compressor<'m>>>,
    /// Something changed since the run began its round.
    pub(crate) moved: Cell<bool>,
    /// Something changed since the run last asked what is due.
    pub(crate) stale: Cell<bool>,
    /// The run to be woken. Empty while it is awake.
    runner: Cell<Option<Waker>>,
    /// The task that waits for something to happen.
    watcher: Cell<Option<Waker>>,
    /// How often something happened.
    happenings: Cell<u32>,
}

impl<'m, A> Client<'m, A> {
    /// Shares a producer, which is to be run.
    #[must_use]
    pub const fn new(producer: Producer<'m>, application: A) -> Self {
        Self {
            state: RefCell::new((producer, application)),
            #[cfg(feature = "lz4")]
            compressor: RefCell::new(None),
            moved: Cell::new(true),
            stale: Cell::new(true),
            runner: Cell::new(None),
            watcher: Cell::new(None),
            happenings: Cell::new(0),
        }
    }

    /// Compresses by this what is to be compressed, one batch at a time, between which other tasks of the executor have
    /// their turn. Without, batches go out as they are.
    #[cfg(feature = "lz4")]
    pub fn set_compressor(&self, compressor: Compressor<'m>) {
        self.compressor.replace(Some(compressor));
    }

    /// Compresses the next batch that is to be; tells whether anything changed.
    #[cfg(feature = "lz4")]
    pub(crate) fn compress_next(&self, now: Instant) -> bool {
        let compressor = &mut *self.compressor.borrow_mut();
        let done = self.attempt(|producer| compress_next(compressor, producer, now).then_some(()));
        done.is_some()
    }

    /// Lends the producer and what goes with it: to produce, to cancel, to take reports.
    ///
    /// # Panics
    ///
    /// Where `f` itself calls it.
    pub fn with<R>(&self, f: impl FnOnce(&mut Producer<'m>, &mut A) -> R) -> R {
        let result = self.lend(f);
        if let Some(runner) = self.runner.take() {
            runner.wake();
        }
        result
    }

    /// Waits until the producer has told something since this `seen`, which begins with 0. Where several
    /// tasks wait, they wake each other in turn.
    pub async fn changed(&self, seen: &mut u32) {
        poll_fn(|context| {
            if self.happenings.get() != *seen {
                *seen = self.happenings.get();
                return Poll::Ready(());
            }
            let other = self.watcher.replace(Some(context.waker().clone()));
            if let Some(other) = other.filter(|other| !other.will_wake(context.waker())) {
                other.wake();
            }
            Poll::Pending
        })
        .await;
    }

    /// The same for the run itself, which is awake.
    pub(crate) fn lend<R>(&self, f: impl FnOnce(&mut Producer<'m>, &mut A) -> R) -> R {
        self.moved.set(true);
        self.stale.set(true);
        let state = &mut *self.state.borrow_mut();
        f(&mut state.0, &mut state.1)
    }

    /// The same where `f` does something to the producer only if it returns `Some`, or leaves something
    /// to tell or to compress.
    pub(crate) fn attempt<R>(&self, f: impl FnOnce(&mut Producer<'m>) -> Option<R>) -> Option<R> {
        let producer = &mut self.state.borrow_mut().0;
        let done = f(producer);
        let consequences = producer.has_output();
        #[cfg(feature = "lz4")]
        let consequences = consequences || producer.wants_compression();
        if done.is_some() || consequences {
            self.moved.set(true);
            self.stale.set(true);
        }
        done
    }

    /// Something happened that a task may wait for.
    pub(crate) fn announce(&self) {
        self.happenings.set(self.happenings.get().wrapping_add(1));
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
    }

    /// For tests alone: looks at the producer, which nobody notices.
    #[cfg(feature = "_internal")]
    #[doc(hidden)]
    pub fn internal_look<R>(&self, f: impl FnOnce(&Producer<'m>, &A) -> R) -> R {
        let state = self.state.borrow();
        f(&state.0, &state.1)
    }

    /// For tests alone: how often something happened.
    #[cfg(feature = "_internal")]
    #[doc(hidden)]
    pub fn internal_happenings(&self) -> u32 {
        self.happenings.get()
    }

    /// The run goes to sleep.
    pub(crate) fn sleep(&self, waker: &Waker) {
        self.runner.set(Some(waker.clone()));
    }
}

impl<A> fmt::Debug for Client<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
