//! What the firmware logged.

use core::{fmt, time::Duration};
use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// A line of the log, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was said, by the device's own clock, as text.
    pub time: String,
    /// How grave it is, as defmt says it.
    pub level: &'static str,
    /// What was said.
    pub text: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10} {:5} {}", self.time, self.level, self.text)
    }
}

/// The lines of a run so far.
#[derive(Debug, Default)]
pub struct Lines {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<Line>,
    ended: bool,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, line: Line) {
        self.lock().lines.push(line);
        self.more.notify_all();
    }

    /// Nothing more will be said.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.more.notify_all();
    }

    /// All of them so far.
    #[must_use]
    pub fn all(&self) -> Vec<Line> {
        self.lock().lines.clone()
    }

    /// How many there are with `part` in them.
    #[must_use]
    pub fn count(&self, part: &str) -> usize {
        self.lock().lines.iter().filter(|line| line.text.contains(part)).count()
    }

    /// Waits for a line from the `from`th on that `wanted` takes; its number, or none where the log
    /// ends without one or `limit` is over.
    pub fn wait(
        &self,
        from: usize,
        limit: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<usize> {
        let begin = Instant::now();
        let mut state = self.lock();
        let mut next = from;
        loop {
            while let Some(line) = state.lines.get(next) {
                if wanted(&line.text) {
                    return Some(next);
                }
                next += 1;
            }
            let left = limit.checked_sub(begin.elapsed())?;
            if state.ended {
                return None;
            }
            let waited = self.more.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
