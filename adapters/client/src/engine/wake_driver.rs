//! Whether the driver is to be woken, and for what it sleeps.

use core::task::Waker;

use ottla_core::{Instant, Ticket};

use crate::engine::{
    driver_sleep::{Driving, Nudge},
    state::State,
};

/// For so many batches callers look whether there are answers, if without them none may leave.
const SOME_BATCHES: u32 = 4;

/// So many reports are not left for the end of a nap.
const MANY_REPORTS: usize = 16_384;

impl State {
    /// After a call that seldom leaves something to do: whom to wake if the driver sleeps and has that to
    /// do now, or earlier than it thinks. `timer`: the call may have set a timer.
    pub(crate) fn nudge(&mut self, timer: bool) -> Option<Waker> {
        if self.driver.is_awake() {
            return None;
        }
        let due = self.core.needs_service() || (timer && self.wake_time() < self.armed);
        if due { self.driver.wake() } else { None }
    }

    /// After a record was refused: whom to wake, where the driver may bring what it lacks.
    pub(crate) fn nudge_for_refusal(&mut self) -> Option<Waker> {
        self.nudge_for_waiter().or_else(|| self.nudge(true))
    }

    /// After somebody began to wait for what the driver alone brings: whom to wake if it naps, which it may
    /// have begun to do just before.
    pub(crate) fn nudge_for_waiter(&mut self) -> Option<Waker> {
        if self.naps() { self.driver.wake() } else { None }
    }

    /// After a record was taken. `timer`: it has a deadline.
    #[inline]
    pub(crate) fn nudge_for_record(&mut self, ticket: &Ticket, timer: bool) -> Nudge {
        self.nudge_for_records(1, u32::from(ticket.index() == 0), timer)
    }

    /// After so many records were taken, of which so many began a batch. `timer`: one has a deadline.
    #[inline]
    pub(crate) fn nudge_for_records(&mut self, records: u32, begun: u32, timer: bool) -> Nudge {
        self.records = self.records.wrapping_add(records);
        self.begun += begun;
        // A record that joins a batch sets no timer: the batch's own is running.
        if begun > 0 {
            self.hold.note(self.core.due_bytes());
        }
        let timer = timer || begun > 0;
        if self.driver.is_awake() || self.writing {
            return Nudge::Nothing;
        }
        if self.core.has_output() || (timer && self.wake_time() < self.armed) {
            return self.driver.wake().map_or(Nudge::Nothing, Nudge::Wake);
        }
        if self.is_to_be_written() {
            return self.write();
        }
        match (self.is_to_compress(), self.gather.lingers) {
            (false, _) => Nudge::Nothing,
            // Large, and more than a caller should do that has other records to send.
            (true, true) => self.driver.wake().map_or(Nudge::Nothing, Nudge::Wake),
            // Small, mostly, and done sooner than the driver would wake.
            (true, false) => Nudge::Compress,
        }
    }

    /// A lane brought so many records into the core. `begun`: they are the first of their batch.
    pub(super) fn note_brought_in(&mut self, records: u32, begun: bool) {
        self.brought_in = true;
        self.begun += begun as u32;
        self.records = self.records.wrapping_add(records);
        self.crowd.count_records(records);
        if begun {
            self.hold.note(self.core.due_bytes());
        }
    }

    /// Whether it is to be looked what lanes brought in.
    #[inline]
    pub(super) const fn has_brought_in(&self) -> bool {
        self.brought_in
    }

    /// After lanes brought records in, whoever had them do so: whom to wake, where that made something due that nobody
    /// sees to.
    #[cold]
    pub(super) fn nudge_for_lanes(&mut self) -> Option<Waker> {
        self.brought_in = false;
        if self.driver.is_awake() || self.writing {
            return None;
        }
        let is_late = self.wake_time() < self.armed;
        let is_due = is_late || self.core.has_output() || self.is_to_be_written();
        (is_due || self.is_to_compress()).then(|| self.driver.wake()).flatten()
    }

    /// A full batch of a busy connection goes with the answer to the request under way. For that the driver
    /// waits; while it naps, it is for callers to look, and sooner where nothing more can leave without.
    fn is_to_be_written(&self) -> bool {
        let many = self.begun >= self.gather.batches;
        let stuck = || self.begun >= SOME_BATCHES && !self.core.needs_service();
        let look = self.naps() && (many || stuck());
        self.core.has_urgent_write() || look || (many && self.core.needs_service())
    }

    const fn write(&mut self) -> Nudge {
        self.writing = true;
        self.begun = 0;
        Nudge::Write
    }

    /// Whether nobody waits for anything that the driver alone would bring, and nothing is left that lanes brought in and
    /// made due: callers look after what they themselves make so.
    pub(crate) fn may_nap(&self) -> bool {
        let waits = self.full.len() + self.topics.len() + self.flushes.len() + self.closes.len();
        let due = self.brought_in && (self.core.has_output() || self.core.has_urgent_write());
        waits == 0 && !self.closed && !due
    }

    /// Whether several threads send at a time, so that the driver is to look after lanes.
    pub(crate) const fn is_crowded(&self) -> bool {
        self.crowd.is_here()
    }

    /// Whether the driver takes the lock within a millisecond.
    pub(super) const fn is_watched(&self) -> bool {
        self.watched || self.driver.is_awake()
    }

    /// Whether a batch may wait for others.
    pub(crate) const fn lingers(&self) -> bool {
        self.gather.lingers
    }

    /// Whether links do not wake the driver, so that callers are to look after them.
    pub(crate) const fn naps(&self) -> bool {
        matches!(self.driver, Driving::Napping(_))
    }

    /// After a caller has moved bytes, while the driver slept: what is left. `again`: there is more to do
    /// with a link.
    pub(crate) fn nudge_after_writes(&mut self, again: bool) -> Nudge {
        self.writing = false;
        let due = again
            || self.core.has_output()
            || !self.actions.is_empty()
            || self.news.records() > MANY_REPORTS
            || self.is_to_compress()
            || self.wake_time() < self.armed;
        if due {
            self.driver.wake().map_or(Nudge::Nothing, Nudge::Wake)
        } else if self.driver.is_awake() || !self.is_to_be_written() {
            Nudge::Nothing
        } else {
            self.write()
        }
    }

    /// After a caller has compressed a batch, while the driver slept: what is left. One batch a call is enough.
    pub(crate) fn nudge_after_compressing(&mut self) -> Nudge {
        if self.driver.is_awake() || self.writing {
            return Nudge::Nothing;
        }
        let due = self.core.has_output() || self.is_to_compress() || self.wake_time() < self.armed;
        if due {
            self.driver.wake().map_or(Nudge::Nothing, Nudge::Wake)
        } else if self.is_to_be_written() {
            self.write()
        } else {
            Nudge::Nothing
        }
    }

    /// After any other call: whom to wake if the driver sleeps.
    pub(crate) fn rouse(&mut self) -> Option<Waker> {
        self.driver.wake()
    }

    /// The driver is at work.
    pub(crate) fn awake(&mut self) {
        self.driver = Driving::Awake;
        self.turns = self.turns.wrapping_add(1);
        self.crowd.turn();
    }

    /// The driver goes to sleep, or naps, until `at_last` at the latest. Returns until when; the caller has
    /// collected everything.
    pub(crate) fn rest(&mut self, waker: &Waker, nap: bool, at_last: Instant) -> Instant {
        // Who compresses looks again when it is done.
        if !self.core.wants_compression() {
            self.core.debug_assert_at_rest();
        }
        let waker = waker.clone();
        self.driver = if nap { Driving::Napping(waker) } else { Driving::Asleep(waker) };
        (self.begun, self.writing) = (0, false);
        debug_assert!(self.lanes.is_empty(), "who has the lock has all records");
        self.watched = nap || self.crowd.is_here();
        self.armed = self.wake_time().min(at_last);
        self.armed
    }

    pub(crate) fn wake_time(&mut self) -> Instant {
        let core = self.core.poll_timeout().map(|(at, _)| at);
        let deadline = self.table.next_deadline();
        let times =
            core.into_iter().chain(deadline).chain(self.relief).chain(self.hold.next_look());
        times.min().unwrap_or(Instant::NEVER)
    }
}
