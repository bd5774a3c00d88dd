//! The compressors that are built in, each behind its feature, and what decompresses for the self-test.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(feature = "zstd")]
mod zstd;

use crate::compression::{CompressionType, Compressor};

/// The compressor that is built in, at a level that the properties take; `None` where its feature is off.
pub(crate) fn built_in(kind: CompressionType, level: i32) -> Option<Box<dyn Compressor>> {
    let _ = level;
    match kind {
        #[cfg(feature = "gzip")]
        CompressionType::Gzip => Some(Box::new(gzip::Gzip::new(level))),
        #[cfg(feature = "snappy")]
        CompressionType::Snappy => Some(Box::new(snappy::Snappy::new())),
        #[cfg(feature = "lz4")]
        CompressionType::Lz4 => Some(Box::new(lz4::Lz4::new())),
        #[cfg(feature = "zstd")]
        CompressionType::Zstd => zstd::Zstd::new(level).map(|zstd| Box::new(zstd) as _),
        #[allow(unreachable_patterns, reason = "reached where a feature is off")]
        _ => None,
    }
}

/// Whether there is something to decompress it with.
pub(crate) const fn is_known(kind: CompressionType) -> bool {
    match kind {
        CompressionType::Gzip => cfg!(feature = "gzip"),
        CompressionType::Snappy => cfg!(feature = "snappy"),
        CompressionType::Lz4 => cfg!(feature = "lz4"),
        CompressionType::Zstd => cfg!(feature = "zstd"),
    }
}

/// Decompresses what a broker would take, more strictly than some brokers do; to `most` bytes at most.
///
/// # Errors
///
/// What is wrong with it.
pub(crate) fn decode(
    kind: CompressionType,
    compressed: &[u8],
    most: usize,
) -> Result<Vec<u8>, &'static str> {
    let _ = (compressed, most);
    match kind {
        #[cfg(feature = "gzip")]
        CompressionType::Gzip => gzip::decode(compressed, most),
        #[cfg(feature = "snappy")]
        CompressionType::Snappy => snappy::decode(compressed, most),
        #[cfg(feature = "lz4")]
        CompressionType::Lz4 => lz4::decode(compressed, most),
        #[cfg(feature = "zstd")]
        CompressionType::Zstd => zstd::decode(compressed, most),
        #[allow(unreachable_patterns, reason = "reached where a feature is off")]
        _ => Err("this build cannot decompress it"),
    }
}

/// The next `N` bytes, which `bytes` then begins after.
#[cfg(any(feature = "gzip", feature = "lz4", feature = "snappy"))]
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// The next `count` bytes, which `bytes` then begins after.
#[cfg(any(feature = "lz4", feature = "snappy"))]
fn take_slice<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

/// Writes one piece after the other to a slice of somebody else's.
#[cfg(any(feature = "lz4", feature = "snappy"))]
struct Output<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

#[cfg(any(feature = "lz4", feature = "snappy"))]
impl<'a> Output<'a> {
    const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Appends a piece.
    ///
    /// # Errors
    ///
    /// There is no room for all of it.
    fn put(&mut self, piece: &[u8]) -> Result<(), crate::compression::NotCompressed> {
        let end = self.at + piece.len();
        let place = self.bytes.get_mut(self.at..end);
        place.ok_or(crate::compression::NotCompressed::NotSmaller)?.copy_from_slice(piece);
        self.at = end;
        Ok(())
    }
}
