//! The end of a batch that takes records, for those to be encoded apart from it.

use core::fmt;

use super::{Batch, PageLink, Pages, plain_record::Plain};
use crate::{
    Record,
    ids_and_events::{BatchId, Ticket},
    slots::Ix,
};

/// The end of an open batch, as [`Producer::batch_tail`](crate::Producer::batch_tail) tells it: records that follow
/// there can be encoded without the producer, with the bytes and the tickets that they would have had from it, and
/// are then brought in all at once by [`Producer::extend`](crate::Producer::extend).
///
/// As long as nothing is done with the producer meanwhile but to [`produce`](crate::Producer::produce) to other
/// partitions, to write what there is to write, and to ask, what was encoded fits. It is brought in once: there is no
/// copy of it.
#[derive(Debug)]
#[must_use = "its records are to be brought in, and what was set aside is to be given back"]
pub struct BatchTail {
    batch: BatchId,
    /// Records that the batch had, and has with those that were encoded.
    first: u32,
    records: u32,
    base_timestamp: i64,
    max_timestamp: i64,
    /// The batch's last page, and where in it the first record begins.
    page: u32,
    at: u32,
    /// Bytes that there is room for, and that are taken.
    room: u32,
    used: u32,
}

/// Records that were encoded apart and cannot be brought in: their batch does not end there any more, or is another
/// producer's, or its topic takes no records. None of them is in the producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)] // there is no more to say
pub struct StaleTail;

impl fmt::Display for StaleTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the batch does not end there any more")
    }
}

impl core::error::Error for StaleTail {}

impl BatchTail {
    /// Bytes that the buffer of [`append`](Self::append) has beyond [`room`](Self::room), which may be written to.
    pub const SLACK: usize = 16;

    /// The end of a batch that has a record at least, and takes up to `limit` bytes of them.
    pub(crate) fn of(id: BatchId, batch: &Batch, pages: &Pages<'_>, limit: u32) -> Self {
        Self {
            batch: id,
            first: batch.records,
            records: batch.records,
            base_timestamp: batch.base_timestamp,
            max_timestamp: batch.max_timestamp,
            page: batch.last_page.number(),
            at: pages.size() - batch.room,
            room: batch.room.min(limit.saturating_sub(batch.len)),
            used: 0,
        }
    }

    /// The beginning of a batch that is to come, in an empty page, of up to so many bytes.
    pub(crate) fn of_new(id: BatchId, page: Ix<PageLink>, room: u32) -> Self {
        Self {
            batch: id,
            first: 0,
            records: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            page: page.number(),
            at: 0,
            room,
            used: 0,
        }
    }

    /// Whether the batch was set aside, and is none of any partition yet.
    #[must_use]
    pub const fn is_set_aside(&self) -> bool {
        // An open batch has a record.
        self.first == 0
    }

    /// Where in its page the first record begins.
    pub(crate) const fn at(&self) -> u32 {
        self.at
    }

    /// The page.
    pub(crate) fn page(&self) -> Ix<PageLink> {
        Ix::new(self.page)
    }

    /// The timestamps of the batch's first record, and the highest one.
    pub(crate) const fn timestamps(&self) -> (i64, i64) {
        (self.base_timestamp, self.max_timestamp)
    }

    /// The batch.
    #[must_use]
    pub const fn batch(&self) -> BatchId {
        self.batch
    }

    /// The place in the batch of the first record that is encoded here.
    #[must_use]
    pub const fn first(&self) -> u32 {
        self.first
    }

    /// Records that were encoded here.
    #[must_use]
    pub const fn records(&self) -> u32 {
        self.records - self.first
    }

    /// Bytes that there is room for in all.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.room as usize
    }

    /// Bytes that were encoded.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.used as usize
    }

    /// Whether nothing was encoded.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Encodes a record as the batch's next one, behind those before it in `buffer`. What its `partition` says is not
    /// looked at. `None`, with nothing done, where the record has headers, does not fit in the room or in the buffer,
    /// or has a create time that is none: `produce` is the way for it.
    #[inline]
    pub fn append(&mut self, record: &Record<'_>, buffer: &mut [u8]) -> Option<Ticket> {
        if self.records == 0 {
            (self.base_timestamp, self.max_timestamp) = (record.timestamp, record.timestamp);
        }
        let plain = Plain::at(self.records, self.base_timestamp, record)?;
        let size = plain.size();
        if record.timestamp < -1 || size > self.room - self.used {
            return None;
        }
        let room = buffer.get_mut(self.used as usize..)?.get_mut(..plain.room() as usize)?;
        plain.encode(room);
        let ticket = Ticket {
            batch: self.batch,
            index: self.records,
            page: self.page,
            at: self.at + self.used,
        };
        self.used += size;
        self.records += 1;
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        Some(ticket)
    }
}
