//! Ctrl-C and SIGTERM.

use core::sync::atomic::{AtomicBool, Ordering};
use std::{process, sync::Arc};

use anyhow::Context as _;

/// The status of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Whether it is time to stop. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Waits for a signal in the background and calls `then` at the first. The second one ends the
    /// program.
    pub(crate) fn on_signal(then: impl Fn() + Send + 'static) -> anyhow::Result<Self> {
        let stop = Self::default();
        let ours = stop.clone();
        ctrlc::set_handler(move || {
            if ours.0.swap(true, Ordering::Relaxed) {
                process::exit(INTERRUPTED);
            }
            then();
        })
        .context("signals cannot be waited for")?;
        Ok(stop)
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
