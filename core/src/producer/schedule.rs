//! Which partition may send what, and where it waits until it may.

use super::Producer;
#[cfg(feature = "trace")]
use super::poll_trace::trace;
use crate::{
    batch::{Batch, Life},
    broker_slot::Broker,
    partition_slot::{Listed, Partition, Phase, Question},
    slots::Ix,
    time::Micros,
};

/// A broker remembers so many batches of a producer (semantics I4).
const REMEMBERED: u8 = 5;
/// An acknowledgement proves for this long that the leader knows the producer, and no longer than the
/// leader is sure to remember it. One that has forgotten it takes any sequence, so that of two batches
/// the second could be appended and the first refused.
pub(super) const PROOF: Micros = Micros(60_000_000);

impl Producer<'_> {
    /// The batch that a partition may send next, if any; a pure question.
    pub(super) fn candidate(&self, home: Ix<Partition>) -> Option<Ix<Batch>> {
        let partition = self.partitions.at(home);
        // The setting is at most five, and no batch is bound while another waits to be sent again: only
        // splits make more than five of them.
        let remembered = partition.bound <= REMEMBERED;
        let proven = partition.proven && self.now < partition.proven_until && remembered;
        let window =
            if proven && !self.identity.is_off() { self.settings.max_in_flight } else { 1 };
        if partition.in_flight >= window {
            return None;
        }
        if partition.bound > partition.in_flight {
            let next = self.next_to_resend(home)?;
            #[cfg(feature = "compression")]
            if !self.batches.at(next).has_form() {
                return None;
            }
            // What is in doubt goes alone, and is asked about first.
            let waits = partition.in_flight > 0 || partition.question == Question::Asked;
            return (!waits || !self.is_in_doubt(home)).then_some(next);
        }
        if partition.phase != Phase::Normal && partition.bound > 0 {
            return None;
        }
        let next = partition.unbound.some().filter(|_| self.has_name(home))?;
        let batch = self.batches.at(next);
        #[cfg(feature = "compression")]
        if !batch.has_form() {
            return None;
        }
        (batch.life != Life::Open || !batch.linger.is_listed()).then_some(next)
    }

    /// The first batch that waits to be sent again. In a partition that is being sealed, only what
    /// may have been appended is worth sending: its answer is what the new epoch waits for.
    pub(super) fn next_to_resend(&self, home: Ix<Partition>) -> Option<Ix<Batch>> {
        let partition = self.partitions.at(home);
        if partition.phase == Phase::Probing {
            return self.next_probe(home);
        }
        let sealing = partition.phase == Phase::Sealing;
        let mut next = partition.queue.head();
        while let Some(index) = next.some() {
            let batch = self.batches.at(index);
            if !batch.is_bound() {
                return None;
            }
            if batch.life == Life::Idle && (!sealing || batch.may_be_in_log()) {
                return Some(index);
            }
            next = batch.queue.next();
        }
        None
    }

    /// The newest batch that may have been appended and was not probed yet. Where the leader has said which
    /// of them it has, it is one of those: another it would append, which proves nothing of them.
    pub(super) fn next_probe(&self, home: Ix<Partition>) -> Option<Ix<Batch>> {
        let oldest = self.partitions.at(home).queue.head();
        let told = oldest.some().is_some_and(|oldest| self.batches.at(oldest).recognised);
        let mut next = self.last_bound(home);
        while let Some(index) = next.some() {
            let batch = self.batches.at(index);
            let open = batch.may_be_in_log() && !batch.probed && batch.recognised >= told;
            if batch.life == Life::Idle && open {
                return Some(index);
            }
            next = batch.queue.prev();
        }
        None
    }

    /// The batches of a partition that are bound to a sequence, oldest first.
    pub(super) fn bound_batches(&self, home: Ix<Partition>) -> impl Iterator<Item = &Batch> {
        let bound = |index: Ix<Batch>| {
            let batch = index.some().map(|index| self.batches.at(index));
            batch.filter(|batch| batch.is_bound())
        };
        let first = bound(self.partitions.at(home).queue.head());
        core::iter::successors(first, move |batch| bound(batch.queue.next()))
    }

    /// The newest batch that is bound to a sequence; none where there is none.
    pub(super) fn last_bound(&self, home: Ix<Partition>) -> Ix<Batch> {
        let partition = self.partitions.at(home);
        match partition.unbound.some() {
            Some(unbound) => self.batches.at(unbound).queue.prev(),
            None => partition.queue.tail(),
        }
    }

    /// Puts a partition where it belongs after something about it changed.
    pub(super) fn reconsider(&mut self, home: Ix<Partition>) {
        // Whatever became of the last batch that was to be probed.
        if self.partitions.at(home).phase == Phase::Probing {
            self.end_probing(home);
        }
        self.unwind(home);
        self.seek_name(home);
        #[cfg(feature = "compression")]
        self.seek_codec(home);
        let partition = self.partitions.at(home);
        if self.candidate(home).is_none() {
            self.list(home, Listed::Nowhere);
        } else if partition.retry_at > self.now {
            self.backoff.note(partition.retry_at);
            self.list(home, Listed::Backoff);
        } else if let Some(leader) = partition.leader.some() {
            // No batch goes to a new leader while an old one owes an answer (semantics I6).
            if partition.in_flight > 0 && partition.conn != self.brokers.at(leader).conn {
                self.list(home, Listed::Nowhere);
            } else {
                let unasked = partition.question != Question::Answered && self.is_in_doubt(home);
                if unasked && self.is_mute(leader) {
                    self.list(home, Listed::Nowhere);
                    self.go_by_time(home);
                    return;
                }
                self.list(home, if unasked { Listed::Doubtful } else { Listed::Ready });
                self.wake_broker(leader);
            }
        } else {
            self.list(home, Listed::Nowhere);
            self.want_metadata();
        }
    }

    pub(super) fn list(&mut self, home: Ix<Partition>, listed: Listed) {
        let partition = self.partitions.at_mut(home);
        let before = core::mem::replace(&mut partition.listed, listed);
        let leader = partition.leader;
        if before == listed {
            return;
        }
        match before {
            Listed::Nowhere => {}
            Listed::Ready => {
                self.brokers.at_mut(leader).ready.remove(&mut self.partitions, home);
            }
            Listed::Doubtful => {
                self.brokers.at_mut(leader).doubtful.remove(&mut self.partitions, home);
            }
            Listed::Backoff => self.backoff.remove(&mut self.partitions, home),
        }
        match listed {
            Listed::Nowhere => {}
            Listed::Ready => self.brokers.at_mut(leader).ready.push(&mut self.partitions, home),
            Listed::Doubtful => {
                self.brokers.at_mut(leader).doubtful.push(&mut self.partitions, home);
            }
            Listed::Backoff => self.backoff.push(&mut self.partitions, home),
        }
    }

    /// Moves a partition to a leader, which may be none.
    pub(super) fn set_leader(&mut self, home: Ix<Partition>, leader: Ix<Broker>) {
        let partition = self.partitions.at(home);
        let before = partition.leader;
        if before == leader {
            return;
        }
        self.list(home, Listed::Nowhere);
        let partition = self.partitions.at_mut(home);
        partition.leader = leader;
        partition.proven = false;
        partition.question = Question::Open;
        if partition.phase == Phase::Probing {
            // Another leader may hold other state: in order again.
            self.end_probes(home);
        }
        let partition = self.partitions.at_mut(home);
        // The first after a success; two that point at each other would have no end.
        if partition.retry_at > self.now && !core::mem::replace(&mut partition.hastened, true) {
            partition.retry_at = self.now;
        }
        if before.is_some() {
            let broker = self.brokers.at_mut(before);
            broker.leads = broker.leads.saturating_sub(1);
        }
        if leader.is_some() {
            self.brokers.at_mut(leader).leads += 1;
            #[cfg(feature = "trace")]
            if before.is_some() || self.partitions.at(home).fault.is_some() {
                trace!(self, home, Leader(self.brokers.at(leader).node_id));
            }
        }
        self.reconsider(home);
    }

    /// Has a partition wait before its next attempt.
    pub(super) fn back_off(&mut self, home: Ix<Partition>) {
        let partition = self.partitions.at_mut(home);
        partition.proven = false;
        partition.failures = partition.failures.saturating_add(1);
        let wait = self.settings.retry_backoff(&mut self.random, partition.failures);
        partition.retry_at = self.now.later(wait);
    }

    /// Notes an attempt that may be made again under another name. The first after a success costs no
    /// time; after that no name, leader or connection makes a partition be tried faster than its
    /// backoff.
    pub(super) fn strike(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at(index);
        let (home, follows) = (batch.partition, batch.pipelined);
        let partition = self.partitions.at_mut(home);
        partition.proven = false;
        let failures = partition.failures;
        // What was sent behind another that failed comes to nothing with it.
        if batch.life == Life::Done || partition.retry_at > self.now || follows && failures > 0 {
            return;
        }
        partition.failures = failures.saturating_add(1);
        if core::mem::replace(&mut partition.hastened, true) {
            let wait = self.settings.retry_backoff(&mut self.random, failures.max(1));
            self.partitions.at_mut(home).retry_at = self.now.later(wait);
        }
    }

    /// Ends the backoffs that are over.
    pub(super) fn end_backoffs(&mut self) {
        let mut next = self.backoff.forget_time();
        while let Some(home) = next.some() {
            let partition = self.partitions.at(home);
            next = partition.link.next();
            if partition.retry_at <= self.now {
                self.reconsider(home);
            } else {
                self.backoff.note(partition.retry_at);
            }
        }
    }
}
