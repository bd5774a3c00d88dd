//! Where another thread may come between, or the core come to a bad end, for tests that have one thread.

pub(crate) use for_tests::pass;
#[cfg(feature = "_internal")]
pub use for_tests::set_in_gaps;

/// Such a place. Nobody has the engine's lock there, but for [`Gap::Ending`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // tests must know them all
#[cfg_attr(not(feature = "_internal"), expect(unreachable_pub, reason = "tests alone name it"))]
pub enum Gap {
    /// The driver sleeps, and has its links still.
    Asleep,
    /// A caller has written in the driver's stead, and has not looked what is left.
    Written,
    /// The driver has ended and closed the core, which has said nothing of it yet.
    Ending,
}

#[cfg(feature = "_internal")]
mod for_tests {
    use core::cell::RefCell;
    use std::rc::Rc;

    use super::Gap;

    type Act = Rc<dyn Fn(Gap)>;

    thread_local! {
        static ACT: RefCell<Option<Act>> = const { RefCell::new(None) };
    }

    /// What happens on this thread in each [`Gap`] from now on.
    pub fn set_in_gaps(act: Option<Act>) {
        ACT.set(act);
    }

    /// Lets a test have its way.
    pub(crate) fn pass(gap: Gap) {
        let act = ACT.with_borrow(Clone::clone);
        if let Some(act) = act {
            act(gap);
        }
    }
}

#[cfg(not(feature = "_internal"))]
mod for_tests {
    /// Nothing comes between.
    #[inline(always)]
    pub(crate) const fn pass(_: super::Gap) {}
}
