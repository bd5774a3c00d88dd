//! What each compressor writes at each level, of each kind and size of data, is read by an implementation that shares no
//! code with it.

use ottla_client::{CompressionType, internal};
use ottla_codec_tests::{check, check_all_rooms, check_without_heap, data::Kind, levels};
use proptest::prelude::*;

/// The largest batch of these tests.
const LARGEST: usize = 2 << 20;

fn kinds() -> impl Strategy<Value = Kind> {
    proptest::sample::select(&Kind::ALL[..])
}

/// Small ones most often; and those at the ends of blocks and tables.
fn sizes() -> impl Strategy<Value = usize> {
    let at_ends =
        (9_u32..=21, -3_i32..=3).prop_map(|(bits, more)| (1 << bits) + more as isize as usize);
    prop_oneof![
        4 => 0_usize..100,
        4 => 100_usize..20_000,
        4 => at_ends.prop_map(|size: usize| size.min(LARGEST)),
        2 => 20_000_usize..300_000,
        1 => 300_000_usize..=LARGEST,
    ]
}

fn config() -> ProptestConfig {
    let cases = std::env::var("OTTLA_CODEC_CASES").map_or(60, |cases| cases.parse().unwrap());
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    }
}

/// Several batches, one after the other, so that what is kept between them is tested as well.
fn property(kind: CompressionType) {
    let batches = proptest::collection::vec((kinds(), sizes(), any::<u64>()), 1..4);
    proptest!(config(), |(level in proptest::sample::select(levels(kind)), batches in batches)| {
        let mut compressor = internal::compressor(kind, level).unwrap();
        for (data, size, seed) in batches {
            check_all_rooms(&mut *compressor, &data.bytes(size, seed));
        }
    });
}

#[test]
fn gzip_is_read_by_zlib() {
    property(CompressionType::Gzip);
}

#[test]
fn snappy_is_read_by_its_description() {
    property(CompressionType::Snappy);
}

#[test]
fn lz4_is_read_by_the_reference_implementation() {
    property(CompressionType::Lz4);
}

#[test]
fn zstd_is_read_by_the_reference_implementation() {
    property(CompressionType::Zstd);
}

#[test]
fn lz4_without_a_heap_is_read_by_the_reference_implementation() {
    let pages = prop_oneof![1_usize..2_000, Just(256), Just(512), Just(65_536), Just(65_535)];
    let slots = proptest::sample::select(&[1_usize, 512, 600, 1024, 2048, 4096, 65_536][..]);
    proptest!(config(), |(data in kinds(), size in sizes(), seed in any::<u64>(), page in pages, slots in slots)| {
        let plain = data.bytes(size, seed);
        let written = check_without_heap(&plain, page, slots);
        // Only what grows beyond the largest block is refused.
        if written.is_none() {
            assert!(size > 60_000 && (matches!(data, Kind::Random | Kind::Mixed) || page < 16 || slots == 1), "{data:?} {size}");
        }
    });
}

#[test]
fn each_size_from_0_to_600_bytes_is_read_at_each_level() {
    for kind in CompressionType::ALL {
        for level in levels(kind) {
            let mut compressor = internal::compressor(kind, level).unwrap();
            for size in 0..600 {
                let data = Kind::ALL[size % Kind::ALL.len()];
                check_all_rooms(&mut *compressor, &data.bytes(size, size as u64));
            }
        }
    }
}

#[test]
fn two_mebibytes_of_each_kind_are_read_at_each_level() {
    for kind in CompressionType::ALL {
        for level in levels(kind) {
            let mut compressor = internal::compressor(kind, level).unwrap();
            for data in Kind::ALL {
                check_all_rooms(&mut *compressor, &data.bytes(LARGEST, 1));
            }
        }
    }
}

#[test]
fn a_batch_that_was_left_in_the_middle_does_not_break_the_next_one() {
    let (noise, next) = (Kind::Random.bytes(300_000, 1), Kind::Json.bytes(3_000, 1));
    for kind in CompressionType::ALL {
        for level in levels(kind) {
            let mut compressor = internal::compressor(kind, level).unwrap();
            for room in [10, 1_000, 70_000, 140_000, 250_000] {
                assert!(compressor.compress(&noise, &mut vec![0; room]).is_err(), "{kind} {level}");
                check(&mut *compressor, &next);
            }
        }
    }
}
