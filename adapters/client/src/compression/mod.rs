//! Makes batches smaller, by compressors of others. May touch: `error`, `panic_containment`, nothing else of the client.

mod batch_compressor;
pub(crate) mod codecs;
mod properties;
mod self_test;
#[cfg(test)]
mod tests;

use core::{fmt, str::FromStr};

pub(crate) use batch_compressor::BatchCompressor;
#[cfg(feature = "_internal")]
pub use batch_compressor::MakeCompressor;
pub(crate) use properties::CompressionProperties;

/// Whether a property is about compression: those are the client's, for [`Builder`](crate::Builder).
#[must_use]
pub fn is_compression_property(name: &str) -> bool {
    CompressionProperties::knows(name)
}

/// What compresses a batch, by Kafka's names and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CompressionType {
    /// RFC 1952.
    Gzip = 1,
    /// Snappy, in blocks as the Java library `snappy-java` frames them, or one raw block.
    Snappy = 2,
    /// An LZ4 frame whose blocks are independent.
    Lz4 = 3,
    /// RFC 8878.
    Zstd = 4,
}

impl CompressionType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number in the attributes of a record batch: 1 to 4.
    #[must_use]
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// As the core calls it.
    pub(crate) const fn core(self) -> ottla_core::Compression {
        use ottla_core::Compression;
        match self {
            Self::Gzip => Compression::Gzip,
            Self::Snappy => Compression::Snappy,
            Self::Lz4 => Compression::Lz4,
            Self::Zstd => Compression::Zstd,
        }
    }

    /// What `compression.type` calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for CompressionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CompressionType {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|one| one.name() == name).ok_or(())
    }
}

/// What makes batches smaller: one that is built in, or your own.
///
/// Each engine of a producer has one of its own, which it calls off its lock, with one batch at a time. So a compressor
/// may keep tables and buffers from one call to the next; what it writes must not depend on them.
///
/// What a broker cannot decompress it refuses with an error that says little, and batches are tried again. So each
/// compressor is tested where a producer is built: what it makes of some inputs is decompressed by code that is
/// not its own, and has to be the same. For that, ottla has to be built with the feature of that type.
pub trait Compressor: Send {
    /// The format that it writes.
    fn compression_type(&self) -> CompressionType;

    /// Writes all of `plain`, compressed, to the beginning of `out`, and says how many bytes it takes there.
    ///
    /// `plain` is what Kafka compresses: the records of one batch, as they are encoded, without the batch's header. It
    /// is one byte at least and `batch.size` at most, but for a record that is larger by itself. `out` is
    /// what is worth to be sent instead, and so shorter than `plain` (longer in the self-test); what was in it is of no matter.
    ///
    /// # Errors
    ///
    /// [`NotCompressed`], with which the batch goes as it is. What `out` holds is then of no matter, and the next call
    /// begins anew. A panic goes for [`NotCompressed::Failed`].
    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed>;
}

impl<C: Compressor + ?Sized> Compressor for Box<C> {
    fn compression_type(&self) -> CompressionType {
        (**self).compression_type()
    }

    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
        (**self).compress(plain, out)
    }
}

/// Why a batch goes as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotCompressed {
    /// It does not fit where it was to go: it would not be smaller, or by too little.
    NotSmaller,
    /// The compressor could not do it.
    Failed,
}

impl fmt::Display for NotCompressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSmaller => "it would not be smaller",
            Self::Failed => "the compressor failed",
        })
    }
}

impl core::error::Error for NotCompressed {}
