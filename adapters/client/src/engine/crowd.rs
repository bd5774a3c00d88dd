//! Whether several threads send at a time, so often that they meet at the lock: a function of who met, and of turns.

/// So often, in a turn of the driver, a thread finds the lock taken that was not the last one to find it so. A thread
/// that sends alone meets the driver, and no other thread.
const MET: u32 = 4;

/// For so many turns of the driver nobody looks again whether there is a crowd: while there is none, records go to the
/// core straight.
const TURNS: u32 = 64;

/// A lane serves for so many records at least, or it costs more than it saves.
const WORTH: u32 = 4;

/// So few lanes say nothing of that.
const FEW: u32 = 16;

/// What is known of those that send.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    /// The thread that was the last to find the lock taken.
    last: usize,
    /// How often it was another one, since the driver's last turn.
    met: u32,
    /// For so many turns there is a crowd.
    turns: u32,
    /// For so many turns there is none, whoever meets: lanes were of no use.
    apart: u32,
    /// Lanes that were opened since the driver's last turn, and records that came by them.
    opened: u32,
    records: u32,
    /// All records that came by lanes.
    #[cfg(feature = "_internal")]
    pub(crate) total: u64,
}

impl Crowd {
    pub(super) const fn is_here(&self) -> bool {
        self.turns > 0
    }

    /// A thread found the lock taken, and has it now.
    pub(super) const fn meet(&mut self, thread: usize) {
        if self.last == thread {
            return;
        }
        self.last = thread;
        self.met += 1;
        if self.met >= MET && self.apart == 0 {
            self.turns = TURNS;
        }
    }

    pub(super) const fn count_lane(&mut self) {
        self.opened = self.opened.saturating_add(1);
    }

    pub(super) const fn count_records(&mut self, records: u32) {
        self.records = self.records.saturating_add(records);
        #[cfg(feature = "_internal")]
        {
            self.total += records as u64;
        }
    }

    /// The driver has a turn.
    pub(super) const fn turn(&mut self) {
        self.met = 0;
        if self.turns > TURNS {
            // For a test.
            return;
        }
        self.apart = self.apart.saturating_sub(1);
        self.turns = self.turns.saturating_sub(1);
        if self.opened >= FEW {
            if self.records / WORTH < self.opened {
                (self.turns, self.apart) = (0, TURNS);
            }
            (self.opened, self.records) = (0, 0);
        }
    }

    /// There is a crowd from now on, for as long as it may be.
    #[cfg(feature = "_internal")]
    pub(crate) const fn stay(&mut self) {
        self.turns = u32::MAX;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd() -> Crowd {
        let mut crowd = Crowd::default();
        (0..MET as usize).for_each(|met| crowd.meet(1 + met % 2));
        assert!(crowd.is_here());
        crowd
    }

    #[test]
    fn one_thread_is_no_crowd_however_often_it_finds_the_lock_taken() {
        let mut crowd = Crowd::default();
        (0..1_000).for_each(|_| crowd.meet(7));
        assert!(!crowd.is_here());
    }

    #[test]
    fn threads_that_meet_now_and_then_are_no_crowd() {
        let mut crowd = Crowd::default();
        for thread in 1..1_000 {
            crowd.meet(thread);
            crowd.meet(thread + 1);
            crowd.turn();
        }
        assert!(!crowd.is_here());
    }

    #[test]
    fn after_some_turns_it_is_to_be_seen_again() {
        let mut crowd = crowd();
        (1..TURNS).for_each(|_| crowd.turn());
        assert!(crowd.is_here());
        crowd.turn();
        assert!(!crowd.is_here());
    }

    #[test]
    fn lanes_that_are_of_no_use_are_not_opened_for_a_while() {
        let mut crowd = crowd();
        (0..FEW).for_each(|_| crowd.count_lane());
        crowd.count_records(FEW * WORTH);
        crowd.turn();
        assert!(crowd.is_here());
        (0..FEW).for_each(|_| crowd.count_lane());
        crowd.count_records(FEW * WORTH - 1);
        crowd.turn();
        assert!(!crowd.is_here());
        (0..100).for_each(|thread| crowd.meet(thread));
        assert!(!crowd.is_here());
        (0..TURNS).for_each(|_| crowd.turn());
        (0..100).for_each(|thread| crowd.meet(thread));
        assert!(crowd.is_here());
    }
}
