//! Any bytes as any response: nothing panics, every walk ends and keeps its word, and the same
//! elements come out however the bytes arrive.
//!
//! Input: index into `ApiKey::SPOKEN`, version, size of the window over 512, seed of the arrivals,
//! then what follows the correlation id.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_core::wire::{ApiKey, MAX_ATOM};
use ottla_wire_tests::{drive, drive_whole, response};

fuzz_target!(|input: &[u8]| {
    let [api, version, window, seed, message @ ..] = input else {
        return;
    };
    let api = ApiKey::SPOKEN[usize::from(*api) % ApiKey::SPOKEN.len()];
    let version = i16::from(*version as i8);
    let whole = drive_whole(message, response(api, version));
    let window = MAX_ATOM + usize::from(*window);
    let mut state = u32::from(*seed);
    let arrive = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as usize
    };
    let windowed = drive(message, window, arrive, response(api, version));
    assert_eq!(whole, windowed, "{api} v{version}");
});
