//! A compressor at work: what it must not do, and what becomes of it if it does.

use core::fmt;
use std::sync::Arc;

use crate::{
    compression::{CompressionType, Compressor, NotCompressed, self_test},
    error::BuildError,
    panic_containment::contain,
};

/// Makes a compressor: one for each engine, and another one in the place of one that panicked.
#[cfg_attr(not(feature = "_internal"), expect(unreachable_pub, reason = "tests alone name it"))]
pub type MakeCompressor = Arc<dyn Fn() -> Option<Box<dyn Compressor>> + Send + Sync>;

/// One engine's compressor.
pub(crate) struct BatchCompressor {
    kind: CompressionType,
    make: MakeCompressor,
    /// `None` from a panic on, until the next batch.
    compressor: Option<Box<dyn Compressor>>,
    out: Vec<u8>,
}

impl fmt::Debug for BatchCompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BatchCompressor").field(&self.kind).finish_non_exhaustive()
    }
}

impl BatchCompressor {
    /// One whose compressor has passed the self-test.
    ///
    /// # Errors
    ///
    /// It has not, or this build cannot tell.
    pub(crate) fn new(make: MakeCompressor) -> Result<Self, BuildError> {
        let mut made = None;
        contain(|| {
            made = make().map(|compressor| (compressor.compression_type(), compressor));
        });
        let Some((kind, compressor)) = made else {
            let why = "it was not made, or panicked".to_owned();
            return Err(BuildError::Compressor { kind: None, why });
        };
        let mut new = Self { kind, make, compressor: Some(compressor), out: Vec::new() };
        let mut compress = |plain: &[u8], most| new.compress(plain, most).map(<[u8]>::to_vec);
        match self_test::run(kind, &mut compress) {
            Ok(()) => Ok(new),
            Err(why) => Err(BuildError::Compressor { kind: Some(kind), why }),
        }
    }

    /// One that nobody tests, for simulations.
    #[cfg(feature = "_internal")]
    pub(crate) fn untested(kind: CompressionType, make: MakeCompressor) -> Self {
        Self { kind, make, compressor: None, out: Vec::new() }
    }

    /// Another of the same kind, for another engine.
    pub(crate) fn another(&self) -> Self {
        let make = Arc::clone(&self.make);
        Self { kind: self.kind, make, compressor: None, out: Vec::new() }
    }

    /// What it writes.
    pub(crate) const fn kind(&self) -> CompressionType {
        self.kind
    }

    /// Compresses a batch's records to `most` bytes at most. The memory for them is kept.
    ///
    /// # Errors
    ///
    /// The batch is to go as it is.
    pub(crate) fn compress(&mut self, plain: &[u8], most: usize) -> Result<&[u8], NotCompressed> {
        if self.out.len() < most {
            self.out.resize(most, 0);
        }
        let out = &mut self.out[..most];
        let mut result = Err(NotCompressed::Failed);
        let (kind, compressor, make) = (self.kind, &mut self.compressor, &self.make);
        let is_well = contain(|| {
            if compressor.is_none() {
                *compressor = make().filter(|made| made.compression_type() == kind);
            }
            if let Some(compressor) = compressor {
                result = compressor.compress(plain, out);
            }
        });
        if !is_well {
            tracing::error!(compression = %kind, "a compressor panicked");
            let broken = self.compressor.take();
            contain(|| drop(broken));
            return Err(NotCompressed::Failed);
        }
        match result? {
            0 => Err(NotCompressed::Failed),
            length => self.out[..most].get(..length).ok_or(NotCompressed::Failed),
        }
    }
}
