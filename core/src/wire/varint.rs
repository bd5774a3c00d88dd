//! Variable-length integers: seven bits a byte, lowest first; signed ones in zigzag.
//!
//! These work on bare slices, for the path that appends records. Messages go through
//! [`Writer`](super::Writer) and [`reader`](super::reader).

/// The most bytes that a 32-bit varint takes.
pub const MAX_LEN_32: usize = 5;
/// The most bytes that a 64-bit varint takes.
pub const MAX_LEN_64: usize = 10;

/// How many bytes `value` takes as an unsigned varint.
#[inline]
#[must_use]
pub const fn len_u32(value: u32) -> usize {
    len_u64(value as u64)
}

/// How many bytes `value` takes as an unsigned varint.
#[cfg_attr(target_pointer_width = "64", inline)]
#[must_use]
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub const fn len_u64(value: u64) -> usize {
    // Bits needed, at least one, over seven, rounded up.
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// How many bytes `value` takes as a varint.
#[inline]
#[must_use]
pub const fn len_i32(value: i32) -> usize {
    len_u32(zigzag_32(value))
}

/// How many bytes `value` takes as a varlong.
#[cfg_attr(target_pointer_width = "64", inline)]
#[must_use]
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
pub const fn len_i64(value: i64) -> usize {
    len_u64(zigzag_64(value))
}

/// Writes `value` as an unsigned varint to the head of `buf` and returns how many bytes it took;
/// 0 if it does not fit, in which case the buffer's content is unspecified.
#[inline]
pub fn put_u64(buf: &mut [u8], mut value: u64) -> usize {
    for (at, slot) in buf.iter_mut().enumerate() {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            *slot = low;
            return at + 1;
        }
        *slot = low | 0x80;
    }
    0
}

/// Writes `value` as an unsigned varint; see [`put_u64`].
#[inline]
pub fn put_u32(buf: &mut [u8], value: u32) -> usize {
    put_u64(buf, u64::from(value))
}

/// Writes `value` as a varint; see [`put_u64`].
#[inline]
pub fn put_i32(buf: &mut [u8], value: i32) -> usize {
    put_u32(buf, zigzag_32(value))
}

/// Writes `value` as a varlong; see [`put_u64`].
#[inline]
pub fn put_i64(buf: &mut [u8], value: i64) -> usize {
    put_u64(buf, zigzag_64(value))
}

/// Folds the sign into the lowest bit, so that small negative numbers stay short.
#[inline]
#[must_use]
pub const fn zigzag_32(value: i32) -> u32 {
    ((value << 1) ^ (value >> 31)) as u32
}

/// Folds the sign into the lowest bit; see [`zigzag_32`].
#[inline]
#[must_use]
pub const fn zigzag_64(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Undoes [`zigzag_32`].
#[inline]
#[must_use]
pub const fn unzigzag_32(value: u32) -> i32 {
    (value >> 1) as i32 ^ (value as i32 & 1).wrapping_neg()
}

/// Undoes [`zigzag_64`].
#[inline]
#[must_use]
pub const fn unzigzag_64(value: u64) -> i64 {
    (value >> 1) as i64 ^ (value as i64 & 1).wrapping_neg()
}
