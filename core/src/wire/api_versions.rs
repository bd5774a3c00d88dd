//! API_VERSIONS (18): what a broker speaks. Versions 0 to 4, flexible from 3.

use super::{
    ApiKey, Count, DecodeError, Dialect, ErrorCode, Step, VersionRange, Wire, Writer, dialect,
    reader,
    streaming::{Dull, Tags, atom, element, skip},
    wire_struct::wire_struct,
};

wire_struct! {
    /// The request.
    pub struct ApiVersionsRequest<'a> tagged_fields {
        /// The client's name: letters, digits, `-` and `.` (KIP-511).
        client_software_name: &'a str, 3.., else "";
        /// The client's version, of the same characters.
        client_software_version: &'a str, 3.., else "";
    }
}

wire_struct! {
    /// The versions of one API.
    pub struct Api {
        /// The API.
        key: ApiKey, 0..;
        /// The lowest version that the broker speaks.
        min: i16, 0..;
        /// The highest version that the broker speaks.
        max: i16, 0..;
    }
}

impl Api {
    /// The versions as a range.
    #[must_use]
    pub const fn versions(&self) -> VersionRange {
        VersionRange { min: self.min, max: self.max }
    }
}

/// One element of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_enums)] // the reader must know them all
pub enum ApiVersionsItem {
    /// The error of the whole answer; [`ErrorCode::NONE`] too is told. Comes first.
    Error(ErrorCode),
    /// The versions of one API.
    Api(Api),
    /// For how many milliseconds the broker throttles this client.
    Throttle(i32),
}

/// A walk over the response: over all that follows the correlation id.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct ApiVersionsResponse {
    dialect: Dialect,
    at: At,
    apis: Count,
    tags: Tags,
}

#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
enum At {
    Error,
    Count,
    Api,
    ApiTags,
    Throttle,
    Tags,
    End,
}

impl ApiVersionsResponse {
    /// Begins a walk over the answer to a request of this version.
    #[must_use]
    pub const fn new(version: i16) -> Self {
        Self {
            dialect: dialect(ApiKey::API_VERSIONS, version),
            at: At::Error,
            apis: 0,
            tags: Tags::Count,
        }
    }

    /// Reads on.
    ///
    /// # Errors
    /// The bytes are no such response.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub fn step(&mut self, input: &[u8]) -> Result<Step<ApiVersionsItem>, DecodeError> {
        loop {
            let d = self.dialect;
            let (dull, next) = match self.at {
                At::Error => {
                    let (used, error) = atom!(input, |i| ErrorCode::read(i, d));
                    // Who does not know the version that was asked answers in version 0; the
                    // error comes first in every version.
                    if error == ErrorCode::UNSUPPORTED_VERSION {
                        self.dialect = dialect(ApiKey::API_VERSIONS, 0);
                    }
                    self.at = At::Count;
                    element!(used, ApiVersionsItem::Error(error));
                }
                At::Count => {
                    let (used, apis) = atom!(input, |i| reader::count(i, d));
                    self.apis = apis;
                    self.at = At::Api;
                    return Ok(Step::Skip { used, skip: 0 });
                }
                At::Api if self.apis == 0 => (Dull::Nothing, At::Throttle),
                At::Api => {
                    let (used, api) = atom!(input, |i| Api::read(i, d));
                    self.apis = self.apis.saturating_sub(1);
                    self.at = At::ApiTags;
                    element!(used, ApiVersionsItem::Api(api));
                }
                At::ApiTags => (Dull::Tags, At::Api),
                At::Throttle if d.version < 1 => (Dull::Nothing, At::Tags),
                At::Throttle => {
                    let (used, throttle) = atom!(input, reader::int32);
                    self.at = At::Tags;
                    element!(used, ApiVersionsItem::Throttle(throttle));
                }
                At::Tags => (Dull::Tags, At::End),
                At::End => return Ok(Step::Done { used: 0 }),
            };
            skip!(self, dull, next, input);
        }
    }
}

/// Writes the head of the response, after the frame's header. Who does not know the version that
/// was asked answers [`ErrorCode::UNSUPPORTED_VERSION`] in the dialect of version 0.
pub fn write_response(w: &mut Writer<'_>, dialect: Dialect, error: ErrorCode, apis: Count) {
    error.write(w, dialect);
    apis.write(w, dialect);
}

/// Writes one of the announced APIs.
pub fn write_response_api(w: &mut Writer<'_>, dialect: Dialect, api: &Api) {
    api.write(w, dialect);
    w.no_tagged_fields(dialect);
}

/// Writes the end of the response.
pub fn write_response_end(w: &mut Writer<'_>, dialect: Dialect, throttle_ms: i32) {
    if dialect.version >= 1 {
        w.int32(throttle_ms);
    }
    w.no_tagged_fields(dialect);
}
