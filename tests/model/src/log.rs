//! One partition's log.

use core::time::Duration;
use std::collections::VecDeque;

use ottla_core::wire::record::{Attributes, BatchHeader};

use crate::{
    Counts, Gone, TimestampType,
    producer_state::{Origin, ProducerStates, Sweep, advance},
};

/// The batches of a partition, and what is known of who wrote them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    batches: VecDeque<StoredBatch>,
    start_offset: i64,
    end_offset: i64,
    pub(crate) ever_written: bool,
    /// What was in the log once: for who asks for the truth.
    gone: Vec<(Gone, StoredBatch)>,
    /// Bytes of the batches that are kept.
    bytes: usize,
    pub(crate) producers: ProducerStates,
    pub(crate) counts: Counts,
}

/// A batch as it lies in the log.
#[derive(Clone, Debug)]
pub(crate) struct StoredBatch {
    pub(crate) base_offset: i64,
    pub(crate) next_offset: i64,
    /// When it was appended.
    appended: Duration,
    pub(crate) bytes: Box<[u8]>,
    /// The same with its records unpacked, where they are packed and somebody could read them.
    pub(crate) unpacked: Option<Box<[u8]>>,
}

/// What the broker writes into a batch before it appends it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) now: Duration,
    pub(crate) leader_epoch: i32,
    pub(crate) timestamp_type: TimestampType,
    pub(crate) max_timestamp: i64,
}

impl Log {
    pub(crate) const fn start_offset(&self) -> i64 {
        self.start_offset
    }

    pub(crate) const fn end_offset(&self) -> i64 {
        self.end_offset
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn batches(&self) -> impl Iterator<Item = &StoredBatch> {
        self.batches.iter()
    }

    /// What is in the log no more, if it was kept.
    pub(crate) fn gone(&self) -> impl Iterator<Item = &(Gone, StoredBatch)> {
        self.gone.iter()
    }

    /// The batch that has an offset.
    pub(crate) fn batch_at(&self, offset: i64) -> Option<&StoredBatch> {
        let at = self.batches.partition_point(|batch| batch.next_offset <= offset);
        self.batches.get(at).filter(|batch| batch.base_offset <= offset)
    }

    /// Appends a batch that was found good, and returns the offset of its first record. Where it
    /// is not kept the log start offset stays all the same: a producer must not take a sink for
    /// a log that lost its records.
    pub(crate) fn append(
        &mut self,
        (batch, unpacked): (&[u8], Option<Box<[u8]>>),
        header: &BatchHeader,
        stamp: Stamp,
        keep: bool,
    ) -> i64 {
        let base_offset = self.end_offset;
        self.end_offset = base_offset.saturating_add(i64::from(header.records_count));
        self.ever_written = true;
        self.counts.batches += 1;
        self.counts.records += u64::from(header.records_count.unsigned_abs());
        self.counts.bytes += batch.len() as u64;
        if let Some(origin) = origin(header) {
            self.producers.append(origin, base_offset, stamp.max_timestamp, stamp.now);
        }
        if keep {
            self.bytes = self.bytes.saturating_add(batch.len());
            self.batches.push_back(StoredBatch {
                base_offset,
                next_offset: self.end_offset,
                appended: stamp.now,
                bytes: stamped(batch, header, base_offset, stamp),
                unpacked,
            });
        }
        base_offset
    }

    /// Forgets the oldest batch, and returns how many bytes that were.
    pub(crate) fn forget_oldest(&mut self) -> usize {
        self.take_oldest().map_or(0, |batch| batch.bytes.len())
    }

    fn take_oldest(&mut self) -> Option<StoredBatch> {
        let batch = self.batches.pop_front()?;
        self.start_offset = batch.next_offset;
        self.bytes = self.bytes.saturating_sub(batch.bytes.len());
        Some(batch)
    }

    /// Moves the log start offset up, as DeleteRecords does. The producers' state stays. What was
    /// deleted is kept for the truth, if it is to be.
    pub(crate) fn delete_before(&mut self, offset: i64, keep: bool) {
        let offset = offset.clamp(self.start_offset, self.end_offset);
        let dead = |batch: &StoredBatch| batch.next_offset <= offset;
        while self.batches.front().is_some_and(dead) {
            let batch = self.take_oldest().filter(|_| keep);
            self.gone.extend(batch.map(|batch| (Gone::Deleted, batch)));
        }
        self.start_offset = offset;
    }

    /// Cuts the log at an offset, as a replica does that finds its leader behind. The producers'
    /// state is rebuilt from the batches that are left. What was cut off is kept for the truth, if
    /// it is to be. Returns how many records that were.
    pub(crate) fn truncate(&mut self, offset: i64, keep: bool, missed: Option<Sweep>) -> i64 {
        let before = self.end_offset;
        let offset = offset.clamp(0, self.end_offset);
        let beyond = |batch: &StoredBatch| batch.next_offset > offset;
        // A replica that was further behind never had what was deleted meanwhile.
        for (why, batch) in &mut self.gone {
            if beyond(batch) && *why == Gone::Deleted {
                *why = Gone::Lost;
                self.end_offset = self.end_offset.min(batch.base_offset);
            }
        }
        while self.batches.back().is_some_and(beyond) {
            if let Some(batch) = self.batches.pop_back() {
                self.end_offset = self.end_offset.min(batch.base_offset);
                self.bytes = self.bytes.saturating_sub(batch.bytes.len());
                self.gone.extend(keep.then_some((Gone::Lost, batch)));
            }
        }
        self.start_offset = self.start_offset.min(self.end_offset);
        self.producers = self.producers_up_to(self.end_offset, missed);
        before.saturating_sub(self.end_offset)
    }

    /// What a replica knows of the producers that has the log up to an offset, as far as batches
    /// are kept, and after the last sweep.
    pub(crate) fn producers_up_to(&self, end: i64, missed: Option<Sweep>) -> ProducerStates {
        let mut producers = ProducerStates::default();
        let deleted = self.gone.iter().filter(|(why, _)| *why == Gone::Deleted);
        for batch in deleted.map(|(_, batch)| batch).chain(&self.batches) {
            let Some(header) = crate::record_batch::header(&batch.bytes) else {
                continue;
            };
            if let Some(origin) = origin(&header).filter(|_| batch.next_offset <= end) {
                let (offset, time) = (batch.base_offset, header.max_timestamp);
                producers.append(origin, offset, time, batch.appended);
            }
        }
        if let Some(sweep) = missed {
            producers.sweep(sweep);
        }
        producers
    }
}

/// Who wrote a batch; `None` where it has no producer id.
pub(crate) fn origin(header: &BatchHeader) -> Option<Origin> {
    (header.producer_id >= 0).then(|| Origin {
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        first_sequence: header.base_sequence,
        last_sequence: advance(header.base_sequence, header.last_offset_delta),
    })
}

/// A batch's bytes with what the broker writes into them. Offset and epoch are outside of the
/// checksum; the time is inside.
fn stamped(batch: &[u8], header: &BatchHeader, base_offset: i64, stamp: Stamp) -> Box<[u8]> {
    let mut bytes = Box::<[u8]>::from(batch);
    let mut stamped = BatchHeader {
        base_offset,
        partition_leader_epoch: stamp.leader_epoch,
        max_timestamp: stamp.max_timestamp,
        ..*header
    };
    let log_append_time = Attributes::LOG_APPEND_TIME.0;
    stamped.attributes.0 = match stamp.timestamp_type {
        TimestampType::CreateTime => header.attributes.0 & !log_append_time,
        TimestampType::LogAppendTime => header.attributes.0 | log_append_time,
    };
    write(&mut bytes, &stamped);
    if (stamped.attributes, stamped.max_timestamp) != (header.attributes, header.max_timestamp) {
        let checked = bytes.get(BatchHeader::CHECKED_FROM..).unwrap_or_default();
        stamped.crc = crc32c::crc32c(checked);
        write(&mut bytes, &stamped);
    }
    bytes
}

fn write(bytes: &mut [u8], header: &BatchHeader) {
    if let Some(head) = bytes.get_mut(..BatchHeader::LEN) {
        head.copy_from_slice(&header.to_bytes());
    }
}
