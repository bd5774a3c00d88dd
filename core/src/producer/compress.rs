//! Batches that are to be compressed: asked for, lent, and taken back.
//!
//! The core has no codec. A batch is lent when it is next in its partition and need not linger, before it has a
//! sequence; so each of its attempts sends the same bytes. Its own pages stay until it is done, so that
//! whatever happens to it meanwhile is as if it were plain. Decision 54.

use super::{Producer, settings::Settings};
#[cfg(feature = "zstd")]
use crate::conn::Conn;
use crate::{
    Compressed, Compression, CompressionId, CompressionStats, Instant,
    batch::{Batch, Chunks, Form, Life, Packed, PageLink, copy_kept, fill},
    coverage::seen,
    logging::tell,
    partition_slot::Partition,
    slots::Ix,
    wire::ErrorCode,
};

/// A batch's records as they are to be compressed: pieces of core memory, in order.
#[derive(Clone, Debug)]
pub struct PlainBatch<'a> {
    id: CompressionId,
    compression: Compression,
    size: u32,
    chunks: Chunks<'a>,
}

impl PlainBatch<'_> {
    /// What [`Producer::handle_compressed`] is to be called with.
    #[must_use]
    pub const fn id(&self) -> CompressionId {
        self.id
    }

    /// The codec.
    #[must_use]
    pub const fn compression(&self) -> Compression {
        self.compression
    }

    /// The bytes of all pieces together, those that were taken among them.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size as usize
    }
}

impl<'a> Iterator for PlainBatch<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.chunks.next()
    }
}

/// What became of a batch that was to be compressed.
#[derive(Clone, Copy, Debug)]
enum Became {
    Compressed,
    NotSmaller,
    NoMemory,
    Failed,
    Refused,
}

impl Became {
    /// What counts such batches.
    const fn counter(self, stats: &mut CompressionStats) -> &mut u64 {
        match self {
            Self::Compressed => &mut stats.compressed,
            Self::NotSmaller => &mut stats.not_smaller,
            Self::NoMemory => &mut stats.no_memory,
            Self::Failed => &mut stats.failed,
            Self::Refused => &mut stats.refused,
        }
    }
}

/// How many of so many pages records leave to what comes from a codec. Where memory is full of records, as after
/// an outage, there would be no room for that else, and all would go out plain just then.
pub(super) const fn reserved_pages(settings: &Settings, pages: u32) -> u32 {
    if settings.compression.is_none() { 0 } else { pages / 8 }
}

impl Producer<'_> {
    /// The next batch to be compressed; drain until `None`, or until there is too much to do. The pieces are
    /// lent for as long as the producer is not called: who compresses elsewhere copies them. What comes of it
    /// goes to [`handle_compressed`](Self::handle_compressed), whenever that is and in whatever order. Meanwhile
    /// the batch's partition waits, and no other; a cancel and its deadlines work as ever.
    ///
    /// `None` where [`wants_compression`](Self::wants_compression) is false, and most often after it was true: a
    /// batch for which there is no memory is not lent.
    #[must_use]
    pub fn poll_compress(&mut self, now: Instant) -> Option<PlainBatch<'_>> {
        self.advance(now);
        let (index, first_page, size) = loop {
            let index = self.queues.wanted().some()?;
            if let Some((first_page, len)) = self.lend(index) {
                break (index, first_page, len);
            }
        };
        let round = self.batches.at(index).round;
        Some(PlainBatch {
            id: CompressionId { batch: self.batch_id(index), round },
            compression: self.settings.compression,
            size,
            chunks: self.pages.chain(first_page, size),
        })
    }

    /// Whether [`poll_compress`](Self::poll_compress) may have something.
    #[must_use]
    pub fn wants_compression(&self) -> bool {
        self.queues.wanted().is_some()
    }

    /// A codec is done with a batch. Ignored where the batch is settled or has changed since it was lent: then it
    /// is lent once more, if it is still to be sent.
    ///
    /// The batch goes out plain where it would become less than 5 % smaller, or there is no memory for the bytes.
    pub fn handle_compressed(&mut self, now: Instant, id: CompressionId, answer: Compressed<'_>) {
        self.advance(now);
        let Some((index, batch)) = self.batches.find(id.batch.index) else {
            return;
        };
        let is_its = self.batch_id(index) == id.batch && batch.round == id.round;
        if !is_its || !matches!(batch.form, Form::Lent) {
            seen!(self, CodecTooLate);
            return;
        }
        let len = batch.packed.len;
        // First, so that the pages of a copy that was lent can be used.
        self.set_form(index, Form::Undecided);
        self.back_pressure.note_room();
        let became = match answer {
            Compressed::Bytes([]) | Compressed::Failed => Became::Failed,
            Compressed::Bytes(bytes) if is_worth_it(len, bytes.len()) => self.keep(index, bytes),
            Compressed::Bytes(_) | Compressed::NotSmaller => Became::NotSmaller,
        };
        self.decide(index, len, became);
        self.reconsider(self.batches.at(index).partition);
    }

    /// Sees to it that the next batch of a partition without a sequence is asked for, if it need not linger.
    pub(super) fn seek_codec(&mut self, home: Ix<Partition>) {
        let Some(next) = self.partitions.at(home).unbound.some() else {
            return;
        };
        let batch = self.batches.at(next);
        if batch.form == Form::Undecided && (batch.life != Life::Open || !batch.linger.is_listed())
        {
            self.set_form(next, Form::Wanted);
        }
    }

    /// Has a batch be in this form, and frees what it had for the one before. What a codec made of it is there before it
    /// is [`Form::Compressed`].
    pub(super) fn set_form(&mut self, index: Ix<Batch>, form: Form) {
        let batch = self.batches.at_mut(index);
        let before = core::mem::replace(&mut batch.form, form);
        if form != Form::Compressed {
            let pages = core::mem::replace(&mut batch.packed.first_page, Ix::NONE);
            self.pages.release(pages);
        }
        if before == Form::Wanted {
            self.queues.end_want(&mut self.batches, index);
        }
        if form == Form::Wanted {
            self.queues.want(&mut self.batches, index);
        }
    }

    /// A record was taken out of a batch without a sequence: what was made of it, or is being made, is not it any
    /// more.
    pub(super) fn forget_form(&mut self, index: Ix<Batch>) {
        let batch = self.batches.at(index);
        if !matches!(batch.form, Form::Lent | Form::Compressed) {
            return;
        }
        if batch.is_compressed() {
            seen!(self, CancelledCompressed);
        } else {
            seen!(self, CancelledLent);
        }
        let home = batch.partition;
        self.set_form(index, Form::Undecided);
        self.back_pressure.note_room();
        self.reconsider(home);
    }

    /// Lends the first batch that is to be: its first page, and its bytes. None where it goes out plain, since there is no
    /// memory.
    fn lend(&mut self, index: Ix<Batch>) -> Option<(Ix<PageLink>, u32)> {
        let batch = self.batches.at_mut(index);
        if batch.life == Life::Open {
            // It takes no more records. Those that were taken out keep their place until it is bound, so that
            // the tickets of the others find them.
            batch.life = Life::Sealed;
        }
        batch.round += 1;
        let (home, first_page, len) = (batch.partition, batch.first_page, batch.len);
        let copies = batch.withdrawn > 0;
        // Without any page there is none for what would come back.
        let least = if copies { self.pages.needed(len) } else { 1 };
        if self.pages.free() < least {
            self.decide(index, len, Became::NoMemory);
            self.reconsider(home);
            return None;
        }
        let (copy, len) = match self.batches.with_spare(index) {
            Some((batch, spare)) if copies => copy_kept(&mut self.pages, batch, spare),
            _ => (Ix::NONE, len),
        };
        self.set_form(index, Form::Lent);
        self.batches.at_mut(index).packed = Packed { first_page: copy, len, crc: 0 };
        Some((copy.some().unwrap_or(first_page), len))
    }

    /// Copies what a codec made of a batch into pages of its own, if there are as many.
    fn keep(&mut self, index: Ix<Batch>, bytes: &[u8]) -> Became {
        let len = bytes.len() as u32;
        if self.pages.needed(len) > self.pages.free() {
            return Became::NoMemory;
        }
        let copy = self.batches.spare_mut();
        fill(&mut self.pages, copy, self.settings.checksum, bytes);
        let packed = Packed { first_page: copy.first_page, len, crc: copy.crc };
        let batch = self.batches.at_mut(index);
        batch.codec = self.settings.compression.code();
        batch.packed = packed;
        Became::Compressed
    }

    /// Says how a batch of so many plain bytes goes out.
    #[inline(never)] // from four places, and seldom
    fn decide(&mut self, index: Ix<Batch>, plain: u32, became: Became) {
        let stats = &mut self.stats.compression;
        *became.counter(stats) += 1;
        let (form, wire) = if matches!(became, Became::Compressed) {
            (Form::Compressed, self.batches.at(index).packed.len)
        } else {
            (Form::Plain, plain)
        };
        stats.plain_bytes += u64::from(plain);
        stats.wire_bytes += u64::from(wire);
        if matches!(became, Became::Failed) {
            tell!(warn, "{}: a codec failed", self.topic_at(self.batches.at(index).partition));
        }
        self.set_form(index, form);
    }

    /// Whether a broker refuses a batch for how it is compressed. As it is certainly not in the log, it then goes
    /// out plain, under the sequences that it has: as with one that is split, nobody has seen other bytes under them.
    pub(super) fn leaves_plain_if_refused(&mut self, index: Ix<Batch>, code: ErrorCode) -> bool {
        let refused = self.is_refused_codec(index, code);
        if refused {
            seen!(self, CodecRefused);
            tell!(warn, "{}: {}", self.topic_at(self.batches.at(index).partition), code);
            let len = self.batches.at(index).len;
            self.decide(index, len, Became::Refused);
        }
        refused
    }

    /// Whether an answer says no more than that the batch is not to be compressed so.
    pub(super) fn is_refused_codec(&self, index: Ix<Batch>, code: ErrorCode) -> bool {
        let batch = self.batches.at(index);
        code == ErrorCode::UNSUPPORTED_COMPRESSION_TYPE
            && batch.is_compressed()
            && !batch.may_be_in_log()
    }

    /// Whether a connection may take a batch as it is. One that is compressed by zstd has to wait for a broker
    /// with Produce 7, or goes out plain, where nobody may have it as it is.
    #[cfg(feature = "zstd")]
    pub(super) fn may_take(&mut self, conn: Ix<Conn>, index: Ix<Batch>) -> bool {
        let zstd = self.settings.compression == Compression::Zstd;
        if !zstd || self.conns.at(conn).versions.produce >= FIRST_WITH_ZSTD {
            return true;
        }
        if self.leaves_plain_if_refused(index, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE) {
            return true;
        }
        let batch = self.batches.at(index);
        if !batch.is_compressed() {
            return true;
        }
        self.back_off(batch.partition);
        false
    }
}

/// The first version of Produce in which brokers take zstd (KIP-110).
#[cfg(feature = "zstd")]
const FIRST_WITH_ZSTD: i16 = 7;

/// Whether so many bytes are at least 5 % fewer than those before.
const fn is_worth_it(before: u32, after: usize) -> bool {
    after as u64 * 20 <= before as u64 * 19
}
