//! Compressed batches: how a broker reads them, and how it writes them where a topic wants another codec than its
//! producer.

use std::io::{Read as _, Write as _};

/// Kafka's codecs, by their number in a batch's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// One stream.
    Gzip,
    /// A raw block, or xerial's framing of blocks. Written as the latter, as Java does.
    Snappy,
    /// One frame of independent blocks.
    Lz4,
    /// One frame.
    Zstd,
}

/// The bytes are not what their codec makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// No batch of a sane producer has more bytes of records.
const MOST: u64 = 256 << 20;
const XERIAL: [u8; 8] = *b"\x82SNAPPY\0";
/// A block of xerial's.
const BLOCK: usize = 32 << 10;

impl Codec {
    /// All of them, in the order of their numbers, of which the first is 1.
    pub const ALL: [Self; 4] = [Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec of a number.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its number in a batch's attributes.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Compresses bytes; the same bytes always become the same.
    #[must_use]
    pub fn pack(self, plain: &[u8]) -> Vec<u8> {
        self.pack_otherwise(plain, 0)
    }

    /// Compresses bytes in one of several ways that a codec has for the same, whichever numbers there are. (Of zstd
    /// there is one.)
    #[must_use]
    pub fn pack_otherwise(self, plain: &[u8], way: u8) -> Vec<u8> {
        match self {
            Self::Gzip => {
                let level = flate2::Compression::new(1 + u32::from(way % 9));
                let mut packer = flate2::write::GzEncoder::new(Vec::new(), level);
                // Nothing is refused that is written to memory.
                let _ = packer.write_all(plain);
                packer.finish().unwrap_or_default()
            }
            Self::Snappy if way % 2 == 1 => {
                snap::raw::Encoder::new().compress_vec(plain).unwrap_or_default()
            }
            Self::Snappy => {
                let mut packed = XERIAL.to_vec();
                packed.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
                for block in plain.chunks(BLOCK) {
                    let block = snap::raw::Encoder::new().compress_vec(block).unwrap_or_default();
                    let len = i32::try_from(block.len()).unwrap_or(i32::MAX);
                    packed.extend_from_slice(&len.to_be_bytes());
                    packed.extend_from_slice(&block);
                }
                packed
            }
            Self::Lz4 => {
                let mut how = lz4_flex::frame::FrameInfo::new();
                how.block_mode = lz4_flex::frame::BlockMode::Independent;
                how.block_size = match way % 3 {
                    0 => lz4_flex::frame::BlockSize::Auto,
                    1 => lz4_flex::frame::BlockSize::Max256KB,
                    _ => lz4_flex::frame::BlockSize::Max1MB,
                };
                let mut packer = lz4_flex::frame::FrameEncoder::with_frame_info(how, Vec::new());
                let _ = packer.write_all(plain);
                packer.finish().unwrap_or_default()
            }
            Self::Zstd => {
                let level = ruzstd::encoding::CompressionLevel::Fastest;
                ruzstd::encoding::compress_to_vec(plain, level)
            }
        }
    }

    /// Decompresses bytes.
    ///
    /// # Errors
    ///
    /// [`Broken`] where Kafka answers UNKNOWN_SERVER_ERROR.
    pub fn unpack(self, packed: &[u8]) -> Result<Vec<u8>, Broken> {
        match self {
            Self::Gzip => read(flate2::read::GzDecoder::new(packed)),
            Self::Snappy => match packed.strip_prefix(&XERIAL) {
                Some(framed) => unpack_xerial(framed),
                None => unpack_block(packed),
            },
            Self::Lz4 => {
                // Java's reader has no use for blocks that need those before them.
                const INDEPENDENT: u8 = 1 << 5;
                let flags = packed.get(4).copied().unwrap_or(0);
                if flags & INDEPENDENT == 0 {
                    return Err(Broken);
                }
                let mut rest = packed;
                let plain = read(lz4_flex::frame::FrameDecoder::new(&mut rest))?;
                let ends = packed.len() >= rest.len() + 4;
                let end = packed.len().saturating_sub(rest.len());
                let mark = packed.get(end.saturating_sub(4)..end);
                if ends && mark == Some(&[0; 4]) { Ok(plain) } else { Err(Broken) }
            }
            Self::Zstd => {
                read(ruzstd::decoding::StreamingDecoder::new(packed).map_err(|_| Broken)?)
            }
        }
    }
}

fn read(unpacker: impl std::io::Read) -> Result<Vec<u8>, Broken> {
    let mut plain = Vec::new();
    let len = unpacker.take(MOST).read_to_end(&mut plain).map_err(|_| Broken)?;
    if (len as u64) < MOST { Ok(plain) } else { Err(Broken) }
}

fn unpack_block(block: &[u8]) -> Result<Vec<u8>, Broken> {
    let len = snap::raw::decompress_len(block).map_err(|_| Broken)?;
    if len as u64 > MOST {
        return Err(Broken);
    }
    snap::raw::Decoder::new().decompress_vec(block).map_err(|_| Broken)
}

fn unpack_xerial(framed: &[u8]) -> Result<Vec<u8>, Broken> {
    let (_versions, mut rest) = framed.split_at_checked(8).ok_or(Broken)?;
    let mut plain = Vec::new();
    while let Some((len, after)) = rest.split_first_chunk() {
        let len = usize::try_from(i32::from_be_bytes(*len)).map_err(|_| Broken)?;
        let (block, after) = after.split_at_checked(len).ok_or(Broken)?;
        plain.extend_from_slice(&unpack_block(block)?);
        rest = after;
    }
    if rest.is_empty() { Ok(plain) } else { Err(Broken) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telemetry(len: usize) -> Vec<u8> {
        let lines =
            (0..).map(|n| format!("{{\"sensor\":\"s{}\",\"value\":{}}}\n", n % 7, n * 31 % 97));
        lines.flat_map(String::into_bytes).take(len).collect()
    }

    #[test]
    fn what_is_packed_is_unpacked_again() {
        for codec in Codec::ALL {
            assert_eq!(Codec::of(codec.number()), Some(codec));
            for len in [0, 1, 61, 1_000, 40_000, 200_000] {
                let plain = telemetry(len);
                let packed = codec.pack(&plain);
                assert!(len < 1_000 || packed.len() < plain.len() / 2, "{codec:?}: {len}");
                assert_eq!(codec.unpack(&packed), Ok(plain.clone()), "{codec:?}: {len}");
                for way in 0..9 {
                    let packed = codec.pack_otherwise(&plain, way);
                    assert_eq!(codec.unpack(&packed), Ok(plain.clone()), "{codec:?}: {way}");
                }
            }
        }
        assert_eq!(Codec::of(0).or(Codec::of(5)), None);
    }

    #[test]
    fn a_raw_block_is_snappy_as_well() {
        let plain = telemetry(5_000);
        let packed = snap::raw::Encoder::new().compress_vec(&plain).expect("a block");
        assert_eq!(Codec::Snappy.unpack(&packed), Ok(plain));
    }

    #[test]
    fn what_is_cut_short_is_broken() {
        for codec in Codec::ALL {
            let packed = codec.pack(&telemetry(70_000));
            for cut in [1, 2, 4, 5, 8, packed.len() / 2] {
                let whole = codec.unpack(&packed[..packed.len() - cut]);
                assert_eq!(whole, Err(Broken), "{codec:?} without {cut}");
            }
        }
    }

    #[test]
    fn what_is_plain_or_linked_is_broken() {
        for codec in Codec::ALL {
            assert_eq!(codec.unpack(&telemetry(500)), Err(Broken), "{codec:?}");
        }
        let mut how = lz4_flex::frame::FrameInfo::new();
        how.block_mode = lz4_flex::frame::BlockMode::Linked;
        let mut packer = lz4_flex::frame::FrameEncoder::with_frame_info(how, Vec::new());
        packer.write_all(&telemetry(500)).expect("memory");
        let linked = packer.finish().expect("memory");
        assert_eq!(Codec::Lz4.unpack(&linked), Err(Broken));
    }
}
