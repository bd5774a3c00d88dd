//! Where another thread may come between, or the core come to a bad end, for tests that have one thread.

#[cfg(feature = "_internal")]
use core::cell::RefCell;
#[cfg(feature = "_internal")]
use std::rc::Rc;

/// Such a place. Nobody has the engine's lock there, but for [`Gap::Ending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // tests must know them all
#[cfg_attr(not(feature = "_internal"), expect(unreachable_pub, reason = "tests alone name it"))]
pub enum Gap {
    /// The driver sleeps, and has its links still.
    Asleep,
    /// A caller has written in the driver's stead, and has not looked what is left.
    Written,
    /// Somebody compresses a batch.
    Compressing,
    /// The driver has ended and closed the core, which has said nothing of it yet.
    Ending,
}

#[cfg(feature = "_internal")]
type Act = Rc<dyn Fn(Gap)>;

#[cfg(feature = "_internal")]
thread_local! {
    static ACT: RefCell<Option<Act>> = const { RefCell::new(None) };
}

/// What happens on this thread in each [`Gap`] from now on.
#[cfg(feature = "_internal")]
pub fn set_in_gaps(act: Option<Act>) {
    ACT.set(act);
}

/// Lets a test have its way; otherwise nothing comes between.
#[inline(always)]
pub(crate) fn pass(gap: Gap) {
    #[cfg(feature = "_internal")]
    if let Some(act) = ACT.with_borrow(Clone::clone) {
        act(gap);
    }
    let _ = gap;
}
