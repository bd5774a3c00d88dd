//! Encodes a record straight into its batch's pages: the only copy that its bytes ever see.

use super::{Batch, PageLink, Pages};
use crate::{Checksum, Record, slots::Ix, wire::varint};

/// A record with the numbers that its encoding in one batch depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    record: &'a Record<'a>,
    timestamp_delta: i64,
    offset_delta: i32,
    /// Bytes after the record's length field.
    body: u32,
    /// All bytes.
    size: u32,
}

impl<'a> Entry<'a> {
    /// Measures a record as the next one of `batch`; `None` where its size does not fit `u32`.
    #[inline]
    pub(crate) fn next_of(batch: &Batch, record: &'a Record<'a>) -> Option<Self> {
        let timestamp_delta = if batch.records == 0 {
            0
        } else {
            record.timestamp.wrapping_sub(batch.base_timestamp)
        };
        Self::new(record, timestamp_delta, batch.records as i32)
    }

    /// Measures a record as the first one of a batch.
    #[inline]
    pub(crate) fn first(record: &'a Record<'a>) -> Option<Self> {
        Self::new(record, 0, 0)
    }

    #[inline]
    fn new(record: &'a Record<'a>, timestamp_delta: i64, offset_delta: i32) -> Option<Self> {
        let mut body = 1 + varint::len_i64(timestamp_delta) + varint::len_i32(offset_delta);
        body += field_len(record.key)? + field_len(record.value)?;
        body += varint::len_i32(i32::try_from(record.headers.len()).ok()?);
        for header in record.headers {
            body += field_len(Some(header.key.as_bytes()))? + field_len(header.value)?;
        }
        let size = i32::try_from(body).ok().map(|body| varint::len_i32(body) + body as usize)?;
        let (body, size) = (body as u32, u32::try_from(size).ok()?);
        Some(Self { record, timestamp_delta, offset_delta, body, size })
    }

    /// Bytes that the record takes in its batch.
    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    #[inline]
    fn encode(&self, to: &mut impl Sink) {
        put_varint(to, i64::from(self.body));
        to.byte(0);
        put_varint(to, self.timestamp_delta);
        put_varint(to, i64::from(self.offset_delta));
        put_field(to, self.record.key);
        put_field(to, self.record.value);
        put_varint(to, self.record.headers.len() as i64);
        for header in self.record.headers {
            put_field(to, Some(header.key.as_bytes()));
            put_field(to, header.value);
        }
    }
}

/// Appends a record. The caller has seen to it that there are pages enough.
///
/// Returns the page and the place in it where the record begins.
#[inline]
pub(crate) fn append(
    pages: &mut Pages<'_>,
    batch: &mut Batch,
    checksum: Checksum,
    entry: &Entry<'_>,
) -> (Ix<PageLink>, u32) {
    if batch.room == 0 {
        new_page(pages, batch, checksum);
    }
    let (page, at) = (batch.last_page, pages.size() - batch.room);
    // Small machines do with one way: two are half a kilobyte of code.
    if cfg!(target_pointer_width = "64") && entry.size <= batch.room {
        let slot = pages.page_mut(page).get_mut(at as usize..(at + entry.size) as usize);
        entry.encode(&mut Slice(slot.unwrap_or_default()));
        batch.room -= entry.size;
        batch.len += entry.size;
    } else {
        entry.encode(&mut Chain { pages, batch, checksum });
    }
    if batch.records == 0 {
        batch.base_timestamp = entry.record.timestamp;
        batch.max_timestamp = entry.record.timestamp;
    }
    batch.max_timestamp = batch.max_timestamp.max(entry.record.timestamp);
    batch.records += 1;
    (page, at)
}

/// Brings the checksum up to the end of the records; all that is unchecked lies in the last page.
pub(super) fn checksum_tail(pages: &Pages<'_>, batch: &mut Batch, checksum: Checksum) {
    let end = pages.size() - batch.room;
    let start = end.saturating_sub(batch.len - batch.checked);
    if start == end {
        return;
    }
    let fresh = pages.page(batch.last_page).get(start as usize..end as usize).unwrap_or_default();
    batch.crc = checksum(batch.crc, fresh);
    batch.checked = batch.len;
}

/// Puts an empty page at the end of a batch.
fn new_page(pages: &mut Pages<'_>, batch: &mut Batch, checksum: Checksum) {
    if batch.last_page.is_some() {
        // The page is full and warm: now is the cheapest time to sum it.
        checksum_tail(pages, batch, checksum);
    }
    if let Some(page) = pages.take(batch.last_page) {
        if batch.first_page.is_none() {
            batch.first_page = page;
        }
        batch.last_page = page;
        batch.room = pages.size();
    }
    debug_assert!(batch.room > 0, "the caller counts the free pages");
}

/// Takes encoded bytes.
pub(super) trait Sink {
    fn byte(&mut self, byte: u8);
    fn bytes(&mut self, bytes: &[u8]);
}

/// Room in one page, large enough.
struct Slice<'a>(&'a mut [u8]);

impl Sink for Slice<'_> {
    #[inline]
    fn byte(&mut self, byte: u8) {
        if let Some((first, rest)) = core::mem::take(&mut self.0).split_first_mut() {
            *first = byte;
            self.0 = rest;
        }
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        if let Some((head, rest)) = core::mem::take(&mut self.0).split_at_mut_checked(bytes.len()) {
            head.copy_from_slice(bytes);
            self.0 = rest;
        }
    }
}

/// The end of a batch, page after page.
pub(super) struct Chain<'a, 'm> {
    pages: &'a mut Pages<'m>,
    batch: &'a mut Batch,
    checksum: Checksum,
}

impl<'a, 'm> Chain<'a, 'm> {
    /// Appends to a batch for which there are pages enough.
    pub(super) fn new(pages: &'a mut Pages<'m>, batch: &'a mut Batch, checksum: Checksum) -> Self {
        Self { pages, batch, checksum }
    }

    pub(super) fn pages(&self) -> &Pages<'m> {
        self.pages
    }
}

impl Sink for Chain<'_, '_> {
    fn byte(&mut self, byte: u8) {
        self.bytes(&[byte]);
    }

    fn bytes(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.batch.room == 0 {
                new_page(self.pages, self.batch, self.checksum);
            }
            let len = bytes.len().min(self.batch.room as usize);
            let at = (self.pages.size() - self.batch.room) as usize;
            let (head, rest) = bytes.split_at_checked(len).unwrap_or_default();
            if let Some(room) = self.pages.page_mut(self.batch.last_page).get_mut(at..at + len) {
                room.copy_from_slice(head);
            }
            self.batch.room -= len as u32;
            self.batch.len += len as u32;
            if len == 0 {
                return;
            }
            bytes = rest;
        }
    }
}

#[inline]
fn field_len(field: Option<&[u8]>) -> Option<usize> {
    Some(match field {
        None => 1,
        Some(bytes) => varint::len_i32(i32::try_from(bytes.len()).ok()?) + bytes.len(),
    })
}

#[cfg_attr(target_pointer_width = "64", inline)]
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub(super) fn put_varint(to: &mut impl Sink, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        to.byte(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.byte(rest as u8);
}

#[cfg_attr(target_pointer_width = "64", inline)]
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn put_field(to: &mut impl Sink, field: Option<&[u8]>) {
    match field {
        None => to.byte(1), // the varint of -1
        Some(bytes) => {
            put_varint(to, bytes.len() as i64);
            to.bytes(bytes);
        }
    }
}
