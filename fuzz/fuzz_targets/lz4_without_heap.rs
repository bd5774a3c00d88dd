//! Any bytes as a batch in pages: what `ottla_embedded::Lz4` makes of them is what they were, by the reference implementation.
//!
//! Input: how long a page is, how many slots there are, and the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_codec_tests::check_without_heap;

fuzz_target!(|input: &[u8]| {
    let Some(([page, slots], plain)) = input.split_first_chunk() else { return };
    let slots = [1, 512, 600, 1024, 2048, 4096][usize::from(*slots) % 6];
    check_without_heap(plain, usize::from(*page) * 2 + 1, slots).unwrap();
});
