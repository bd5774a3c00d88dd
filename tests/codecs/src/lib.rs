//! What compressors write, held against implementations that share no code with them: zlib, the reference
//! implementations of LZ4 and zstd, and Snappy by its description. Tests and fuzz targets share it.

pub mod data;
mod snappy;

use std::io::Read as _;

use ottla_client::{CompressionType, Compressor, NotCompressed, internal};
use ottla_embedded::Lz4;

/// The levels of a type that the properties take.
#[must_use]
pub fn levels(kind: CompressionType) -> Vec<i32> {
    match kind {
        CompressionType::Gzip => (1..=9).chain([-1]).collect(),
        CompressionType::Zstd => (-7..=4).collect(),
        CompressionType::Lz4 | CompressionType::Snappy | _ => vec![0],
    }
}

/// Decompresses with an implementation of another origin, and takes nothing that is not all of it.
///
/// # Panics
///
/// It cannot be decompressed.
#[must_use]
pub fn decompress(kind: CompressionType, bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let mut rest = bytes;
    match kind {
        CompressionType::Gzip => {
            flate2::bufread::GzDecoder::new(&mut rest).read_to_end(&mut plain).unwrap();
        }
        CompressionType::Lz4 => {
            // Kafka reads no other frames: version 1, independent blocks, nothing more, of 64 KiB.
            assert_eq!(bytes[4..6], [0x60, 0x40]);
            let mut decoder = lz4::Decoder::new(&mut rest).unwrap();
            decoder.read_to_end(&mut plain).unwrap();
            decoder.finish().1.unwrap();
            assert_eq!(bytes[bytes.len() - 4..], [0; 4]);
        }
        CompressionType::Snappy => {
            plain = snappy::decompress(bytes).unwrap();
            rest = &[];
        }
        CompressionType::Zstd => {
            zstd::Decoder::with_buffer(&mut rest)
                .unwrap()
                .single_frame()
                .read_to_end(&mut plain)
                .unwrap();
        }
        other => unreachable!("{other}"),
    }
    assert!(rest.is_empty(), "{kind}: {} bytes follow", rest.len());
    plain
}

/// Compresses, decompresses with both implementations, and compares. Says how long the output is.
///
/// # Panics
///
/// There is a difference.
pub fn check(compressor: &mut dyn Compressor, plain: &[u8]) -> usize {
    let kind = compressor.compression_type();
    let mut out = vec![0xA5; plain.len() + plain.len() / 8 + 1024];
    let length = compressor.compress(plain, &mut out).unwrap();
    let compressed = &out[..length];
    assert!(decompress(kind, compressed) == plain, "{kind}: something else");
    assert!(internal::decompress(kind, compressed, plain.len()).unwrap() == plain);
    length
}

/// As [`check`], and the same for what has to fit into less.
///
/// # Panics
///
/// There is a difference.
pub fn check_all_rooms(compressor: &mut dyn Compressor, plain: &[u8]) {
    let kind = compressor.compression_type();
    let length = check(compressor, plain);
    for most in [0, 1, length / 2, length - 1, length, length + 1] {
        let mut out = vec![0xA5; most];
        match compressor.compress(plain, &mut out) {
            // By another way, which some take where there is less room.
            Ok(length) => assert!(decompress(kind, &out[..length]) == plain, "{kind}: in {most}"),
            Err(why) => assert_eq!(why, NotCompressed::NotSmaller),
        }
    }
}

/// As [`check`], for the compressor without a heap.
///
/// # Panics
///
/// There is a difference.
pub fn check_without_heap(plain: &[u8], page: usize, slots: usize) -> Option<usize> {
    let mut out = vec![0xA5; plain.len() + plain.len() / 8 + 1024];
    let pages: Vec<&[u8]> = plain.chunks(page).collect();
    let anew = |out: &mut [u8]| Lz4::new(&mut vec![0xA5A5; slots]).compress(&pages, out);
    let length = anew(&mut out)?;
    assert!(decompress(CompressionType::Lz4, &out[..length]) == plain, "something else");
    assert_eq!(anew(&mut vec![0; length - 1]), None);
    let mut again = vec![0; length];
    assert_eq!(anew(&mut again), Some(length));
    assert!(again == out[..length]);
    // What a batch has left in the table finds other matches in the next one, and none that are wrong.
    let mut table = vec![0xA5A5; slots];
    let mut lz4 = Lz4::new(&mut table);
    lz4.compress(&pages, &mut out)?;
    if let Some(length) = lz4.compress(&pages, &mut out) {
        assert!(decompress(CompressionType::Lz4, &out[..length]) == plain, "after another batch");
    }
    Some(length)
}
