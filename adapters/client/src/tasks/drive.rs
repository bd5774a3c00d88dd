//! The task that moves all bytes of a producer.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use std::{sync::Arc, time::Instant};

use crate::{
    engine::locked_core::Engine,
    io::{
        driver::{Driver, Turn},
        network::Ready,
    },
    security::Security,
    tasks::{link::Dialler, ready::ReadyList, runtime::Runtime},
};

/// A driver as a future, which is ready once the producer is closed.
pub(crate) struct Drive<R: Runtime> {
    runtime: R,
    driver: Driver<Dialler<R>>,
    list: Arc<ReadyList>,
    ready: Vec<Ready>,
    /// Made on the first sleep.
    alarm: Option<Alarm<R>>,
    /// Until when links that are ready may wait.
    nap: Option<Instant>,
}

/// A timer that is set again and again.
struct Alarm<R: Runtime> {
    /// The time that it is set to, which has not come.
    set_to: Option<Instant>,
    timer: Pin<Box<R::Timer>>,
}

impl<R: Runtime> Drive<R> {
    pub(crate) fn new(engine: Arc<Engine>, runtime: R, security: Security) -> Self {
        let list = Arc::new(ReadyList::default());
        let driver = Driver::secured(engine, Dialler::new(Arc::clone(&list)), security);
        Self { runtime, driver, list, ready: Vec::new(), alarm: None, nap: None }
    }

    /// True if the time has come already.
    fn sleep(&mut self, until: Instant, cx: &mut Context<'_>) -> bool {
        let Self { alarm, runtime, .. } = self;
        let alarm = alarm.get_or_insert_with(|| Alarm {
            set_to: Some(until),
            timer: Box::pin(runtime.timer(until)),
        });
        if alarm.set_to != Some(until) {
            R::reset(alarm.timer.as_mut(), until);
            alarm.set_to = Some(until);
        }
        let over = alarm.timer.as_mut().poll(cx).is_ready();
        if over {
            alarm.set_to = None;
        }
        over
    }
}

impl<R: Runtime> Future for Drive<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if let Some(until) = this.nap.take()
            && this.driver.naps()
            && !this.sleep(until, cx)
        {
            this.nap = Some(until);
            return Poll::Pending;
        }
        this.list.take(&mut this.ready, cx.waker());
        let again = match this.driver.turn(&mut this.ready, cx.waker()) {
            Turn::Closed => return Poll::Ready(()),
            Turn::Again => true,
            Turn::Sleep(None) => false,
            Turn::Sleep(Some(until)) => this.sleep(until, cx),
            Turn::Nap(until) => {
                this.nap = Some(until);
                this.sleep(until, cx)
            }
        };
        if again {
            // Others on this thread get their turn in between.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
