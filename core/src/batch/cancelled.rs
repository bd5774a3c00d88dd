//! Takes cancelled records out of a batch of which no byte counts as sent.
//!
//! Marking costs the same wherever the record lies; the bytes close ranks once, before the batch
//! gets its sequence.

use super::{
    Batch, PageLink, Pages,
    append::checksum_tail,
    cursor::Cursor,
    encode_record::{Sink, put_varint},
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

/// The length of the record that begins at `at` in `page`, with its own length before it; `None` where it was taken out.
pub(crate) fn len_of_record(pages: &Pages<'_>, page: Ix<PageLink>, at: u32) -> Option<u32> {
    let mut cursor = Cursor::new(page, at);
    let body = cursor.varint(pages);
    let taken = cursor.byte(pages) & WITHDRAWN != 0;
    let len = varint::len_i64(body) as i64 + body;
    (!taken).then(|| u32::try_from(len).ok()).flatten()
}

/// Closes ranks over the withdrawn records, if there are any, and sums up the checksum.
pub(crate) fn compact(pages: &mut Pages<'_>, batch: &mut Batch, checksum: Checksum) {
    if batch.withdrawn == 0 {
        checksum_tail(pages, batch, checksum);
    } else {
        close_ranks(pages, batch, checksum);
    }
}

// Apart, since most batches have nothing to be left out, and only ask.
#[cold]
fn close_ranks(pages: &mut Pages<'_>, batch: &mut Batch, checksum: Checksum) {
    let mut from = Cursor::start(batch.first_page);
    let start = Cursor::start(batch.first_page);
    let taken = Taken { head: start.clone(), tail: start.clone(), at: 0, bytes: 0 };
    let mut to = Rewriter { pages, cursor: start, len: 0, taken };
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
            to.take(old_delta);
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
    to.take(END);
    let Rewriter { cursor, len, taken, .. } = to;
    batch.records = kept as u32;
    batch.withdrawn = 0;
    batch.moved = true;
    batch.len = len;
    batch.taken = true;
    end_with_taken(pages, batch, taken.head, cursor);
    batch.crc = pages.chain(batch.first_page, len).fold(0, checksum);
    batch.checked = len;
}

/// Whether the record with this number was taken out of a batch whose records have closed ranks.
pub(crate) fn was_taken(pages: &Pages<'_>, batch: &Batch, index: u32) -> bool {
    if !batch.taken {
        return false;
    }
    let mut cursor = end_of_records(pages, batch);
    // There are fewer than there are bytes.
    for _ in 0..pages.bytes() {
        match cursor.varint(pages) {
            END => return false,
            number if number == i64::from(index) => return true,
            _ => {}
        }
    }
    false
}

/// Frees the pages of a batch's records, but for the numbers of those that were taken out, which move to
/// the front.
pub(crate) fn keep_taken(pages: &mut Pages<'_>, batch: &mut Batch) {
    let (from, to) = (end_of_records(pages, batch), Cursor::start(batch.first_page));
    batch.len = 0;
    end_with_taken(pages, batch, from, to);
}

/// Moves the numbers of the records that were taken out forward, to where a batch's records end, and ends
/// its chain behind them.
pub(super) fn end_with_taken(
    pages: &mut Pages<'_>,
    batch: &mut Batch,
    mut from: Cursor,
    mut to: Cursor,
) {
    let most = if batch.taken { pages.bytes() } else { 0 };
    for _ in 0..most {
        let number = from.varint(pages);
        put_varint(&mut Pen { pages, cursor: &mut to }, number);
        if number == END {
            break;
        }
    }
    batch.last_page = to.page();
    batch.room = 0;
    pages.truncate(to.page());
}

fn end_of_records(pages: &Pages<'_>, batch: &Batch) -> Cursor {
    let (mut page, mut at) = (batch.first_page, batch.len);
    while at > pages.size() {
        at -= pages.size();
        page = pages.next(page);
    }
    Cursor::new(page, at)
}

fn overwrite(pages: &mut Pages<'_>, cursor: &mut Cursor, byte: u8) {
    cursor.settle(pages);
    if let Some(slot) = pages.page_mut(cursor.page()).get_mut(cursor.at() as usize) {
        *slot = byte;
    }
    cursor.step();
}

/// Comes behind the numbers of records that were taken out.
const END: i64 = -1;

/// The numbers of records that were taken out, as varints: so that whoever cancels one of them once more
/// hears the same again.
///
/// They lie in the bytes that those records left free, somewhere between what is rewritten and what is still
/// to be read. A record takes six bytes beside its number, so that there is room for one of the numbers twice:
/// where the first is about to be overwritten, it goes behind the last. So each byte that is written moves
/// one byte, however many records were taken out.
struct Taken {
    head: Cursor,
    tail: Cursor,
    /// Bytes of the chain before the first of them.
    at: u32,
    /// Their bytes.
    bytes: u32,
}

impl Taken {
    fn push(&mut self, pages: &mut Pages<'_>, number: i64) {
        self.bytes += varint::len_i64(number) as u32;
        put_varint(&mut Pen { pages, cursor: &mut self.tail }, number);
    }

    /// Puts the first behind the last.
    fn turn(&mut self, pages: &mut Pages<'_>) {
        let number = self.head.varint(pages);
        let bytes = varint::len_i64(number) as u32;
        self.at += bytes;
        self.bytes -= bytes;
        self.push(pages, number);
    }
}

/// Writes over pages that are in a chain already.
struct Pen<'a, 'm> {
    pages: &'a mut Pages<'m>,
    cursor: &'a mut Cursor,
}

impl Sink for Pen<'_, '_> {
    fn byte(&mut self, byte: u8) {
        overwrite(self.pages, self.cursor, byte);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }
}

/// Writes a batch's records over their own pages.
struct Rewriter<'a, 'm> {
    pages: &'a mut Pages<'m>,
    cursor: Cursor,
    len: u32,
    taken: Taken,
}

impl Rewriter<'_, '_> {
    /// The record that was read last is taken out.
    fn take(&mut self, number: i64) {
        if self.taken.bytes == 0 {
            self.taken.head = self.cursor.clone();
            self.taken.tail = self.cursor.clone();
            self.taken.at = self.len;
        }
        self.taken.push(self.pages, number);
    }
}

impl Sink for Rewriter<'_, '_> {
    fn byte(&mut self, byte: u8) {
        if self.taken.bytes > 0 && self.taken.at == self.len {
            self.taken.turn(self.pages);
        }
        overwrite(self.pages, &mut self.cursor, byte);
        self.len += 1;
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::{
        super::{append, encode_record::Entry, second_half_len, split_off},
        *,
    };
    use crate::{Record, random::Random, slots::Slots};

    fn sum(crc: u32, bytes: &[u8]) -> u32 {
        bytes.iter().fold(crc, |crc, &byte| crc.rotate_left(1) ^ u32::from(byte))
    }

    fn bytes_of(pages: &Pages<'_>, batch: &Batch) -> Vec<u8> {
        pages.chain(batch.first_page, batch.len).flatten().copied().collect()
    }

    /// A batch of records with values of these lengths; returns where each of them lies.
    fn fill(pages: &mut Pages<'_>, lens: &[u32]) -> (Batch, Vec<(Ix<PageLink>, u32)>) {
        let (value, mut batch) = (vec![0xAB; 700], Batch::EMPTY);
        let mut places = Vec::new();
        for len in lens {
            let value = value.get(..*len as usize);
            let record = Record { value, timestamp: 7, ..Record::default() };
            let entry = Entry::next_of(&batch, &record).expect("a size");
            let place = append(pages, &mut batch, sum, &entry);
            places.push((place.page, place.at));
        }
        (batch, places)
    }

    #[test]
    fn whatever_is_taken_out_is_known_and_the_rest_is_as_if_it_had_never_been_there() {
        let mut draw = Random::new(3);
        for round in 0..300 {
            let size = 16 + draw.below(600);
            let longest = [1, 30, 500][draw.below(3) as usize];
            let most = if round % 20 == 0 { 600 } else { 150 };
            let lens: Vec<u32> = (0..=draw.below(most)).map(|_| draw.below(longest)).collect();
            let count =
                lens.iter().map(|len| len + 20).sum::<u32>() as usize / size as usize * 2 + 4;
            let mut memory = [0; 2].map(|_| vec![0xEE; size as usize * count]);
            let mut links = [0; 2].map(|_| (0..count).map(|_| PageLink::EMPTY).collect::<Vec<_>>());
            let both = memory.iter_mut().zip(&mut links);
            let mut both = both.map(|(m, l)| Pages::new(Slots::lent(m), Slots::lent(l)));
            let (mut pages, mut others) = (both.next().expect("one"), both.next().expect("two"));
            let share = draw.below(101);
            let gone: Vec<bool> = lens.iter().map(|_| draw.below(100) < share).collect();
            let kept: Vec<u32> =
                lens.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(len, _)| *len).collect();
            if kept.is_empty() {
                continue;
            }
            let (mut batch, places) = fill(&mut pages, &lens);
            for ((page, at), _) in places.iter().zip(&gone).filter(|(_, gone)| **gone) {
                assert!(mark_withdrawn(&mut pages, &mut batch, *page, *at));
            }
            compact(&mut pages, &mut batch, sum);
            let (mut other, _) = fill(&mut others, &kept);
            checksum_tail(&others, &mut other, sum);
            assert!(bytes_of(&pages, &batch) == bytes_of(&others, &other), "round {round}");
            assert_eq!((batch.records, batch.crc), (other.records, other.crc));
            let known = |pages: &Pages<'_>, batch: &Batch| {
                for (index, gone) in (0..).zip(&gone) {
                    assert_eq!(was_taken(pages, batch, index), *gone, "round {round}, {index}");
                }
                assert!(!was_taken(pages, batch, u32::MAX));
            };
            known(&pages, &batch);
            if batch.records > 1 {
                let mut half = Batch::EMPTY;
                let at = batch.records.div_ceil(2);
                assert!(second_half_len(&pages, &batch, at) <= batch.len);
                split_off(&mut pages, &mut batch, &mut half, at, sum);
                known(&pages, &batch);
                assert!((0..lens.len() as u32).all(|index| !was_taken(&pages, &half, index)));
                pages.release(half.first_page);
            }
            if batch.taken {
                keep_taken(&mut pages, &mut batch);
                known(&pages, &batch);
            }
            pages.release(batch.first_page);
            assert_eq!(pages.free(), pages.count(), "round {round}");
        }
    }
}
