//! Any bytes as the two messages that a broker has for a client of SCRAM: nothing panics, what is taken is within its bounds,
//! and only one signature is the right one.
//!
//! Input: the first message, a zero, and the last one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ottla_core::internal_read_scram;

/// What a broker signs with that knows the password: here, the hash of nothing.
const SIGNED: &[u8] = b"v=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (first, last) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let (read, signed) = internal_read_scram(first, last);
    if let Some((nonce, salt, iterations)) = read {
        assert!(first.starts_with(b"r=AAAAAAAAAAAAAAAAAAAAAAAA"));
        assert!((25..=128).contains(&nonce) && (1..=64).contains(&salt));
        assert!((4_096..=16_384).contains(&iterations));
    }
    let end = last.get(SIGNED.len());
    let right = last.starts_with(SIGNED) && matches!(end, None | Some(b','));
    assert_eq!(signed, right);
});
