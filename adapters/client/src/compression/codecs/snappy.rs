//! Snappy, in blocks as `snappy-java` frames them, which is what Kafka's own producer writes; by `snap`.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::{Output, take, take_slice};
use crate::compression::{CompressionType, Compressor, NotCompressed};

/// The magic number, the version, and the oldest version that can read it.
const HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const BLOCK: usize = 32 * 1024;

pub(super) struct Snappy {
    encoder: Encoder,
    block: Vec<u8>,
}

impl Snappy {
    pub(super) fn new() -> Self {
        Self { encoder: Encoder::new(), block: vec![0; max_compress_len(BLOCK)] }
    }
}

impl Compressor for Snappy {
    fn compression_type(&self) -> CompressionType {
        CompressionType::Snappy
    }

    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
        let mut out = Output::new(out);
        out.put(&HEADER)?;
        for piece in plain.chunks(BLOCK) {
            let length =
                self.encoder.compress(piece, &mut self.block).map_err(|_| NotCompressed::Failed)?;
            out.put(&(length as u32).to_be_bytes())?;
            out.put(&self.block[..length])?;
        }
        Ok(out.at)
    }
}

/// Reads such blocks, or a raw one.
pub(super) fn decode(mut bytes: &[u8], most: usize) -> Result<Vec<u8>, &'static str> {
    const SHORT: &str = "the last block of Snappy ends too early";
    let mut plain = Vec::new();
    let mut add = |block: &[u8]| {
        const BROKEN: &str = "a block of Snappy cannot be decompressed";
        // The length that it claims is bounded before there is memory for it.
        let length = decompress_len(block).map_err(|_| BROKEN)?;
        if length > most.saturating_sub(plain.len()) {
            return Err("there is more in it than there was");
        }
        let at = plain.len();
        plain.resize(at + length, 0);
        let length = Decoder::new().decompress(block, &mut plain[at..]).map_err(|_| BROKEN)?;
        plain.truncate(at + length);
        Ok(())
    };
    if !bytes.starts_with(&HEADER[..8]) {
        add(bytes)?;
        return Ok(plain);
    }
    if take(&mut bytes) != Some(HEADER) {
        return Err("the Snappy blocks are of another version");
    }
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(take(&mut bytes).ok_or(SHORT)?);
        add(take_slice(&mut bytes, length as usize).ok_or(SHORT)?)?;
    }
    Ok(plain)
}
