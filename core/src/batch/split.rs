//! Takes a batch of which no byte counts as sent apart, where a broker finds it too large.

use super::{
    Batch, Pages,
    cancelled::end_with_taken,
    cursor::Cursor,
    encode_record::{Sink, put_varint},
};
#[cfg(feature = "compression")]
use super::{PageLink, cancelled::WITHDRAWN};
#[cfg(feature = "compression")]
use crate::slots::Ix;
use crate::{Checksum, wire::varint};

/// Bytes of the records from number `at` on, or more: what their half will need at the most.
pub(crate) fn second_half_len(pages: &Pages<'_>, batch: &Batch, at: u32) -> u32 {
    let mut cursor = Cursor::start(batch.first_page);
    batch.len - skip_records(pages, &mut cursor, at)
}

/// Moves the records from number `at` on into `other`, an empty batch, for which there are pages
/// enough. Their offsets count from 0 there; their times keep their base.
pub(crate) fn split_off(
    pages: &mut Pages<'_>,
    batch: &mut Batch,
    other: &mut Batch,
    at: u32,
    checksum: Checksum,
) {
    let mut from = Cursor::start(batch.first_page);
    let kept = skip_records(pages, &mut from, at);
    let (end, moved) = (from.clone(), batch.records - at);
    for number in 0..moved {
        copy_record(pages, &mut from, other, i64::from(number), checksum);
    }
    other.records = moved;
    other.base_timestamp = batch.base_timestamp;
    other.max_timestamp = batch.max_timestamp;
    batch.records = at;
    batch.len = kept;
    // Behind the records that moved are the numbers of those that were taken out.
    end_with_taken(pages, batch, from, end);
    for half in [batch, other] {
        half.moved = true;
        half.crc = pages.chain(half.first_page, half.len).fold(0, checksum);
        half.checked = half.len;
    }
}

/// Skips so many records; returns how many bytes they took.
pub(super) fn skip_records(pages: &Pages<'_>, cursor: &mut Cursor, count: u32) -> u32 {
    let mut len = 0;
    for _ in 0..count {
        let body = cursor.varint(pages);
        cursor.skip(pages, body);
        len += varint::len_i64(body) as u32 + u32::try_from(body).unwrap_or(0);
    }
    len
}

/// Copies the records of a batch that were not withdrawn to fresh pages, of which there are enough, as they are
/// once it has closed ranks; their first page, and their bytes. `copy` is a slot that is nothing else.
#[cfg(feature = "compression")]
pub(crate) fn copy_kept(
    pages: &mut Pages<'_>,
    batch: &Batch,
    copy: &mut Batch,
) -> (Ix<PageLink>, u32) {
    let mut from = Cursor::start(batch.first_page);
    copy.clear(0);
    let mut kept = 0;
    for _ in 0..batch.records {
        let mut look = from.clone();
        look.varint(pages);
        if look.byte(pages) & WITHDRAWN != 0 {
            skip_records(pages, &mut from, 1);
        } else {
            // Nobody asks for its checksum.
            copy_record(pages, &mut from, copy, kept, |crc, _| crc);
            kept += 1;
        }
    }
    (copy.first_page, copy.len)
}

fn copy_record(
    pages: &mut Pages<'_>,
    from: &mut Cursor,
    other: &mut Batch,
    offset_delta: i64,
    checksum: Checksum,
) {
    let body = from.varint(pages);
    let attributes = from.byte(pages);
    let timestamp_delta = from.varint(pages);
    let old_delta = from.varint(pages);
    let rest =
        body - 1 - varint::len_i64(timestamp_delta) as i64 - varint::len_i64(old_delta) as i64;
    let head = 1 + varint::len_i64(timestamp_delta) + varint::len_i64(offset_delta);
    let mut to = super::append::Chain::new(pages, other, checksum);
    put_varint(&mut to, head as i64 + rest);
    to.byte(attributes);
    put_varint(&mut to, timestamp_delta);
    put_varint(&mut to, offset_delta);
    for _ in 0..rest {
        let byte = from.byte(to.pages());
        to.byte(byte);
    }
}
