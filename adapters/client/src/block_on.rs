//! Waiting on the calling thread.

use core::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};
use std::{sync::Arc, task::Wake, time::Instant};

use crate::sync::{
    thread::{self, Thread},
    thread_local,
};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

thread_local! {
    // One for each thread and not one for each wait, so that waiting allocates nothing.
    static WAKER: Waker = Waker::from(Arc::new(Unpark(thread::current())));
}

/// Runs a future on this thread until it is done, or until `deadline`: `None`.
#[expect(clippy::disallowed_methods, reason = "how long to park is asked of the clock")]
pub fn block_on<T>(future: impl Future<Output = T>, deadline: Option<Instant>) -> Option<T> {
    let mut future = pin!(future);
    let waker = WAKER.with(Clone::clone);
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return Some(value);
        }
        match deadline {
            None => thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                thread::park_timeout(left);
            }
        }
    }
}
