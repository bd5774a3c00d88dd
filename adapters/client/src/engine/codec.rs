//! What compresses an engine's batches, and the memory that it does it in.

use core::time::Duration;

use ottla_core::{CompressionId, Instant, Producer};

use crate::compression::BatchCompressor;

/// A compressor, and the batch that it has.
#[derive(Debug)]
pub(crate) struct Codec {
    pub(super) compressor: BatchCompressor,
    pub(super) plain: Vec<u8>,
}

impl Codec {
    pub(crate) fn new(compressor: BatchCompressor) -> Box<Self> {
        Box::new(Self { compressor, plain: Vec::new() })
    }
}

/// An engine's codec, and what is known of its work.
#[derive(Debug)]
pub(crate) struct Compressing {
    /// `None` where nothing is compressed, and while somebody compresses: who looks again when it is done.
    codec: Option<Box<Codec>>,
    /// What was spent in it.
    pub(crate) spent: Duration,
}

impl Compressing {
    pub(crate) const fn new(codec: Option<Box<Codec>>) -> Self {
        Self { codec, spent: Duration::ZERO }
    }

    /// Whether there is a codec, and nobody uses it.
    pub(super) const fn is_free(&self) -> bool {
        self.codec.is_some()
    }

    /// Takes the codec, with a copy of the next batch that is to be compressed.
    pub(super) fn take(
        &mut self,
        core: &mut Producer<'_>,
        now: Instant,
    ) -> Option<(CompressionId, Box<Codec>)> {
        let codec = self.codec.as_mut()?;
        let batch = core.poll_compress(now)?;
        let id = batch.id();
        codec.plain.clear();
        batch.for_each(|piece| codec.plain.extend_from_slice(piece));
        Some((id, self.codec.take()?))
    }

    /// Puts it back.
    pub(super) fn put(&mut self, codec: Box<Codec>, spent: Duration) {
        self.codec = Some(codec);
        self.spent += spent;
    }
}
