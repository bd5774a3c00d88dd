use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use ottla_core::Compression;

use super::{codecs, *};
use crate::error::BuildError;

/// The types that this build has.
fn kinds() -> impl Iterator<Item = CompressionType> {
    CompressionType::ALL.into_iter().filter(|kind| codecs::is_known(*kind))
}

fn levels(kind: CompressionType) -> core::ops::RangeInclusive<i32> {
    match kind {
        CompressionType::Gzip => 1..=9,
        CompressionType::Zstd => -7..=4,
        CompressionType::Lz4 | CompressionType::Snappy => 0..=0,
    }
}

fn built_in(kind: CompressionType) -> Box<dyn Compressor> {
    codecs::built_in(kind, 1).unwrap()
}

fn with<C: Compressor + 'static>(
    make: impl Fn() -> C + Send + Sync + 'static,
) -> Result<BatchCompressor, BuildError> {
    BatchCompressor::new(Arc::new(move || Some(Box::new(make()))))
}

/// Does to what another one has written what `spoil` says.
struct Spoilt<F> {
    inner: Box<dyn Compressor>,
    spoil: F,
}

impl<F: Fn(&[u8], &mut [u8], usize) -> usize + Send> Compressor for Spoilt<F> {
    fn compression_type(&self) -> CompressionType {
        self.inner.compression_type()
    }

    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
        let length = self.inner.compress(plain, out)?;
        Ok((self.spoil)(plain, out, length))
    }
}

fn spoilt(
    kind: CompressionType,
    spoil: impl Fn(&[u8], &mut [u8], usize) -> usize + Send + Sync + Copy + 'static,
) -> Result<BatchCompressor, BuildError> {
    with(move || Spoilt { inner: built_in(kind), spoil })
}

fn lines() -> Vec<u8> {
    (0..700).flat_map(|n| format!("{{\"n\":{n},\"v\":{}}}\n", n * n % 1009).into_bytes()).collect()
}

#[test]
fn each_compressor_passes_the_self_test_at_each_level() {
    for kind in kinds() {
        for level in levels(kind) {
            let make = move || codecs::built_in(kind, level);
            let mut compressor = BatchCompressor::new(Arc::new(make)).unwrap();
            let plain = lines();
            let compressed = compressor.compress(&plain, plain.len()).unwrap();
            assert!(compressed.len() < plain.len() * 2 / 3, "{kind} {level}: {}", compressed.len());
            assert_eq!(codecs::decode(kind, compressed, plain.len()).unwrap(), plain);
        }
    }
}

#[test]
fn what_does_not_fit_is_not_smaller_and_the_next_batch_is_right() {
    for kind in kinds() {
        let mut compressor = spoilt(kind, |_, _, length| length).unwrap();
        let plain = lines();
        let length = compressor.compress(&plain, plain.len()).unwrap().len();
        for most in (0..100).chain(length - 30..length) {
            assert_eq!(compressor.compress(&plain, most), Err(NotCompressed::NotSmaller), "{kind}");
        }
        let again = compressor.compress(&plain, length).unwrap();
        assert_eq!(codecs::decode(kind, again, plain.len()).unwrap(), plain, "{kind}");
    }
}

#[test]
fn what_was_compressed_before_changes_nothing() {
    for kind in kinds() {
        let plain = lines();
        let mut compressor = spoilt(kind, |_, _, length| length).unwrap();
        let first = compressor.compress(&plain, plain.len()).unwrap().to_vec();
        for other in [&[0; 100_000][..], &plain[5..], &[3]] {
            let _ = compressor.compress(other, other.len());
            assert_eq!(compressor.compress(&plain, plain.len()).unwrap(), first, "{kind}");
        }
    }
}

/// Bits that mean nothing: nobody reads otherwise what has them flipped.
fn is_free(kind: CompressionType, byte: usize) -> bool {
    // The time, what the compressor was told, and the operating system.
    kind == CompressionType::Gzip && (4..10).contains(&byte)
}

#[test]
fn a_compressor_that_breaks_one_bit_fails_the_self_test() {
    for kind in kinds() {
        // Each bit of what every output has at its beginning and at its end.
        let ends = (0..12 * 8).map(|bit| (bit, false)).chain((0..8 * 8).map(|bit| (bit, true)));
        for (bit, from_end) in ends {
            if !from_end && is_free(kind, bit / 8) {
                continue;
            }
            let result = spoilt(kind, move |_, out, length| {
                // Only in what is as long as a batch, so that it is not the first thing that is looked at.
                if length > 100 && bit / 8 < length {
                    let at = if from_end { length - 1 - bit / 8 } else { bit / 8 };
                    out[at] ^= 1 << (bit % 8);
                }
                length
            });
            assert!(result.is_err(), "{kind}: bit {bit}, from the end: {from_end}");
        }
        // And some of each thousandth between, each time in the longest output alone.
        for part in 0..30 {
            let result = spoilt(kind, move |plain, out, length| {
                if plain.len() > 130_000 {
                    let bit = (length * 8 - 1) * part / 29;
                    if !is_free(kind, bit / 8) {
                        out[bit / 8] ^= 1 << (bit % 8);
                        return length;
                    }
                    return 0;
                }
                length
            });
            assert!(result.is_err(), "{kind}: {part} of 29");
        }
    }
}

#[test]
fn a_compressor_that_lies_about_its_output_fails_the_self_test() {
    for kind in kinds() {
        assert!(spoilt(kind, |_, _, length| length).is_ok());
        assert!(spoilt(kind, |_, _, length| length - 1).is_err(), "{kind}: cut");
        assert!(spoilt(kind, |_, _, length| length + 1).is_err(), "{kind}: one more");
        assert!(spoilt(kind, |_, out, _| out.len() + 1).is_err(), "{kind}: more than there is");
        assert!(spoilt(kind, |_, _, _| 0).is_err(), "{kind}: nothing");
        let copied = spoilt(kind, |plain, out, _| {
            let Some(place) = out.get_mut(..plain.len()) else { return 1 };
            place.copy_from_slice(plain);
            plain.len()
        });
        assert!(copied.is_err(), "{kind}: plain");
    }
}

#[test]
fn a_compressor_that_is_of_another_type_than_it_says_fails_the_self_test() {
    struct Disguised(CompressionType, Box<dyn Compressor>);
    impl Compressor for Disguised {
        fn compression_type(&self) -> CompressionType {
            self.0
        }
        fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
            self.1.compress(plain, out)
        }
    }
    for kind in kinds() {
        for other in kinds().filter(|other| *other != kind) {
            assert!(with(move || Disguised(other, built_in(kind))).is_err(), "{kind} as {other}");
        }
    }
}

#[test]
fn a_compressor_that_never_does_it_fails_the_self_test() {
    for why in [NotCompressed::NotSmaller, NotCompressed::Failed] {
        struct Never(CompressionType, NotCompressed);
        impl Compressor for Never {
            fn compression_type(&self) -> CompressionType {
                self.0
            }
            fn compress(&mut self, _: &[u8], _: &mut [u8]) -> Result<usize, NotCompressed> {
                Err(self.1)
            }
        }
        for kind in CompressionType::ALL {
            let error = with(move || Never(kind, why)).unwrap_err().to_string();
            let said = if codecs::is_known(kind) {
                why.to_string()
            } else {
                format!("build ottla with its feature `{kind}`")
            };
            assert!(error.contains(&said), "{error}");
        }
    }
}

#[test]
fn a_compressor_that_panics_costs_one_batch_and_is_made_anew() {
    let made = Arc::new(AtomicUsize::new(0));
    for kind in kinds() {
        let count = Arc::clone(&made);
        made.store(0, Ordering::Relaxed);
        let mut compressor = with(move || {
            count.fetch_add(1, Ordering::Relaxed);
            let spoil = |plain: &[u8], _: &mut [u8], length| match plain {
                b"now now now now now now now now now now now now now now" => panic!("as told"),
                _ => length,
            };
            Spoilt { inner: built_in(kind), spoil }
        })
        .unwrap();
        let now = b"now now now now now now now now now now now now now now";
        assert_eq!(compressor.compress(now, 500), Err(NotCompressed::Failed), "{kind}");
        assert_eq!(made.load(Ordering::Relaxed), 1);
        let plain = lines();
        let compressed = compressor.compress(&plain, plain.len()).unwrap();
        assert_eq!(codecs::decode(kind, compressed, plain.len()).unwrap(), plain);
        assert_eq!(made.load(Ordering::Relaxed), 2);
        assert!(compressor.another().compress(&plain, plain.len()).is_ok());
        assert_eq!(made.load(Ordering::Relaxed), 3);
    }
    let error = with(|| -> Box<dyn Compressor> { panic!("at once") }).unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
}

fn properties(given: &[(&str, &str)]) -> Result<Vec<BatchCompressor>, BuildError> {
    let mut properties = CompressionProperties::default();
    for (name, value) in given {
        assert!(CompressionProperties::knows(name));
        properties.set(name, value)?;
    }
    properties.compressors(Compression::None, 2)
}

#[test]
fn nothing_is_compressed_unless_a_type_is_named() {
    assert!(properties(&[]).unwrap().is_empty());
    assert!(properties(&[("compression.type", "none")]).unwrap().is_empty());
    assert!(properties(&[("compression.gzip.level", "9")]).unwrap().is_empty());
    for name in ["compression.type", "compression.codec"] {
        for kind in CompressionType::ALL {
            let result = properties(&[(name, kind.name())]);
            if codecs::is_known(kind) {
                let compressors = result.unwrap();
                assert_eq!(
                    compressors.iter().map(BatchCompressor::kind).collect::<Vec<_>>(),
                    [kind, kind]
                );
            } else {
                let error = result.unwrap_err().to_string();
                assert!(error.contains(&format!("feature `{kind}`")), "{error}");
            }
        }
    }
}

#[test]
fn what_no_compressor_has_is_refused_with_what_is_taken_instead() {
    for (name, value, expected) in [
        ("compression.type", "LZ4", "none, gzip, snappy, lz4 or zstd"),
        ("compression.type", "", "none, gzip, snappy, lz4 or zstd"),
        ("compression.codec", "brotli", "none, gzip, snappy, lz4 or zstd"),
        ("compression.gzip.level", "0", "-1, which is 6, or 1 to 9"),
        ("compression.gzip.level", "10", "-1, which is 6, or 1 to 9"),
        ("compression.gzip.level", "best", "-1, which is 6, or 1 to 9"),
        ("compression.lz4.level", "1", "9, which stands for the fast compressor"),
        ("compression.lz4.level", "17", "9, which stands for the fast compressor"),
        ("compression.zstd.level", "5", "-7 to 4"),
        ("compression.zstd.level", "-8", "-7 to 4"),
        ("compression.level", "12", "a level of `compression.type`"),
    ] {
        let error = properties(&[(name, value)]).unwrap_err();
        assert!(matches!(error, BuildError::PropertyValue { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
    let error = properties(&[("compression.typ", "lz4")]).unwrap_err();
    assert!(matches!(error, BuildError::UnknownProperty { nearest: Some("compression.type"), .. }));
}

/// How many bytes the lines take with these properties.
#[cfg(all(feature = "gzip", feature = "zstd", feature = "lz4", feature = "snappy"))]
fn size(given: &[(&str, &str)]) -> usize {
    let plain = lines();
    properties(given).unwrap()[0].compress(&plain, plain.len()).unwrap().len()
}

#[test]
#[cfg(all(feature = "gzip", feature = "zstd", feature = "lz4", feature = "snappy"))]
fn a_level_is_taken_by_either_name_and_only_for_its_own_type() {
    let gzip = ("compression.type", "gzip");
    let [fast, default, best] =
        ["1", "-1", "9"].map(|level| size(&[gzip, ("compression.gzip.level", level)]));
    assert!(fast > default && default >= best, "{fast} {default} {best}");
    assert_eq!(size(&[gzip]), default);
    assert_eq!(size(&[gzip, ("compression.level", "1")]), fast);
    assert_eq!(size(&[gzip, ("compression.level", "-1")]), default);
    assert_eq!(size(&[gzip, ("compression.zstd.level", "-7")]), default);
    // Kafka's name counts more.
    assert_eq!(size(&[gzip, ("compression.gzip.level", "1"), ("compression.level", "9")]), fast);

    let zstd = ("compression.type", "zstd");
    let [fastest, minus_one, one] =
        ["-7", "-1", "1"].map(|level| size(&[zstd, ("compression.zstd.level", level)]));
    assert!(fastest > one);
    assert_ne!(minus_one, one);
    assert_eq!(size(&[zstd]), one);
    // librdkafka's -1 is the default, whatever the type.
    assert_eq!(size(&[zstd, ("compression.level", "-1")]), one);

    for kind in ["lz4", "snappy"] {
        let kind = ("compression.type", kind);
        assert_eq!(size(&[kind, ("compression.level", "0")]), size(&[kind]));
        assert_eq!(size(&[kind, ("compression.lz4.level", "9")]), size(&[kind]));
        let error = properties(&[kind, ("compression.level", "4")]).unwrap_err().to_string();
        assert!(error.contains("0 for snappy and lz4"), "{error}");
    }
    let error = properties(&[gzip, ("compression.level", "-7")]).unwrap_err().to_string();
    assert!(error.contains("1 to 9 for gzip"), "{error}");
}

#[test]
fn ones_own_compressor_has_no_level_and_agrees_with_the_type() {
    let Some(kind) = kinds().next() else { return };
    let own = |given: &[(&str, &str)]| {
        let mut properties = CompressionProperties::default();
        properties.own = Some(Arc::new(move || Some(built_in(kind))));
        given.iter().for_each(|(name, value)| properties.set(name, value).unwrap());
        properties.compressors(Compression::None, 1)
    };
    assert_eq!(own(&[]).unwrap()[0].kind(), kind);
    assert_eq!(own(&[("compression.type", kind.name())]).unwrap()[0].kind(), kind);
    let other = CompressionType::ALL.into_iter().find(|other| *other != kind).unwrap();
    for name in ["none", other.name()] {
        let error = own(&[("compression.type", name)]).unwrap_err().to_string();
        assert!(error.contains("another type"), "{error}");
    }
    let error = own(&[("compression.zstd.level", "1")]).unwrap_err().to_string();
    assert!(error.contains("compression.zstd.level"), "{error}");
}

#[test]
#[cfg(feature = "lz4")]
fn linked_blocks_are_refused_which_kafka_does_not_read() {
    // Flags of a frame with linked blocks, and the checksum that belongs to them.
    let error = spoilt(CompressionType::Lz4, |_, out, length| {
        (out[4], out[6]) = (0x40, 0xC0);
        length
    })
    .unwrap_err();
    assert!(error.to_string().contains("depend on each other"), "{error}");
}
