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
    level: i32,
    /// `None` after a batch that was not written to its end: zlib-rs 0.6.8 at level 1 does not forget that by a reset, and
    /// what it writes next is broken.
    state: Option<Deflate>,
}

impl Gzip {
    /// At a level from 1 to 9; anything else is the default.
    pub(super) fn new(level: i32) -> Self {
        let level = if (1..=9).contains(&level) { level } else { -1 };
        Self { level, state: None }
    }
}

impl Compressor for Gzip {
    fn compression_type(&self) -> CompressionType {
        CompressionType::Gzip
    }

    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
        let mut state = self.state.take().unwrap_or_else(|| {
            let (window_bits, level) = (WINDOW_BITS, self.level);
            Deflate::new_with_config(DeflateConfig {
                window_bits,
                level,
                ..DeflateConfig::default()
            })
        });
        match state.compress(plain, out, DeflateFlush::Finish) {
            Ok(Status::StreamEnd) => {
                let length = state.total_out() as usize;
                state.reset();
                self.state = Some(state);
                Ok(length)
            }
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

/// gzip's checksum, four bits at a time: that of zlib-rs would be no witness.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut at = 0;
        while at < 16 {
            let mut sum = at as u32;
            let mut bit = 0;
            while bit < 4 {
                sum = sum >> 1 ^ (0xEDB8_8320 & (sum & 1).wrapping_neg());
                bit += 1;
            }
            table[at] = sum;
            at += 1;
        }
        table
    };
    let step = |sum: u32| sum >> 4 ^ TABLE[sum as usize & 15];
    !bytes.iter().fold(!0, |sum, &byte| step(step(sum ^ u32::from(byte))))
}
