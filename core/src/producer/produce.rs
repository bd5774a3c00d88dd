//! From a record to its place in a batch.

use super::{Producer, settings::Settings, topics::why_not};
use crate::{
    Instant, PartitionShard, ProduceError, Record, Stats, TopicId,
    batch::{Batch, Entry, Life, Pages, Place, Plain, append, checksum_tail, reserve},
    ids_and_events::{BatchId, Ticket},
    partition_slot::Partition,
    slots::Ix,
    time::Micros,
    topic_slot::{Knowledge, Topic},
    wire::record::BatchHeader,
};

/// Bytes of a request that are not records, at the most that they are likely to be: a record that
/// is to fit `max.request.size` must leave them.
const REQUEST_OVERHEAD: u32 = 512;

/// The most bytes that a record may take in its batch, and the most bytes of records that a batch takes
/// while it is open.
pub(super) fn bounds(settings: &Settings, pages: &Pages<'_>) -> (u32, u32) {
    let overhead = BatchHeader::LEN as u32 + REQUEST_OVERHEAD.min(settings.max_request_size / 4);
    let memory = (pages.count() - settings.reserved_pages()).saturating_mul(pages.size());
    let record = settings.max_request_size.saturating_sub(overhead).min(memory);
    (record, settings.batch_size.saturating_sub(BatchHeader::LEN as u32).min(record))
}

impl Producer<'_> {
    /// Encodes a record into the open batch of its partition.
    ///
    /// The record is copied once, here; it is sent when its batch is full, has lingered, or is
    /// flushed. Its outcome comes with its batch's [`Event::BatchOutcome`](crate::Event::BatchOutcome).
    ///
    /// # Errors
    ///
    /// [`ProduceError`] says why the record was not taken; then nothing was queued.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn produce(
        &mut self,
        now: Instant,
        topic: TopicId,
        record: &Record<'_>,
    ) -> Result<Ticket, ProduceError> {
        let (topic, run) = self.admit(now, topic)?;
        check_timestamp(record)?;
        let number = self.choose_partition(topic, record);
        self.produce_to(topic, run, number, record)
    }

    /// The slots of a topic and of its first partition, if records of it are taken now.
    #[inline(always)]
    pub(super) fn admit(
        &mut self,
        now: Instant,
        topic: TopicId,
    ) -> Result<(Ix<Topic>, Ix<Partition>), ProduceError> {
        self.advance(now);
        if !self.lifecycle.is_open() {
            return Err(ProduceError::Closing);
        }
        if let Some(why) = self.identity.refusal() {
            return Err(ProduceError::NoProducerId(why));
        }
        let Some((topic, slot)) = self.slot_given_out(topic) else {
            return Err(ProduceError::UnknownTopic);
        };
        // Not by `!=`, which would look at what the others hold as well.
        if !matches!(slot.knowledge, Knowledge::Ready) {
            return Err(why_not(slot.knowledge));
        }
        Ok((topic, slot.partitions))
    }

    /// Encodes a record of which the partition is chosen.
    #[inline(always)]
    pub(super) fn produce_to(
        &mut self,
        topic: Ix<Topic>,
        run: Ix<Partition>,
        number: u32,
        record: &Record<'_>,
    ) -> Result<Ticket, ProduceError> {
        if let Some(ticket) = self.append_plain(topic, run, number, record) {
            return Ok(ticket);
        }
        let result = self.place(topic, number, record);
        self.back_pressure.note_answer(result == Err(ProduceError::Full));
        result
    }

    /// Appends a record to its partition's open batch, if it is one of those for which the short way
    /// is right.
    #[inline(always)]
    fn append_plain(
        &mut self,
        topic: Ix<Topic>,
        run: Ix<Partition>,
        number: u32,
        record: &Record<'_>,
    ) -> Option<Ticket> {
        // Small machines do with one way: this one is a kilobyte of code.
        if cfg!(not(target_pointer_width = "64")) {
            return None;
        }
        // Most topics never grew, so that all their partitions are in the first run.
        let guess = Ix::new(run.number().wrapping_add(number));
        let partition = if self.partitions.get(guess).is_some_and(|slot| slot.is(topic, number)) {
            self.partitions.get_mut(guess)
        } else {
            let known = number < self.topics.at(topic).partition_count;
            let home = known.then(|| self.partition_of(topic, number))?;
            self.partitions.get_mut(home)
        }?;
        let open = partition.queue.tail();
        let batch = self.batches.get_mut(open)?;
        if batch.life != Life::Open {
            return None;
        }
        let plain = Plain::next_of(batch, record)?;
        let place = reserve(&self.pages, batch, self.largest_batch, &plain)?;
        let owner = self.owner;
        let id = BatchId { index: open.number(), generation: batch.generation, owner };
        let ticket = count(&mut self.stats, partition, id, place);
        // To copy is the last step, so that little is to be kept meanwhile.
        plain.encode(self.pages.part_mut(place.page, place.at, plain.room()));
        Some(ticket)
    }

    /// The number of the partition that a record is for, which its topic may not have.
    #[inline]
    pub(super) fn choose_partition(&mut self, topic: Ix<Topic>, record: &Record<'_>) -> u32 {
        if let Some(number) = record.partition {
            // What is negative is more than any topic has.
            return number as u32;
        }
        let partitions = self.topics.at(topic).partition_count;
        match self.settings.partitioner.choose(record, partitions) {
            Some(number) => number,
            None => self.sticky_partition(topic, record),
        }
    }

    /// Where records without a key go: one partition until a batch's worth of bytes went there,
    /// then another (KIP-794).
    #[inline]
    fn sticky_partition(&mut self, topic: Ix<Topic>, record: &Record<'_>) -> u32 {
        let size = estimate(record);
        let slot = self.topics.at_mut(topic);
        let bytes = slot.sticky_bytes.saturating_add(size);
        if bytes > self.settings.batch_size && bytes > size {
            slot.sticky_bytes = size;
            return self.leave_sticky(topic);
        }
        slot.sticky_bytes = bytes;
        slot.sticky
    }

    /// Chooses the next partition for records without a key.
    #[inline(never)]
    fn leave_sticky(&mut self, topic: Ix<Topic>) -> u32 {
        let before = self.topics.at(topic).sticky;
        let next = self.next_sticky(topic);
        self.topics.at_mut(topic).sticky = next;
        if next != before {
            // Its share is complete: it need not linger for more.
            self.make_due(self.partition_of(topic, before));
        }
        next
    }

    /// The better of two partitions drawn at random: one that has a leader, and fewer bytes queued.
    /// That steers away from slow brokers at a cost that does not grow with the partitions.
    pub(super) fn next_sticky(&mut self, topic: Ix<Topic>) -> u32 {
        let draws = [self.draw_partition(topic), self.draw_partition(topic)];
        let burden = |number: &u32| {
            let partition = self.partitions.at(self.partition_of(topic, *number));
            (partition.leader.is_none(), partition.queued)
        };
        let [first, second] = draws;
        if burden(&second) < burden(&first) { second } else { first }
    }

    /// One of a topic's partitions, drawn at random from this producer's share.
    #[inline]
    pub(super) fn draw_partition(&mut self, topic: Ix<Topic>) -> u32 {
        let partitions = self.topics.at(topic).partition_count;
        let mut share = self.settings.share();
        if share.count(partitions) == 0 {
            share = PartitionShard::ALL;
        }
        share.partition(self.random.below(share.count(partitions)))
    }

    /// The slot of one of a topic's partitions.
    #[inline(never)]
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

    #[inline(never)]
    fn place(
        &mut self,
        topic: Ix<Topic>,
        number: u32,
        record: &Record<'_>,
    ) -> Result<Ticket, ProduceError> {
        let partitions = self.topics.at(topic).partition_count;
        if number >= partitions {
            return Err(ProduceError::UnknownPartition { partitions });
        }
        let home = self.partition_of(topic, number);
        let max = self.settings.largest_record;
        if let Some(open) = self.partitions.at(home).queue.tail().some() {
            let batch = self.batches.at(open);
            if batch.life == Life::Open {
                let entry = Entry::next_of(batch, record);
                let fits = |entry: &Entry<'_>| batch.len + entry.size() <= self.largest_batch;
                if let Some(entry) = entry.filter(fits) {
                    let beyond = entry.size().saturating_sub(batch.room);
                    if self.pages.needed(beyond) > self.free_for_records() {
                        return Err(ProduceError::Full);
                    }
                    return Ok(self.write(home, open, &entry));
                }
                self.make_due(home);
            }
        }
        let entry = Entry::first(record)
            .ok_or(ProduceError::RecordTooLarge { size: u64::from(u32::MAX), max })?;
        if entry.size() > max {
            return Err(ProduceError::RecordTooLarge { size: u64::from(entry.size()), max });
        }
        if self.pages.needed(entry.size()) > self.free_for_records() {
            return Err(ProduceError::Full);
        }
        let open = self.open_batch(home).ok_or(ProduceError::Full)?;
        let ticket = self.write(home, open, &entry);
        if self.settings.linger == Micros(0) {
            self.make_due(home);
        }
        Ok(ticket)
    }

    /// Pages that records may take.
    #[inline(always)]
    pub(super) fn free_for_records(&self) -> u32 {
        self.pages.free().saturating_sub(self.settings.reserved_pages())
    }

    fn write(&mut self, home: Ix<Partition>, open: Ix<Batch>, entry: &Entry<'_>) -> Ticket {
        let batch = self.batches.at_mut(open);
        let owner = self.owner;
        let id = BatchId { index: open.number(), generation: batch.generation, owner };
        let place = append(&mut self.pages, batch, self.settings.checksum, entry);
        count(&mut self.stats, self.partitions.at_mut(home), id, place)
    }

    fn open_batch(&mut self, home: Ix<Partition>) -> Option<Ix<Batch>> {
        let index = self.free_batches.some()?;
        self.free_batches = self.batches.at(index).next_in_request;
        self.begin_batch(home, index);
        Some(index)
    }

    /// Begins a batch in a slot that was free.
    #[inline]
    pub(super) fn begin_batch(&mut self, home: Ix<Partition>, index: Ix<Batch>) {
        let slot = self.batches.at_mut(index);
        // No slot is free that has had all its lives.
        slot.clear(slot.generation.wrapping_add(1));
        slot.life = Life::Open;
        slot.partition = home;
        slot.since = self.now;
        slot.base_sequence = -1;
        slot.origin = index;
        slot.parts = 1;
        #[cfg(feature = "compression")]
        {
            slot.form = self.settings.first_form();
        }
        let partition = self.partitions.at_mut(home);
        if partition.unbound.is_none() {
            partition.unbound = index;
        }
        partition.queue.push(&mut self.batches, index);
        self.queues.open(&mut self.batches, index);
    }

    /// The open batch of a partition, if it has one, need not linger any longer.
    pub(super) fn make_due(&mut self, home: Ix<Partition>) {
        if let Some(open) = self.partitions.at(home).queue.tail().some() {
            let batch = self.batches.at_mut(open);
            // Its records are in the cache of whoever made it due, but not of whoever sends it.
            if cfg!(target_pointer_width = "64") && batch.life == Life::Open {
                checksum_tail(&self.pages, batch, self.settings.checksum);
            }
            // One that is to be lent does not linger, and has that place among those.
            #[cfg(feature = "compression")]
            let lingers = self.batches.at(open).lingers();
            #[cfg(not(feature = "compression"))]
            let lingers = true;
            if lingers {
                self.queues.end_linger(&mut self.batches, open);
            }
            self.reconsider(home);
        }
    }
}

/// Refuses a create time that is none.
#[inline(always)]
pub(super) const fn check_timestamp(record: &Record<'_>) -> Result<(), ProduceError> {
    let timestamp = record.timestamp;
    if timestamp < -1 { Err(ProduceError::InvalidTimestamp { timestamp }) } else { Ok(()) }
}

/// About the bytes of a record, which is not measured yet. One of which the size does not fit will be
/// refused wherever it goes.
#[inline(always)]
pub(super) fn estimate(record: &Record<'_>) -> u32 {
    let len = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    ((len(record.key) + len(record.value)) as u32).wrapping_add(16)
}

/// Takes note of a record that was put into its batch.
#[inline(always)]
pub(super) fn count(
    stats: &mut Stats,
    home: &mut Partition,
    batch: BatchId,
    place: Place,
) -> Ticket {
    home.queued += place.size;
    stats.records += 1;
    stats.bytes += u64::from(place.size);
    Ticket { batch, index: place.index, page: place.page.number(), at: place.at }
}
