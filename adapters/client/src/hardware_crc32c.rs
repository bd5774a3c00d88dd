//! CRC-32C by the processor's own instructions.

use std::sync::OnceLock;

use ottla_core::{Checksum, wire};

/// The fastest CRC-32C that agrees with the core's own, which is tested on the first call.
#[must_use]
pub fn checksum() -> Checksum {
    static AGREES: OnceLock<bool> = OnceLock::new();
    let agrees = AGREES.get_or_init(|| {
        let agrees = agree(hardware, wire::crc32c);
        if !agrees {
            tracing::warn!("the fast CRC-32C failed its self-test: the portable one is used");
        }
        agrees
    });
    if *agrees { hardware } else { wire::crc32c }
}

fn hardware(previous: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(previous, bytes)
}

/// Whether two checksums agree on lengths around what hardware takes at a time, at all
/// alignments, and when a message comes in two parts.
fn agree(left: Checksum, right: Checksum) -> bool {
    let mut bytes = [0_u8; 4200];
    let mut noise = 0x9E37_79B9_u32;
    for byte in &mut bytes {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = noise.to_be_bytes()[0];
    }
    let lengths = (0..=80).chain([255, 256, 257, 1023, 1024, 1025, 3072, 4096, 4184]);
    lengths.flat_map(|length| [(0, length), (length % 16, length)]).all(|(start, length)| {
        let part = &bytes[start..start + length];
        let (head, tail) = part.split_at(length / 3);
        left(0, part) == right(0, part) && left(left(0, head), tail) == right(0, part)
    }) && left(0, b"123456789") == 0xE306_9283
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_checksum_is_found_out() {
        fn tail_lost(previous: u32, bytes: &[u8]) -> u32 {
            hardware(previous, &bytes[..bytes.len() / 8 * 8])
        }
        assert!(agree(hardware, hardware));
        assert!(!agree(tail_lost, hardware));
        assert!(!agree(|_, _| 0, |_, _| 0));
    }

    #[test]
    fn whatever_is_chosen_agrees_with_the_core() {
        assert_eq!(checksum()(7, b"ottla"), wire::crc32c(7, b"ottla"));
    }
}
