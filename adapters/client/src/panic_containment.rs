//! Code of others, called where a panic of it must go no further.

use core::{any::Any, mem, panic::AssertUnwindSafe, task::Waker};
use std::panic::catch_unwind;

/// Calls what is not ours; false where it panicked. That includes what it panicked with: to drop that
/// may panic once more.
pub(crate) fn contain(call: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(()) => true,
        Err(payload) => {
            bury(payload);
            false
        }
    }
}

fn bury(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // It will not end by itself, and nobody misses it.
        mem::forget(again);
    }
}

/// Wakers that are to be woken once all locks are free.
///
/// Each is woken whatever the others do. None is lost, whatever becomes of who has them: dropped, they
/// are woken.
#[derive(Debug, Default)]
pub(crate) struct Wakes(Vec<Waker>);

impl Wakes {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn extend(&mut self, wakers: impl IntoIterator<Item = Waker>) {
        self.0.extend(wakers);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Wakes them. The room that they took is kept.
    pub(crate) fn wake(&mut self) {
        for waker in self.0.drain(..) {
            if !contain(|| waker.wake()) {
                contain(|| tracing::error!("a waker panicked"));
            }
        }
    }
}

impl Drop for Wakes {
    fn drop(&mut self) {
        self.wake();
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::{panic::panic_any, sync::Arc, task::Wake};

    use super::*;

    struct Nasty;

    impl Drop for Nasty {
        fn drop(&mut self) {
            panic_any(Self);
        }
    }

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    struct Bad;

    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }

    #[test]
    fn a_panic_whose_payload_panics_is_contained() {
        assert!(!contain(|| panic_any(Nasty)));
        assert!(contain(|| {}));
    }

    #[test]
    fn each_waker_is_woken_whatever_the_others_do_and_none_is_lost() {
        let count = Arc::new(Count(0.into()));
        let mut wakes = Wakes::default();
        let good = || Waker::from(Arc::clone(&count));
        wakes.extend([good(), Waker::from(Arc::new(Bad)), good()]);
        wakes.wake();
        assert_eq!(count.0.load(Ordering::Relaxed), 2);
        wakes.extend([Waker::from(Arc::new(Bad)), good()]);
        drop(wakes);
        assert_eq!(count.0.load(Ordering::Relaxed), 3);
    }
}
