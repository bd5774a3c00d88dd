//! What a producer must not have left undone when its caller goes to sleep: the law in
//! [`Producer`]'s documentation, as a check.

use super::Producer;
#[cfg(feature = "compression")]
use crate::batch::Form;
use crate::{
    Instant,
    batch::Batch,
    broker_slot::Broker,
    conn::Conn,
    partition_slot::{Listed, Partition, Question},
    slots::Ix,
};

impl Producer<'_> {
    /// For a run loop, right before it waits: panics where it is about to sleep over something. Does
    /// nothing in release builds.
    ///
    /// A connection that [`needs_service`](Self::needs_service) is about may be left to itself by a
    /// caller that knows when it goes on with it.
    pub fn debug_assert_at_rest(&self) {
        if cfg!(debug_assertions) {
            let left = self.overlooked();
            assert!(left.is_none(), "about to sleep over {}", left.unwrap_or_default());
        }
    }

    /// What would never happen, or happen too late, if the caller went to sleep now.
    pub(super) fn overlooked(&self) -> Option<&'static str> {
        if self.has_output() {
            return Some("an output");
        }
        if self.is_over() {
            return None;
        }
        #[cfg(feature = "compression")]
        if self.wants_compression() {
            return Some("a batch to be compressed");
        }
        let conns = self.conns.iter().filter(|(_, slot)| slot.is_alive());
        let conns = conns.filter_map(|(index, slot)| self.overlooked_on(index, slot));
        let brokers = self.brokers.iter().filter(|(_, slot)| !slot.ready.is_empty());
        let brokers = brokers.filter_map(|(_, slot)| self.overlooked_for(slot));
        let batches = [self.queues.untold(), self.queues.resolving()].into_iter();
        let batches = batches.flat_map(|first| {
            let next = |index: &Ix<Batch>| self.batches.at(*index).age.next().some();
            core::iter::successors(first.some(), next)
        });
        let homes = batches.map(|index| self.batches.at(index).partition);
        let homes = homes.filter_map(|home| self.overlooked_at(home));
        conns.chain(brokers).chain(homes).next()
    }

    fn overlooked_on(&self, index: Ix<Conn>, slot: &Conn) -> Option<&'static str> {
        let (deadline, _) = self.connection_deadline(index);
        let throttled = slot.throttled_until > self.now;
        if deadline < self.timers.conn {
            Some("a connection's deadline")
        } else if throttled && slot.throttled_until < self.timers.conn {
            Some("the end of a throttle")
        } else {
            None
        }
    }

    /// A broker with something to send.
    fn overlooked_for(&self, broker: &Broker) -> Option<&'static str> {
        if let Some(conn) = broker.conn.some() {
            return (!self.stirs(self.conns.at(conn))).then_some("something to send");
        }
        let free = self.conns.iter().any(|(_, slot)| slot.is_free());
        let comes = if !broker.has_address() {
            self.metadata_comes()
        } else {
            self.timers.dial <= self.now.max(broker.dial_at) || (!free && self.network.wants_slot())
        };
        (!comes).then_some("a broker to be dialled")
    }

    fn overlooked_at(&self, home: Ix<Partition>) -> Option<&'static str> {
        let partition = self.partitions.at(home);
        let quiet = partition.in_flight == 0 && partition.listed == Listed::Nowhere;
        let unnamed = self.identity.comes();
        if partition.listed == Listed::Backoff {
            (self.backoff.until() > partition.retry_at).then_some("the end of a backoff")
        } else if !quiet || partition.queue.is_empty() || partition.question == Question::Asked {
            None
        } else if self.candidate(home).is_some() {
            let comes = partition.leader.is_none() && self.metadata_comes();
            (!comes).then_some("a batch that may leave")
        } else {
            let first = self.batches.at(partition.queue.head());
            let waits = unnamed || first.lingers();
            // Whoever has the codec was asked, and will answer.
            #[cfg(feature = "compression")]
            let waits = waits || matches!(first.form, Form::Lent);
            (!waits).then_some("a batch that waits for nothing")
        }
    }

    fn metadata_comes(&self) -> bool {
        self.metadata.asked || self.metadata.deadline() < Instant::NEVER
    }
}
