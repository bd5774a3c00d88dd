//! Compresses what the core lends, where it lies.

use heapless::Vec;
use ottla_core::{Compressed, Compression, Instant, Producer};

use crate::Lz4;

/// The most pages of a batch that is compressed: they are listed on the stack.
const PAGES: usize = 32;

/// Compresses the batches of a producer, for a [`Driver`](crate::Driver) or a [`Client`](crate::Client).
///
/// The producer's `compression.type` is to be [`Compression::Lz4`]. Batches of another type go out as they are, and so
/// does one of more than 32 pages.
#[derive(Debug)]
pub struct Compressor<'m> {
    lz4: Lz4<'m>,
    out: &'m mut [u8],
}

impl<'m> Compressor<'m> {
    /// One that works with this memory: a table as for [`Lz4::new`], and room for a compressed batch. With room for half of
    /// `batch.size`, those that would become less than half as small go out as they are.
    #[must_use]
    pub const fn new(table: &'m mut [u16], out: &'m mut [u8]) -> Self {
        Self { lz4: Lz4::new(table), out }
    }

    fn compress<'a>(&'a mut self, pages: &[&[u8]]) -> Compressed<'a> {
        let len = self.lz4.compress(pages, self.out);
        match len.and_then(|len| self.out.get(..len)) {
            Some(bytes) => Compressed::Bytes(bytes),
            None => Compressed::NotSmaller,
        }
    }
}

/// Compresses the next batch that is to be; tells whether anything changed. Without a compressor it goes out as it is.
pub(crate) fn compress_next(
    compressor: &mut Option<Compressor<'_>>,
    producer: &mut Producer<'_>,
    now: Instant,
) -> bool {
    if !producer.wants_compression() {
        return false;
    }
    let Some(batch) = producer.poll_compress(now) else {
        // There was no memory for what would have come of it: so it may leave as it is.
        return true;
    };
    let (id, is_lz4) = (batch.id(), batch.compression() == Compression::Lz4);
    let answer = {
        let mut pages = Vec::<_, PAGES>::new();
        let fits = batch.into_iter().all(|page| pages.push(page).is_ok());
        match compressor {
            Some(compressor) if fits && is_lz4 => compressor.compress(&pages),
            _ => Compressed::Failed,
        }
    };
    producer.handle_compressed(now, id, answer);
    true
}
