//! SASL_AUTHENTICATE (36): the messages of a SASL mechanism (KIP-152), and for how long the session lasts
//! (KIP-368). Versions 0 to 2, flexible from 2.

use core::fmt;

use super::{
    ApiKey, DecodeError, Dialect, ErrorCode, Step, Text, Wire, Writer, dialect,
    reader::{self, Read},
    streaming::{Dull, Tags, atom, element, skip},
};

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

    /// Reads a message as far as it is kept; and how many bytes of it are left to be skipped.
    fn read(input: &'a [u8], dialect: Dialect) -> Read<'a, (Self, usize)> {
        let (rest, len) = reader::bytes_len(input, dialect)?;
        let len = len.unwrap_or(0);
        let kept = len.min(Self::MAX_LEN);
        let (rest, bytes) = reader::bytes(rest, kept)?;
        Ok((rest, (Self { bytes, cut: kept < len }, len.saturating_sub(kept))))
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

/// One element of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the reader must know them all
pub enum SaslAuthenticateItem<'a> {
    /// The error; [`ErrorCode::NONE`] too is told. Comes first.
    Error(ErrorCode),
    /// What the broker says of the error, if anything.
    Message(Option<Text<'a>>),
    /// The mechanism's message.
    Bytes(AuthBytes<'a>),
    /// For how many milliseconds the session lasts, 0 for ever; from version 1 on. Comes last.
    Lifetime(i64),
}

/// A walk over the response: over all that follows the correlation id.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SaslAuthenticateResponse {
    dialect: Dialect,
    at: At,
    /// Bytes of the field that are of no interest.
    left: usize,
    tags: Tags,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    Header,
    Error,
    Message,
    MessageRest,
    Bytes,
    BytesRest,
    Lifetime,
    Tags,
    End,
}

impl SaslAuthenticateResponse {
    /// Begins a walk over the answer to a request of this version.
    #[must_use]
    pub const fn new(version: i16) -> Self {
        let dialect = dialect(ApiKey::SASL_AUTHENTICATE, version);
        Self { dialect, at: At::Header, left: 0, tags: Tags::Count }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The bytes are no such response.
    pub fn step<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<Step<SaslAuthenticateItem<'a>>, DecodeError> {
        let d = self.dialect;
        loop {
            let (dull, next) = match self.at {
                At::Header => (Dull::Tags, At::Error),
                At::Error => {
                    let (used, error) = atom!(input, |i| ErrorCode::read(i, d));
                    self.at = At::Message;
                    element!(used, SaslAuthenticateItem::Error(error));
                }
                At::Message => {
                    let (used, (message, left)) = atom!(input, |i| Text::read(i, d));
                    self.left = left;
                    self.at = At::MessageRest;
                    element!(used, SaslAuthenticateItem::Message(message));
                }
                At::MessageRest => (Dull::Bytes(self.left), At::Bytes),
                At::Bytes => {
                    let (used, (bytes, left)) = atom!(input, |i| AuthBytes::read(i, d));
                    self.left = left;
                    self.at = At::BytesRest;
                    element!(used, SaslAuthenticateItem::Bytes(bytes));
                }
                At::BytesRest => (Dull::Bytes(self.left), At::Lifetime),
                At::Lifetime if d.version < 1 => (Dull::Nothing, At::Tags),
                At::Lifetime => {
                    let (used, lifetime) = atom!(input, reader::int64);
                    self.at = At::Tags;
                    element!(used, SaslAuthenticateItem::Lifetime(lifetime));
                }
                At::Tags => (Dull::Tags, At::End),
                At::End => return Ok(Step::Done { used: 0 }),
            };
            skip!(self, dull, next, input);
        }
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
