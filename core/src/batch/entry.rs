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

fn put_field(to: &mut impl Sink, field: Option<&[u8]>) {
    match field {
        None => to.byte(1), // the varint of -1
        Some(bytes) => {
            put_varint(to, bytes.len() as i64);
            to.bytes(bytes);
        }
    }
}
