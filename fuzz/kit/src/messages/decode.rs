//! Bytes as values. Nothing is read generously: what is left over, or not UTF-8, or null where it may not be, is told.

use core::fmt;

use super::{
    schema::{Api, Direction, Field, Kind},
    table::api_of,
    value::{Struct, Value},
};

/// Why bytes are no such message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// What is wrong.
    pub why: &'static str,
    /// The field where it was noticed.
    pub path: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { why, path } = self;
        if path.is_empty() { f.write_str(why) } else { write!(f, "{why}, at {path}") }
    }
}

impl core::error::Error for DecodeError {}

/// A question, read.
#[derive(Clone, Debug)]
pub struct Request {
    /// Of which API.
    pub api: &'static Api,
    /// In which version.
    pub version: i16,
    /// By which number its answer will be known.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: Option<String>,
    /// What follows the header.
    pub body: Struct,
}

/// An answer, read.
#[derive(Clone, Debug)]
pub struct Response {
    /// To which question it is.
    pub correlation_id: i32,
    /// What follows the header.
    pub body: Struct,
}

/// Reads a question; `frame` comes without its size.
///
/// # Errors
/// It is none, or of an API or a version that the table has not.
pub fn decode_request(frame: &[u8]) -> Result<Request, DecodeError> {
    let mut input = Input { rest: frame, path: Vec::new() };
    let key = input.number(2)?;
    let version = i16::try_from(input.number(2)?).unwrap_or(-1);
    let correlation_id = i32::try_from(input.number(4)?).unwrap_or(0);
    let api = i16::try_from(key).ok().and_then(api_of);
    let api = api.ok_or_else(|| input.wrong("an API that the table has not"))?;
    if !api.versions.contains(version) {
        return Err(input.wrong("a version that the table has not"));
    }
    let client_id = input.string(false, true)?;
    let client_id = client_id.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if api.has_flexible_header(Direction::Request, version) {
        input.tags(&[], version, &mut Struct::default())?;
    }
    let body = input.whole(&api.request, version, api.is_flexible(version))?;
    Ok(Request { api, version, correlation_id, client_id, body })
}

/// Reads an answer; `frame` comes without its size.
///
/// # Errors
/// It is none of this API and version.
pub fn decode_response(
    api: &'static Api,
    version: i16,
    frame: &[u8],
) -> Result<Response, DecodeError> {
    let mut input = Input { rest: frame, path: Vec::new() };
    let correlation_id = i32::try_from(input.number(4)?).unwrap_or(0);
    if api.has_flexible_header(Direction::Response, version) {
        input.tags(&[], version, &mut Struct::default())?;
    }
    let body = input.whole(&api.response, version, api.is_flexible(version))?;
    Ok(Response { correlation_id, body })
}

/// Reads a message's fields alone, without a frame.
///
/// # Errors
/// They are none of this version.
pub fn read_struct(
    fields: &[Field],
    version: i16,
    flexible: bool,
    bytes: &[u8],
) -> Result<Struct, DecodeError> {
    Input { rest: bytes, path: Vec::new() }.whole(fields, version, flexible)
}

struct Input<'a> {
    rest: &'a [u8],
    path: Vec<String>,
}

impl<'a> Input<'a> {
    fn wrong(&self, why: &'static str) -> DecodeError {
        DecodeError { why, path: self.path.concat() }
    }

    fn whole(
        &mut self,
        fields: &[Field],
        version: i16,
        flexible: bool,
    ) -> Result<Struct, DecodeError> {
        let body = self.fields(fields, version, flexible)?;
        if self.rest.is_empty() { Ok(body) } else { Err(self.wrong("bytes are left over")) }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) =
            self.rest.split_at_checked(len).ok_or_else(|| self.wrong("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    /// A signed number of so many bytes.
    fn number(&mut self, len: usize) -> Result<i64, DecodeError> {
        let bytes = self.take(len)?;
        let negative = bytes.first().is_some_and(|first| *first >= 0x80);
        let start = if negative { -1_i64 } else { 0 };
        Ok(bytes.iter().fold(start, |number, byte| (number << 8) | i64::from(*byte)))
    }

    fn uvarint(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?.first().copied().unwrap_or(0);
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(self.wrong("a varint that does not end"))
    }

    /// A length; [`None`] is null.
    fn len(&mut self, flexible: bool, width: usize) -> Result<Option<usize>, DecodeError> {
        if flexible {
            let len = self.uvarint()?.checked_sub(1);
            return Ok(len.map(|len| usize::try_from(len).unwrap_or(usize::MAX)));
        }
        match self.number(width)? {
            -1 => Ok(None),
            len => usize::try_from(len).map(Some).map_err(|_| self.wrong("a negative length")),
        }
    }

    fn string(&mut self, flexible: bool, nullable: bool) -> Result<Option<Vec<u8>>, DecodeError> {
        let len = self.len(flexible, 2)?;
        let text = self.told(len, nullable)?;
        if text.is_some_and(|text| core::str::from_utf8(text).is_err()) {
            return Err(self.wrong("text that is not UTF-8"));
        }
        Ok(text.map(<[u8]>::to_vec))
    }

    fn told(
        &mut self,
        len: Option<usize>,
        nullable: bool,
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        match len {
            Some(len) => self.take(len).map(Some),
            None if nullable => Ok(None),
            None => Err(self.wrong("null where it may not be")),
        }
    }

    fn fields(
        &mut self,
        fields: &[Field],
        version: i16,
        flexible: bool,
    ) -> Result<Struct, DecodeError> {
        let mut read = Struct::default();
        for field in fields.iter().filter(|field| field.is_in(version) && field.tag.is_none()) {
            let value = self.enter(field.name, |input| input.value(field, version, flexible))?;
            read.fields.push((field.name, value));
        }
        if flexible {
            self.tags(fields, version, &mut read)?;
        }
        Ok(read)
    }

    fn enter<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path.push(format!("{dot}{name}"));
        let value = read(self)?;
        self.path.pop();
        Ok(value)
    }

    fn tags(
        &mut self,
        fields: &[Field],
        version: i16,
        read: &mut Struct,
    ) -> Result<(), DecodeError> {
        let count = self.uvarint()?;
        let mut last = None;
        for _ in 0..count {
            let tag =
                u32::try_from(self.uvarint()?).map_err(|_| self.wrong("a tag beyond 2^32"))?;
            if last.is_some_and(|last| last >= tag) {
                return Err(self.wrong("tags that do not rise"));
            }
            last = Some(tag);
            let len = usize::try_from(self.uvarint()?).unwrap_or(usize::MAX);
            let bytes = self.take(len)?;
            let known = fields.iter().find(|field| field.tag == Some(tag) && field.is_in(version));
            let Some(field) = known else {
                read.unknown.push((tag, bytes.to_vec()));
                continue;
            };
            let mut inside = Input { rest: bytes, path: self.path.clone() };
            let value = inside.enter(field.name, |input| {
                let value = input.value(field, version, true)?;
                if input.rest.is_empty() {
                    Ok(value)
                } else {
                    Err(input.wrong("a tag's bytes are left over"))
                }
            })?;
            read.fields.push((field.name, value));
        }
        Ok(())
    }

    fn value(&mut self, field: &Field, version: i16, flexible: bool) -> Result<Value, DecodeError> {
        self.kind(&field.kind, version, flexible, field.is_nullable(version))
    }

    fn kind(
        &mut self,
        kind: &Kind,
        version: i16,
        flexible: bool,
        nullable: bool,
    ) -> Result<Value, DecodeError> {
        Ok(match kind {
            Kind::Bool => Value::Int(i64::from(self.number(1)? != 0)),
            Kind::Int(len) => Value::Int(self.number(*len)?),
            Kind::Uuid => Value::Uuid(self.take(16)?.try_into().unwrap_or_default()),
            Kind::String => self.string(flexible, nullable)?.map_or(Value::Null, Value::Bytes),
            Kind::Bytes | Kind::Records => {
                let len = self.len(flexible, 4)?;
                let bytes = self.told(len, nullable)?;
                bytes.map_or(Value::Null, |bytes| Value::Bytes(bytes.to_vec()))
            }
            Kind::Array(kind) => {
                let Some(count) = self.len(flexible, 4)? else {
                    return if nullable {
                        Ok(Value::Null)
                    } else {
                        Err(self.wrong("null where it may not be"))
                    };
                };
                // Each element has a byte, so that a count is not believed further than what is there.
                if count > self.rest.len() {
                    return Err(self.wrong("more elements than bytes"));
                }
                let mut elements = Vec::new();
                for index in 0..count {
                    self.path.push(format!("[{index}]"));
                    elements.push(self.kind(kind, version, flexible, false)?);
                    self.path.pop();
                }
                Value::Array(elements)
            }
            Kind::Struct(fields) => Value::Struct(self.fields(fields, version, flexible)?),
        })
    }
}
