//! Takes cancelled records out of a batch of which no byte counts as sent.
//!
//! Marking costs the same wherever the record lies; the bytes close ranks once, before the batch
//! gets its sequence.

use super::{
    Batch, PageLink, Pages,
    append::{Sink, checksum_tail, put_varint},
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
    let mut cursor = Cursor { page, at };
    cursor.varint(pages);
    cursor.settle(pages);
    let attributes = pages.page_mut(cursor.page).get_mut(cursor.at as usize);
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
    let mut from = Cursor { page: batch.first_page, at: 0 };
    let mut to = Rewriter { pages, cursor: Cursor { page: batch.first_page, at: 0 }, len: 0 };
    let mut kept = 0;
    for _ in 0..batch.records {
        let body = from.varint(to.pages);
        let mut rest = body;
        let attributes = from.byte(to.pages);
        let (before, timestamp_delta) = (from.clone(), from.varint(to.pages));
        rest -= 1 + from.distance(&before, to.pages);
        let (before, _old_offset_delta) = (from.clone(), from.varint(to.pages));
        rest -= from.distance(&before, to.pages);
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
    batch.last_page = end.page;
    batch.room = pages.size() - end.at;
    pages.truncate(end.page);
    batch.crc = pages.chain(batch.first_page, len).fold(0, checksum);
    batch.checked = len;
}

/// A place in a chain of pages; `at` may be the page's end.
#[derive(Clone, Debug)]
struct Cursor {
    page: Ix<PageLink>,
    at: u32,
}

impl Cursor {
    /// Moves from the end of a page to the start of the next.
    fn settle(&mut self, pages: &Pages<'_>) {
        if self.at == pages.size() && pages.next(self.page).is_some() {
            *self = Self { page: pages.next(self.page), at: 0 };
        }
    }

    fn byte(&mut self, pages: &Pages<'_>) -> u8 {
        self.settle(pages);
        let byte = pages.page(self.page).get(self.at as usize).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    fn varint(&mut self, pages: &Pages<'_>) -> i64 {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(pages);
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        (value >> 1) as i64 ^ -((value & 1) as i64)
    }

    fn skip(&mut self, pages: &Pages<'_>, len: i64) {
        for _ in 0..len {
            self.byte(pages);
        }
    }

    /// How far this place lies behind `before`, which is at most a few bytes earlier.
    fn distance(&self, before: &Self, pages: &Pages<'_>) -> i64 {
        if self.page == before.page {
            i64::from(self.at) - i64::from(before.at)
        } else {
            i64::from(self.at) + i64::from(pages.size()) - i64::from(before.at)
        }
    }
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
        if let Some(slot) = self.pages.page_mut(self.cursor.page).get_mut(self.cursor.at as usize) {
            *slot = byte;
        }
        self.cursor.at += 1;
        self.len += 1;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }
}
