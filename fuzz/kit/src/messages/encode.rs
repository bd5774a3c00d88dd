//! Values as bytes, with a map of where everything is.

use core::ops::Range;

use super::{
    schema::{Api, Direction, Field, Kind},
    value::{Struct, Value, default_of},
};

/// A whole message: what goes on the wire, its size first.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Of which API.
    pub api: &'static Api,
    /// Question or answer.
    pub direction: Direction,
    /// In which version.
    pub version: i16,
    /// By which number question and answer belong together.
    pub correlation_id: i32,
    /// What a client calls itself; in questions alone.
    pub client_id: Option<String>,
    /// What follows the header.
    pub body: Struct,
}

/// What a piece of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// How many bytes follow.
    FrameSize,
    /// The API key.
    ApiKey,
    /// The version.
    ApiVersion,
    /// The correlation id.
    CorrelationId,
    /// How long a text or bytes are: as a varint, or in so many bytes.
    Length {
        /// A varint of one more than it is.
        compact: bool,
    },
    /// How many elements follow.
    Count {
        /// A varint of one more than it is.
        compact: bool,
    },
    /// How many tagged fields follow.
    TagCount,
    /// The tag of one.
    Tag,
    /// How many bytes it has.
    TagSize,
    /// A number or an id.
    Scalar,
    /// Text.
    Text,
    /// Bytes.
    Bytes,
    /// Record batches.
    Records,
}

/// Where a piece of a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What it is.
    pub part: Part,
    /// Its bytes.
    pub at: Range<usize>,
    /// The fields that lead to it, as `topics[0].partitions[1].index`.
    pub path: String,
}

/// The bytes of a message, and where everything is in them.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// The bytes, the frame's size first.
    pub bytes: Vec<u8>,
    /// Its pieces, in order.
    pub spans: Vec<Span>,
    path: Vec<String>,
}

impl Frame {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Encoded {
        let Self { api, direction, version, .. } = *self;
        let mut out = Encoded::default();
        out.mark(Part::FrameSize, "frame size", |out| out.bytes.extend([0; 4]));
        if direction == Direction::Request {
            out.mark(Part::ApiKey, "API key", |out| out.bytes.extend(api.key.to_be_bytes()));
            out.mark(Part::ApiVersion, "API version", |out| {
                out.bytes.extend(version.to_be_bytes())
            });
        }
        out.mark(Part::CorrelationId, "correlation id", |out| {
            out.bytes.extend(self.correlation_id.to_be_bytes());
        });
        if direction == Direction::Request {
            // Of the old style in every version.
            let client_id = self.client_id.as_ref().map(|text| text.as_bytes());
            out.enter("client id", |out| out.string(client_id, false));
        }
        if api.has_flexible_header(direction, version) {
            out.enter("header", |out| out.tags(&[], version, &Struct::default()));
        }
        out.fields(api.fields(direction), version, api.is_flexible(version), &self.body);
        out.fix_size();
        out
    }
}

impl Encoded {
    /// A message's fields alone, without a frame.
    #[must_use]
    pub fn of(fields: &[Field], version: i16, flexible: bool, value: &Struct) -> Self {
        let mut out = Self::default();
        out.fields(fields, version, flexible, value);
        out
    }

    /// Writes the frame's size anew.
    pub fn fix_size(&mut self) {
        let size = u32::try_from(self.bytes.len().saturating_sub(4)).unwrap_or(u32::MAX);
        if let Some(head) = self.bytes.first_chunk_mut() {
            *head = size.to_be_bytes();
        }
    }

    fn mark(&mut self, part: Part, name: &str, write: impl FnOnce(&mut Self)) {
        self.enter(name, |out| out.piece(part, write));
    }

    fn piece(&mut self, part: Part, write: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        write(self);
        let path = self.path.concat();
        self.spans.push(Span { part, at: start..self.bytes.len(), path });
    }

    fn enter(&mut self, name: &str, write: impl FnOnce(&mut Self)) {
        let dot = if self.path.is_empty() { "" } else { "." };
        self.path.push(format!("{dot}{name}"));
        write(self);
        self.path.pop();
    }

    fn fields(&mut self, fields: &[Field], version: i16, flexible: bool, value: &Struct) {
        for field in fields.iter().filter(|field| field.is_in(version) && field.tag.is_none()) {
            let default = default_of(field);
            let value = value.get(field.name).unwrap_or(&default);
            self.enter(field.name, |out| out.value(&field.kind, version, flexible, value));
        }
        if flexible {
            self.tags(fields, version, value);
        }
    }

    fn tags(&mut self, fields: &[Field], version: i16, value: &Struct) {
        let known = fields.iter().filter(|field| field.is_in(version));
        let known = known.filter_map(|field| Some((field.tag?, field, value.get(field.name)?)));
        let known: Vec<_> = known.collect();
        let count = known.len().saturating_add(value.unknown.len());
        self.piece(Part::TagCount, |out| out.uvarint(count));
        for (tag, field, value) in known {
            let inside = |out: &mut Self| out.value(&field.kind, version, true, value);
            self.enter(field.name, |out| out.tag(tag, inside));
        }
        for (tag, bytes) in &value.unknown {
            let inside = |out: &mut Self| out.piece(Part::Bytes, |out| out.bytes.extend(bytes));
            self.enter("tag", |out| out.tag(*tag, inside));
        }
    }

    fn tag(&mut self, tag: u32, write: impl Fn(&mut Self)) {
        self.piece(Part::Tag, |out| out.uvarint(usize::try_from(tag).unwrap_or(usize::MAX)));
        // Written twice, because its size comes first.
        let mut inside = Self { path: self.path.clone(), ..Self::default() };
        write(&mut inside);
        self.piece(Part::TagSize, |out| out.uvarint(inside.bytes.len()));
        write(self);
    }

    fn value(&mut self, kind: &Kind, version: i16, flexible: bool, value: &Value) {
        match kind {
            Kind::Bool => self.piece(Part::Scalar, |out| out.bytes.extend(low(value.int(), 1))),
            Kind::Int(len) => {
                self.piece(Part::Scalar, |out| out.bytes.extend(low(value.int(), *len)));
            }
            Kind::Uuid => self.piece(Part::Scalar, |out| {
                let Value::Uuid(id) = value else {
                    return out.bytes.extend([0; 16]);
                };
                out.bytes.extend(id);
            }),
            Kind::String => self.string(told(value), flexible),
            Kind::Bytes => self.long(told(value), flexible, Part::Bytes),
            Kind::Records => self.long(told(value), flexible, Part::Records),
            Kind::Array(kind) => {
                let elements = (*value != Value::Null).then(|| value.elements());
                let count = elements.map(<[Value]>::len);
                self.piece(Part::Count { compact: flexible }, |out| out.len4(count, flexible));
                for (index, value) in elements.unwrap_or_default().iter().enumerate() {
                    self.path.push(format!("[{index}]"));
                    self.value(kind, version, flexible, value);
                    self.path.pop();
                }
            }
            Kind::Struct(fields) => {
                let nothing = Struct::default();
                self.fields(fields, version, flexible, value.fields().unwrap_or(&nothing));
            }
        }
    }

    fn string(&mut self, text: Option<&[u8]>, flexible: bool) {
        let len = text.map(<[u8]>::len);
        self.piece(Part::Length { compact: flexible }, |out| {
            if flexible {
                out.len4(len, true);
            } else {
                let len = len.map_or(-1, |len| i16::try_from(len).unwrap_or(i16::MAX));
                out.bytes.extend(len.to_be_bytes());
            }
        });
        let most = if flexible { usize::MAX } else { 32_767 };
        let text = text.unwrap_or_default();
        let text = text.get(..most).unwrap_or(text);
        if !text.is_empty() {
            self.piece(Part::Text, |out| out.bytes.extend(text));
        }
    }

    fn long(&mut self, bytes: Option<&[u8]>, flexible: bool, part: Part) {
        let len = bytes.map(<[u8]>::len);
        self.piece(Part::Length { compact: flexible }, |out| out.len4(len, flexible));
        let bytes = bytes.unwrap_or_default();
        if !bytes.is_empty() {
            self.piece(part, |out| out.bytes.extend(bytes));
        }
    }

    /// A length in four bytes, or as a varint of one more.
    fn len4(&mut self, len: Option<usize>, flexible: bool) {
        if flexible {
            self.uvarint(len.map_or(0, |len| len.saturating_add(1)));
        } else {
            let len = len.map_or(-1, |len| i32::try_from(len).unwrap_or(i32::MAX));
            self.bytes.extend(len.to_be_bytes());
        }
    }

    fn uvarint(&mut self, number: usize) {
        self.bytes.extend(varint(u64::try_from(number).unwrap_or(u64::MAX)));
    }
}

/// The lowest bytes of a number, the highest first.
fn low(number: i64, len: usize) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    bytes.get(8_usize.saturating_sub(len)..).unwrap_or_default().to_vec()
}

fn told(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Null => None,
        told => Some(told.bytes()),
    }
}

/// An unsigned varint.
pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
