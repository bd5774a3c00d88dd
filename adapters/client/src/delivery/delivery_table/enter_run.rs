//! The entry that records are for, and many of one batch entered at once.

use std::sync::Arc;

use ottla_core::{BatchId, Instant, Ticket, TopicId};

use crate::delivery::{
    batch_entry::{Entry, Token},
    batch_state::BatchState,
    delivery_table::Table,
};

impl Table {
    /// Enters records that the core took into one batch, one after another, with the token of each. Returns
    /// their batch's cell; `None` where there are no records.
    pub(crate) fn enter_run(
        &mut self,
        now: Instant,
        topic: TopicId,
        run: &[Ticket],
        tokens: impl Iterator<Item = Option<u64>>,
    ) -> Option<&Arc<BatchState>> {
        let (first, last) = (run.first()?, run.last()?);
        debug_assert!(run.iter().all(|ticket| ticket.batch() == first.batch()), "one batch");
        let records = run.len() as u64;
        self.pending += records;
        let entry = self.entry_for(now, topic, first.batch());
        // They came at the same time, so what is between needs no word.
        entry.times.push(first.index(), now);
        entry.times.push(last.index(), now);
        while last.index() as usize >= entry.room {
            entry.make_room();
        }
        entry.live += records;
        entry.tokens.extend(run.iter().zip(tokens).filter_map(|(ticket, token)| {
            token.map(|token| Token { index: ticket.index(), token, told: false, done: false })
        }));
        Some(&entry.cell)
    }

    /// The entry of a batch that is to have another record without an answer.
    #[inline(always)]
    pub(super) fn entry_for(&mut self, now: Instant, topic: TopicId, batch: BatchId) -> &mut Entry {
        let slot = batch.index();
        let known = self
            .entries
            .get(slot)
            .is_some_and(|entry| entry.as_ref().is_some_and(|entry| entry.batch == batch));
        if !known {
            let cell = self.spare_cells.take();
            self.open(now, topic, batch, cell);
        }
        let Some(Some(entry)) = self.entries.get_mut(slot) else {
            unreachable!("the entry was opened just now")
        };
        if entry.is_answered() {
            entry.number = self.next_number;
            self.next_number += 1;
            self.unanswered.insert(entry.number);
        }
        entry
    }
}
