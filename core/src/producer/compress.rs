//! Batches that are to be compressed: asked for, lent, and taken back.
//!
//! The core has no codec. A batch is lent when it is next in its partition and need not linger, before it has a
//! sequence; so each of its attempts sends the same bytes. Its own pages stay until it is done, so that
//! whatever happens to it meanwhile is as if it were plain. Decision 54.

use super::{Producer, settings::Settings};
use crate::{
    Compressed, Compression, CompressionId, Instant,
    batch::{Batch, Chunks, Form, Life, PageLink, Pages, copy_kept},
    conn::Conn,
    coverage::seen,
    logging::tell,
    partition_slot::Partition,
    slots::Ix,
    wire::{ErrorCode, put},
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

/// Why a batch goes out plain.
#[derive(Clone, Copy, Debug)]
enum Why {
    NotSmaller,
    NoMemory,
    Failed,
    Refused,
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
        let index = loop {
            let index = self.queues.wanted().some()?;
            if self.lend(index) {
                break index;
            }
        };
        let batch = self.batches.at(index);
        let Form::Lent { copy, len } = batch.form else {
            return None;
        };
        Some(PlainBatch {
            id: CompressionId { batch: self.batch_id(index), round: batch.round },
            compression: self.settings.compression,
            size: len,
            chunks: self.pages.chain(copy.some().unwrap_or(batch.first_page), len),
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
        let Form::Lent { len, .. } = (if is_its { batch.form } else { Form::Plain }) else {
            seen!(self, CodecTooLate);
            return;
        };
        // First, so that the pages of a copy that was lent can be used.
        self.set_form(index, Form::Undecided);
        self.back_pressure.note_room();
        let form = match answer {
            Compressed::Bytes([]) | Compressed::Failed => Err(Why::Failed),
            Compressed::Bytes(bytes) if is_worth_it(len, bytes.len()) => {
                self.keep(bytes).ok_or(Why::NoMemory)
            }
            Compressed::Bytes(_) | Compressed::NotSmaller => Err(Why::NotSmaller),
        };
        match form {
            Ok((form, wire)) => {
                self.set_form(index, form);
                self.stats.compression.compressed += 1;
                self.count(len, wire);
            }
            Err(why) => self.leave_plain(index, len, why),
        }
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

    /// Has a batch be in this form, and frees what it had for the one before.
    pub(super) fn set_form(&mut self, index: Ix<Batch>, form: Form) {
        let before = core::mem::replace(&mut self.batches.at_mut(index).form, form);
        self.pages.release(before.pages());
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
        if !matches!(batch.form, Form::Lent { .. } | Form::Compressed { .. }) {
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

    /// Lends the first batch that is to be; false where it goes out plain, since there is no memory.
    fn lend(&mut self, index: Ix<Batch>) -> bool {
        let batch = self.batches.at_mut(index);
        if batch.life == Life::Open {
            // It takes no more records. Those that were taken out keep their place until it is bound, so that
            // the tickets of the others find them.
            batch.life = Life::Sealed;
        }
        let copies = batch.withdrawn > 0;
        let len = batch.len;
        // Without any page there is none for what would come back.
        let least = if copies { self.pages.needed(len) } else { 1 };
        if self.pages.free() < least {
            self.leave_plain(index, len, Why::NoMemory);
            self.reconsider(self.batches.at(index).partition);
            return false;
        }
        let batch = self.batches.at(index);
        let (copy, len) = if copies { copy_kept(&mut self.pages, batch) } else { (Ix::NONE, len) };
        self.set_form(index, Form::Lent { copy, len });
        self.batches.at_mut(index).round += 1;
        true
    }

    /// Copies what a codec made into pages; none where there are not as many.
    fn keep(&mut self, bytes: &[u8]) -> Option<(Form, u32)> {
        let len = u32::try_from(bytes.len()).ok()?;
        if self.pages.needed(len) > self.pages.free() {
            return None;
        }
        let (first_page, crc) = fill(&mut self.pages, bytes, self.settings.checksum);
        let codec = self.settings.compression.code();
        Some((Form::Compressed { codec, first_page, len, crc }, len))
    }

    fn leave_plain(&mut self, index: Ix<Batch>, len: u32, why: Why) {
        let stats = &mut self.stats.compression;
        match why {
            Why::NotSmaller => stats.not_smaller += 1,
            Why::NoMemory => stats.no_memory += 1,
            Why::Failed => stats.failed += 1,
            Why::Refused => stats.refused += 1,
        }
        if matches!(why, Why::Failed) {
            tell!(warn, "{}: a codec failed", self.topic_at(self.batches.at(index).partition));
        }
        self.set_form(index, Form::Plain);
        self.count(len, len);
    }

    fn count(&mut self, plain: u32, wire: u32) {
        self.stats.compression.plain_bytes += u64::from(plain);
        self.stats.compression.wire_bytes += u64::from(wire);
    }

    /// Whether a broker refuses a batch for how it is compressed. As it is certainly not in the log, it then goes
    /// out plain, under the sequences that it has: as with one that is split, nobody has seen other bytes under them.
    pub(super) fn leaves_plain_if_refused(&mut self, index: Ix<Batch>, code: ErrorCode) -> bool {
        let refused = self.is_refused_codec(index, code);
        if refused {
            seen!(self, CodecRefused);
            tell!(warn, "{}: {}", self.topic_at(self.batches.at(index).partition), code);
            self.leave_plain(index, self.batches.at(index).len, Why::Refused);
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
const FIRST_WITH_ZSTD: i16 = 7;

/// Whether so many bytes are at least 5 % fewer than those before.
const fn is_worth_it(before: u32, after: usize) -> bool {
    after as u64 * 20 <= before as u64 * 19
}

/// Copies bytes into fresh pages, of which there are enough; their first, and the checksum.
fn fill(pages: &mut Pages<'_>, bytes: &[u8], checksum: crate::Checksum) -> (Ix<PageLink>, u32) {
    let (mut first, mut last, mut crc) = (Ix::NONE, Ix::NONE, 0);
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some(page) = pages.take(last) else {
            break;
        };
        let len = rest.len().min(pages.size() as usize);
        let (piece, after) = rest.split_at_checked(len).unwrap_or_default();
        let room = pages.page_mut(page).get_mut(..len).unwrap_or_default();
        put(room, piece);
        crc = checksum(crc, piece);
        if first.is_none() {
            first = page;
        }
        (last, rest) = (page, after);
    }
    (first, crc)
}
