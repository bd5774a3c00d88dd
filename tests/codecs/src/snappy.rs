//! Snappy, from the description of its format: <https://github.com/google/snappy/blob/main/format_description.txt>.

/// Decompresses blocks as `snappy-java` frames them; `None` where they are anything else.
pub(crate) fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes.strip_prefix(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01")?;
    let mut plain = Vec::new();
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk()?;
        let (block, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        plain.extend(decompress_block(block)?);
        rest = behind;
    }
    Some(plain)
}

fn decompress_block(mut block: &[u8]) -> Option<Vec<u8>> {
    let mut length = 0_usize;
    for shift in (0..).step_by(7) {
        let byte = take(&mut block, 1)?[0];
        length |= usize::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            break;
        }
    }
    let mut plain = Vec::with_capacity(length);
    while !block.is_empty() {
        let tag = usize::from(take(&mut block, 1)?[0]);
        let (length, back) = match tag & 3 {
            0 => {
                let length = match tag >> 2 {
                    short @ 0..60 => short,
                    long => little_endian(take(&mut block, long - 59)?),
                };
                plain.extend_from_slice(take(&mut block, length + 1)?);
                continue;
            }
            1 => ((tag >> 2 & 7) + 4, (tag >> 5) << 8 | little_endian(take(&mut block, 1)?)),
            2 => ((tag >> 2) + 1, little_endian(take(&mut block, 2)?)),
            _ => ((tag >> 2) + 1, little_endian(take(&mut block, 4)?)),
        };
        for _ in 0..length {
            let from = plain.len().checked_sub(back)?;
            plain.push(*plain.get(from)?);
        }
    }
    (plain.len() == length).then_some(plain)
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

fn little_endian(bytes: &[u8]) -> usize {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_block_from_the_description_is_read() {
        // 14 bytes: "xababab" by a literal and a copy that overlaps itself, then the same by longer offsets.
        let block = b"\x10\x08xab\x01\x02\x0e\x04\x00\x03\x00\x00\x00\x00";
        let block = &block[..8];
        assert_eq!(
            super::decompress_block(&[&[7][..], &block[1..7]].concat()).unwrap(),
            b"xababab"
        );
        assert_eq!(super::decompress_block(&[&[8][..], &block[1..7]].concat()), None);
    }
}
