//! gzip: written by zlib-rs, and read for the self-test by another implementation, `miniz_oxide`.

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
    },
};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};

use super::take;
use crate::compression::{CompressionType, Compressor, NotCompressed};

/// The largest window, and 16 more: with a gzip header and trailer.
const WINDOW_BITS: i32 = 15 + 16;

pub(super) struct Gzip {
    state: Deflate,
}

impl Gzip {
    /// At a level from 1 to 9; anything else is the default.
    pub(super) fn new(level: i32) -> Self {
        let level = if (1..=9).contains(&level) { level } else { -1 };
        let config = DeflateConfig { window_bits: WINDOW_BITS, level, ..DeflateConfig::default() };
        Self { state: Deflate::new_with_config(config) }
    }
}

impl Compressor for Gzip {
    fn compression_type(&self) -> CompressionType {
        CompressionType::Gzip
    }

    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
        self.state.reset();
        match self.state.compress(plain, out, DeflateFlush::Finish) {
            Ok(Status::StreamEnd) => Ok(self.state.total_out() as usize),
            Ok(Status::Ok | Status::BufError) => Err(NotCompressed::NotSmaller),
            Err(_) => Err(NotCompressed::Failed),
        }
    }
}

/// Reads one member, without the fields that may follow its header.
pub(super) fn decode(mut member: &[u8], most: usize) -> Result<Vec<u8>, &'static str> {
    const SHORT: &str = "the gzip member ends too early";
    let [magic @ .., flags, _, _, _, _, _, _] = take::<10>(&mut member).ok_or(SHORT)?;
    if magic != [0x1F, 0x8B, 8] {
        return Err("no gzip member");
    }
    if flags != 0 {
        return Err("the gzip member has flags: only a plain header is expected");
    }
    let mut plain = vec![0; most + 1];
    let mut state = Box::<DecompressorOxide>::default();
    let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, read, length) = decompress(&mut state, member, &mut plain, 0, flags);
    if status != TINFLStatus::Done {
        return Err("the gzip member cannot be decompressed");
    }
    plain.truncate(length);
    let trailer = &member[read..];
    let (sum, size) = (crc32(&plain).to_le_bytes(), (plain.len() as u32).to_le_bytes());
    if trailer != [sum, size].as_flattened() {
        return Err("the checksum or the length at the end of the gzip member is wrong");
    }
    Ok(plain)
}

/// gzip's checksum, bit by bit: that of zlib-rs would be no witness.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum: u32, _| {
            sum >> 1 ^ (0xEDB8_8320 & (sum & 1).wrapping_neg())
        })
    })
}
