//! The short way to encode a record: for one without headers whose numbers are small, as most are.

use super::Batch;
use crate::{Record, wire::varint::zigzag_64};

/// A record of which the numbers are encoded already, and so measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plain<'a> {
    record: &'a Record<'a>,
    /// The size, the attributes and the time.
    first: Packed,
    /// The number in the batch, the key's length and, where there is no key, the value's.
    second: Packed,
    /// The value's length.
    before_value: Packed,
    /// All bytes.
    size: u32,
}

/// Bytes that are stored at once: the lowest comes first.
#[derive(Clone, Copy, Debug)]
struct Packed {
    bytes: u64,
    len: u32,
}

/// Bytes that are stored at once, however few of them are meant.
const WORD: usize = size_of::<u64>();

impl Packed {
    /// The attributes.
    const ZERO: Self = Self { bytes: 0, len: 1 };
    /// The length of a field that is not there: the varint of -1.
    const NO_FIELD: Self = Self { bytes: 1, len: 1 };

    /// With `other` behind it. Together they have less than [`WORD`] bytes.
    #[inline(always)]
    const fn then(self, other: Self) -> Self {
        let bytes = self.bytes | other.bytes.wrapping_shl(8 * self.len);
        Self { bytes, len: self.len + other.len }
    }
}

impl<'a> Plain<'a> {
    /// Bytes behind the record that [`encode`](Self::encode) may write to.
    const SLACK: u32 = 2 * WORD as u32;

    /// Encodes the numbers of a record as the next one of `batch`; `None` where the record is not
    /// plain, or the batch has none yet.
    #[inline(always)]
    pub(crate) fn next_of(batch: &Batch, record: &'a Record<'a>) -> Option<Self> {
        if batch.records == 0 {
            return None;
        }
        Self::at(batch.records, batch.base_timestamp, record)
    }

    /// The same for a batch that has so many records, the first of them at this time.
    #[inline(always)]
    pub(super) fn at(records: u32, base_timestamp: i64, record: &'a Record<'a>) -> Option<Self> {
        if !record.headers.is_empty() {
            return None;
        }
        let time = varint_of(zigzag_64(record.timestamp.wrapping_sub(base_timestamp)))?;
        let offset = varint_of(u64::from(records) << 1)?;
        let before_value = length_of(record.value)?;
        let (second, fields) = match record.key {
            None => (offset.then(Packed::NO_FIELD.then(before_value)), 0),
            Some(key) => {
                let second = offset.then(length_of(record.key)?);
                (second, key.len() as u32 + before_value.len)
            }
        };
        // The attributes before the time are a byte of zero, and so are the headers at the end.
        let value = record.value.map_or(0, <[u8]>::len) as u32;
        let body = 1 + time.len + second.len + fields + value + 1;
        let size = varint_of(u64::from(body) << 1)?;
        let first = size.then(Packed::ZERO.then(time));
        Some(Self { record, first, second, before_value, size: size.len + body })
    }

    /// Bytes that the record takes in its batch.
    #[inline(always)]
    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// The record's time, in milliseconds since the Unix epoch.
    #[inline(always)]
    pub(super) const fn timestamp(&self) -> i64 {
        self.record.timestamp
    }

    /// Bytes that [`encode`](Self::encode) may write to.
    #[inline(always)]
    pub(crate) const fn room(&self) -> u32 {
        self.size + Self::SLACK
    }

    /// Encodes the record at the start of its room. What lies behind it may be overwritten, since one
    /// store of fixed length is cheaper than one of just these bytes.
    #[inline(always)]
    pub(crate) fn encode(&self, room: &mut [u8]) {
        let Some(numbers) = room.first_chunk_mut::<{ 2 * WORD }>() else {
            return;
        };
        let mut at = 0;
        store(numbers, &mut at, self.first);
        store(numbers, &mut at, self.second);
        if let Some(key) = self.record.key {
            copy(room, at, key);
            at += key.len();
            store(room, &mut at, self.before_value);
        }
        if let Some(no_headers) = room.get_mut(self.size as usize - 1) {
            *no_headers = 0;
        }
        if let Some(value) = self.record.value {
            copy(room, at, value);
        }
    }
}

/// The length of a field as it is written.
#[inline(always)]
fn length_of(field: Option<&[u8]>) -> Option<Packed> {
    field.map_or(Some(Packed::NO_FIELD), |bytes| varint_of((bytes.len() as u64) << 1))
}

/// An unsigned varint of three bytes at most; `None` for what takes more.
#[inline(always)]
const fn varint_of(value: u64) -> Option<Packed> {
    /// Moves the upper bits up by one, which is to add them once more.
    const fn apart(value: u64, upper: u64) -> u64 {
        value + (value & upper)
    }
    if value < 1 << 7 {
        return Some(Packed { bytes: value, len: 1 });
    }
    if value < 1 << 14 {
        return Some(Packed { bytes: apart(value, !0x7f) + 0x80, len: 2 });
    }
    if value < 1 << 21 {
        return Some(Packed { bytes: apart(apart(value, !0x7f), !0x7fff) + 0x8080, len: 3 });
    }
    None
}

/// Writes the bytes and, since one store of fixed length is cheaper, some behind them.
#[inline(always)]
fn store(room: &mut [u8], at: &mut usize, packed: Packed) {
    if let Some(slots) = room.get_mut(*at..).and_then(<[u8]>::first_chunk_mut) {
        *slots = packed.bytes.to_le_bytes();
    }
    *at += packed.len as usize;
}

#[inline(always)]
fn copy(room: &mut [u8], at: usize, field: &[u8]) {
    if let Some(slots) = room.get_mut(at..at + field.len()) {
        slots.copy_from_slice(field);
    }
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::{
        super::{
            PageLink, Pages, Place, append,
            encode_record::{Entry, Sink},
            reserve,
        },
        *,
    };
    use crate::{Header, random::Random, slots::Slots};

    struct All(Vec<u8>);

    impl Sink for All {
        fn byte(&mut self, byte: u8) {
            self.0.push(byte);
        }

        fn bytes(&mut self, bytes: &[u8]) {
            self.0.extend_from_slice(bytes);
        }
    }

    /// Encodes a record in both ways, if it is plain, and returns whether it is.
    fn agree(record: &Record<'_>, timestamp_delta: i64, offset_delta: u32) -> bool {
        let batch = Batch {
            records: offset_delta,
            base_timestamp: record.timestamp.wrapping_sub(timestamp_delta),
            ..Batch::EMPTY
        };
        let Some(plain) = Plain::next_of(&batch, record) else {
            return false;
        };
        let entry = Entry::next_of(&batch, record).expect("a size");
        let mut bytes = All(Vec::new());
        entry.encode(&mut bytes);
        assert_eq!((plain.size(), bytes.0.len()), (entry.size(), entry.size() as usize));
        let mut room = vec![0xEE; plain.room() as usize];
        plain.encode(&mut room);
        room.truncate(bytes.0.len());
        assert!(room == bytes.0, "{record:?} {timestamp_delta} {offset_delta}");
        true
    }

    #[test]
    fn a_plain_record_is_the_same_the_short_way_and_the_long_way() {
        let sizes =
            [0, 1, 2, 3, 7, 8, 15, 16, 17, 52, 62, 63, 64, 65, 8_179, 8_191, 8_192, 1_048_575];
        let deltas =
            [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, -8_192, -8_193, (1 << 20) - 1, 1 << 20];
        let bytes = vec![0xAB; 1_048_576];
        let fields = || core::iter::once(None).chain(sizes.map(|len| bytes.get(..len)));
        let (mut plain, mut all) = (0, 0);
        for (key, value) in fields().flat_map(|key| fields().map(move |value| (key, value))) {
            let few = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) < 20_000;
            for delta in deltas.into_iter().filter(|_| few).chain([5]) {
                let record = Record { key, value, ..Record::default() };
                all += 2;
                plain += u32::from(agree(&record, delta, 3));
                plain += u32::from(agree(&record, 3, delta.unsigned_abs().max(1) as u32));
            }
        }
        assert!(plain > all / 2 && plain < all, "{plain} of {all}");
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_long_way() {
        let record = Record { value: Some(b"value"), ..Record::default() };
        assert!(agree(&record, 0, 1));
        assert!(!agree(&record, 0, 0), "the first of a batch");
        assert!(agree(&record, 0, (1 << 20) - 1) && !agree(&record, 0, 1 << 20));
        let bytes = vec![0xAB; 1 << 20];
        assert!(!agree(&Record { value: Some(&bytes), ..record }, 0, 1));
        assert!(!agree(&Record { key: Some(&bytes), ..record }, 0, 1));
        assert!(!agree(&record, i64::MAX, 1) && !agree(&record, i64::MIN, 1));
        let headers = [Header { key: "", value: None }];
        assert!(!agree(&Record { headers: &headers, ..record }, 0, 1));
    }

    /// What a batch says of itself, and its bytes.
    fn state(pages: &Pages<'_>, batch: &Batch) -> (Vec<u8>, [u32; 5], [i64; 2]) {
        let bytes = pages.chain(batch.first_page, batch.len).flatten().copied().collect();
        let numbers = [batch.len, batch.room, batch.records, batch.crc, batch.checked];
        (bytes, numbers, [batch.base_timestamp, batch.max_timestamp])
    }

    /// Fills a batch both ways, up to `limit` bytes, with records that have fields shorter than
    /// `longest`; returns how many went the long way, the short way, and exactly to the end of a page.
    fn fill(limit: u32, longest: u32) -> [u32; 3] {
        let mut bytes = [vec![0xEE; 8 << 20], vec![0xEE; 8 << 20]];
        let mut links = [0; 2].map(|_| (0..16_384).map(|_| PageLink::EMPTY).collect::<Vec<_>>());
        let memory = bytes.iter_mut().zip(&mut links);
        let mut memory =
            memory.map(|(bytes, links)| Pages::new(Slots::lent(bytes), Slots::lent(links)));
        let (mut pages, mut long_pages) =
            (memory.next().expect("one"), memory.next().expect("two"));
        let (mut batch, mut long_batch) = (Batch::EMPTY, Batch::EMPTY);
        let sum = |crc: u32, bytes: &[u8]| {
            bytes.iter().fold(crc, |crc, &byte| crc.rotate_left(1) ^ u32::from(byte))
        };
        let (mut draw, mut ways) = (Random::new(1), [0; 3]);
        for number in 0..9_000 {
            let mut field =
                || [0xAB; 600].get(..draw.below(longest + 1) as usize).map(<[u8]>::to_vec);
            let (key, value) = (field().filter(|key| key.len() % 2 > 0), field());
            let value = value.filter(|value| value.len() % 16 > 0);
            let timestamp = number / 10 - i64::from(draw.below(200));
            let (key, value) = (key.as_deref(), value.as_deref());
            let record = Record { key, value, timestamp, ..Record::default() };
            let entry = Entry::next_of(&long_batch, &record).expect("a size");
            let is_beyond = long_batch.len + entry.size() > limit;
            let short = Plain::next_of(&batch, &record).and_then(|plain| {
                let place = reserve(&pages, &mut batch, limit, &plain)?;
                plain.encode(pages.part_mut(place.page, place.at, plain.room()));
                Some(place)
            });
            if is_beyond {
                assert!(short.is_none());
                break;
            }
            ways[usize::from(short.is_some())] += 1;
            let place = short.unwrap_or_else(|| append(&mut pages, &mut batch, sum, &entry));
            let long = append(&mut long_pages, &mut long_batch, sum, &entry);
            let parts = |place: Place| (place.page, place.at, place.index, place.size);
            assert_eq!(parts(place), parts(long));
            ways[2] += u32::from(batch.room == 0);
        }
        assert!(state(&pages, &batch) == state(&long_pages, &long_batch));
        ways
    }

    #[test]
    fn a_batch_is_the_same_however_its_records_came_in() {
        for (limit, longest) in [(u32::MAX, 40), (u32::MAX, 600), (40_000, 100)] {
            let [long, short, full] = fill(limit, longest);
            assert!(long > 20 && short > 200, "{long} {short}");
            assert!(full > 0 || longest > 40, "no page was filled to its last byte");
        }
    }
}
