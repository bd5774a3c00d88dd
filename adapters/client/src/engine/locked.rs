//! The engine's lock, held. What lanes brought into the core meanwhile is seen to when it is let go, whoever had it.

use core::{
    ops::{Deref, DerefMut},
    task::Waker,
};

use crate::{engine::state::State, sync::MutexGuard};

/// What the lock guards, for as long as it is held.
///
/// Who takes the lock brings in what lies in lanes, whatever else it is about. So it is here, and not in each call, that
/// the driver is woken where that made something due.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    // In this order they are dropped: who is woken finds the lock free.
    state: MutexGuard<'a, State>,
    wake: WakeAtEnd,
}

#[derive(Debug)]
struct WakeAtEnd(Option<Waker>);

impl<'a> Locked<'a> {
    #[inline]
    pub(super) const fn new(state: MutexGuard<'a, State>) -> Self {
        Self { state, wake: WakeAtEnd(None) }
    }
}

impl Deref for Locked<'_> {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.state.has_brought_in() {
            self.wake.0 = self.state.nudge_for_lanes();
        }
    }
}

impl Drop for WakeAtEnd {
    #[inline]
    fn drop(&mut self) {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
    }
}
