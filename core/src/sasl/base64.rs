//! Base64 (RFC 4648 §4), with its padding: nonces, salts, proofs and signatures. Nothing that is said by it is a
//! secret once it is said, so that it may take whatever time it takes.

use crate::wire::Writer;

/// Writes bytes.
#[inline(never)]
pub(crate) fn write(w: &mut Writer<'_>, bytes: &[u8]) {
    for three in bytes.chunks(3) {
        let at = |place: usize| three.get(place).copied().map_or(0, u32::from);
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = (word >> (18 - 6 * place)) as u8 & 63;
            w.bytes(&[if place as usize > three.len() { b'=' } else { character(digit) }]);
        }
    }
}

const fn character(digit: u8) -> u8 {
    match digit {
        0..=25 => b'A' + digit,
        26..=51 => b'a' - 26 + digit,
        52..=61 => digit - 52 + b'0',
        62 => b'+',
        _ => b'/',
    }
}

const fn digit(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// Reads bytes: how many there are; `None` where it is not base64, as it is written above, or there is no room for it.
#[inline(never)]
pub(crate) fn read(text: &[u8], room: &mut [u8]) -> Option<usize> {
    let digits = text.strip_suffix(b"=").unwrap_or(text);
    let digits = digits.strip_suffix(b"=").unwrap_or(digits);
    let (mut word, mut bits, mut len) = (0_u32, 0, 0);
    for character in digits {
        word = word << 6 | u32::from(digit(*character)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            *room.get_mut(len)? = (word >> bits) as u8;
            len += 1;
        }
    }
    let rest = word & ((1 << bits) - 1);
    (rest == 0 && text.len() & 3 == 0).then_some(len)
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
