//! Why bytes are not what they should be, or do not fit.

use core::fmt;

use nom::error::{ErrorKind, ParseError};

/// Why bytes are not the message they should be. More bytes would not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A length or count is below zero, and not the -1 that means null.
    NegativeLength(i32),
    /// A value that may not be null is null.
    UnexpectedNull,
    /// A varint has more bits than its type.
    VarintTooLong,
    /// A string is not UTF-8.
    NotUtf8,
    /// A value that is read as a whole would take more bytes than this.
    TooLong {
        /// The most bytes that are read as a whole.
        max: usize,
    },
    /// A frame is announced that no answer is as long as. The bytes of the length are often the first
    /// ones of another protocol.
    FrameLength(u32),
    /// A length does not fit the address space.
    LengthOverflow,
    /// A tagged field or a record's parts are longer or shorter than the length before them says.
    WrongLength,
    /// A record batch has a magic byte other than 2.
    Magic(i8),
    /// A record batch's length, in bytes, is less than its header takes or more than there is.
    BatchLength(i32),
    /// The message ended within a value.
    Truncated,
    /// Bytes are left over behind the message.
    TrailingBytes(usize),
    /// A parser that this crate does not use failed.
    Other(ErrorKind),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NegativeLength(len) => write!(f, "expected a length or -1, found {len}"),
            Self::UnexpectedNull => f.write_str("expected a value, found null"),
            Self::VarintTooLong => f.write_str("a varint is longer than its type allows"),
            Self::NotUtf8 => f.write_str("expected UTF-8 in a string"),
            Self::TooLong { max } => write!(f, "a value is longer than {max} bytes"),
            Self::FrameLength(_) if self.is_tls() => f.write_str("the bytes are those of TLS"),
            Self::FrameLength(len) => match printable(&len.to_be_bytes()) {
                Some(text) => write!(f, "the bytes are text that begins with \"{text}\""),
                None => write!(f, "no answer is {len} bytes long"),
            },
            Self::LengthOverflow => f.write_str("a length does not fit the address space"),
            Self::WrongLength => f.write_str("a value differs in length from what is announced"),
            Self::Magic(magic) => write!(f, "expected magic byte 2, found {magic}"),
            Self::BatchLength(len) => write!(f, "a record batch cannot be {len} bytes long"),
            Self::Truncated => f.write_str("the message ends within a value"),
            Self::TrailingBytes(left) => write!(f, "{left} bytes are left over"),
            Self::Other(kind) => write!(f, "parser {kind:?} failed"),
        }
    }
}

impl DecodeError {
    /// Whether the bytes are those of TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        // A record of type 21 or 22, an alert or a handshake, of TLS 1.x, which calls itself SSL 3.
        matches!(self, Self::FrameLength(len) if matches!(*len >> 16, 0x1503 | 0x1603))
    }
}

/// Bytes that somebody could have typed.
fn printable(bytes: &[u8]) -> Option<&str> {
    let typed = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    bytes.iter().all(typed).then_some(())?;
    str::from_utf8(bytes).ok()
}

impl core::error::Error for DecodeError {}

impl<I> ParseError<I> for DecodeError {
    fn from_error_kind(_input: I, kind: ErrorKind) -> Self {
        Self::Other(kind)
    }

    fn append(_input: I, _kind: ErrorKind, other: Self) -> Self {
        other
    }
}

/// A message does not fit the buffer that it was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // says all there is to say
pub struct BufferTooSmall {
    /// How many bytes the message takes; `usize::MAX` if it has a value that the protocol cannot
    /// express, such as a string of 40,000 bytes.
    pub needed: usize,
}

impl fmt::Display for BufferTooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the message needs a buffer of {} bytes", self.needed)
    }
}

impl core::error::Error for BufferTooSmall {}
