//! Marks the records of a refused batch that a broker found at fault (KIP-467), and tells them from the
//! others.
//!
//! The mark is in the record itself, whose bytes will not be sent any more: so it takes no memory, however
//! many there are.

use super::{Batch, Chunks, PageLink, Pages, cursor::Cursor, split::skip_records};
use crate::slots::Ix;

/// Set in the attributes of a record at fault; see `WITHDRAWN`.
const AT_FAULT: u8 = 0x40;

/// Goes through a refused batch and marks records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marker {
    page: Ix<PageLink>,
    at: u32,
    /// The number of the record that begins there.
    number: u32,
}

impl Marker {
    pub(crate) const fn new(batch: &Batch) -> Self {
        Self { page: batch.first_page, at: 0, number: 0 }
    }

    /// Marks a record as being at fault; false where there is none of this number, or one behind it was
    /// marked before: brokers name them in order, and to look for each from the start would take too long.
    pub(crate) fn mark(&mut self, pages: &mut Pages<'_>, batch: &mut Batch, number: i32) -> bool {
        let Some(between) = (number as u32).checked_sub(self.number) else {
            return false;
        };
        if number as u32 >= batch.records {
            return false;
        }
        let mut cursor = Cursor::new(self.page, self.at);
        skip_records(pages, &mut cursor, between);
        (self.page, self.at, self.number) = (cursor.page(), cursor.at(), number as u32);
        cursor.varint(pages);
        cursor.settle(pages);
        if let Some(attributes) = pages.page_mut(cursor.page()).get_mut(cursor.at() as usize) {
            *attributes |= AT_FAULT;
        }
        batch.judged = true;
        true
    }

    /// Marks none any more.
    pub(crate) const fn end(&mut self) {
        self.number = u32::MAX;
    }
}

/// Records of a refused batch, one behind the other, that are all at fault, or none of them.
#[derive(Debug)]
pub(crate) struct Part {
    page: Ix<PageLink>,
    at: u32,
    /// Their bytes; 0 where there is no part.
    pub(crate) len: u32,
    pub(crate) records: u32,
}

impl Part {
    pub(crate) const NONE: Self = Self { page: Ix::NONE, at: 0, len: 0, records: 0 };

    /// Moves on to the next part, which begins with the first of a batch's records, and tells whether they
    /// are at fault.
    pub(crate) fn advance(&mut self, pages: &Pages<'_>, batch: &Batch) -> bool {
        let mut cursor = match self.len {
            0 => Cursor::start(batch.first_page),
            len => {
                let mut cursor = Cursor::new(self.page, self.at);
                cursor.skip(pages, i64::from(len));
                cursor
            }
        };
        cursor.settle(pages);
        *self = Self { page: cursor.page(), at: cursor.at(), ..Self::NONE };
        let at_fault = is_at_fault(pages, cursor.clone());
        while self.records < batch.records && is_at_fault(pages, cursor.clone()) == at_fault {
            self.len += skip_records(pages, &mut cursor, 1);
            self.records += 1;
        }
        at_fault
    }

    /// Those of its bytes that lie in the page in which it begins, and the others.
    pub(crate) fn bytes<'a>(&self, pages: &'a Pages<'a>) -> (&'a [u8], Chunks<'a>) {
        let page = pages.page(self.page).get(self.at as usize..).unwrap_or_default();
        let head = page.get(..self.len as usize).unwrap_or(page);
        (head, pages.chain(pages.next(self.page), self.len.saturating_sub(head.len() as u32)))
    }
}

fn is_at_fault(pages: &Pages<'_>, mut record: Cursor) -> bool {
    record.varint(pages);
    record.byte(pages) & AT_FAULT != 0
}
