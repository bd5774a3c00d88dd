//! What every message begins with: its size, and the header of a request or of a response.

use super::{
    ApiKey, DecodeError, Dialect, Gap, Wire, Writer, dialect,
    reader::{self, Read},
};

/// Bytes that a frame's size takes. The size counts what follows it.
pub const SIZE_LEN: usize = 4;

/// Leaves room for a frame's size.
pub fn begin(w: &mut Writer<'_>) -> Gap<SIZE_LEN> {
    w.gap()
}

/// Fills in a frame's size: what was written since [`begin`], and `beyond` bytes that are sent
/// with it from elsewhere. A frame over 2^31 − 1 bytes gets a negative size, which no peer takes.
pub fn end(w: &mut Writer<'_>, size: Gap<SIZE_LEN>, beyond: usize) {
    let len = w.len_since(&size).saturating_add(beyond);
    let len = i32::try_from(len).unwrap_or(-1);
    w.fill(size, len.to_be_bytes());
}

/// Reads a frame's size, in bytes.
///
/// # Errors
/// [`DecodeError::NegativeLength`].
pub fn read_size(input: &[u8]) -> Read<'_, usize> {
    let (rest, size) = reader::int32(input)?;
    match u32::try_from(size) {
        Ok(size) => Ok((rest, reader::length(size)?)),
        Err(_) => reader::fail(DecodeError::NegativeLength(size)),
    }
}

/// The head of a response, before anything that depends on its version: 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // the protocol has these two
pub struct ResponseHead {
    /// Size of the frame in bytes, without the size itself.
    pub size: usize,
    /// The request that this answers.
    pub correlation_id: i32,
}

impl ResponseHead {
    /// Bytes that the head takes.
    pub const LEN: usize = 8;

    /// How many bytes of the frame follow: what is left of the header, and the body. That is what
    /// the walk of the request's API reads.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.size.saturating_sub(4)
    }

    /// Reads the head.
    ///
    /// # Errors
    /// [`DecodeError::NegativeLength`], and [`DecodeError::Truncated`] where the frame is too
    /// small for a correlation id.
    pub fn read(input: &[u8]) -> Read<'_, Self> {
        let (rest, size) = read_size(input)?;
        if size < 4 {
            return reader::fail(DecodeError::Truncated);
        }
        let (rest, correlation_id) = reader::int32(rest)?;
        Ok((rest, Self { size, correlation_id }))
    }
}

/// Writes the header of a response, after the frame's size. Answers to ApiVersions have header
/// v0 whatever their version, because who asks does not know yet what the broker speaks.
pub fn write_response_header(w: &mut Writer<'_>, api: ApiKey, version: i16, correlation_id: i32) {
    w.int32(correlation_id);
    w.no_tagged_fields(response_header(dialect(api, version), api));
}

/// The dialect of a response's header.
const fn response_header(body: Dialect, api: ApiKey) -> Dialect {
    Dialect { version: body.version, flexible: body.flexible && api.0 != ApiKey::API_VERSIONS.0 }
}

/// The header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // the schema's fields, built by literal
pub struct RequestHeader<'a> {
    /// What is asked.
    pub api_key: ApiKey,
    /// The version of the question and of its answer.
    pub api_version: i16,
    /// What the answer is to bear.
    pub correlation_id: i32,
    /// The client's name for itself.
    pub client_id: Option<&'a str>,
}

impl<'a> RequestHeader<'a> {
    /// Reads a header, v1 or v2 as the API's version asks, after the frame's size. The header of
    /// an unknown API is read as v1.
    ///
    /// # Errors
    /// Those of its parts.
    pub fn read(input: &'a [u8]) -> Read<'a, Self> {
        let (rest, api_key) = reader::int16(input)?;
        let (rest, api_version) = reader::int16(rest)?;
        let (rest, correlation_id) = reader::int32(rest)?;
        let api_key = ApiKey(api_key);
        let dialect = dialect(api_key, api_version);
        // A string of the old style in every version, so that any broker can read it.
        let (rest, client_id) = reader::nullable_string(rest, dialect.classic())?;
        let (rest, ()) = reader::tagged_fields(rest, dialect)?;
        let header = Self { api_key, api_version, correlation_id, client_id };
        Ok((rest, header))
    }

    /// Writes the header, after the frame's size.
    pub fn write(&self, w: &mut Writer<'_>) {
        let dialect = dialect(self.api_key, self.api_version);
        self.api_key.write(w, dialect);
        w.int16(self.api_version);
        w.int32(self.correlation_id);
        w.nullable_string(self.client_id, dialect.classic());
        w.no_tagged_fields(dialect);
    }
}

/// Writes the header of a request, after the frame's size.
pub fn write_request_header(
    w: &mut Writer<'_>,
    api_key: ApiKey,
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) {
    let header = RequestHeader { api_key, api_version, correlation_id, client_id };
    header.write(w);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_counts_what_is_sent_from_elsewhere() {
        let mut buf = [0; 32];
        let mut w = Writer::new(&mut buf);
        w.int8(7);
        let size = begin(&mut w);
        write_request_header(&mut w, ApiKey::PRODUCE, 9, 5, Some("c"));
        end(&mut w, size, 1000);
        let len = w.finish().unwrap();
        let (rest, size) = read_size(&buf[1..len]).unwrap();
        assert_eq!(size, rest.len() + 1000);
        assert_eq!(rest, [0, 0, 0, 9, 0, 0, 0, 5, 0, 1, b'c', 0]);
    }

    #[test]
    fn a_response_is_no_smaller_than_its_head() {
        let head = ResponseHead::read(&[0, 0, 0, 4, 0, 0, 0, 1]);
        let expected = ResponseHead { size: 4, correlation_id: 1 };
        assert_eq!(head, Ok((&[][..], expected)));
        assert_eq!(expected.remaining(), 0);
        let head = ResponseHead::read(&[0, 0, 0, 3]);
        assert_eq!(head, Err(nom::Err::Failure(DecodeError::Truncated)));
        let head = ResponseHead::read(&[0xff, 0xff, 0xff, 0xff]);
        assert_eq!(head, Err(nom::Err::Failure(DecodeError::NegativeLength(-1))));
    }
}
