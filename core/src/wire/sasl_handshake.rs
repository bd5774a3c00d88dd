//! SASL_HANDSHAKE (17): which mechanism a client authenticates by. Version 1, never flexible.
//!
//! Version 0 is not spoken: after it tokens follow without a frame.

use super::{
    ApiKey, Count, DecodeError, Dialect, ErrorCode, Step, Wire, Writer, dialect, reader,
    streaming::{atom, element},
    wire_struct::wire_struct,
};

wire_struct! {
    /// The request.
    pub struct SaslHandshakeRequest<'a> {
        /// The mechanism's name, as IANA has it.
        mechanism: &'a str, 0..;
    }
}

/// One element of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the reader must know them all
pub enum SaslHandshakeItem<'a> {
    /// The error of the whole answer; [`ErrorCode::NONE`] too is told. Comes first.
    Error(ErrorCode),
    /// The name of a mechanism that the listener has.
    Mechanism(&'a str),
}

/// A walk over the response: over all that follows the correlation id.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SaslHandshakeResponse {
    dialect: Dialect,
    at: At,
    mechanisms: Count,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    Error,
    Count,
    Mechanism,
}

impl SaslHandshakeResponse {
    /// Begins a walk over the answer to a request of this version.
    #[must_use]
    pub const fn new(version: i16) -> Self {
        let dialect = dialect(ApiKey::SASL_HANDSHAKE, version);
        Self { dialect, at: At::Error, mechanisms: 0 }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The bytes are no such response.
    pub fn step<'a>(
        &mut self,
        input: &'a [u8],
    ) -> Result<Step<SaslHandshakeItem<'a>>, DecodeError> {
        let d = self.dialect;
        match self.at {
            At::Error => {
                let (used, error) = atom!(input, |i| ErrorCode::read(i, d));
                self.at = At::Count;
                element!(used, SaslHandshakeItem::Error(error));
            }
            At::Count => {
                let (used, mechanisms) = atom!(input, |i| reader::count(i, d));
                self.mechanisms = mechanisms;
                self.at = At::Mechanism;
                Ok(Step::Skip { used, skip: 0 })
            }
            At::Mechanism if self.mechanisms == 0 => Ok(Step::Done { used: 0 }),
            At::Mechanism => {
                let (used, mechanism) = atom!(input, |i| reader::string(i, d));
                self.mechanisms = self.mechanisms.saturating_sub(1);
                element!(used, SaslHandshakeItem::Mechanism(mechanism));
            }
        }
    }
}

/// Writes the response, after the frame's header.
pub fn write_response<'a>(
    w: &mut Writer<'_>,
    dialect: Dialect,
    error: ErrorCode,
    mechanisms: impl ExactSizeIterator<Item = &'a str>,
) {
    error.write(w, dialect);
    w.count(Some(mechanisms.len() as Count), dialect);
    for mechanism in mechanisms {
        w.string(mechanism, dialect);
    }
}
