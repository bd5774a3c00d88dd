//! LZ4 frames. Written by `lz4_flex`, in a frame of our own: the frame's other features are of no use within a batch,
//! which has a length and a checksum.

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size,
};

use super::{Output, take, take_slice};
use crate::compression::{CompressionType, Compressor, NotCompressed};

const MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// Version 1, independent blocks, no checksums; blocks of 64 KiB at most; and what xxHash says of these two bytes.
const DESCRIPTOR: [u8; 3] = [0x60, 0x40, 0x82];
const BLOCK: usize = 64 * 1024;
/// In a block's size: the block is as it was.
const STORED: u32 = 1 << 31;

pub(super) struct Lz4 {
    table: CompressTable,
    block: Vec<u8>,
}

impl Lz4 {
    pub(super) fn new() -> Self {
        // The larger table looks at five bytes at a time, which finds better matches in text.
        Self { table: CompressTable::large(), block: vec![0; get_maximum_output_size(BLOCK)] }
    }
}

impl Compressor for Lz4 {
    fn compression_type(&self) -> CompressionType {
        CompressionType::Lz4
    }

    fn compress(&mut self, plain: &[u8], out: &mut [u8]) -> Result<usize, NotCompressed> {
        let mut out = Output::new(out);
        out.put(&MAGIC)?;
        out.put(&DESCRIPTOR)?;
        for piece in plain.chunks(BLOCK) {
            let length = compress_into_with_table(piece, &mut self.block, &mut self.table)
                .map_err(|_| NotCompressed::Failed)?;
            let (block, mark) =
                if length < piece.len() { (&self.block[..length], 0) } else { (piece, STORED) };
            out.put(&(block.len() as u32 | mark).to_le_bytes())?;
            out.put(block)?;
        }
        out.put(&[0; 4])?;
        Ok(out.at)
    }
}

/// Reads a frame as Kafka's consumer does, and all of its checksums.
pub(super) fn decode(mut frame: &[u8], most: usize) -> Result<Vec<u8>, &'static str> {
    const SHORT: &str = "the LZ4 frame ends too early";
    if take(&mut frame).ok_or(SHORT)? != MAGIC {
        return Err("no LZ4 frame");
    }
    let descriptor = frame;
    let [flags, sizes] = take(&mut frame).ok_or(SHORT)?;
    if flags & 0b1110_0011 != 0b0110_0000 {
        return Err(
            "the LZ4 frame is of another version, has blocks that depend on each other, or a dictionary",
        );
    }
    let [block_sums, has_length, sum] = [0x10, 0x08, 0x04].map(|flag: u8| flags & flag != 0);
    if sizes & 0b1000_1111 != 0 || sizes < 0x40 {
        return Err("the LZ4 frame has blocks of no known size");
    }
    let largest = 1_usize << (8 + 2 * (sizes >> 4));
    let length = match has_length {
        true => Some(u64::from_le_bytes(take(&mut frame).ok_or(SHORT)?)),
        false => None,
    };
    let told = &descriptor[..descriptor.len() - frame.len()];
    let [header_sum] = take(&mut frame).ok_or(SHORT)?;
    if header_sum != (xxh32(told) >> 8) as u8 {
        return Err("the checksum of the LZ4 frame's header is wrong");
    }
    let mut plain = Vec::new();
    loop {
        let size = u32::from_le_bytes(take(&mut frame).ok_or(SHORT)?);
        if size == 0 {
            break;
        }
        let block = take_slice(&mut frame, (size & !STORED) as usize).ok_or(SHORT)?;
        if block_sums && u32::from_le_bytes(take(&mut frame).ok_or(SHORT)?) != xxh32(block) {
            return Err("the checksum of an LZ4 block is wrong");
        }
        if block.len() > largest {
            return Err("an LZ4 block is larger than its frame says");
        }
        if size & STORED == 0 {
            let at = plain.len();
            plain.resize(at + largest, 0);
            let length = decompress_into(block, &mut plain[at..])
                .map_err(|_| "an LZ4 block cannot be decompressed")?;
            plain.truncate(at + length);
        } else {
            plain.extend_from_slice(block);
        }
        if plain.len() > most {
            return Err("there is more in it than there was");
        }
    }
    if sum && u32::from_le_bytes(take(&mut frame).ok_or(SHORT)?) != xxh32(&plain) {
        return Err("the checksum of what the LZ4 frame holds is wrong");
    }
    if length.is_some_and(|length| length != plain.len() as u64) {
        return Err("the LZ4 frame says another length than it has");
    }
    if !frame.is_empty() {
        return Err("something follows the LZ4 frame");
    }
    Ok(plain)
}

/// XXH32 with the seed 0, as the LZ4 frame format has it: for headers, and for what others' compressors write.
fn xxh32(bytes: &[u8]) -> u32 {
    const PRIMES: [u32; 5] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1];
    let [p1, p2, p3, p4, p5] = PRIMES;
    let mut lanes = [p1.wrapping_add(p2), p2, 0, 0_u32.wrapping_sub(p1)];
    let (stripes, rest) = bytes.as_chunks::<16>();
    for stripe in stripes {
        let (words, _) = stripe.as_chunks::<4>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            let added = lane.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(p2));
            *lane = added.rotate_left(13).wrapping_mul(p1);
        }
    }
    let [a, b, c, d] = lanes;
    let mut hash = if stripes.is_empty() {
        p5
    } else {
        let ab = a.rotate_left(1).wrapping_add(b.rotate_left(7));
        ab.wrapping_add(c.rotate_left(12)).wrapping_add(d.rotate_left(18))
    };
    hash = hash.wrapping_add(bytes.len() as u32);
    let (words, rest) = rest.as_chunks::<4>();
    for word in words {
        let added = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(p3));
        hash = added.rotate_left(17).wrapping_mul(p4);
    }
    for &byte in rest {
        let added = hash.wrapping_add(u32::from(byte).wrapping_mul(p5));
        hash = added.rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(p2);
    hash = (hash ^ hash >> 13).wrapping_mul(p3);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_of_headers_are_those_of_xxhash() {
        assert_eq!((xxh32(&DESCRIPTOR[..2]) >> 8) as u8, DESCRIPTOR[2]);
        // From the reference implementation.
        assert_eq!(xxh32(b""), 0x02CC_5D05);
        assert_eq!(xxh32(b"a"), 0x550D_7456);
        assert_eq!(xxh32(b"abc"), 0x32D1_53FF);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition"), 0xE229_3B2F);
    }
}
