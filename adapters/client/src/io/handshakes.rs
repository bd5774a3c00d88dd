//! How much of TLS handshakes a turn of the driver does.
//!
//! A step is public-key cryptography: tenths of a millisecond in which the driver does nothing else, and a cluster that
//! comes back has a hundred of them at once. So a turn does a few, and the rest wait in the order in which they came:
//! whoever else has something to send or to hear has a turn in between, and everybody gets there.

use std::collections::VecDeque;

use ottla_core::ConnId;

/// Steps of a turn. The first of a handshake makes keys, the last one proves certificates.
const STEPS: usize = 2;

/// The steps that a turn may still do, and who waits for another turn.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    left: usize,
    waiting: VecDeque<Step>,
}

/// What goes on in a turn to come. Those whose connection is gone by then are passed over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// To dial, which makes keys.
    Dial(ConnId),
    /// To go on with a link that is not open yet.
    Open(ConnId),
}

impl Handshakes {
    pub(crate) const fn new() -> Self {
        Self { left: 0, waiting: VecDeque::new() }
    }

    /// Another turn begins.
    pub(crate) const fn begin_turn(&mut self) {
        self.left = STEPS;
    }

    /// Takes one of the turn's steps; false where none is left.
    pub(crate) const fn take(&mut self) -> bool {
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }

    /// Has a step wait for another turn.
    pub(crate) fn defer(&mut self, step: Step) {
        self.waiting.push_back(step);
    }

    /// The next of those that wait, if this turn has steps left.
    pub(crate) fn next(&mut self) -> Option<Step> {
        if self.left > 0 { self.waiting.pop_front() } else { None }
    }

    pub(crate) fn nobody_waits(&self) -> bool {
        self.waiting.is_empty()
    }
}
