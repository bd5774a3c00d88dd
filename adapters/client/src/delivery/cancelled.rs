//! What is noted of a record that was cancelled.

use ottla_core::Cause;

/// A record that was cancelled: its index, and two bits. There is room for one for each record of
/// a batch before it is needed, so that it is small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(u32);

impl Mark {
    const TAKEN: u32 = 1;
    const DEADLINE: u32 = 2;

    /// `cause`: its own deadline, or else its caller.
    pub(super) const fn new(index: u32, taken: bool, cause: Cause) -> Self {
        let deadline = matches!(cause, Cause::Deadline);
        // A record has some bytes, so that no batch has 2³⁰ of them.
        Self(index << 2 | if deadline { Self::DEADLINE } else { 0 } | taken as u32)
    }

    /// It turned out that it could be taken out all the same.
    pub(super) const fn take(&mut self) {
        self.0 |= Self::TAKEN;
    }

    pub(super) const fn index(self) -> u32 {
        self.0 >> 2
    }

    /// Taken out of the batch, so that it is not in the log; otherwise its bytes had left.
    pub(super) const fn taken(self) -> bool {
        self.0 & Self::TAKEN != 0
    }

    pub(super) const fn cause(self) -> Cause {
        if self.0 & Self::DEADLINE != 0 { Cause::Deadline } else { Cause::Cancelled }
    }
}
