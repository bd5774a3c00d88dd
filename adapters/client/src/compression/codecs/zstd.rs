//! zstd: written by zrip, and read for the self-test by another implementation, `ruzstd`.

use std::io::Read as _;

use ruzstd::decoding::StreamingDecoder;
use zrip_encode::context::CompressContext;

use crate::compression::{CompressionType, Compressor, NotCompressed};

pub(super) struct Zstd {
    context: CompressContext,
}

impl Zstd {
    /// `None` where there is no such level.
    pub(super) fn new(level: i32) -> Option<Self> {
        let mut context = CompressContext::new(level).ok()?;
        // The batch has a checksum.
        context.set_content_checksum(false);
        Some(Self { context })
    }
}

impl Compressor for Zstd {
    fn compression_type(&self) -> CompressionType {
        CompressionType::Zstd
    }

    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
        // The level is a good one and there is no dictionary: only room can be missing.
        self.context.compress_into(plain, out).map_err(|_| NotCompressed::NotSmaller)
    }
}

/// Reads one frame, and its checksum if it has one.
pub(super) fn decode(mut frame: &[u8], most: usize) -> Result<Vec<u8>, &'static str> {
    const BROKEN: &str = "the zstd frame cannot be decompressed";
    // `ruzstd` does not look at the two bits that must not be set.
    let descriptor = *frame.get(4).ok_or(BROKEN)?;
    if descriptor & 0b0001_1000 != 0 {
        return Err(BROKEN);
    }
    let has_length = descriptor & 0b1110_0000 != 0;
    let mut decoder = StreamingDecoder::new(&mut frame).map_err(|_| BROKEN)?;
    let mut plain = Vec::new();
    let read = (&mut decoder).take(most as u64 + 1).read_to_end(&mut plain);
    read.map_err(|_| BROKEN)?;
    let decoder = decoder.into_frame_decoder();
    if plain.len() > most || !decoder.is_finished() {
        return Err("there is more in it than there was");
    }
    // Nor at these.
    if has_length && decoder.content_size() != plain.len() as u64 {
        return Err("the zstd frame says another length than it has");
    }
    if let Some(sum) = decoder.get_checksum_from_data()
        && decoder.get_calculated_checksum() != Some(sum)
    {
        return Err("the checksum of the zstd frame is wrong");
    }
    if !frame.is_empty() {
        return Err("something follows the zstd frame");
    }
    Ok(plain)
}
