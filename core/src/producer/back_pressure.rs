//! Whether somebody waits for memory, and is to be told that there is some.

/// Between an answer of `Full` and the output that there is room again.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackPressure {
    /// `Full` was answered, and `BufferAvailable` not told since.
    starved: bool,
    /// Something came free since then.
    relieved: bool,
}

impl BackPressure {
    pub(super) const NONE: Self = Self { starved: false, relieved: false };

    /// A record was answered, with `Full` or otherwise.
    #[inline(always)]
    pub(super) const fn note_answer(&mut self, full: bool) {
        self.starved |= full;
    }

    /// Memory came free.
    #[inline(always)]
    pub(super) const fn note_room(&mut self) {
        self.relieved |= self.starved;
    }

    #[inline(always)]
    pub(super) const fn has_output(self) -> bool {
        self.relieved
    }

    /// Whether it is to be told that there is room, which it is once.
    #[inline(always)]
    pub(super) const fn take_output(&mut self) -> bool {
        if self.relieved {
            *self = Self::NONE;
            return true;
        }
        false
    }
}
