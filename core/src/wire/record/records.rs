//! The records of a batch, one by one.

use crate::{
    Header,
    wire::{
        DecodeError, Writer,
        reader::{self, Read},
        varint,
    },
};

/// What precedes a record's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // the format's fields, built by literal
pub struct RecordHead {
    /// No bit of it means anything yet; kept as it came.
    pub attributes: i8,
    /// Time of the record less the batch's base timestamp, in milliseconds.
    pub timestamp_delta: i64,
    /// Offset of the record less the batch's base offset.
    pub offset_delta: i32,
}

/// Bytes that a run of bytes takes with its length before it.
const fn field_size(len: Option<usize>) -> usize {
    match len {
        Some(len) => len.saturating_add(varint::len_i64(len as i64)),
        None => 1,
    }
}

/// Bytes that a record's headers take, with their count.
#[must_use]
pub fn headers_size(headers: &[Header<'_>]) -> usize {
    headers
        .iter()
        .map(|header| {
            field_size(Some(header.key.len()))
                .saturating_add(field_size(header.value.map(<[u8]>::len)))
        })
        .fold(varint::len_i64(headers.len() as i64), usize::saturating_add)
}

/// Bytes that a record takes behind its length, which is the number that the length states.
/// `headers_size` is that of [`headers_size()`]: at least 1. Saturates.
#[inline]
#[must_use]
pub const fn record_body_size(
    head: &RecordHead,
    key_len: Option<usize>,
    value_len: Option<usize>,
    headers_size: usize,
) -> usize {
    1_usize
        .saturating_add(varint::len_i64(head.timestamp_delta))
        .saturating_add(varint::len_i32(head.offset_delta))
        .saturating_add(field_size(key_len))
        .saturating_add(field_size(value_len))
        .saturating_add(headers_size)
}

/// Bytes that a record takes, its length included; see [`record_body_size`].
#[inline]
#[must_use]
pub const fn record_size(
    head: &RecordHead,
    key_len: Option<usize>,
    value_len: Option<usize>,
    headers_size: usize,
) -> usize {
    let body = record_body_size(head, key_len, value_len, headers_size);
    body.saturating_add(varint::len_i64(body as i64))
}

/// Writes a record. One over 2^31 − 1 bytes cannot be expressed.
pub fn write_record(
    w: &mut Writer<'_>,
    head: &RecordHead,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[Header<'_>],
) {
    let size =
        record_body_size(head, key.map(<[u8]>::len), value.map(<[u8]>::len), headers_size(headers));
    write_len(w, size);
    w.int8(head.attributes);
    w.varlong(head.timestamp_delta);
    w.varint(head.offset_delta);
    write_field(w, key);
    write_field(w, value);
    write_len(w, headers.len());
    for header in headers {
        write_field(w, Some(header.key.as_bytes()));
        write_field(w, header.value);
    }
}

fn write_len(w: &mut Writer<'_>, len: usize) {
    match i32::try_from(len) {
        Ok(len) => w.varint(len),
        Err(_) => w.inexpressible(),
    }
}

fn write_field(w: &mut Writer<'_>, field: Option<&[u8]>) {
    match field {
        Some(bytes) => {
            write_len(w, bytes.len());
            w.bytes(bytes);
        }
        None => w.varint(-1),
    }
}

/// A record in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct RecordView<'a> {
    /// What precedes the key.
    pub head: RecordHead,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, known to be well formed.
    pub headers: Headers<'a>,
}

impl<'a> RecordView<'a> {
    /// Reads the record at the head of `input`.
    ///
    /// # Errors
    /// Those of its parts; [`DecodeError::WrongLength`] where they do not fill the record's length
    /// exactly.
    pub fn read(input: &'a [u8]) -> Read<'a, Self> {
        let (rest, len) = read_len(input)?;
        let Some(len) = len else {
            return reader::fail(DecodeError::UnexpectedNull);
        };
        let (rest, body) = reader::bytes(rest, len)?;
        match Self::read_body(body) {
            Ok(([], record)) => Ok((rest, record)),
            // Nothing behind the body belongs to it, so more bytes would not help.
            Ok(_) | Err(nom::Err::Incomplete(_)) => reader::fail(DecodeError::WrongLength),
            Err(error) => Err(error),
        }
    }

    fn read_body(body: &'a [u8]) -> Read<'a, Self> {
        let (rest, attributes) = reader::int8(body)?;
        let (rest, timestamp_delta) = reader::varlong(rest)?;
        let (rest, offset_delta) = reader::varint(rest)?;
        let (rest, key) = read_field(rest)?;
        let (rest, value) = read_field(rest)?;
        let (headers, count) = read_len(rest)?;
        let Some(count) = count else {
            return reader::fail(DecodeError::UnexpectedNull);
        };
        let mut rest = headers;
        for _ in 0..count {
            (rest, _) = read_header(rest)?;
        }
        let record = Self {
            head: RecordHead { attributes, timestamp_delta, offset_delta },
            key,
            value,
            headers: Headers { left: count, rest: headers },
        };
        Ok((rest, record))
    }
}

/// Reads a length; `None` is null.
fn read_len(input: &[u8]) -> Read<'_, Option<usize>> {
    let (rest, len) = reader::varint(input)?;
    Ok((rest, reader::classic_len(len)?))
}

fn read_field(input: &[u8]) -> Read<'_, Option<&[u8]>> {
    let (rest, len) = read_len(input)?;
    let Some(len) = len else {
        return Ok((rest, None));
    };
    let (rest, bytes) = reader::bytes(rest, len)?;
    Ok((rest, Some(bytes)))
}

fn read_header(input: &[u8]) -> Read<'_, Header<'_>> {
    let (rest, key) = read_field(input)?;
    let Some(key) = key else {
        return reader::fail(DecodeError::UnexpectedNull);
    };
    let Ok(key) = core::str::from_utf8(key) else {
        return reader::fail(DecodeError::NotUtf8);
    };
    let (rest, value) = read_field(rest)?;
    Ok((rest, Header { key, value }))
}

/// The headers of a record, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Headers<'a> {
    left: usize,
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let (rest, header) = read_header(self.rest).ok()?;
        self.rest = rest;
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// The records in a contiguous slice that holds nothing else. Ends behind the first error.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// The records in `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (rest, record) = match RecordView::read(self.rest) {
            Ok((rest, record)) => (rest, Ok(record)),
            Err(nom::Err::Incomplete(_)) => (&[][..], Err(DecodeError::Truncated)),
            Err(nom::Err::Error(error) | nom::Err::Failure(error)) => (&[][..], Err(error)),
        };
        self.rest = rest;
        Some(record)
    }
}

impl core::iter::FusedIterator for Records<'_> {}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::*;

    const HEAD: RecordHead = RecordHead { attributes: 0x55, timestamp_delta: -1, offset_delta: 3 };

    fn bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[Header<'_>]) -> Vec<u8> {
        let mut bytes = vec![0; 200];
        let mut w = Writer::new(&mut bytes);
        write_record(&mut w, &HEAD, key, value, headers);
        let len = w.finish().unwrap();
        bytes.truncate(len);
        bytes
    }

    #[test]
    fn writes_a_record_to_the_bit() {
        let header = Header { key: "h", value: None };
        let expected = [
            20,   // 10 bytes
            0x55, // attributes
            1,    // timestamp delta
            6,    // offset delta
            1,    // null key
            0,    // empty value
            2,    // one header
            2, b'h', // its key
            1,    // its null value
        ];
        let mut expected = expected.to_vec();
        expected[0] = 2 * (expected.len() as u8 - 1);
        assert_eq!(bytes(None, Some(b""), &[header]), expected);
    }

    #[test]
    fn reads_what_was_written() {
        let headers = [Header { key: "a", value: Some(b"1") }, Header { key: "a", value: None }];
        let bytes = bytes(Some(b"key"), None, &headers);
        let (rest, record) = RecordView::read(&bytes).unwrap();
        assert!(rest.is_empty());
        assert_eq!(record.head, HEAD);
        assert_eq!(record.key, Some(&b"key"[..]));
        assert_eq!(record.value, None);
        assert!(record.headers.eq(headers));
        for cut in 0..bytes.len() {
            assert!(RecordView::read(&bytes[..cut]).unwrap_err().is_incomplete());
        }
    }

    #[test]
    fn a_record_fills_its_length() {
        let good = bytes(Some(b"key"), Some(b"value"), &[]);
        for change in [-2_i8, 2] {
            let mut bad = good.clone();
            bad.push(0);
            bad[0] = bad[0].wrapping_add_signed(change);
            let error = Records::new(&bad).next();
            assert_eq!(error, Some(Err(DecodeError::WrongLength)), "{change}");
        }
    }

    #[test]
    fn ends_behind_the_first_error() {
        let mut bytes = bytes(None, None, &[]);
        bytes.extend([1, 1, 1]); // a record of length -1, and another
        let mut records = Records::new(&bytes);
        assert!(matches!(records.next(), Some(Ok(_))));
        assert_eq!(records.next(), Some(Err(DecodeError::UnexpectedNull)));
        assert_eq!(records.next(), None);
    }

    #[test]
    fn counts_drive_loops_and_no_more() {
        // 2^31 - 1 headers are announced, and none is there.
        let mut body = vec![0, 0, 0, 1, 1];
        let mut count = [0; 5];
        let len = varint::put_i32(&mut count, i32::MAX);
        body.extend(&count[..len]);
        body.insert(0, 2 * body.len() as u8);
        assert_eq!(Records::new(&body).next(), Some(Err(DecodeError::WrongLength)));
    }
}
