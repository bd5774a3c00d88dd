//! Flat structures as tables: each field's type and the versions that have it, once for both
//! directions.

use core::ops::{RangeFrom, RangeInclusive};

use super::{
    ApiKey, DecodeError, Dialect, ErrorCode, Uuid, Writer,
    reader::{self, Read},
};

/// A value that reads and writes itself in the dialect of a version.
pub trait Wire<'a>: Sized {
    /// Reads a value from the head of `input`.
    ///
    /// # Errors
    /// `Incomplete` where more bytes are needed; a [`DecodeError`] where they would not help.
    fn read(input: &'a [u8], dialect: Dialect) -> Read<'a, Self>;

    /// Writes the value.
    fn write(&self, w: &mut Writer<'_>, dialect: Dialect);
}

/// The count of an array that may not be null, its elements following. (No message here has an
/// unsigned number otherwise.)
pub type Count = u32;

macro_rules! primitives {
    ($($ty:ty: $read:expr, $write:expr;)+) => {
        $(
            impl<'a> Wire<'a> for $ty {
                fn read(input: &'a [u8], dialect: Dialect) -> Read<'a, Self> {
                    $read(input, dialect)
                }

                fn write(&self, w: &mut Writer<'_>, dialect: Dialect) {
                    $write(w, *self, dialect);
                }
            }
        )+
    };
}

primitives! {
    bool: |input, _| reader::boolean(input), |w: &mut Writer<'_>, v, _| w.boolean(v);
    i8: |input, _| reader::int8(input), |w: &mut Writer<'_>, v, _| w.int8(v);
    i16: |input, _| reader::int16(input), |w: &mut Writer<'_>, v, _| w.int16(v);
    i32: |input, _| reader::int32(input), |w: &mut Writer<'_>, v, _| w.int32(v);
    i64: |input, _| reader::int64(input), |w: &mut Writer<'_>, v, _| w.int64(v);
    Count: reader::count, |w: &mut Writer<'_>, v, dialect| w.count(Some(v), dialect);
    Option<Count>: reader::nullable_count, |w: &mut Writer<'_>, v, dialect| w.count(v, dialect);
    &'a str: reader::string, |w: &mut Writer<'_>, v, dialect| w.string(v, dialect);
    Option<&'a str>: reader::nullable_string, |w: &mut Writer<'_>, v, dialect| w.nullable_string(v, dialect);
    Uuid: |input, _| reader::uuid(input), |w: &mut Writer<'_>, v, _| w.uuid(v);
}

impl<'a> Wire<'a> for ErrorCode {
    fn read(input: &'a [u8], _dialect: Dialect) -> Read<'a, Self> {
        let (rest, code) = reader::int16(input)?;
        Ok((rest, Self(code)))
    }

    fn write(&self, w: &mut Writer<'_>, _dialect: Dialect) {
        w.int16(self.0);
    }
}

impl<'a> Wire<'a> for ApiKey {
    fn read(input: &'a [u8], _dialect: Dialect) -> Read<'a, Self> {
        let (rest, key) = reader::int16(input)?;
        Ok((rest, Self(key)))
    }

    fn write(&self, w: &mut Writer<'_>, _dialect: Dialect) {
        w.int16(self.0);
    }
}

/// The versions that have a field.
pub(super) trait Versions {
    /// Whether one of them, which is 0 or more, has it.
    fn have(&self, version: i16) -> bool;
}

// That a version is not below 0 only `dialect` knows, and each field of version 0 would test it.
impl Versions for RangeFrom<i16> {
    #[inline(always)]
    fn have(&self, version: i16) -> bool {
        self.start == 0 || self.start <= version
    }
}

impl Versions for RangeInclusive<i16> {
    #[inline(always)]
    fn have(&self, version: i16) -> bool {
        (*self.start()..).have(version) && version <= *self.end()
    }
}

/// Reads a whole message that is not walked, with nothing behind it.
///
/// # Errors
/// [`DecodeError::Truncated`] where bytes are missing.
pub fn read_whole<'a, T: Wire<'a>>(input: &'a [u8], dialect: Dialect) -> Result<T, DecodeError> {
    match T::read(input, dialect) {
        Ok(([], value)) => Ok(value),
        Ok((rest, _)) => Err(DecodeError::TrailingBytes(rest.len())),
        Err(nom::Err::Incomplete(_)) => Err(DecodeError::Truncated),
        Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(error),
    }
}

/// Makes a structure and its [`Wire`] from a table of fields: name, type, versions that have it,
/// and what it is in those that do not.
///
/// `tagged_fields` behind the name is for a structure that ends with a section of tagged fields: unknown
/// ones are skipped, none are written. Without it the table is but the head of a message.
macro_rules! wire_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident<$lt:lifetime> $($tail:tt)*
    ) => {
        wire_struct! { @emit [$(#[$meta])*] $name [$lt] [<$lt>] $($tail)* }
    };
    (
        $(#[$meta:meta])*
        pub struct $name:ident $($tail:tt)*
    ) => {
        wire_struct! { @emit [$(#[$meta])*] $name ['a] [] $($tail)* }
    };
    (
        @emit [$($meta:tt)*] $name:ident [$lt:lifetime] [$($generics:tt)*] $($tagged:ident)? {
            $(
                $(#[$field_meta:meta])*
                $field:ident: $ty:ty, $versions:expr $(, else $default:expr)?;
            )+
        }
    ) => {
        $($meta)*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "defmt", derive(defmt::Format))]
        #[allow(clippy::exhaustive_structs)] // the schema's fields, built by literal
        pub struct $name $($generics)* {
            $(
                $(#[$field_meta])*
                pub $field: $ty,
            )+
        }

        impl<$lt> $crate::wire::Wire<$lt> for $name $($generics)* {
            fn read(
                input: &$lt [u8],
                dialect: $crate::wire::Dialect,
            ) -> $crate::wire::reader::Read<$lt, Self> {
                let rest = input;
                $(
                    let (rest, $field) = if $crate::wire::wire_struct::Versions::have(&($versions), dialect.version) {
                        $crate::wire::Wire::read(rest, dialect)?
                    } else {
                        (rest, wire_struct!(@default $($default)?))
                    };
                )+
                $(let (rest, ()) = $crate::wire::reader::$tagged(rest, dialect)?;)?
                Ok((rest, Self { $($field),+ }))
            }

            fn write(&self, w: &mut $crate::wire::Writer<'_>, dialect: $crate::wire::Dialect) {
                $(
                    if $crate::wire::wire_struct::Versions::have(&($versions), dialect.version) {
                        $crate::wire::Wire::write(&self.$field, w, dialect);
                    }
                )+
                $(wire_struct!(@end $tagged w dialect);)?
            }
        }
    };
    (@end tagged_fields $w:ident $dialect:ident) => { $w.no_tagged_fields($dialect) };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}
pub(super) use wire_struct;
