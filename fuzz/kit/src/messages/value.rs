//! Values of messages, whatever the message.

use super::schema::{Field, Kind};

/// The value of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// None, which is not the same as nothing in it.
    Null,
    /// A number, or 0 and 1 for a boolean.
    Int(i64),
    /// An id.
    Uuid([u8; 16]),
    /// Text, bytes, or record batches. Text need not be UTF-8.
    Bytes(Vec<u8>),
    /// Several.
    Array(Vec<Self>),
    /// Fields.
    Struct(Struct),
}

/// Fields with their names, and tagged fields that the table does not know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Struct {
    /// The fields; one that is not here has its default.
    pub fields: Vec<(&'static str, Value)>,
    /// Tags and what is in them.
    pub unknown: Vec<(u32, Vec<u8>)>,
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl Value {
    /// The number; 0 where it is none.
    #[must_use]
    pub const fn int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            Self::Null | Self::Uuid(_) | Self::Bytes(_) | Self::Array(_) | Self::Struct(_) => 0,
        }
    }

    /// The text or bytes; nothing where it is neither.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Null | Self::Int(_) | Self::Uuid(_) | Self::Array(_) | Self::Struct(_) => &[],
        }
    }

    /// The elements; none where it is no array.
    #[must_use]
    pub fn elements(&self) -> &[Self] {
        match self {
            Self::Array(elements) => elements,
            Self::Null | Self::Int(_) | Self::Uuid(_) | Self::Bytes(_) | Self::Struct(_) => &[],
        }
    }

    /// The struct, where it is one.
    #[must_use]
    pub const fn fields(&self) -> Option<&Struct> {
        match self {
            Self::Struct(fields) => Some(fields),
            Self::Null | Self::Int(_) | Self::Uuid(_) | Self::Bytes(_) | Self::Array(_) => None,
        }
    }

    /// The structs of an array.
    pub fn structs(&self) -> impl Iterator<Item = &Struct> {
        self.elements().iter().filter_map(Self::fields)
    }
}

impl Struct {
    /// With these fields.
    #[must_use]
    pub fn of<const N: usize>(fields: [(&'static str, Value); N]) -> Self {
        Self { fields: fields.into(), unknown: Vec::new() }
    }

    /// A field, if it is told.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The number of a field; 0 where there is none.
    #[must_use]
    pub fn int(&self, name: &str) -> i64 {
        self.get(name).map_or(0, Value::int)
    }

    /// The text of a field, as far as it is UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.get(name).map_or(&[], Value::bytes)).into_owned()
    }

    /// The structs in a field.
    pub fn structs<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Self> + use<'a> {
        self.get(name).into_iter().flat_map(Value::structs)
    }

    /// Says what a field is.
    pub fn set(&mut self, name: &'static str, value: Value) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name, value)),
        }
    }
}

/// What stands for a field that is not told.
pub(crate) fn default_of(field: &Field) -> Value {
    if field.default_null {
        return Value::Null;
    }
    match &field.kind {
        Kind::Bool | Kind::Int(_) => Value::Int(field.default),
        Kind::Uuid => Value::Uuid([0; 16]),
        Kind::String | Kind::Bytes | Kind::Records => Value::Bytes(Vec::new()),
        Kind::Array(_) => Value::Array(Vec::new()),
        Kind::Struct(fields) => Value::Struct(Struct {
            fields: fields.iter().map(|field| (field.name, default_of(field))).collect(),
            unknown: Vec::new(),
        }),
    }
}

/// The same with every field of the version, in the table's order, and its default where it was not told: two messages
/// that mean the same are equal.
#[must_use]
pub fn canonical(fields: &[Field], version: i16, value: &Struct) -> Struct {
    let of_version = fields.iter().filter(|field| field.is_in(version));
    let told = of_version.map(|field| {
        let value = value.get(field.name).cloned().unwrap_or_else(|| default_of(field));
        (field.name, inside(&field.kind, version, value))
    });
    Struct { fields: told.collect(), unknown: value.unknown.clone() }
}

fn inside(kind: &Kind, version: i16, value: Value) -> Value {
    match (kind, value) {
        (Kind::Struct(fields), Value::Struct(value)) => {
            Value::Struct(canonical(fields, version, &value))
        }
        (Kind::Array(kind), Value::Array(elements)) => {
            Value::Array(elements.into_iter().map(|value| inside(kind, version, value)).collect())
        }
        (_, value) => value,
    }
}
