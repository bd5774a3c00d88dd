//! The short way to encode a record: for one without headers whose numbers are small, as most are.

use super::Batch;
use crate::{Record, wire::varint::zigzag_64};

/// A record of which the numbers are encoded already, and so measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<'a> {
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

impl Packed {
    /// With `other` behind it. Together they have eight bytes at most.
    #[inline(always)]
    const fn then(self, other: Self) -> Self {
        // No length is zero, so that nothing is shifted by 64 bits but zeros.
        let bytes = self.bytes | other.bytes.wrapping_shl(8 * self.len);
        Self { bytes, len: self.len + other.len }
    }
}

/// Bytes that are stored at once, or copied behind the last field: encoding needs as much room.
const SLACK: u32 = 8;
/// Numbers below this take at most four bytes.
const FOUR: u64 = 1 << 28;
/// Numbers below this take at most three.
const THREE: u64 = 1 << 21;

impl<'a> Plain<'a> {
    /// Encodes the numbers of a record as the next one of `batch`; `None` where the record is not
    /// plain, or the batch has none yet.
    #[inline(always)]
    pub(super) fn next_of(batch: &Batch, record: &'a Record<'a>) -> Option<Self> {
        if batch.records == 0 || !record.headers.is_empty() {
            return None;
        }
        Self::new(record, record.timestamp.wrapping_sub(batch.base_timestamp), batch.records)
    }

    #[inline(always)]
    fn new(record: &'a Record<'a>, timestamp_delta: i64, offset_delta: u32) -> Option<Self> {
        let (time, offset) = (zigzag_64(timestamp_delta), u64::from(offset_delta) << 1);
        let (key, value) = (zigzag_len(record.key), zigzag_len(record.value));
        if (time | offset) >= THREE || (key | value) >= FOUR / 4 {
            return None;
        }
        let (time, offset, before_value) = (varint_of(time), varint_of(offset), varint_of(value));
        let mut second = offset.then(varint_of(key));
        let mut body = 1 + time.len + second.len + before_value.len + len_of(record.value) + 1;
        match record.key {
            Some(key) => body += key.len() as u32,
            // Three bytes, one, and four at most.
            None => second = second.then(before_value),
        }
        let size = varint_of(u64::from(body) << 1);
        // The attributes are a byte of zero: three bytes at most come behind it, and four before.
        let attributes = Packed { bytes: 0, len: 1 };
        let first = size.then(attributes).then(time);
        Some(Self { record, first, second, before_value, size: size.len + body })
    }

    /// Bytes that the record takes in its batch.
    #[inline(always)]
    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// Bytes that [`encode`](Self::encode) may write to.
    #[inline(always)]
    pub(super) const fn room(&self) -> u32 {
        self.size + SLACK
    }

    /// Encodes the record at the start of its room. What lies behind it may be overwritten, since one
    /// store of fixed length is cheaper than one of just these bytes.
    #[inline(always)]
    pub(super) fn encode(&self, room: &mut [u8]) {
        let mut at = 0;
        store(room, &mut at, self.first);
        store(room, &mut at, self.second);
        if let Some(key) = self.record.key {
            copy(room, &mut at, key);
            store(room, &mut at, self.before_value);
        }
        if let Some(value) = self.record.value {
            copy(room, &mut at, value);
        }
        if let Some(no_headers) = room.get_mut(at) {
            *no_headers = 0;
        }
    }
}

/// The length of a field as it is written, or of none.
#[inline(always)]
fn zigzag_len(field: Option<&[u8]>) -> u64 {
    field.map_or(1, |bytes| (bytes.len() as u64).saturating_mul(2))
}

#[inline(always)]
fn len_of(field: Option<&[u8]>) -> u32 {
    field.map_or(0, <[u8]>::len) as u32
}

/// An unsigned varint of a number below [`FOUR`].
#[inline(always)]
const fn varint_of(value: u64) -> Packed {
    if value < 1 << 7 {
        return Packed { bytes: value, len: 1 };
    }
    let bytes = value & 0x7f | (value & 0x3f80) << 1;
    if value < 1 << 14 {
        return Packed { bytes: bytes | 0x80, len: 2 };
    }
    let bytes = bytes | (value & 0x1f_c000) << 2 | (value & 0xfe0_0000) << 3;
    if value < 1 << 21 {
        return Packed { bytes: bytes | 0x8080, len: 3 };
    }
    Packed { bytes: bytes | 0x80_8080, len: 4 }
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
fn copy(room: &mut [u8], at: &mut usize, field: &[u8]) {
    if let Some(slots) = room.get_mut(*at..*at + field.len()) {
        slots.copy_from_slice(field);
    }
    *at += field.len();
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::{
        super::entry::{Entry, Sink},
        *,
    };
    use crate::Header;

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
        let sizes = [0, 1, 2, 3, 7, 8, 15, 16, 17, 62, 63, 64, 65, 8_190, 8_191, 8_192, 1_048_576];
        let deltas = [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, (1 << 20) - 1, 1 << 20, 1 << 27];
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
        assert!(!agree(&record, i64::MAX, 1) && !agree(&record, i64::MIN, 1));
        let headers = [Header { key: "", value: None }];
        assert!(!agree(&Record { headers: &headers, ..record }, 0, 1));
    }
}
