//! Hands back the records that were not delivered.

use super::{BatchId, Producer};
use crate::{
    Ticket, TopicId,
    batch::{Batch, Chunks, Life, Told, WITHDRAWN, keep_taken, len_of_record},
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
    topic: TopicId,
    partition: i32,
    base_timestamp: i64,
    /// What comes before the chunks.
    head: &'a [u8],
    chunks: Chunks<'a>,
}

impl Payload<'_> {
    /// Set in the attributes of a record that was cancelled.
    pub const WITHDRAWN: i8 = WITHDRAWN as i8;

    /// Their topic, and the partition of it that was chosen for them.
    #[must_use]
    pub const fn topic_partition(&self) -> (TopicId, i32) {
        (self.topic, self.partition)
    }

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
        let slot = self.batches.at(self.queues.shown().some()?);
        let shown = self.batch_id(slot.origin) == batch;
        (shown && slot.first_page.is_some() && slot.len > 0).then(|| {
            let whole = || (&[][..], self.pages.chain(slot.first_page, slot.len));
            let (head, chunks) = self.part_bytes().unwrap_or_else(whole);
            self.payload_of(slot, head, chunks)
        })
    }

    fn payload_of<'a>(&'a self, batch: &Batch, head: &'a [u8], chunks: Chunks<'a>) -> Payload<'a> {
        let partition = self.partitions.at(batch.partition);
        Payload {
            topic: self.topic_id(partition.topic),
            partition: partition.number,
            base_timestamp: batch.base_timestamp,
            head,
            chunks,
        }
    }

    /// One record as it is encoded, while it can still be cancelled: for who wants it back when it is. `None` where it
    /// has an outcome, was cancelled, or its batch has been written anew or split since it was taken; then
    /// [`cancel`](Self::cancel) does not answer [`Verdict::NotDelivered`](crate::Verdict::NotDelivered) for the first time.
    #[must_use]
    pub fn record(&self, ticket: Ticket) -> Option<Payload<'_>> {
        let (_, batch) = self.batches.find(ticket.batch.index)?;
        let is_its =
            ticket.batch.owner == self.owner && batch.generation == ticket.batch.generation;
        let is_open = matches!(batch.life, Life::Open | Life::Sealed | Life::InFlight | Life::Idle);
        if !is_its || !is_open || batch.moved || batch.told != Told::Nothing {
            return None;
        }
        let page = Ix::new(ticket.page);
        let len = len_of_record(&self.pages, page, ticket.at)?;
        let head = self.pages.page(page).get(ticket.at as usize..).unwrap_or_default();
        let head = head.get(..len as usize).unwrap_or(head);
        let chunks = self.pages.chain(self.pages.next(page), len - head.len() as u32);
        Some(self.payload_of(batch, head, chunks))
    }

    /// Frees the slot of the batch that the last output was about.
    pub(super) fn free_shown(&mut self) {
        let Some(index) = self.queues.take_shown().some() else {
            return;
        };
        if self.leave_part(index) {
            return;
        }
        self.back_pressure.note_room();
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
