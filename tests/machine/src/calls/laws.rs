//! What holds after each call.

use std::collections::VecDeque;

use core::time::Duration;

use ottla_core::Instant;

use super::{machine::Machine, room::Lent};

/// The shortest time that a backoff may be: a millisecond, less a fifth.
const SPAN: Duration = Duration::from_micros(800);

/// How often the core woke, dialled and asked, of late.
///
/// A careful caller's steps alone are counted, from one call that the input makes to the next: what the input
/// has the core do has no bound.
#[derive(Debug)]
pub(super) struct Pace {
    most: usize,
    wakes: VecDeque<Instant>,
    attempts: VecDeque<Instant>,
}

impl Pace {
    pub(super) const fn new(lent: &Lent) -> Self {
        let things = lent.connections + lent.brokers + lent.topics + lent.batches;
        let most = 40 + 6 * things as usize;
        Self { most, wakes: VecDeque::new(), attempts: VecDeque::new() }
    }

    pub(super) fn begin(&mut self) {
        self.wakes.clear();
        self.attempts.clear();
    }

    pub(super) fn woke(&mut self, at: Instant) {
        Self::note(&mut self.wakes, at, self.most, "wakes");
    }

    pub(super) fn dialled(&mut self, at: Instant) {
        Self::note(&mut self.attempts, at, self.most, "dials and requests");
    }

    pub(super) fn asked(&mut self, at: Instant) {
        Self::note(&mut self.attempts, at, self.most, "dials and requests");
    }

    fn note(of_late: &mut VecDeque<Instant>, at: Instant, most: usize, what: &str) {
        while of_late.front().is_some_and(|before| at.since(*before) > SPAN) {
            of_late.pop_front();
        }
        of_late.push_back(at);
        assert!(of_late.len() <= most, "too busy: more than {most} {what} within {SPAN:?}");
    }
}

impl Machine<'_> {
    /// The most outputs that there may be before the next call: each thing has a few.
    pub(super) const fn most_outputs(&self) -> usize {
        let Self { lent, .. } = self;
        8 + 4 * (lent.connections + lent.topics + 2 * lent.batches) as usize
    }

    /// What holds when all is done that can be done.
    pub(super) fn check_at_rest(&mut self) {
        self.hear();
        let left = self.producer.internal_overlooked();
        assert!(left.is_none(), "about to sleep over {}", left.unwrap_or_default());
        assert!(self.producer.poll_writable(self.now).is_none(), "there was nothing to write");
        if let Err((rule, slot)) = self.producer.internal_check() {
            panic!("within the core: {rule}, at slot {slot}: {:?}", self.producer);
        }
    }

    pub(super) fn check(&self) {
        let producer = &self.producer;
        let stats = producer.stats();
        assert_eq!(stats.pages, self.lent.pages, "pages that were not lent");
        assert!(stats.pages_used <= stats.pages, "more pages than lent: {stats:?}");
        assert!(stats.batches <= self.lent.batches, "more batches than lent: {stats:?}");
        let brokers = producer.brokers().count();
        assert!(brokers <= self.lent.brokers as usize, "{brokers} brokers");
        if self.closed {
            let due = producer.poll_timeout();
            assert!(due.is_none(), "a timer after the last output: {due:?}");
            assert!(!producer.has_output(), "an output after the last one");
        }
    }

    /// The law of the deadline: when the time is told, each record that is older has its answer.
    pub(super) fn check_prompt(&mut self) {
        while self.answered < self.ledger.next_id() {
            let entry = self.ledger.entry(self.answered);
            if entry.first.is_none() {
                let deadline = entry.produced.after(self.config.delivery_timeout);
                assert!(
                    deadline > self.now,
                    "record {} has no answer, and its time was over at {deadline:?}",
                    entry.id
                );
                return;
            }
            self.answered += 1;
        }
    }
}
