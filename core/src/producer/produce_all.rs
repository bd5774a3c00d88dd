//! Many records of one topic in one call: what holds for all of them is looked at once.

use core::borrow::Borrow;

use super::{
    Producer,
    produce::{check_timestamp, count, estimate},
};
use crate::{
    Instant, ProduceError, Record, TopicId,
    batch::{Batch, Life, Plain, reserve},
    ids_and_events::{BatchId, Ticket},
    slots::Ix,
    topic_slot::Topic,
};

/// A record that did not join the batch of the one before it, with its partition, if that is chosen.
type Next<R> = (R, Option<u32>);

impl Producer<'_> {
    /// Encodes records of one topic, in order, each as [`produce`](Self::produce) does, until one is not
    /// taken. `taken` is called with the ticket of each one that was, before the next is looked at.
    ///
    /// So the records that were taken are the first ones, as many as there were calls, and the error is of
    /// the record behind them; no later one was looked at. Once that can be taken, the rest may be given
    /// again from there.
    ///
    /// The records end up as by single calls at the same time. It costs less, since the producer, the
    /// topic and the open batch are looked up once for all records of a run that join one batch.
    ///
    /// # Errors
    ///
    /// [`ProduceError`] says why a record was not taken; then nothing of it was queued.
    pub fn produce_all<'r, R: Borrow<Record<'r>>>(
        &mut self,
        now: Instant,
        topic: TopicId,
        records: impl IntoIterator<Item = R>,
        mut taken: impl FnMut(Ticket),
    ) -> Result<(), ProduceError> {
        let mut records = records.into_iter();
        let mut next = records.next().map(|record| (record, None));
        if next.is_none() {
            return Ok(());
        }
        // Nothing that is done for one record changes what is said to the next.
        let (topic, run) = self.admit(now, topic)?;
        while let Some((record, number)) = next {
            let record = record.borrow();
            let number = match number {
                Some(number) => number,
                None => {
                    check_timestamp(record)?;
                    self.choose_partition(topic, record)
                }
            };
            let ticket = self.produce_to(topic, run, number, record)?;
            taken(ticket);
            next = self.join(topic, ticket.batch, &mut records, &mut taken);
        }
        Ok(())
    }

    /// Appends records to a batch as long as they are for its partition, and are those for which the
    /// short way is right. Returns the first that was not appended.
    #[inline(always)]
    fn join<'r, R: Borrow<Record<'r>>>(
        &mut self,
        topic: Ix<Topic>,
        id: BatchId,
        records: &mut impl Iterator<Item = R>,
        taken: &mut impl FnMut(Ticket),
    ) -> Option<Next<R>> {
        let single = |record| (record, None);
        // Small machines do with one way, as in `produce`.
        if cfg!(not(target_pointer_width = "64")) {
            return records.next().map(single);
        }
        let open: Ix<Batch> = Ix::new(id.index);
        let Some(batch) = self.batches.get_mut(open).filter(|batch| batch.life == Life::Open)
        else {
            return records.next().map(single);
        };
        let Some(partition) = self.partitions.get_mut(batch.partition) else {
            return records.next().map(single);
        };
        let home = partition.number as u32;
        let (partitioner, limit) = (self.settings.partitioner, self.largest_batch);
        let most_sticky = self.settings.batch_size;
        let slot = self.topics.at_mut(topic);
        for next in records {
            let record = next.borrow();
            if record.timestamp < -1 {
                return Some((next, None));
            }
            let named = match record.partition {
                Some(number) => Some(number as u32),
                None => partitioner.choose(record, slot.partition_count),
            };
            let number = match named {
                Some(number) => number,
                None => {
                    let bytes = slot.sticky_bytes.saturating_add(estimate(record));
                    if bytes > most_sticky {
                        // Another one may be chosen, or else it is a large one.
                        return Some((next, None));
                    }
                    slot.sticky_bytes = bytes;
                    slot.sticky
                }
            };
            let place = Plain::next_of(batch, record)
                .filter(|_| number == home)
                .and_then(|plain| Some((plain, reserve(&self.pages, batch, limit, &plain)?)));
            let Some((plain, place)) = place else {
                return Some((next, Some(number)));
            };
            let ticket = count(&mut self.stats, partition, id, place);
            plain.encode(self.pages.part_mut(place.page, place.at, plain.room()));
            taken(ticket);
        }
        None
    }
}
