//! Primitive types, read from the head of a slice.
//!
//! All of these are nom parsers in streaming mode: `Incomplete` means that more bytes are needed,
//! and never that the bytes are wrong.

use nom::{Err, Needed};

use super::{DecodeError, Dialect, varint};

/// What a parser says: the value and the bytes behind it, or why not.
pub type Read<'a, T> = nom::IResult<&'a [u8], T, DecodeError>;

/// A 128-bit identifier, as bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[allow(clippy::exhaustive_structs)] // an open newtype
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// What stands for no identifier (KIP-516).
    pub const ZERO: Self = Self([0; 16]);
}

/// Reads an INT8.
pub fn int8(input: &[u8]) -> Read<'_, i8> {
    let (rest, bytes) = chunk(input)?;
    Ok((rest, i8::from_be_bytes(bytes)))
}

/// Reads an INT16.
pub fn int16(input: &[u8]) -> Read<'_, i16> {
    let (rest, bytes) = chunk(input)?;
    Ok((rest, i16::from_be_bytes(bytes)))
}

/// Reads an INT32.
pub fn int32(input: &[u8]) -> Read<'_, i32> {
    let (rest, bytes) = chunk(input)?;
    Ok((rest, i32::from_be_bytes(bytes)))
}

/// Reads an INT64.
pub fn int64(input: &[u8]) -> Read<'_, i64> {
    let (rest, bytes) = chunk(input)?;
    Ok((rest, i64::from_be_bytes(bytes)))
}

/// Reads a UINT32.
pub fn uint32(input: &[u8]) -> Read<'_, u32> {
    let (rest, bytes) = chunk(input)?;
    Ok((rest, u32::from_be_bytes(bytes)))
}

/// Reads a BOOLEAN; everything but 0 is true, as in Java.
pub fn boolean(input: &[u8]) -> Read<'_, bool> {
    let (rest, [byte]) = chunk(input)?;
    Ok((rest, byte != 0))
}

/// Reads a UUID.
pub fn uuid(input: &[u8]) -> Read<'_, Uuid> {
    let (rest, bytes) = chunk(input)?;
    Ok((rest, Uuid(bytes)))
}

/// Reads `len` bytes.
pub fn bytes(input: &[u8], len: usize) -> Read<'_, &[u8]> {
    match input.split_at_checked(len) {
        Some((bytes, rest)) => Ok((rest, bytes)),
        None => more(),
    }
}

/// Reads an UNSIGNED_VARINT of at most 32 bits.
///
/// # Errors
/// [`DecodeError::VarintTooLong`] where there are more bits. Padding within five bytes is taken,
/// as Java takes it.
pub fn uvarint(input: &[u8]) -> Read<'_, u32> {
    let (rest, value) = base128(input, varint::MAX_LEN_32)?;
    match u32::try_from(value) {
        Ok(value) => Ok((rest, value)),
        Err(_) => fail(DecodeError::VarintTooLong),
    }
}

/// Reads an unsigned varint of at most 64 bits; see [`uvarint`].
pub fn uvarlong(input: &[u8]) -> Read<'_, u64> {
    base128(input, varint::MAX_LEN_64)
}

/// Reads a VARINT: zigzag, at most 32 bits; see [`uvarint`].
pub fn varint(input: &[u8]) -> Read<'_, i32> {
    let (rest, value) = uvarint(input)?;
    Ok((rest, varint::unzigzag_32(value)))
}

/// Reads a VARLONG: zigzag, at most 64 bits; see [`uvarint`].
pub fn varlong(input: &[u8]) -> Read<'_, i64> {
    let (rest, value) = uvarlong(input)?;
    Ok((rest, varint::unzigzag_64(value)))
}

/// Reads seven bits a byte, from at most `max` bytes, into at most 64 bits.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
fn base128(input: &[u8], max: usize) -> Read<'_, u64> {
    let mut value = 0_u64;
    let mut rest = input;
    for at in 0..max {
        let byte;
        (rest, [byte]) = chunk(rest)?;
        let bits = u64::from(byte & 0x7f);
        let shifted = bits << (7 * at);
        if shifted >> (7 * at) != bits {
            return fail(DecodeError::VarintTooLong);
        }
        value |= shifted;
        if byte < 0x80 {
            return Ok((rest, value));
        }
    }
    fail(DecodeError::VarintTooLong)
}

/// Reads the length of a string: INT16, or UNSIGNED_VARINT plus one where compact. `None` is null.
pub fn string_len(input: &[u8], dialect: Dialect) -> Read<'_, Option<usize>> {
    if dialect.flexible {
        return compact_len(input);
    }
    let (rest, len) = int16(input)?;
    Ok((rest, classic_len(i32::from(len))?))
}

/// Reads the length of bytes or records: INT32, or UNSIGNED_VARINT plus one where compact. `None`
/// is null.
pub fn bytes_len(input: &[u8], dialect: Dialect) -> Read<'_, Option<usize>> {
    if dialect.flexible {
        return compact_len(input);
    }
    let (rest, len) = int32(input)?;
    Ok((rest, classic_len(len)?))
}

/// Reads the count of an array: INT32, or UNSIGNED_VARINT plus one where compact. `None` is null.
pub fn nullable_count(input: &[u8], dialect: Dialect) -> Read<'_, Option<u32>> {
    if dialect.flexible {
        let (rest, count) = uvarint(input)?;
        return Ok((rest, count.checked_sub(1)));
    }
    match int32(input)? {
        (rest, -1) => Ok((rest, None)),
        (rest, count) => match u32::try_from(count) {
            Ok(count) => Ok((rest, Some(count))),
            Err(_) => fail(DecodeError::NegativeLength(count)),
        },
    }
}

/// Reads the count of an array that may not be null.
///
/// # Errors
/// [`DecodeError::UnexpectedNull`].
pub fn count(input: &[u8], dialect: Dialect) -> Read<'_, u32> {
    let (rest, count) = nullable_count(input, dialect)?;
    Ok((rest, present(count)?))
}

/// Reads a string that may be null.
pub fn nullable_string(input: &[u8], dialect: Dialect) -> Read<'_, Option<&str>> {
    let (rest, len) = string_len(input, dialect)?;
    let Some(len) = len else {
        return Ok((rest, None));
    };
    let (rest, text) = bytes(rest, len)?;
    match core::str::from_utf8(text) {
        Ok(text) => Ok((rest, Some(text))),
        Err(_) => fail(DecodeError::NotUtf8),
    }
}

/// Reads a string that may not be null.
///
/// # Errors
/// [`DecodeError::UnexpectedNull`].
pub fn string(input: &[u8], dialect: Dialect) -> Read<'_, &str> {
    let (rest, text) = nullable_string(input, dialect)?;
    Ok((rest, present(text)?))
}

/// Reads bytes that may be null.
pub fn nullable_bytes(input: &[u8], dialect: Dialect) -> Read<'_, Option<&[u8]>> {
    let (rest, len) = bytes_len(input, dialect)?;
    let Some(len) = len else {
        return Ok((rest, None));
    };
    let (rest, value) = bytes(rest, len)?;
    Ok((rest, Some(value)))
}

/// Reads over a section of tagged fields, where the dialect has one. The section must be there as
/// a whole: walks skip it field by field.
pub fn tagged_fields(input: &[u8], dialect: Dialect) -> Read<'_, ()> {
    if !dialect.flexible {
        return Ok((input, ()));
    }
    let (mut rest, fields) = uvarint(input)?;
    for _ in 0..fields {
        let (value, _tag) = uvarint(rest)?;
        let (value, size) = uvarint(value)?;
        (rest, _) = bytes(value, length(size)?)?;
    }
    Ok((rest, ()))
}

/// A length as the address space has it.
pub(super) fn length(len: u32) -> Result<usize, Err<DecodeError>> {
    usize::try_from(len).map_err(|_| Err::Failure(DecodeError::LengthOverflow))
}

/// Reads bytes of a number known beforehand. nom's own parsers take numbers apart byte by byte, and
/// slice in ways of which the compiler cannot always see that they do not panic.
#[inline]
fn chunk<const N: usize>(input: &[u8]) -> Read<'_, [u8; N]> {
    match input.split_first_chunk() {
        Some((bytes, rest)) => Ok((rest, *bytes)),
        None => more(),
    }
}

/// Bytes are missing. Nobody asks how many.
fn more<T>() -> Result<T, Err<DecodeError>> {
    Err(Err::Incomplete(Needed::Unknown))
}

/// Fails: the bytes are wrong, and more would not help.
pub(super) fn fail<T>(error: DecodeError) -> Result<T, Err<DecodeError>> {
    Err(Err::Failure(error))
}

fn present<T>(value: Option<T>) -> Result<T, Err<DecodeError>> {
    value.ok_or(Err::Failure(DecodeError::UnexpectedNull))
}

fn compact_len(input: &[u8]) -> Read<'_, Option<usize>> {
    let (rest, len) = uvarint(input)?;
    match len.checked_sub(1) {
        Some(len) => Ok((rest, Some(length(len)?))),
        None => Ok((rest, None)),
    }
}

/// A length of which -1 is null.
pub(super) fn classic_len(len: i32) -> Result<Option<usize>, Err<DecodeError>> {
    match u32::try_from(len) {
        Ok(len) => length(len).map(Some),
        Err(_) if len == -1 => Ok(None),
        Err(_) => fail(DecodeError::NegativeLength(len)),
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::wire::{ApiKey, dialect};

    fn classic() -> Dialect {
        dialect(ApiKey::METADATA, 1)
    }

    fn compact() -> Dialect {
        dialect(ApiKey::METADATA, 9)
    }

    fn fails<T: core::fmt::Debug + PartialEq>(read: Read<'_, T>, error: DecodeError) {
        assert_eq!(read, Err(Err::Failure(error)));
    }

    #[test]
    fn varints_are_read_to_the_last_bit() {
        assert_eq!(uvarint(&[0xac, 0x02, 9]), Ok((&[9][..], 300)));
        assert_eq!(uvarint(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok((&[][..], u32::MAX)));
        let longest: Vec<u8> = [[0xff; 9].as_slice(), &[1]].concat();
        assert_eq!(uvarlong(&longest), Ok((&[][..], u64::MAX)));
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok((&[][..], i32::MIN)));
        assert_eq!(varlong(&longest), Ok((&[][..], i64::MIN)));
    }

    #[test]
    fn a_padded_varint_is_read_as_java_reads_it() {
        assert_eq!(uvarint(&[0x80, 0x80, 0x80, 0x80, 0]), Ok((&[][..], 0)));
        assert_eq!(uvarint(&[0x81, 0]), Ok((&[][..], 1)));
    }

    #[test]
    fn a_varint_of_too_many_bits_is_refused() {
        fails(uvarint(&[0xff, 0xff, 0xff, 0xff, 0x10]), DecodeError::VarintTooLong);
        fails(uvarint(&[0x80; 5]), DecodeError::VarintTooLong);
        let longest: Vec<u8> = [[0xff; 9].as_slice(), &[2]].concat();
        fails(uvarlong(&longest), DecodeError::VarintTooLong);
        fails(uvarlong(&[0x80; 10]), DecodeError::VarintTooLong);
    }

    #[test]
    fn varints_written_are_read_and_measured() {
        let mut values: Vec<u64> = (0..64).flat_map(|bit| [1 << bit, (1 << bit) - 1]).collect();
        values.push(u64::MAX);
        for value in values {
            let mut buf = [0; varint::MAX_LEN_64];
            let len = varint::put_u64(&mut buf, value);
            assert_eq!(len, varint::len_u64(value));
            assert_eq!(uvarlong(&buf[..len]), Ok((&[][..], value)));
            assert_eq!(varint::put_u64(&mut buf[..len - 1], value), 0);
            let signed = value as i64;
            let len = varint::put_i64(&mut buf, signed);
            assert_eq!(len, varint::len_i64(signed));
            assert_eq!(varlong(&buf[..len]), Ok((&[][..], signed)));
            let short = value as i32;
            let len = varint::put_i32(&mut buf, short);
            assert_eq!(len, varint::len_i32(short));
            assert_eq!(varint(&buf[..len]), Ok((&[][..], short)));
        }
    }

    #[test]
    fn null_differs_from_empty() {
        assert_eq!(nullable_string(&[0xff, 0xff], classic()), Ok((&[][..], None)));
        assert_eq!(nullable_string(&[0, 0], classic()), Ok((&[][..], Some(""))));
        assert_eq!(nullable_string(&[0], compact()), Ok((&[][..], None)));
        assert_eq!(nullable_string(&[1], compact()), Ok((&[][..], Some(""))));
        assert_eq!(nullable_count(&[0xff; 4], classic()), Ok((&[][..], None)));
        assert_eq!(nullable_count(&[0; 4], classic()), Ok((&[][..], Some(0))));
        assert_eq!(nullable_count(&[0], compact()), Ok((&[][..], None)));
        assert_eq!(nullable_count(&[1], compact()), Ok((&[][..], Some(0))));
        assert_eq!(nullable_bytes(&[0xff; 4], classic()), Ok((&[][..], None)));
        assert_eq!(nullable_bytes(&[2, 7], compact()), Ok((&[][..], Some(&[7][..]))));
        fails(string(&[0], compact()), DecodeError::UnexpectedNull);
        fails(count(&[0xff; 4], classic()), DecodeError::UnexpectedNull);
    }

    #[test]
    fn other_negative_lengths_are_refused() {
        fails(string(&[0xff, 0xfe], classic()), DecodeError::NegativeLength(-2));
        let least = i32::MIN.to_be_bytes();
        fails(count(&least, classic()), DecodeError::NegativeLength(i32::MIN));
        fails(nullable_bytes(&least, classic()), DecodeError::NegativeLength(i32::MIN));
    }

    #[test]
    fn text_is_utf8() {
        fails(string(&[2, 0xff], compact()), DecodeError::NotUtf8);
    }

    #[test]
    fn tagged_fields_are_skipped_where_the_dialect_has_them() {
        let fields = [2, 5, 1, 0xaa, 0xff, 0x01, 0, 7];
        assert_eq!(tagged_fields(&fields, compact()), Ok((&[7][..], ())));
        assert_eq!(tagged_fields(&fields, classic()), Ok((&fields[..], ())));
    }
}
