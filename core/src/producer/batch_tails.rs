//! Records that are encoded apart from the producer, so that who shares it among threads need not have it for each.
//!
//! A batch's end is told (`batch_tail`), records are encoded for that place by whoever has it, and are brought in all
//! at once (`extend`). Nothing of the producer's state says so meanwhile: whoever shares it brings in what is
//! encoded before anything else is done with it that looks at the batch. Decision 57.

use super::Producer;
use crate::{
    TopicId,
    batch::{Batch, BatchTail, Life, StaleTail},
    ids_and_events::BatchId,
    slots::Ix,
    time::Micros,
    topic_slot::{Knowledge, Topic},
};

impl Producer<'_> {
    /// The end of a batch that takes records, has one, and lingers; `None` for any other.
    ///
    /// What lingers does not go out. So records can be encoded for that end until time passes
    /// ([`handle_timeout`](Self::handle_timeout)), or anything is done but to produce to other partitions, to write, and
    /// to ask.
    pub fn batch_tail(&self, batch: BatchId) -> Option<BatchTail> {
        let index = self.open_batch_of(batch)?;
        let slot = self.batches.at(index);
        let tail = || BatchTail::of(batch, slot, &self.pages, self.largest_batch);
        slot.linger.is_listed().then(tail)
    }

    /// Brings in the records that were encoded for the end of a batch, of which `bytes` has the encoding.
    ///
    /// # Errors
    ///
    /// Where the batch does not end there any more, for then something was done with the producer that must not be; where
    /// it was set aside, and so is given back; and where `bytes` are too few. Then nothing else was done.
    pub fn extend(&mut self, tail: BatchTail, bytes: &[u8]) -> Result<(), StaleTail> {
        if tail.is_set_aside() {
            self.give_back(tail);
            return Err(StaleTail);
        }
        let index = self.open_batch_of(tail.batch()).ok_or(StaleTail)?;
        self.fill(index, &tail, bytes)
    }

    /// Sets a batch aside that is to be the next one of a partition, with a page, so that records are encoded for it apart
    /// from the producer. Both are taken from now on. It is to be adopted, or given back. `None` where there is no room for
    /// one.
    pub fn set_aside(&mut self, topic: TopicId, partition: u32) -> Option<BatchTail> {
        let topic = self.ready_topic(topic)?;
        if partition >= self.topics.at(topic).partition_count || self.free_for_records() == 0 {
            return None;
        }
        let index = self.free_batches.some()?;
        let page = self.pages.take(Ix::NONE)?;
        let slot = self.batches.at(index);
        self.free_batches = slot.next_in_request;
        let generation = slot.generation.wrapping_add(1);
        let id = BatchId { index: index.number(), generation, owner: self.owner };
        Some(BatchTail::of_new(id, page, self.pages.size().min(self.largest_batch)))
    }

    /// Gives back a batch that was set aside, with all records that were encoded for it. Nothing is done with any other.
    ///
    /// Nobody is told that there is room: who is refused while something is set aside has it given back, and tries again.
    #[expect(clippy::needless_pass_by_value, reason = "who gave it back has it no more")]
    pub fn give_back(&mut self, tail: BatchTail) {
        if self.is_mine(&tail) {
            self.take_back(&tail);
        }
    }

    /// Makes a batch that was set aside, and got records, the last one of its partition. The one before is due. What got no
    /// record is given back.
    ///
    /// # Errors
    ///
    /// Where the producer takes no records for that partition any more, `bytes` are too few, or the batch was not set aside
    /// by this producer. Then nothing was done but that it was given back.
    pub fn adopt(
        &mut self,
        topic: TopicId,
        partition: u32,
        tail: BatchTail,
        bytes: &[u8],
    ) -> Result<(), StaleTail> {
        if !self.is_mine(&tail) {
            return Err(StaleTail);
        }
        let topic = self
            .ready_topic(topic)
            .filter(|topic| partition < self.topics.at(*topic).partition_count);
        let Some(topic) = topic.filter(|_| bytes.len() >= tail.len() && !tail.is_empty()) else {
            let is_empty = tail.is_empty();
            self.take_back(&tail);
            return if is_empty { Ok(()) } else { Err(StaleTail) };
        };
        let home = self.partition_of(topic, partition);
        self.make_due(home);
        // The slot and the page for which tickets were given.
        let (index, page) = (Ix::new(tail.batch().index), tail.page());
        self.begin_batch(home, index);
        let batch = self.batches.at_mut(index);
        (batch.first_page, batch.last_page, batch.room) = (page, page, self.pages.size());
        (batch.base_timestamp, _) = tail.timestamps();
        let filled = self.fill(index, &tail, bytes);
        if self.settings.linger == Micros(0) {
            self.make_due(home);
        }
        filled
    }

    /// Whether this producer set it aside.
    fn is_mine(&self, tail: &BatchTail) -> bool {
        let id = tail.batch();
        let slot = self.batches.find(id.index).map(|(_, batch)| batch);
        let is_free = slot.is_some_and(|batch| {
            batch.life == Life::Free && batch.generation.wrapping_add(1) == id.generation
        });
        tail.is_set_aside() && id.owner == self.owner && is_free
    }

    fn take_back(&mut self, tail: &BatchTail) {
        let index = Ix::new(tail.batch().index);
        let next = core::mem::replace(&mut self.free_batches, index);
        self.batches.at_mut(index).next_in_request = next;
        self.pages.release(tail.page());
    }

    /// Puts records at the end of a batch, if it ends where they are for.
    fn fill(&mut self, index: Ix<Batch>, tail: &BatchTail, bytes: &[u8]) -> Result<(), StaleTail> {
        let len = tail.len() as u32;
        let batch = self.batches.at_mut(index);
        let at = self.pages.size().saturating_sub(batch.room);
        let fits = len <= batch.room && len <= self.largest_batch.saturating_sub(batch.len);
        let is_there =
            (batch.last_page, at, batch.records) == (tail.page(), tail.at(), tail.first());
        let bytes = bytes.get(..tail.len()).filter(|_| fits && is_there).ok_or(StaleTail)?;
        let page = self.pages.part_mut(batch.last_page, at, len);
        if page.len() != bytes.len() {
            return Err(StaleTail);
        }
        page.copy_from_slice(bytes);
        batch.room -= len;
        batch.len += len;
        batch.records += tail.records();
        (_, batch.max_timestamp) = tail.timestamps();
        self.partitions.at_mut(batch.partition).queued += len;
        self.stats.records += u64::from(tail.records());
        self.stats.bytes += u64::from(len);
        Ok(())
    }

    /// A partition for records without a key of one of several who send at a time: the one that it had `before`, while the
    /// open batch there takes this record, or else another. As with the one that all have in common, the batch before is due
    /// then. `None` where it would be refused whatever its partition.
    #[must_use]
    pub fn own_sticky_partition(
        &mut self,
        topic: TopicId,
        before: Option<u32>,
        size: usize,
    ) -> Option<u32> {
        let topic = self.ready_topic(topic)?;
        let count = self.topics.at(topic).partition_count;
        if let Some(before) = before.filter(|before| *before < count) {
            let home = self.partition_of(topic, before);
            let open = self.partitions.at(home).queue.tail().some();
            let open = open.map(|open| self.batches.at(open));
            if let Some(batch) = open.filter(|batch| batch.life == Life::Open) {
                if (batch.len as usize).saturating_add(size) <= self.largest_batch as usize {
                    return Some(before);
                }
                self.make_due(home);
            }
        }
        Some(self.next_sticky(topic))
    }

    /// An open batch that has a record.
    fn open_batch_of(&self, id: BatchId) -> Option<Ix<Batch>> {
        let (index, batch) = self.batches.find(id.index)?;
        let takes = batch.life == Life::Open && batch.records > 0 && batch.room > 0;
        // Nothing is put behind records that others follow.
        let last = self.partitions.at(batch.partition).queue.tail() == index;
        (takes && last && self.batch_id(index) == id).then_some(index)
    }

    /// A topic of which records are taken.
    fn ready_topic(&self, topic: TopicId) -> Option<Ix<Topic>> {
        let (topic, slot) = self.slot_given_out(topic)?;
        let ready = self.lifecycle.is_open() && self.identity.refusal().is_none();
        (ready && matches!(slot.knowledge, Knowledge::Ready)).then_some(topic)
    }
}
