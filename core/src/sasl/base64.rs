//! Base64 (RFC 4648 §4), with its padding: nonces, salts, proofs and signatures. Nothing that is said by it is a
//! secret once it is said, so that it may take whatever time it takes.

use crate::wire::Writer;

/// Writes bytes.
#[inline(never)]
pub(crate) fn write(w: &mut Writer<'_>, bytes: &[u8]) {
    // By characters, of which each has six bits of two bytes.
    for place in 0..bytes.len().div_ceil(3) * 4 {
        let (at, bit) = (place * 6 / 8, place * 6 % 8);
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let word = u16::from_be_bytes([byte(at), byte(at + 1)]);
        let digit = word << bit >> 10;
        w.bytes(&[if at < bytes.len() { character(digit as u8) } else { b'=' }]);
    }
}

#[inline(never)]
const fn character(digit: u8) -> u8 {
    match digit {
        0..=25 => b'A' + digit,
        26..=51 => b'a' - 26 + digit,
        52..=61 => digit - 52 + b'0',
        62 => b'+',
        _ => b'/',
    }
}

/// Reads bytes: how many there are; `None` where it is not base64, as it is written above, or there is no room for it.
#[inline(never)]
pub(crate) fn read(text: &[u8], room: &mut [u8]) -> Option<usize> {
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let (digits, padding) = text.split_at_checked(end)?;
    let (mut word, mut bits, mut len) = (0_u32, 0, 0);
    for wanted in digits {
        // A table the other way round would take more room than time is worth here.
        let digit = (0..64).find(|digit| character(*digit) == *wanted)?;
        word = word << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            *room.get_mut(len)? = (word >> bits) as u8;
            len += 1;
        }
    }
    let rest = word & ((1 << bits) - 1);
    (rest == 0 && padding.len() <= 2 && text.len() & 3 == 0).then_some(len)
}

#[cfg(test)]
mod tests {
    use base64ct::{Base64, Encoding as _};
    use std::{string::String, vec::Vec};

    use super::*;

    #[test]
    fn bytes_are_written_and_read_as_another_implementation_does() {
        let bytes: Vec<u8> = (0..=255).chain((0..100).map(|at| (at * 89) as u8)).collect();
        for len in 0..bytes.len() {
            let mut room = [0; 512];
            let mut w = Writer::new(&mut room);
            write(&mut w, &bytes[..len]);
            let text = w.len();
            assert_eq!(
                core::str::from_utf8(&room[..text]).unwrap(),
                Base64::encode_string(&bytes[..len])
            );
            let mut back = [0; 512];
            assert_eq!(read(&room[..text], &mut back), Some(len));
            assert_eq!(&back[..len], &bytes[..len]);
            assert!(len == 0 || read(&room[..text], &mut back[..len - 1]).is_none());
        }
    }

    #[test]
    fn what_is_no_base64_is_refused_as_another_implementation_does() {
        let characters = b"AQZz09+/=-_ \n\0\xff";
        let mut word = 1_u64;
        let mut taken = 0;
        for _ in 0..200_000 {
            word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let len = (word >> 60) as usize % 9;
            let pick = |at: usize| characters[(word >> (20 + 4 * at)) as usize % characters.len()];
            let text: Vec<u8> = (0..len).map(pick).collect();
            let Ok(text) = String::from_utf8(text) else { continue };
            let mut room = [0; 16];
            let ours = read(text.as_bytes(), &mut room).map(|len| room[..len].to_vec());
            assert_eq!(ours, Base64::decode_vec(&text).ok(), "{text:?}");
            taken += usize::from(ours.is_some_and(|bytes| !bytes.is_empty()));
        }
        assert!(taken > 100, "{taken}");
    }
}
