//! Puts a record straight into its batch's pages: the only copy that its bytes ever see.

use super::{
    Batch, PageLink, Pages,
    encode_record::{Entry, Sink},
    plain_record::Plain,
};
use crate::{Checksum, slots::Ix};

/// Where a record was put.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The page in which it begins.
    pub(crate) page: Ix<PageLink>,
    /// The place in that page.
    pub(crate) at: u32,
    /// Its number in the batch.
    pub(crate) index: u32,
    /// Its bytes.
    pub(crate) size: u32,
}

/// Takes the place of a plain record, for it to be encoded there; `None`, with nothing done, where it
/// does not lie well within the batch's last page, or takes the batch beyond `limit` bytes.
#[inline(always)]
pub(crate) fn reserve(
    pages: &Pages<'_>,
    batch: &mut Batch,
    limit: u32,
    plain: &Plain<'_>,
) -> Option<Place> {
    let size = plain.size();
    if plain.room() > batch.room || batch.len + size > limit {
        return None;
    }
    let place =
        Place { page: batch.last_page, at: pages.size() - batch.room, index: batch.records, size };
    batch.room -= size;
    batch.len += size;
    batch.records += 1;
    batch.max_timestamp = batch.max_timestamp.max(plain.timestamp());
    Some(place)
}

/// Appends a record. The caller has seen to it that there are pages enough.
pub(crate) fn append(
    pages: &mut Pages<'_>,
    batch: &mut Batch,
    checksum: Checksum,
    entry: &Entry<'_>,
) -> Place {
    if batch.room == 0 {
        new_page(pages, batch, checksum);
    }
    let (index, size) = (batch.records, entry.size());
    let place = Place { page: batch.last_page, at: pages.size() - batch.room, index, size };
    let timestamp = entry.timestamp();
    if index == 0 {
        batch.base_timestamp = timestamp;
        batch.max_timestamp = timestamp;
    }
    batch.max_timestamp = batch.max_timestamp.max(timestamp);
    batch.records += 1;
    entry.encode(&mut Chain { pages, batch, checksum });
    place
}

/// Copies what a codec made to fresh pages, of which there are enough: `batch` is a slot that is nothing else, and has their
/// first, the bytes and the checksum then.
#[cfg(feature = "compression")]
pub(crate) fn fill(pages: &mut Pages<'_>, batch: &mut Batch, checksum: Checksum, bytes: &[u8]) {
    batch.clear(0);
    Chain { pages, batch, checksum }.bytes(bytes);
    checksum_tail(pages, batch, checksum);
}

/// Brings the checksum up to the end of the records; all that is unchecked lies in the last page.
pub(crate) fn checksum_tail(pages: &Pages<'_>, batch: &mut Batch, checksum: Checksum) {
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
#[cold]
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
