//! One record as bytes (KIP-98, record batch v2).

use super::Batch;
use crate::{
    Header, Record,
    wire::varint::{self, zigzag_64},
};

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
    pub(crate) fn next_of(batch: &Batch, record: &'a Record<'a>) -> Option<Self> {
        let timestamp_delta = if batch.records == 0 {
            0
        } else {
            record.timestamp.wrapping_sub(batch.base_timestamp)
        };
        Self::new(record, timestamp_delta, batch.records as i32)
    }

    /// Measures a record as the first one of a batch.
    pub(crate) fn first(record: &'a Record<'a>) -> Option<Self> {
        Self::new(record, 0, 0)
    }

    fn new(record: &'a Record<'a>, timestamp_delta: i64, offset_delta: i32) -> Option<Self> {
        let mut sum = Sum::default();
        sum.add(Some(1 + varint::len_i64(timestamp_delta) + varint::len_i32(offset_delta)))?;
        sum.add(field_len(record.key))?;
        sum.add(field_len(record.value))?;
        sum.add(Some(varint::len_i32(i32::try_from(record.headers.len()).ok()?)))?;
        for header in record.headers {
            sum.add(field_len(Some(header.key.as_bytes())))?;
            sum.add(field_len(header.value))?;
        }
        let Sum(body) = sum;
        let size = body + varint::len_i32(body as i32) as u32;
        Some(Self { record, timestamp_delta, offset_delta, body, size })
    }

    /// Bytes that the record takes in its batch.
    pub(crate) const fn size(&self) -> u32 {
        self.size
    }

    /// The record's time, in milliseconds since the Unix epoch.
    pub(crate) const fn timestamp(&self) -> i64 {
        self.record.timestamp
    }

    /// Encodes the record into whatever takes bytes.
    pub(super) fn encode(&self, to: &mut impl Sink) {
        put_varint(to, i64::from(self.body));
        to.byte(0);
        put_varint(to, self.timestamp_delta);
        put_varint(to, i64::from(self.offset_delta));
        put_field(to, self.record.key);
        put_field(to, self.record.value);
        put_varint(to, self.record.headers.len() as i64);
        for Header { key, value } in self.record.headers {
            put_field(to, Some(key.as_bytes()));
            put_field(to, *value);
        }
    }
}

/// Bytes of a record's body, of which Kafka's length field bears 2³¹−1 at the most.
#[derive(Default)]
struct Sum(u32);

impl Sum {
    /// Adds a length. `None` where there is none, or the sum is too large: then it is no longer right.
    fn add(&mut self, len: Option<usize>) -> Option<()> {
        self.0 = u32::try_from(len?).ok()?.checked_add(self.0)?;
        i32::try_from(self.0).ok().map(|_| ())
    }
}

/// Takes encoded bytes.
pub(super) trait Sink {
    fn byte(&mut self, byte: u8);
    fn bytes(&mut self, bytes: &[u8]);
}

fn field_len(field: Option<&[u8]>) -> Option<usize> {
    Some(match field {
        None => 1,
        Some(bytes) => varint::len_i32(i32::try_from(bytes.len()).ok()?) + bytes.len(),
    })
}

pub(super) fn put_varint(to: &mut impl Sink, value: i64) {
    let mut rest = zigzag_64(value);
    while rest >= 0x80 {
        to.byte(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.byte(rest as u8);
}

#[cfg_attr(target_pointer_width = "64", inline(always))]
fn put_field(to: &mut impl Sink, field: Option<&[u8]>) {
    match field {
        None => to.byte(1), // the varint of -1
        Some(bytes) => {
            put_varint(to, bytes.len() as i64);
            to.bytes(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_kafka_cannot_write_is_none_however_it_is_come_to() {
        const MOST: usize = i32::MAX as usize;
        for lens in [&[MOST][..], &[MOST - 1, 1], &[1, 1, MOST - 2], &[0, MOST, 0]] {
            let mut sum = Sum::default();
            assert!(lens.iter().all(|len| sum.add(Some(*len)).is_some()));
            assert_eq!(sum.0, i32::MAX as u32);
        }
        // Sums of 32 bits that wrap are among them.
        let wraps = u32::MAX as usize;
        for lens in [
            &[MOST + 1][..],
            &[MOST, 1],
            &[MOST, MOST],
            &[MOST, MOST, 2],
            &[MOST, MOST, 3],
            &[wraps],
            &[1, wraps],
            &[16, wraps - 15],
        ] {
            let mut sum = Sum::default();
            let refused = lens.iter().any(|len| sum.add(Some(*len)).is_none());
            assert!(refused, "{lens:?}");
        }
        assert_eq!(Sum::default().add(None), None);
    }

    #[test]
    fn a_record_whose_headers_are_longer_than_any_memory_is_not_measured() {
        // One slice again and again: zeros that no memory is given for until they are touched.
        let zeros = std::vec![0; i32::MAX as usize - 30];
        let value = Some(&zeros[..]);
        let headers = [Header { key: "", value }; 4];
        let record = Record { value, ..Record::default() };
        let entry = Entry::first(&record).expect("a size");
        assert_eq!(entry.size() as usize, zeros.len() + 15);
        for count in 1..=4 {
            let record = Record { headers: &headers[..count], value, ..Record::default() };
            assert!(Entry::first(&record).is_none(), "{count} headers");
        }
    }
}
