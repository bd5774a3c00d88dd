//! The model of messages: a table of facts ([`apis`]), values of any of its messages ([`Struct`]), and both directions of
//! the bytes ([`Frame`], [`decode_response`], [`decode_request`]).

mod decode;
mod encode;
mod schema;
mod table;
mod value;

pub use decode::{DecodeError, Request, Response, decode_request, decode_response, read_struct};
pub(crate) use encode::varint;
pub use encode::{Encoded, Frame, Part, Span};
pub use schema::{Api, Direction, Field, Kind, Meaning, VersionSpan};
pub use table::{TableError, api, api_of, apis, read_table};
pub use value::{Struct, Value, canonical};
