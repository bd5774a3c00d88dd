//! Hands back the records that were not delivered.

use super::{BatchId, Producer};
use crate::{
    batch::{Batch, Chunks, Life, WITHDRAWN, keep_taken},
    list::Link,
    slots::Ix,
};

/// The records of a batch that is not delivered, as they are encoded in it.
///
/// The pieces are to be put together before [`Records`](crate::wire::record::Records) reads them: a
/// record may lie across two. A record whose attributes have [`Payload::WITHDRAWN`] set was taken
/// out by [`Producer::cancel`].
#[derive(Clone, Debug)]
pub struct Payload<'a> {
    base_timestamp: i64,
    /// What comes before the chunks.
    head: &'a [u8],
    chunks: Chunks<'a>,
}

impl Payload<'_> {
    /// Set in the attributes of a record that was cancelled.
    pub const WITHDRAWN: i8 = WITHDRAWN as i8;

    /// What the records' timestamps count from, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn base_timestamp(&self) -> i64 {
        self.base_timestamp
    }
}

impl<'a> Iterator for Payload<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match core::mem::take(&mut self.head) {
            [] => self.chunks.next(),
            head => Some(head),
        }
    }
}

impl Producer<'_> {
    /// The records that the last output was about, of this batch: those that are not delivered are
    /// kept until the next call of [`poll_output`](Self::poll_output), so that whoever gave them
    /// can have them back. `None` for any other batch, for one that is delivered, and for one of
    /// which all records were cancelled.
    #[must_use]
    pub fn payload(&self, batch: BatchId) -> Option<Payload<'_>> {
        let slot = self.batches.at(self.shown.some()?);
        let shown = self.batch_id(slot.origin) == batch;
        (shown && slot.first_page.is_some() && slot.len > 0).then(|| {
            let whole = || (&[][..], self.pages.chain(slot.first_page, slot.len));
            let (head, chunks) = self.part_bytes().unwrap_or_else(whole);
            Payload { base_timestamp: slot.base_timestamp, head, chunks }
        })
    }

    /// Frees the slot of the batch that the last output was about.
    pub(super) fn free_shown(&mut self) {
        let Some(index) = core::mem::replace(&mut self.shown, Ix::NONE).some() else {
            return;
        };
        if self.leave_part(index) {
            return;
        }
        self.relieved |= self.starved;
        let batch = self.batches.at_mut(index);
        let origin = batch.origin;
        // Most batches were never split.
        if origin == index && batch.parts == 1 {
            batch.parts = 0;
            self.free_slot(index);
            return;
        }
        self.free_records(index);
        if origin != index {
            self.free_slot(index);
        }
        let batch = self.batches.at_mut(origin);
        batch.parts -= 1;
        if batch.parts == 0 {
            self.free_slot(origin);
        }
    }

    /// Frees the pages of a settled batch. While other parts of it are under way, the numbers of the records
    /// that were taken out are kept.
    pub(super) fn free_records(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at_mut(index);
        if batch.taken && batch.parts > 1 {
            keep_taken(&mut self.pages, batch);
        } else if batch.first_page.is_some() {
            self.pages.release(core::mem::replace(&mut batch.first_page, Ix::NONE));
        }
    }

    fn free_slot(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at_mut(index);
        if batch.first_page.is_some() {
            self.pages.release(core::mem::replace(&mut batch.first_page, Ix::NONE));
        }
        batch.life = Life::Free;
        batch.queue = Link::EMPTY;
        // After its last life a slot rests, so that no id ever comes a second time.
        if batch.generation < u32::MAX {
            batch.next_in_request = core::mem::replace(&mut self.free_batches, index);
        }
    }

    /// The id of the batch in a slot.
    pub(super) fn batch_id(&self, index: Ix<Batch>) -> BatchId {
        let generation = self.batches.at(index).generation;
        BatchId { index: index.number(), generation, owner: self.owner }
    }
}
