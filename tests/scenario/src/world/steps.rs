//! Time: all is done that can be done, and then something is due.

use core::time::Duration;

use ottla_core::{Instant, TimerKind};

use super::{Socket, World};

/// How often in a row a timer of the core was due still, after it was told the time and had done all that
/// it could do at that time.
#[derive(Debug, Default)]
pub(super) struct Overdue(u32);

impl World<'_> {
    /// Runs for a time.
    pub fn run_for(&mut self, time: Duration) {
        let _ = self.run_until(time, |_| false);
    }

    /// Runs until something holds, at most for a time; tells whether it held.
    pub fn run_until(&mut self, time: Duration, holds: impl Fn(&Self) -> bool) -> bool {
        let end = self.now.after(time);
        self.overdue = Overdue::default();
        loop {
            self.come_to_rest();
            if holds(self) {
                return true;
            }
            if !self.go_on(end) {
                return holds(self);
            }
        }
    }

    /// One step: all is done that can be done now, and then time goes on to what is due next, at most to
    /// `end`. Tells whether it may go on from there. Whatever runs a world does so by steps, be it a storm,
    /// a scenario or a fuzzer's input.
    pub fn step(&mut self, end: Instant) -> bool {
        self.come_to_rest();
        self.go_on(end)
    }

    fn come_to_rest(&mut self) {
        self.settle();
        self.look_for_overdue();
    }

    /// Time goes on to what is due next, or to the end; false where it has come there.
    fn go_on(&mut self, end: Instant) -> bool {
        let next = self.next_event();
        if next > end {
            self.now = end;
            self.producer.handle_timeout(self.now);
            self.settle();
            return false;
        }
        self.now = self.now.max(next);
        if self.reads_first {
            self.settle();
        }
        if self.producer.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            self.producer.handle_timeout(self.now);
        }
        true
    }

    /// Time moves on by a microsecond where a timer is due still, so that without a law a core that spins
    /// goes unnoticed.
    fn look_for_overdue(&mut self) {
        let due = self.producer.poll_timeout();
        assert!(!self.closed || due.is_none(), "a timer after the last output: {due:?}");
        match due.filter(|(at, _)| *at <= self.now) {
            None => self.overdue = Overdue::default(),
            // Iterations of many, each slice of which is due at once.
            Some((_, TimerKind::KeyDerivation)) => {}
            Some(due) => {
                self.overdue.0 += 1;
                assert!(
                    self.overdue.0 < 20,
                    "the core never comes to rest: {due:?} at {:?}",
                    self.now
                );
            }
        }
    }

    /// Does all that can be done without time passing.
    fn settle(&mut self) {
        self.hear(None);
        for round in 0.. {
            assert!(round < 100_000, "the core never comes to rest: {:?}", self.producer);
            let mut moved = self.give_token();
            moved |= self.drain();
            moved |= self.compress();
            moved |= self.write();
            moved |= self.move_links();
            moved |= self.read();
            moved |= self.producer.has_output();
            moved |= self.producer.wants_compression() && !self.codec.rests;
            if !moved {
                break;
            }
        }
        let left = self.producer.internal_overlooked();
        let left = left.filter(|_| !(self.codec.rests && self.producer.wants_compression()));
        assert!(left.is_none(), "about to sleep over {}", left.unwrap_or_default());
        let asked = self.cluster.sasl_tally();
        assert!(
            !self.logs_in
                || asked.before.is_empty() && asked.between.is_empty() && asked.believed.is_empty(),
            "what nobody may say to a broker that asks who it is: {asked:?}"
        );
        self.look_inside();
    }

    /// Holds the core's slots against each other: at first each time, and then now and then, since it takes
    /// as long as there are slots.
    fn look_inside(&mut self) {
        self.rests += 1;
        if (self.rests < 10 || self.rests.is_multiple_of(16))
            && let Err((rule, slot)) = self.producer.internal_check()
        {
            panic!("within the core: {rule}, at slot {slot}: {:?}", self.producer);
        }
    }

    fn next_event(&self) -> Instant {
        let core = self.producer.poll_timeout().map_or(Instant::NEVER, |(at, _)| at);
        let sockets = self.sockets.values().map(|socket| match socket {
            Socket::Opening(at, _) => *at,
            Socket::Open(link) => {
                let stalled = link.stalled(self.now).unwrap_or(Instant::NEVER);
                link.next(&self.cluster).min(stalled).min(link.flush_at())
            }
        });
        let ghosts = self.ghosts.iter().map(|link| link.next(&self.cluster));
        // What is due already is due now: time does not stand still over it.
        let next = sockets.chain(ghosts).fold(core.min(self.tokens.next()), Instant::min);
        let next = next.min(self.codec.next());
        if next <= self.now { Instant::from_micros(self.now.as_micros() + 1) } else { next }
    }
}
