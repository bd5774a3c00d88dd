//! SASL_HANDSHAKE (17): which mechanism a client authenticates by. Version 1, never flexible.
//!
//! Version 0 is not spoken: after it tokens follow without a frame.

use super::{Count, Dialect, ErrorCode, Wire, Writer, wire_struct::wire_struct};

wire_struct! {
    /// The request.
    pub struct SaslHandshakeRequest<'a> {
        /// The mechanism's name, as IANA has it.
        mechanism: &'a str, 0..;
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
