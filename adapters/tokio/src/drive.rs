//! The task that moves all bytes of a producer.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use std::{sync::Arc, time::Instant as StdInstant};

use ottla_client::{Driver, Engine, Ready, Turn};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{link::Tcp, ready::ReadyList};

/// A driver as a future, which is ready once the producer is closed.
#[derive(Debug)]
pub(crate) struct Drive {
    driver: Driver<Tcp>,
    list: Arc<ReadyList>,
    ready: Vec<Ready>,
    /// Made on the first sleep.
    sleep: Option<Pin<Box<Sleep>>>,
    /// Until when links that are ready may wait.
    nap: Option<StdInstant>,
}

impl Drive {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        let list = Arc::new(ReadyList::default());
        let driver = Driver::new(engine, Tcp::new(Arc::clone(&list)));
        Self { driver, list, ready: Vec::new(), sleep: None, nap: None }
    }

    /// True if the time has come already.
    fn sleep(&mut self, until: StdInstant, cx: &mut Context<'_>) -> bool {
        let until = Instant::from_std(until);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() != until {
            sleep.as_mut().reset(until);
        }
        sleep.as_mut().poll(cx).is_ready()
    }
}

impl Future for Drive {
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
