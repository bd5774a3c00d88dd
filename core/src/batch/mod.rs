//! A record batch: one enum for its life, pages for its bytes.

mod append;
mod cancelled;
mod cursor;
mod encode_record;
mod form;
mod pages;
mod plain_record;
mod record_fault_marks;
mod split;
mod tail;

#[cfg(feature = "compression")]
pub(crate) use append::fill;
pub(crate) use append::{Place, append, checksum_tail, reserve};
pub(crate) use cancelled::{
    WITHDRAWN, compact, keep_taken, len_of_record, mark_withdrawn, was_taken,
};
pub(crate) use encode_record::Entry;
#[cfg(feature = "compression")]
pub(crate) use form::{Form, Packed};
pub(crate) use pages::{Chunks, PageLink, Pages};
pub(crate) use plain_record::Plain;
pub(crate) use record_fault_marks::{Marker, Part};
#[cfg(feature = "compression")]
pub(crate) use split::copy_kept;
pub(crate) use split::{second_half_len, split_off};
pub use tail::{BatchTail, StaleTail};

use crate::{
    Cause, Instant, Outcome,
    list::{Link, chains},
    partition_slot::Partition,
    slots::Ix,
    wire::{Writer, record::BatchHeader},
};

/// Where a batch is in its life. Only `producer/fate.rs` makes one `Done`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// The slot holds no batch.
    Free,
    /// Takes records.
    Open,
    /// Takes no more records, and has no sequence: no byte of it counts as sent.
    Sealed,
    /// In a request of the connection that its partition is sent on.
    InFlight,
    /// Has its sequence for good, and waits to be sent again, byte for byte the same.
    Idle,
    /// Settled, with its outcome in the slot, and no longer of its partition.
    Done,
}

/// What the attempts so far prove. Grows only, until the batch is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exposure {
    /// No attempt has left.
    Never,
    /// Every attempt that left is known not to have been appended.
    NotAppended,
    /// Some attempt may have been appended; only `Delivered` clears this.
    Ambiguous,
}

/// What its caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)] // so that `Nothing` is 0, and an empty slot all zeros
pub(crate) enum Told {
    /// Nothing.
    Nothing,
    /// `Unknown` with this cause: the event waits to be taken.
    Pending(Cause),
    /// `Unknown`, and the event was taken.
    Unknown,
}

/// A slot for a batch.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) generation: u32,
    pub(crate) life: Life,
    pub(crate) exposure: Exposure,
    pub(crate) told: Told,
    /// Set when it is `Done`.
    pub(crate) outcome: Outcome,
    pub(crate) partition: Ix<Partition>,
    /// Place in its partition's queue.
    pub(crate) queue: Link<Self>,
    /// Place among all batches by the time they were opened, or among those told `Unknown` by the
    /// time of that.
    pub(crate) age: Link<Self>,
    /// Place among the open batches that linger; or, of one that does not, among those to be lent to a codec.
    pub(crate) linger: Link<Self>,
    /// Place among the events to be taken.
    pub(crate) event: Link<Self>,
    /// The batch that this one was split from, whose id its records' tickets bear; itself where it
    /// was not split.
    pub(crate) origin: Ix<Self>,
    /// How many batches bear this one's id and are not told of yet. Until then the slot is kept.
    pub(crate) parts: u32,
    /// The number of its first record in that batch, those withdrawn not counted.
    pub(crate) first: u32,
    /// The next batch of the same request.
    pub(crate) next_in_request: Ix<Self>,
    pub(crate) first_page: Ix<PageLink>,
    pub(crate) last_page: Ix<PageLink>,
    /// Bytes of records.
    pub(crate) len: u32,
    /// As many of them as count as due: [`Producer::due_bytes`](crate::Producer::due_bytes).
    #[cfg(feature = "trace")]
    pub(crate) due: u32,
    /// Free bytes in the last page; 0 once the records changed place.
    pub(crate) room: u32,
    /// Checksum of the first `checked` bytes of records.
    pub(crate) crc: u32,
    pub(crate) checked: u32,
    /// Records, those marked as withdrawn among them.
    pub(crate) records: u32,
    /// Records marked as withdrawn, which are to be left out before the batch is sent.
    pub(crate) withdrawn: u32,
    pub(crate) base_timestamp: i64,
    pub(crate) max_timestamp: i64,
    /// When the first record came in; later, when its caller was told `Unknown`.
    pub(crate) since: Instant,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    /// Sequence of the first record, while it is bound; -1 without idempotence.
    pub(crate) base_sequence: i32,
    /// The parity of the topic's incarnation for which it was sent.
    pub(crate) incarnation: u8,
    /// A batch before it in the same epoch was given up: that it is out of order is no surprise.
    pub(crate) after_gap: bool,
    /// Sent while a predecessor was not yet answered, so that OUT_OF_ORDER says nothing of state.
    pub(crate) pipelined: bool,
    /// How often it was refused for good, though it may be in the log.
    pub(crate) refusals: u8,
    /// Sent as a probe, and refused.
    pub(crate) probed: bool,
    /// Attempts of which each may have added a copy of it to the log.
    pub(crate) copies: u8,
    /// Its leader said that it has it: to send it again adds no copy.
    pub(crate) recognised: bool,
    /// Sent again though its leader had forgotten the producer, so that it may be in the log twice.
    pub(crate) repeated: bool,
    /// Its records changed place, so that tickets no longer find them.
    pub(crate) moved: bool,
    /// Behind its records are the numbers of those that were left out.
    pub(crate) taken: bool,
    /// Back from a request, and what that proves was not noted yet. Should whoever drives the producer
    /// come to its end just then, it may be in the log.
    pub(crate) unjudged: bool,
    /// It was refused, and the records at fault are marked: the others are not.
    pub(crate) judged: bool,
    /// The request that it is in, or was in last.
    pub(crate) correlation_id: i32,
    pub(crate) attempts: u8,
    /// Where in the request's head this batch's records are to be put in.
    pub(crate) cut: u32,
    /// How it goes out.
    #[cfg(feature = "compression")]
    pub(crate) form: Form,
    /// By which codec, as the attributes tell it.
    #[cfg(feature = "compression")]
    pub(crate) codec: u8,
    #[cfg(feature = "compression")]
    pub(crate) packed: Packed,
    /// How often it was lent to be compressed.
    #[cfg(feature = "compression")]
    pub(crate) round: u32,
}

chains! {
    /// The batches of a partition, in order.
    Queue: Batch, queue;
    /// Batches by age.
    Age: Batch, age;
    /// Open batches, by when their linger ends; and batches to be lent to a codec.
    Linger: Batch, linger;
    /// Batches with something to tell.
    Events: Batch, event;
}

impl Batch {
    pub(crate) const EMPTY: Self = Self {
        generation: 0,
        life: Life::Free,
        exposure: Exposure::Never,
        told: Told::Nothing,
        outcome: Outcome::Delivered { base_offset: None, log_append_time: None },
        partition: Ix::NONE,
        queue: Link::EMPTY,
        age: Link::EMPTY,
        linger: Link::EMPTY,
        event: Link::EMPTY,
        origin: Ix::NONE,
        parts: 0,
        first: 0,
        next_in_request: Ix::NONE,
        first_page: Ix::NONE,
        last_page: Ix::NONE,
        len: 0,
        #[cfg(feature = "trace")]
        due: 0,
        room: 0,
        crc: 0,
        checked: 0,
        records: 0,
        withdrawn: 0,
        base_timestamp: 0,
        max_timestamp: 0,
        since: Instant::ZERO,
        producer_id: 0,
        producer_epoch: 0,
        base_sequence: 0,
        incarnation: 0,
        after_gap: false,
        pipelined: false,
        refusals: 0,
        probed: false,
        copies: 0,
        recognised: false,
        repeated: false,
        moved: false,
        taken: false,
        unjudged: false,
        judged: false,
        correlation_id: 0,
        attempts: 0,
        cut: 0,
        #[cfg(feature = "compression")]
        form: Form::Plain,
        #[cfg(feature = "compression")]
        codec: 0,
        #[cfg(feature = "compression")]
        packed: Packed::NONE,
        #[cfg(feature = "compression")]
        round: 0,
    };

    /// Forgets all of it but the generation.
    // All of it at once, since that is a matter of zeros; `..EMPTY` would have a copy of it in the flash.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn clear(&mut self, generation: u32) {
        *self = Self::EMPTY;
        self.generation = generation;
    }

    /// Bytes on the wire, header and records.
    pub(crate) fn wire_len(&self) -> u32 {
        BatchHeader::LEN as u32 + self.body().len
    }

    /// Whether it lingers.
    pub(crate) fn lingers(&self) -> bool {
        #[cfg(feature = "compression")]
        if self.form == Form::Wanted {
            return false;
        }
        self.linger.is_listed()
    }

    /// Whether its sequence is bound to its bytes.
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self.life, Life::InFlight | Life::Idle)
    }

    /// Whether some attempt may have been appended, and no answer has said so.
    pub(crate) fn may_be_in_log(&self) -> bool {
        self.exposure == Exposure::Ambiguous
    }

    /// Sequence of its last record.
    pub(crate) fn last_sequence(&self) -> i32 {
        sequence_after(self.base_sequence, self.records.saturating_sub(1))
    }

    /// The header as it goes on the wire. It is a function of what never changes once the batch is
    /// bound, so that every attempt sends the same bytes.
    pub(crate) fn write_header(&self, checksum: crate::Checksum, writer: &mut Writer<'_>) {
        let body = self.body();
        let mut header = BatchHeader {
            base_offset: 0,
            batch_length: (BatchHeader::LEN as u32 + body.len).saturating_sub(12) as i32,
            partition_leader_epoch: -1,
            crc: 0,
            attributes: body.attributes,
            last_offset_delta: self.records.saturating_sub(1) as i32,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.max_timestamp,
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            records_count: self.records as i32,
        };
        header.crc = header.checksum(checksum, body.crc, body.len as usize);
        header.write(writer);
    }
}

/// The sequence `by` after `sequence`: 0 follows 2³¹−1.
pub(crate) fn sequence_after(sequence: i32, by: u32) -> i32 {
    ((sequence as u32).wrapping_add(by) & 0x7fff_ffff) as i32
}

/// Whether `a` lies at or before `b` in the circle of sequences.
pub(crate) fn sequence_reached(a: i32, b: i32) -> bool {
    (b as u32).wrapping_sub(a as u32) & 0x7fff_ffff < 0x4000_0000
}
