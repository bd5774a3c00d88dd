//! Locks, atomics and threads: the system's, or those of a checker of interleavings.
//!
//! What callers and drivers do to each other goes through here, so that shuttle can put any of them in between any
//! others (`--cfg shuttle`; see `tests/driver/tests/interleavings.rs`). `Arc`, `Weak` and `OnceLock` are the standard
//! library's: nobody waits in them.

#[cfg(not(shuttle))]
pub(crate) use core::{hint::spin_loop, sync::atomic};
#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::{Mutex, MutexGuard},
    thread, thread_local,
};

#[cfg(shuttle)]
pub(crate) use shuttle::{
    hint::spin_loop,
    sync::{Mutex, MutexGuard, atomic},
    thread, thread_local,
};
