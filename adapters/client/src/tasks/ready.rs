//! Which connections are ready, so that no wake-up looks at all of them.

use core::{mem, task::Waker};
use std::{
    sync::{Arc, PoisonError},
    task::Wake,
};

use crate::{
    io::network::Ready,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

/// The connections whose wakers were woken since the driver looked.
#[derive(Debug, Default)]
pub(crate) struct ReadyList(Mutex<Woken>);

#[derive(Debug, Default)]
struct Woken {
    flags: Vec<Arc<Flag>>,
    driver: Option<Waker>,
}

/// Wakes the driver for one connection.
#[derive(Debug)]
struct Flag {
    index: usize,
    /// It is in the list.
    listed: AtomicBool,
    list: Arc<ReadyList>,
}

impl ReadyList {
    /// A waker for the connection with this slot number.
    pub(crate) fn waker(self: &Arc<Self>, index: usize) -> Waker {
        let listed = AtomicBool::new(false);
        Waker::from(Arc::new(Flag { index, listed, list: Arc::clone(self) }))
    }

    /// Takes who is ready; `driver` is woken when there are more.
    pub(crate) fn take(&self, spare: &mut Vec<Ready>, driver: &Waker) {
        let mut woken = self.lock();
        match &mut woken.driver {
            Some(known) => known.clone_from(driver),
            None => woken.driver = Some(driver.clone()),
        }
        for flag in woken.flags.drain(..) {
            flag.listed.store(false, Ordering::Release);
            // A waker does not say whether reading or writing may go on; a stream that is not
            // ready says so without a system call.
            spare.push(Ready { index: flag.index, readable: true, writable: true });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Woken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        Self::wake_by_ref(&self);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut woken = self.list.lock();
        woken.flags.push(Arc::clone(self));
        // Once for a whole list: `take` gives the waker back.
        let driver = mem::take(&mut woken.driver);
        drop(woken);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}
