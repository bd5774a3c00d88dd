//! From a record to its place in a batch.

use super::{Closing, Producer};
use crate::{
    Instant, Partitioner, ProduceError, Record, TopicId,
    batch::{Batch, Entry, Life, append},
    face::{BatchId, Ticket},
    partition::Partition,
    slots::Ix,
    time::Micros,
    topic::{Knowledge, Topic},
    wire::{murmur2, record::BatchHeader},
};

/// Bytes of a request that are not records, at the most that they are likely to be: a record that
/// is to fit `max.request.size` must leave them.
const REQUEST_OVERHEAD: u32 = 512;

impl Producer<'_> {
    /// Encodes a record into the open batch of its partition.
    ///
    /// The record is copied once, here; it is sent when its batch is full, has lingered, or is
    /// flushed. Its outcome comes with its batch's [`Event::Settled`](crate::Event::Settled).
    ///
    /// # Errors
    ///
    /// [`ProduceError`] says why the record was not taken; then nothing was queued.
    pub fn produce(
        &mut self,
        now: Instant,
        topic: TopicId,
        record: &Record<'_>,
    ) -> Result<Ticket, ProduceError> {
        self.advance(now);
        if self.closing != Closing::Open {
            return Err(ProduceError::Closing);
        }
        if let Some(error) = self.fatal {
            return Err(ProduceError::Fatal(error));
        }
        let Some((topic, slot)) = self.topics.find(u32::from(topic.0)) else {
            return Err(ProduceError::UnknownTopic);
        };
        match slot.knowledge {
            Knowledge::Ready => {}
            Knowledge::Free => return Err(ProduceError::UnknownTopic),
            Knowledge::Pending(_) => return Err(ProduceError::TopicPending),
            Knowledge::Refused(error) => return Err(ProduceError::Topic(error)),
        }
        let home = self.choose_partition(topic, record)?;
        let result = self.place(home, record);
        if result == Err(ProduceError::Full) {
            self.starved = true;
        }
        result
    }

    fn choose_partition(
        &mut self,
        topic: Ix<Topic>,
        record: &Record<'_>,
    ) -> Result<Ix<Partition>, ProduceError> {
        let partitions = self.topics.at(topic).partition_count;
        if let Some(number) = record.partition {
            let number = u32::try_from(number).ok().filter(|number| *number < partitions);
            let number = number.ok_or(ProduceError::UnknownPartition { partitions })?;
            return Ok(self.partition_of(topic, number));
        }
        let number = match (self.settings.partitioner, record.key) {
            (Partitioner::Default, Some(key)) => murmur2::partition(key, partitions),
            (Partitioner::Custom(choose), key) => {
                choose(key, record.value, partitions).checked_rem(partitions).unwrap_or(0)
            }
            (Partitioner::Default | Partitioner::IgnoreKeys, _) => {
                return Ok(self.sticky_partition(topic, record));
            }
        };
        Ok(self.partition_of(topic, number))
    }

    /// Where records without a key go: one partition until a batch's worth of bytes went there,
    /// then another (KIP-794).
    fn sticky_partition(&mut self, topic: Ix<Topic>, record: &Record<'_>) -> Ix<Partition> {
        let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
        let size = (len(record.key) + len(record.value)) as u32 + 16;
        let slot = self.topics.at_mut(topic);
        slot.sticky_bytes = slot.sticky_bytes.saturating_add(size);
        if slot.sticky_bytes > self.settings.batch_size && slot.sticky_bytes > size {
            slot.sticky_bytes = size;
            let before = slot.sticky;
            let old = self.partition_of(topic, before);
            let next = self.next_sticky(topic);
            self.topics.at_mut(topic).sticky = next;
            if next != before {
                // Its share is complete: it need not linger for more.
                self.make_due(old);
            }
        }
        let number = self.topics.at(topic).sticky;
        self.partition_of(topic, number)
    }

    /// The better of two partitions drawn at random: one that has a leader, and fewer bytes queued.
    /// That steers away from slow brokers at a cost that does not grow with the partitions.
    fn next_sticky(&mut self, topic: Ix<Topic>) -> u32 {
        let partitions = self.topics.at(topic).partition_count;
        let draws = [self.random.below(partitions), self.random.below(partitions)];
        let burden = |number: &u32| {
            let partition = self.partitions.at(self.partition_of(topic, *number));
            (partition.leader.is_none(), partition.queued)
        };
        let [first, second] = draws;
        if burden(&second) < burden(&first) { second } else { first }
    }

    /// The slot of one of a topic's partitions.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) fn partition_of(&self, topic: Ix<Topic>, number: u32) -> Ix<Partition> {
        let mut run = self.topics.at(topic).partitions;
        let mut left = number;
        loop {
            let first = self.partitions.at(run);
            if left <= first.run || first.next_run.is_none() {
                return Ix::new(run.number() + left.min(first.run));
            }
            left -= first.run + 1;
            run = first.next_run;
        }
    }

    fn place(&mut self, home: Ix<Partition>, record: &Record<'_>) -> Result<Ticket, ProduceError> {
        let limit = self.settings.batch_size.saturating_sub(BatchHeader::LEN as u32);
        let limit = limit.min(self.largest_record());
        if let Some(open) = self.partitions.at(home).queue.tail().some() {
            let batch = self.batches.at(open);
            if batch.life == Life::Open {
                let entry = Entry::next_of(batch, record);
                if let Some(entry) = entry.filter(|entry| batch.len + entry.size() <= limit) {
                    let beyond = entry.size().saturating_sub(batch.room);
                    if self.pages.needed(beyond) > self.pages.free() {
                        return Err(ProduceError::Full);
                    }
                    return Ok(self.write(home, open, &entry));
                }
                self.make_due(home);
            }
        }
        let entry = Entry::first(record).ok_or(ProduceError::RecordTooLarge {
            size: u64::from(u32::MAX),
            max: self.largest_record(),
        })?;
        if entry.size() > self.largest_record() {
            let (size, max) = (u64::from(entry.size()), self.largest_record());
            return Err(ProduceError::RecordTooLarge { size, max });
        }
        if self.pages.needed(entry.size()) > self.pages.free() {
            return Err(ProduceError::Full);
        }
        let open = self.open_batch(home).ok_or(ProduceError::Full)?;
        let ticket = self.write(home, open, &entry);
        if self.settings.linger == Micros(0) {
            self.make_due(home);
        }
        Ok(ticket)
    }

    /// The most bytes that a record may take in its batch.
    fn largest_record(&self) -> u32 {
        let overhead =
            BatchHeader::LEN as u32 + REQUEST_OVERHEAD.min(self.settings.max_request_size / 4);
        let memory = self.pages.count().saturating_mul(self.pages.size());
        self.settings.max_request_size.saturating_sub(overhead).min(memory)
    }

    #[inline]
    fn write(&mut self, home: Ix<Partition>, open: Ix<Batch>, entry: &Entry<'_>) -> Ticket {
        let batch = self.batches.at_mut(open);
        let index = batch.records;
        let (page, at) = append(&mut self.pages, batch, self.settings.checksum, entry);
        let id = BatchId { index: open.number(), generation: batch.generation };
        self.partitions.at_mut(home).queued += entry.size();
        self.stats.records += 1;
        self.stats.bytes += u64::from(entry.size());
        Ticket { batch: id, index, page: page.number(), at }
    }

    fn open_batch(&mut self, home: Ix<Partition>) -> Option<Ix<Batch>> {
        let index = self.free_batches.some()?;
        let slot = self.batches.at_mut(index);
        self.free_batches = slot.next_in_request;
        *slot = Batch {
            generation: slot.generation.wrapping_add(1),
            life: Life::Open,
            partition: home,
            since: self.now,
            base_sequence: -1,
            origin: index,
            parts: 1,
            ..Batch::EMPTY
        };
        let partition = self.partitions.at_mut(home);
        if partition.unbound.is_none() {
            partition.unbound = index;
        }
        partition.queue.push(&mut self.batches, index);
        self.age.push(&mut self.batches, index);
        self.linger.push(&mut self.batches, index);
        self.unsettled += 1;
        Some(index)
    }

    /// The open batch of a partition, if it has one, need not linger any longer.
    pub(super) fn make_due(&mut self, home: Ix<Partition>) {
        if let Some(open) = self.partitions.at(home).queue.tail().some() {
            self.linger.remove(&mut self.batches, open);
            self.reconsider(home);
        }
    }
}
