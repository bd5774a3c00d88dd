//! What a broker answers to SASL_HANDSHAKE (17) and to SASL_AUTHENTICATE (36): one walk for both, since both are an error,
//! and words of any length behind it.

use super::{
    ApiKey, Count, DecodeError, Dialect, ErrorCode, Step, Text, dialect,
    reader::{self, Read},
    sasl_authenticate::AuthBytes,
    streaming::{Dull, Tags, atom, element, skip},
};

/// One element of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the reader must know them all
pub enum SaslItem<'a> {
    /// The error of the whole answer; [`ErrorCode::NONE`] too is told. Comes first.
    Error(ErrorCode),
    /// SASL_HANDSHAKE: the name of a mechanism that the listener has.
    Mechanism(Text<'a>),
    /// SASL_AUTHENTICATE: what the broker says of the error, if anything.
    Message(Option<Text<'a>>),
    /// SASL_AUTHENTICATE: the mechanism's message.
    Bytes(AuthBytes<'a>),
    /// SASL_AUTHENTICATE: for how many milliseconds the session lasts, 0 for ever; from version 1 on. Comes last.
    Lifetime(i64),
}

/// A walk over the response: over all that follows the correlation id.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SaslResponse {
    dialect: Dialect,
    at: At,
    /// What follows the field that is being skipped, or the error.
    next: At,
    mechanisms: Count,
    /// Bytes of the field that are of no interest.
    left: usize,
    tags: Tags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    Header,
    Error,
    Count,
    Mechanism,
    Message,
    Bytes,
    Lifetime,
    /// Past what is kept of a mechanism's name, a message or bytes.
    Left,
    Tags,
    End,
}

/// The bytes that are kept of a field, and how many more there are; null has none.
type Field<'a> = (Option<&'a [u8]>, usize);

impl At {
    /// Reads a field.
    fn read(self, input: &[u8], dialect: Dialect) -> Read<'_, Field<'_>> {
        let (rest, len) = match self {
            Self::Error => (input, Some(2)),
            Self::Count => (input, Some(4)),
            Self::Lifetime => (input, Some(8)),
            Self::Bytes => reader::bytes_len(input, dialect)?,
            Self::Header
            | Self::Mechanism
            | Self::Message
            | Self::Left
            | Self::Tags
            | Self::End => reader::string_len(input, dialect)?,
        };
        let whole = len.unwrap_or(0);
        let kept = whole.min(if self == Self::Bytes { AuthBytes::MAX_LEN } else { Text::MAX_LEN });
        let (rest, bytes) = reader::bytes(rest, kept)?;
        Ok((rest, (len.map(|_| bytes), whole.saturating_sub(kept))))
    }
}

/// The number that bytes are.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | i64::from(*byte))
}

impl SaslResponse {
    /// Begins a walk over the answer to a request of this version, SASL_HANDSHAKE or else SASL_AUTHENTICATE.
    #[must_use]
    pub const fn new(api: ApiKey, version: i16) -> Self {
        let next = if api.0 == ApiKey::SASL_HANDSHAKE.0 { At::Count } else { At::Message };
        let dialect = dialect(api, version);
        Self { dialect, at: At::Header, next, mechanisms: 0, left: 0, tags: Tags::Count }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The bytes are no such response.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Result<Step<SaslItem<'a>>, DecodeError> {
        let d = self.dialect;
        loop {
            let (dull, next) = match self.at {
                At::Header => (Dull::Tags, At::Error),
                At::Left => (Dull::Bytes(self.left), self.next),
                At::Lifetime if d.version < 1 => (Dull::Nothing, At::Tags),
                At::Tags => (Dull::Tags, At::End),
                At::Mechanism if self.mechanisms == 0 => return Ok(Step::Done { used: 0 }),
                At::End => return Ok(Step::Done { used: 0 }),
                at @ (At::Error
                | At::Count
                | At::Mechanism
                | At::Message
                | At::Bytes
                | At::Lifetime) => {
                    let (used, (field, left)) = atom!(input, |i| at.read(i, d));
                    let bytes = field.unwrap_or_default();
                    self.left = left;
                    self.at = At::Left;
                    let element = match at {
                        At::Error => {
                            self.at = self.next;
                            SaslItem::Error(ErrorCode(number(bytes) as i16))
                        }
                        At::Count => {
                            self.mechanisms = number(bytes) as Count;
                            self.at = At::Mechanism;
                            return Ok(Step::Skip { used, skip: 0 });
                        }
                        At::Mechanism => {
                            self.mechanisms = self.mechanisms.saturating_sub(1);
                            self.next = At::Mechanism;
                            SaslItem::Mechanism(Text::kept(bytes, left > 0))
                        }
                        At::Message => {
                            self.next = At::Bytes;
                            SaslItem::Message(field.map(|bytes| Text::kept(bytes, left > 0)))
                        }
                        At::Bytes => {
                            self.next = At::Lifetime;
                            SaslItem::Bytes(AuthBytes { bytes, cut: left > 0 })
                        }
                        At::Lifetime | At::Header | At::Left | At::Tags | At::End => {
                            self.at = At::Tags;
                            SaslItem::Lifetime(number(bytes))
                        }
                    };
                    element!(used, element);
                }
            };
            skip!(self, dull, next, input);
        }
    }
}
