//! Takes a record back from its caller: out of its batch, where that is certain, and else with `Unknown`.

use super::{Producer, Ticket};
use crate::{
    Verdict,
    batch::{Batch, Exposure, Life, Told, mark_withdrawn, was_taken},
    slots::Ix,
};

impl Producer<'_> {
    /// Gives up waiting for a record: answers at once, needs no I/O, and changes nobody else's
    /// result.
    ///
    /// Costs the same however much is queued. Where the record's bytes are out, its batch goes on
    /// to be resolved, and the batch's event will tell what became of it. A ticket of another producer
    /// is not believed: [`Verdict::Foreign`].
    pub fn cancel(&mut self, now: crate::Instant, ticket: Ticket) -> Verdict {
        self.advance(now);
        if ticket.batch.owner != self.owner {
            return Verdict::Foreign;
        }
        let Some((index, batch)) = self.batches.find(ticket.batch.index) else {
            return Verdict::AlreadySettled;
        };
        let over = batch.generation != ticket.batch.generation || batch.life == Life::Free;
        if over || self.is_settled_whole(index) {
            return Verdict::AlreadySettled;
        }
        if batch.told != Told::Nothing || batch.moved {
            if was_taken(&self.pages, batch, ticket.index) {
                return Verdict::NotDelivered;
            }
            // It goes on as it is, or its tickets find nothing any more, as after a split.
            return Verdict::Unknown;
        }
        #[cfg(feature = "_internal")]
        self.note_case(index);
        if self.batches.at(index).life == Life::InFlight {
            self.recall_if_unsent(index);
        }
        self.unbind_refused(index);
        let batch = self.batches.at_mut(index);
        match batch.life {
            Life::Open | Life::Sealed => {}
            Life::InFlight | Life::Idle => return Verdict::Unknown,
            // To take it back was to end it: its topic is gone.
            Life::Free | Life::Done => return Verdict::AlreadySettled,
        }
        if mark_withdrawn(&mut self.pages, batch, Ix::new(ticket.page), ticket.at) {
            self.stats.not_delivered += 1;
        }
        if batch.withdrawn == batch.records {
            let partition = batch.partition;
            self.forget(index);
            self.reconsider(partition);
        } else {
            #[cfg(feature = "compression")]
            self.forget_form(index);
        }
        Verdict::NotDelivered
    }

    /// Whether all records of a batch, or of what was split from it, are settled.
    fn is_settled_whole(&self, index: Ix<Batch>) -> bool {
        let batch = self.batches.at(index);
        // Once it is told, and no longer shown, the slot is there for its other parts' sake alone.
        let last =
            self.queues.shown().some().map(|shown| self.batches.at(shown).origin) == Some(index);
        batch.life == Life::Done && batch.parts <= 1 && (batch.event.is_listed() || last)
    }

    /// A batch of which every attempt was refused for now gives its sequences up, so that a record
    /// of it can be taken out: the rest goes out in a new epoch (semantics C7).
    fn unbind_refused(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at(index);
        let refused = batch.life == Life::Idle && batch.exposure == Exposure::NotAppended;
        let home = batch.partition;
        let in_flight = self.partitions.at(home).in_flight > 0;
        if refused && !in_flight && !self.identity.is_off() {
            self.leave_gap(index);
            self.unwind(home);
            self.reconsider(home);
        }
    }
}
