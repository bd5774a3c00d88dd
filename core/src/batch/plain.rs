//! The short way to encode a record: for one without headers whose numbers are small, as most are.

use super::Batch;
use crate::{Record, wire::varint::zigzag_64};

/// A record of which the numbers are encoded already, and so measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<'a> {
    record: &'a Record<'a>,
    /// What comes before the key.
    head: Packed<u128>,
    before_value: Packed<u32>,
    /// All bytes.
    size: u32,
}

/// Bytes that are stored at once: the lowest comes first.
#[derive(Clone, Copy, Debug)]
struct Packed<T> {
    bytes: T,
    len: u32,
}

/// Numbers below this take at most four bytes.
const PACKS: u64 = 1 << 28;

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
        if (time | offset | key | value) >= PACKS {
            return None;
        }
        let (time, offset) = (varint_of(time), varint_of(offset));
        let (before_key, before_value) = (varint_of(key), varint_of(value));
        let len = 1 + time.len + offset.len + before_key.len;
        let body = len + len_of(record.key) + before_value.len + len_of(record.value) + 1;
        let size = varint_of(u64::from(body) << 1);
        if u64::from(body) >= PACKS / 2 || size.len + len > u128::BITS / 8 {
            return None;
        }
        // The attributes, a byte of zero, lie between the size and the time.
        let numbers = u64::from(time.bytes) | u64::from(offset.bytes) << (8 * time.len);
        let numbers =
            u128::from(numbers) | u128::from(before_key.bytes) << (8 * (time.len + offset.len));
        let bytes = u128::from(size.bytes) | numbers << (8 * (size.len + 1));
        let head = Packed { bytes, len: size.len + len };
        Some(Self { record, head, before_value, size: size.len + body })
    }

    /// Bytes that the record takes in its batch.
    #[inline(always)]
    pub(super) const fn size(&self) -> u32 {
        self.size
    }

    /// Encodes the record into room of its size.
    #[inline(always)]
    pub(super) fn encode(&self, room: &mut [u8]) {
        let room = store(room, self.head.bytes.to_le_bytes(), self.head.len);
        let room = copy(room, self.record.key);
        let room = store(room, self.before_value.bytes.to_le_bytes(), self.before_value.len);
        let room = copy(room, self.record.value);
        if let Some(no_headers) = room.first_mut() {
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

/// An unsigned varint of a number below [`PACKS`].
#[inline(always)]
fn varint_of(value: u64) -> Packed<u32> {
    let value = value as u32;
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

/// Writes the first `len` bytes, and returns the room behind them. What lies there may be
/// overwritten, since one store of fixed length is cheaper than one of just these bytes.
#[inline(always)]
fn store<const N: usize>(room: &mut [u8], bytes: [u8; N], len: u32) -> &mut [u8] {
    match room.first_chunk_mut() {
        Some(room) => *room = bytes,
        None => room.iter_mut().zip(bytes).for_each(|(slot, byte)| *slot = byte),
    }
    room.get_mut(len as usize..).unwrap_or_default()
}

#[inline(always)]
fn copy<'r>(room: &'r mut [u8], field: Option<&[u8]>) -> &'r mut [u8] {
    let bytes = field.unwrap_or_default();
    let Some((head, rest)) = room.split_at_mut_checked(bytes.len()) else {
        return &mut [];
    };
    head.copy_from_slice(bytes);
    rest
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
        let mut room = vec![0xEE; bytes.0.len()];
        plain.encode(&mut room);
        assert!(room == bytes.0, "{record:?} {timestamp_delta} {offset_delta}");
        true
    }

    #[test]
    fn a_plain_record_is_the_same_the_short_way_and_the_long_way() {
        let sizes = [0, 1, 2, 3, 7, 8, 15, 16, 17, 62, 63, 64, 65, 8_190, 8_191, 8_192, 1_048_576];
        let deltas = [0, 1, -1, 63, 64, -64, -65, 8_191, 8_192, 1 << 20, (1 << 27) - 1, 1 << 27];
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
        assert!(agree(&record, 0, (1 << 27) - 1) && !agree(&record, 0, 1 << 27));
        assert!(!agree(&record, i64::MAX, 1) && !agree(&record, i64::MIN, 1));
        let headers = [Header { key: "", value: None }];
        assert!(!agree(&Record { headers: &headers, ..record }, 0, 1));
    }
}
