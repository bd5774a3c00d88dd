//! SASL_AUTHENTICATE (36): the messages of a SASL mechanism (KIP-152), and for how long the session lasts
//! (KIP-368). Versions 0 to 2, flexible from 2.

use core::fmt;

#[cfg(feature = "_sasl")]
use super::ApiKey;
use super::{DecodeError, Dialect, ErrorCode, Wire, Writer, reader};

/// What one side says to the other: its first bytes. No word of it is ever shown, since it may be a password.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuthBytes<'a> {
    /// The bytes that are kept.
    pub bytes: &'a [u8],
    /// There were more.
    pub cut: bool,
}

impl<'a> AuthBytes<'a> {
    /// So many bytes are kept of a longer message.
    pub const MAX_LEN: usize = 400;

    /// A message, or the first bytes of it.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let kept = bytes.get(..Self::MAX_LEN).unwrap_or(bytes);
        Self { bytes: kept, cut: kept.len() < bytes.len() }
    }
}

impl fmt::Debug for AuthBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes hidden]", self.bytes.len())
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for AuthBytes<'_> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "[{} bytes hidden]", self.bytes.len());
    }
}

/// Writes the head of the request, after the frame's header. `len` bytes of the mechanism's message follow.
pub fn write_request_head(w: &mut Writer<'_>, dialect: Dialect, len: usize) {
    w.bytes_len(Some(len), dialect);
}

/// Writes the end of the request, behind the message.
pub fn write_request_end(w: &mut Writer<'_>, dialect: Dialect) {
    w.no_tagged_fields(dialect);
}

/// Writes what follows the header of this request or of SASL_HANDSHAKE, whose one field it is given in parts.
#[cfg(feature = "_sasl")]
pub(crate) fn write_in_parts(w: &mut Writer<'_>, dialect: Dialect, api: ApiKey, parts: &[&[u8]]) {
    let len = parts.iter().map(|part| part.len()).sum();
    if api == ApiKey::SASL_HANDSHAKE {
        w.int16(len as i16);
    } else {
        w.bytes_len(Some(len), dialect);
    }
    for part in parts {
        w.bytes(part);
    }
    w.no_tagged_fields(dialect);
}

/// Reads the request, after its header: the mechanism's message.
///
/// # Errors
/// The bytes are no such request.
pub fn read_request(input: &[u8], dialect: Dialect) -> Result<&[u8], DecodeError> {
    let read = |input| {
        let (rest, bytes) = reader::nullable_bytes(input, dialect)?;
        let (rest, ()) = reader::tagged_fields(rest, dialect)?;
        Ok((rest, bytes))
    };
    match read(input) {
        Ok(([], bytes)) => bytes.ok_or(DecodeError::UnexpectedNull),
        Ok((rest, _)) => Err(DecodeError::TrailingBytes(rest.len())),
        Err(nom::Err::Incomplete(_)) => Err(DecodeError::Truncated),
        Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(error),
    }
}

/// Writes the response, after the frame's header.
pub fn write_response(
    w: &mut Writer<'_>,
    dialect: Dialect,
    error: ErrorCode,
    message: Option<&str>,
    bytes: &[u8],
    lifetime_ms: i64,
) {
    error.write(w, dialect);
    w.nullable_string(message, dialect);
    w.bytes_len(Some(bytes.len()), dialect);
    w.bytes(bytes);
    if dialect.version >= 1 {
        w.int64(lifetime_ms);
    }
    w.no_tagged_fields(dialect);
}
