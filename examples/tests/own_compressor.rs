//! The compressor of one's own: it passes the self-test, and what it writes is zstd.
#![allow(dead_code, reason = "the example is a program of its own")]

use ottla_blocking::{BuildError, Compressor, NotCompressed};

#[path = "../own_compressor.rs"]
mod example;

use example::{CZstd, producer};

#[test]
fn it_passes_the_self_test_at_its_ends_and_between() {
    for level in [-100, -1, 1, 3, 19] {
        let built = producer("localhost:1", level);
        assert!(!matches!(built, Err(BuildError::Compressor { .. })), "{level}: {built:?}");
    }
}

#[test]
fn what_it_writes_is_zstd_and_where_there_is_no_room_it_says_so() {
    let plain = "{\"temperature\":21.5,\"humidity\":40}\n".repeat(200).into_bytes();
    let mut compressor = CZstd::new(19).unwrap();
    let mut out = vec![0; plain.len()];
    let length = compressor.compress(&plain, &mut out).unwrap();
    assert!(length < plain.len() / 20, "{length}");
    assert_eq!(zstd::decode_all(&out[..length]).unwrap(), plain);
    assert_eq!(compressor.compress(&plain, &mut out[..20]), Err(NotCompressed::NotSmaller));
}
