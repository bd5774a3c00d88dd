//! Any bytes as a batch: what zstd makes of them is what they were, by an implementation of another origin.
//!
//! Input: the level, how the bytes are made more, and the bytes; once more without the first half, with what the compressor
//! has kept.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_client::{CompressionType, internal};
use ottla_codec_tests::{check, data::stretched, levels};

fuzz_target!(|input: &[u8]| {
    let Some(([level, how], plain)) = input.split_first_chunk() else { return };
    let plain = stretched(plain, *how);
    let levels = levels(CompressionType::Zstd);
    let level = levels[usize::from(*level) % levels.len()];
    let mut compressor = internal::compressor(CompressionType::Zstd, level).unwrap();
    let length = check(&mut *compressor, &plain);
    // One that is left in the middle, between the two.
    let _ = compressor.compress(&plain, &mut vec![0; length / 2]);
    check(&mut *compressor, &plain[plain.len() / 2..]);
});
