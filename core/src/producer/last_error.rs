//! What to name beside a cause that says no more than that time was over.

use super::Producer;
use crate::{
    BatchId, LastError, batch::Life, broker_slot::Broker, partition_slot::Partition, slots::Ix,
};

impl Producer<'_> {
    /// What stands in a batch's way, or went wrong last with its partition; `None` where nothing did.
    ///
    /// Of a batch with [`BatchOutcome`](crate::BatchOutcome) until the next [`poll_output`](Self::poll_output), of a
    /// ticket's as long as it has no outcome. Worth asking where a cause does not
    /// [say it](crate::Cause::is_whole).
    #[must_use]
    pub fn last_error(&self, batch: BatchId) -> Option<LastError> {
        let (_, slot) = self.batches.find(batch.index)?;
        let known = batch.owner == self.owner && slot.generation == batch.generation;
        if known && slot.life != Life::Free { self.blame(slot.partition) } else { None }
    }

    /// What keeps a partition waiting now, or what went wrong with it last.
    pub(super) fn blame(&self, home: Ix<Partition>) -> Option<LastError> {
        let partition = self.partitions.at(home);
        let fault = partition.fault;
        let Some(leader) = partition.leader.some() else {
            return fault;
        };
        // An answer was about another partition, or is this one's own fault.
        match self.brokers.at(leader).trouble {
            None | Some(LastError::Answer(_)) => {}
            trouble => return trouble,
        }
        if partition.bound == 0 && !self.has_name(home) {
            return Some(LastError::NoProducerId(self.identity.last_error()));
        }
        match fault {
            // There is one now.
            None | Some(LastError::NoLeader(_)) => self.throttle_of(leader),
            fault => fault,
        }
    }

    /// Whether a broker wants to be left alone for a while.
    fn throttle_of(&self, broker: Ix<Broker>) -> Option<LastError> {
        let conn = self.brokers.at(broker).conn.some()?;
        (self.conns.at(conn).throttled_until > self.now).then_some(LastError::Throttled)
    }
}
