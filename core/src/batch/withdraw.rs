//! Takes cancelled records out of a batch of which no byte counts as sent.
//!
//! Marking costs the same wherever the record lies; the bytes close ranks once, before the batch
//! gets its sequence.

use super::{
    Batch, PageLink, Pages,
    append::checksum_tail,
    cursor::Cursor,
    entry::{Sink, put_varint},
};
use crate::{Checksum, slots::Ix, wire::varint};

/// Set in the attributes of a withdrawn record. Kafka has no use for the byte, so no record that
/// the core encodes bears it.
pub(crate) const WITHDRAWN: u8 = 0x80;

/// Marks the record that begins at `at` in `page`; false where it is marked already.
pub(crate) fn mark_withdrawn(
    pages: &mut Pages<'_>,
    batch: &mut Batch,
    page: Ix<PageLink>,
    at: u32,
) -> bool {
    let mut cursor = Cursor::new(page, at);
    cursor.varint(pages);
    cursor.settle(pages);
    let attributes = pages.page_mut(cursor.page()).get_mut(cursor.at() as usize);
    let Some(attributes) = attributes.filter(|attributes| **attributes & WITHDRAWN == 0) else {
        return false;
    };
    *attributes |= WITHDRAWN;
    batch.withdrawn += 1;
    true
}

/// Closes ranks over the withdrawn records, if there are any, and sums up the checksum.
pub(crate) fn compact(pages: &mut Pages<'_>, batch: &mut Batch, checksum: Checksum) {
    if batch.withdrawn == 0 {
        checksum_tail(pages, batch, checksum);
        return;
    }
    let mut from = Cursor::start(batch.first_page);
    let mut to = Rewriter { pages, cursor: Cursor::start(batch.first_page), len: 0 };
    let mut kept = 0;
    for _ in 0..batch.records {
        let body = from.varint(to.pages);
        let attributes = from.byte(to.pages);
        let timestamp_delta = from.varint(to.pages);
        let old_delta = from.varint(to.pages);
        let head = 1 + varint::len_i64(timestamp_delta) + varint::len_i64(old_delta);
        let rest = body - head as i64;
        if attributes & WITHDRAWN != 0 {
            from.skip(to.pages, rest);
            continue;
        }
        // Offset deltas only shrink, so the writing end never overtakes the reading end.
        let head = 1 + varint::len_i64(timestamp_delta) + varint::len_i64(kept);
        put_varint(&mut to, head as i64 + rest);
        to.byte(attributes);
        put_varint(&mut to, timestamp_delta);
        put_varint(&mut to, kept);
        for _ in 0..rest {
            let byte = from.byte(to.pages);
            to.byte(byte);
        }
        kept += 1;
    }
    let (len, end) = (to.len, to.cursor);
    batch.records = kept as u32;
    batch.withdrawn = 0;
    batch.moved = true;
    batch.len = len;
    batch.last_page = end.page();
    batch.room = 0;
    pages.truncate(end.page());
    batch.crc = pages.chain(batch.first_page, len).fold(0, checksum);
    batch.checked = len;
}

/// Writes over pages that are in the chain already.
struct Rewriter<'a, 'm> {
    pages: &'a mut Pages<'m>,
    cursor: Cursor,
    len: u32,
}

impl Sink for Rewriter<'_, '_> {
    fn byte(&mut self, byte: u8) {
        self.cursor.settle(self.pages);
        if let Some(slot) =
            self.pages.page_mut(self.cursor.page()).get_mut(self.cursor.at() as usize)
        {
            *slot = byte;
        }
        self.cursor.step();
        self.len += 1;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }
}
