//! Kafka's wire protocol: messages as bytes, without state and without memory of its own.
//!
//! Messages are written through one bounded [`Writer`]. Responses are read element by element
//! with a *walk*: a small state machine that is fed the unread bytes at the head of a receive
//! window, which need not be larger than [`MAX_ATOM`] whatever the response's size. Both
//! directions are here for requests and for responses: a client needs one half, a model broker
//! and a fuzzer the other.
//!
//! The names and the layout are those of Kafka's message schemas.

mod crc;
mod error;
mod error_code;
mod streaming;
mod text;
mod versions;
mod wire_struct;
mod writer;

pub mod api_versions;
pub mod describe_producers;
pub mod frame;
pub mod init_producer_id;
pub mod metadata;
pub mod murmur2;
pub mod produce;
pub mod reader;
pub mod record;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sasl_response;
pub mod varint;

pub use crc::{combine, crc32c};
pub use error::{BufferTooSmall, DecodeError};
pub use error_code::{ErrorCode, Evidence};
pub use reader::Uuid;
pub use streaming::MAX_ATOM;
pub use text::Text;
pub use versions::{ApiKey, VersionRange, dialect, negotiate};
pub use wire_struct::{Count, Wire, read_whole};
pub(crate) use writer::put;
pub use writer::{Gap, Writer};

/// How a message is laid out: its version, and whether that version is flexible (KIP-482). Made by
/// [`dialect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Dialect {
    /// The API version.
    pub version: i16,
    /// Compact lengths and tagged fields.
    pub flexible: bool,
}

impl Dialect {
    /// The same version with lengths of the old style and without tagged fields.
    #[must_use]
    pub const fn classic(self) -> Self {
        Self { version: self.version, flexible: false }
    }
}

/// One step of a walk over a message that may be larger than the window it is read through.
///
/// The driver knows where the message ends: it hands over no byte behind the end, and takes
/// [`Wait`](Self::Wait) with all bytes at hand as [`DecodeError::Truncated`]. Every step but
/// `Wait` and `Done` reads or skips at least one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
        /// How many bytes follow that are not to be looked at; may exceed the window, and in a
        /// broken message the rest of it.
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

impl<E> Step<E> {
    /// The same step with another element.
    pub fn map<F>(self, map: impl FnOnce(E) -> F) -> Step<F> {
        match self {
            Self::Element { used, element } => Step::Element { used, element: map(element) },
            Self::Skip { used, skip } => Step::Skip { used, skip },
            Self::Wait => Step::Wait,
            Self::Done { used } => Step::Done { used },
        }
    }
}
