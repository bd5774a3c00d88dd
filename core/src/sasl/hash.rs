//! The hash functions of SCRAM, and HMAC, in one code for both.
//!
//! The compression functions are the crate `sha2`'s. What is around them is here, since by generics it would be
//! there twice, and take more of a device's flash than all else that SCRAM needs.

#[cfg(feature = "scram-sha-256")]
use sha2::block_api::compress256;
#[cfg(feature = "scram-sha-512")]
use sha2::block_api::compress512;

use zeroize::Zeroize;

use super::{Mechanism, wipe};
use crate::wire::put;

/// Which hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    #[cfg(feature = "scram-sha-256")]
    Sha256,
    #[cfg(feature = "scram-sha-512")]
    Sha512,
}

/// The longest output, in bytes; a block is twice as long.
const LONGEST: usize = if cfg!(feature = "scram-sha-512") { 64 } else { 32 };

/// A block of the one with the longer ones.
type Block = [u8; 2 * LONGEST];

/// What a hash function makes; wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct Hashed {
    bytes: [u8; LONGEST],
    len: u8,
}

impl Drop for Hashed {
    #[inline(never)]
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

impl Hashed {
    /// None at all; all zeros, as an empty slot is.
    pub(crate) const NONE: Self = Self { bytes: [0; LONGEST], len: 0 };

    #[inline(never)]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// None at all again.
    pub(crate) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Each byte of it exclusive-or one of the other's.
    #[inline(never)]
    pub(crate) fn xor(&mut self, other: &Self) {
        for (byte, other) in self.bytes.iter_mut().zip(&other.bytes) {
            *byte ^= other;
        }
    }

    /// Whether it is these bytes, in a time that does not tell which of them differ.
    pub(crate) fn is(&self, other: &[u8]) -> bool {
        let differ = |sum, (one, other): (&u8, &u8)| sum | (one ^ other);
        let sum = self.as_bytes().iter().zip(other).fold(0, differ);
        // Looked at only when it is whole.
        core::hint::black_box(sum) == 0 && self.as_bytes().len() == other.len()
    }
}

impl Hash {
    /// The one of a mechanism.
    pub(crate) const fn of(mechanism: Mechanism) -> Option<Self> {
        match mechanism {
            #[cfg(feature = "scram-sha-256")]
            Mechanism::ScramSha256 => Some(Self::Sha256),
            #[cfg(feature = "scram-sha-512")]
            Mechanism::ScramSha512 => Some(Self::Sha512),
            #[cfg(feature = "plain")]
            Mechanism::Plain => None,
            #[cfg(feature = "oauthbearer")]
            Mechanism::OAuthBearer => None,
        }
    }

    /// Puts what the function makes of a value in its place.
    pub(crate) fn digest(self, value: &mut Hashed) {
        State::new(self).take_in(0, &[], value);
    }

    /// Puts HMAC (RFC 2104) over all parts, one behind the other, in the place of its key.
    #[inline(never)]
    pub(crate) fn hmac(self, key: &mut Hashed, parts: &[&[u8]]) {
        let mut keyed = Keyed::NONE;
        keyed.set(self, key.as_bytes());
        key.clear();
        keyed.mac(parts, key);
    }
}

#[cfg(any(test, feature = "_internal"))]
impl Hash {
    pub(crate) fn internal_digest(self, bytes: &[u8]) -> Hashed {
        let mut made = Hashed::NONE;
        State::new(self).take_in(0, &[bytes], &mut made);
        made
    }

    #[cfg(test)]
    pub(crate) fn internal_hmac(self, key: &[u8], parts: &[&[u8]]) -> Hashed {
        let (mut keyed, mut made) = (Keyed::NONE, Hashed::NONE);
        keyed.set(self, key);
        keyed.mac(parts, &mut made);
        made
    }
}

/// A hash function that has taken whole blocks in; wiped when it is dropped.
#[derive(Clone)]
enum State {
    #[cfg(feature = "scram-sha-256")]
    Sha256([u32; 8]),
    #[cfg(feature = "scram-sha-512")]
    Sha512([u64; 8]),
}

impl Drop for State {
    #[inline(never)]
    fn drop(&mut self) {
        match self {
            #[cfg(feature = "scram-sha-256")]
            Self::Sha256(words) => words.iter_mut().for_each(Zeroize::zeroize),
            #[cfg(feature = "scram-sha-512")]
            Self::Sha512(words) => words.iter_mut().for_each(Zeroize::zeroize),
        }
    }
}

impl State {
    #[cfg(feature = "scram-sha-256")]
    const NONE: Self = Self::Sha256([0; 8]);
    #[cfg(not(feature = "scram-sha-256"))]
    const NONE: Self = Self::Sha512([0; 8]);

    // As FIPS 180-4 §5.3 has them.
    #[cfg(feature = "scram-sha-256")]
    const SHA_256: Self = Self::Sha256([
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ]);
    #[cfg(feature = "scram-sha-512")]
    const SHA_512: Self = Self::Sha512([
        0x6a09_e667_f3bc_c908,
        0xbb67_ae85_84ca_a73b,
        0x3c6e_f372_fe94_f82b,
        0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1,
        0x9b05_688c_2b3e_6c1f,
        0x1f83_d9ab_fb41_bd6b,
        0x5be0_cd19_137e_2179,
    ]);

    #[inline(never)]
    const fn new(hash: Hash) -> Self {
        match hash {
            #[cfg(feature = "scram-sha-256")]
            Hash::Sha256 => Self::SHA_256,
            #[cfg(feature = "scram-sha-512")]
            Hash::Sha512 => Self::SHA_512,
        }
    }

    /// Bytes in a block.
    const fn block(&self) -> usize {
        match self {
            #[cfg(feature = "scram-sha-256")]
            Self::Sha256(_) => 64,
            #[cfg(feature = "scram-sha-512")]
            Self::Sha512(_) => 128,
        }
    }

    #[inline(never)]
    fn compress(&mut self, block: &Block) {
        match self {
            #[cfg(feature = "scram-sha-256")]
            Self::Sha256(words) => {
                if let Some(block) = block.first_chunk() {
                    compress256(words, core::slice::from_ref(block));
                }
            }
            #[cfg(feature = "scram-sha-512")]
            Self::Sha512(words) => {
                if let Some(block) = block.first_chunk() {
                    compress512(words, core::slice::from_ref(block));
                }
            }
        }
    }

    /// Takes all parts in, and behind them a value, in whose place the output is put; `before` bytes were taken in
    /// already: whole blocks.
    #[inline(never)]
    fn take_in(&self, before: usize, parts: &[&[u8]], value: &mut Hashed) {
        let mut state = self.clone();
        let size = self.block();
        let mut block: Block = [0; 2 * LONGEST];
        let (mut at, mut total) = (0, before);
        for part in parts.iter().copied().chain([value.as_bytes()]) {
            total = total.wrapping_add(part.len());
            for byte in part {
                put(block.get_mut(at..).unwrap_or_default(), &[*byte]);
                at += 1;
                if at >= size {
                    state.compress(&block);
                    at = 0;
                }
            }
        }
        // A single bit, zeros, and how many bits there were.
        let rest = block.get_mut(at..).unwrap_or_default();
        wipe(rest);
        put(rest, &[0x80]);
        if at >= size - size / 8 {
            state.compress(&block);
            wipe(&mut block);
        }
        let bits = (total as u64).wrapping_mul(8).to_be_bytes();
        put(block.get_mut(size - 8..).unwrap_or_default(), &bits);
        state.compress(&block);
        wipe(&mut block);
        state.put(value);
    }

    fn put(&self, made: &mut Hashed) {
        match self {
            #[cfg(feature = "scram-sha-256")]
            Self::Sha256(words) => {
                made.len = 32;
                let (places, _) = made.bytes.as_chunks_mut();
                places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_be_bytes());
            }
            #[cfg(feature = "scram-sha-512")]
            Self::Sha512(words) => {
                made.len = 64;
                let (places, _) = made.bytes.as_chunks_mut();
                places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_be_bytes());
            }
        }
    }
}

/// HMAC with its key taken in, which is half of its work: the inner one, and the outer one.
pub(crate) struct Keyed([State; 2]);

impl Keyed {
    /// None at all.
    pub(crate) const NONE: Self = Self([State::NONE, State::NONE]);

    #[inline(never)]
    pub(crate) fn set(&mut self, hash: Hash, key: &[u8]) {
        let mut short = Hashed::NONE;
        let mut block: Block = [0; 2 * LONGEST];
        let state = State::new(hash);
        if key.len() > state.block() {
            state.take_in(0, &[key], &mut short);
            put(&mut block, short.as_bytes());
        } else {
            put(&mut block, key);
        }
        for (keyed, pad) in self.0.iter_mut().zip([0x36, 0x36 ^ 0x5c]) {
            *keyed = state.clone();
            block.iter_mut().for_each(|byte| *byte ^= pad);
            keyed.compress(&block);
        }
        wipe(&mut block);
    }

    /// Takes all parts in, and behind them a value, in whose place the output is put.
    #[inline(never)]
    pub(crate) fn mac(&self, mut parts: &[&[u8]], value: &mut Hashed) {
        for keyed in &self.0 {
            keyed.take_in(keyed.block(), parts, value);
            parts = &[];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4's own examples are of short messages; here are all lengths about the border of a block, with
    /// another implementation as the witness.
    #[test]
    fn a_message_of_any_length_is_hashed_as_another_implementation_does() {
        use hmac::{KeyInit as _, Mac as _, digest::Digest as _};

        let bytes: std::vec::Vec<u8> = (0..600).map(|at| (at * 7 + 3) as u8).collect();
        for len in 0..bytes.len() {
            let (message, cut) = (&bytes[..len], len / 3);
            let parts: [&[u8]; 3] = [&message[..cut], &[], &message[cut..]];
            #[cfg(feature = "scram-sha-256")]
            {
                let made = Hash::Sha256.internal_digest(message);
                assert_eq!(made.as_bytes(), &sha2::Sha256::digest(message)[..]);
                let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(message).unwrap();
                mac.update(message);
                let made = Hash::Sha256.internal_hmac(message, &parts);
                assert_eq!(made.as_bytes(), &mac.finalize().into_bytes()[..], "{len}");
            }
            #[cfg(feature = "scram-sha-512")]
            {
                let made = Hash::Sha512.internal_digest(message);
                assert_eq!(made.as_bytes(), &sha2::Sha512::digest(message)[..]);
                let mut mac = hmac::Hmac::<sha2::Sha512>::new_from_slice(message).unwrap();
                mac.update(message);
                let made = Hash::Sha512.internal_hmac(message, &parts);
                assert_eq!(made.as_bytes(), &mac.finalize().into_bytes()[..], "{len}");
            }
        }
    }
}
