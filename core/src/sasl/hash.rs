//! The hash functions of SCRAM, one face for both.

use hmac::{
    Hmac,
    digest::{Digest as _, Output},
};
#[cfg(feature = "scram-sha-256")]
use sha2::Sha256;
#[cfg(feature = "scram-sha-512")]
use sha2::Sha512;
use zeroize::Zeroize as _;

use super::Mechanism;

/// Which hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    #[cfg(feature = "scram-sha-256")]
    Sha256,
    #[cfg(feature = "scram-sha-512")]
    Sha512,
}

/// The longest output, in bytes.
const LONGEST: usize = if cfg!(feature = "scram-sha-512") { 64 } else { 32 };

/// What a hash function makes; wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct Hashed {
    bytes: [u8; LONGEST],
    len: u8,
}

impl Drop for Hashed {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl Hashed {
    /// None at all; all zeros, as an empty slot is.
    pub(crate) const NONE: Self = Self { bytes: [0; LONGEST], len: 0 };

    fn of(output: &[u8]) -> Self {
        let mut bytes = [0; LONGEST];
        crate::wire::put(&mut bytes, output);
        Self { bytes, len: output.len() as u8 }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Each byte of it exclusive-or one of the other's.
    pub(crate) fn xor(&mut self, other: &Self) {
        for (byte, other) in self.bytes.iter_mut().zip(other.bytes) {
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
            Mechanism::Plain | Mechanism::OAuthBearer => None,
        }
    }

    pub(crate) fn digest(self, bytes: &[u8]) -> Hashed {
        match self {
            #[cfg(feature = "scram-sha-256")]
            Self::Sha256 => Hashed::of(&Sha256::digest(bytes)),
            #[cfg(feature = "scram-sha-512")]
            Self::Sha512 => Hashed::of(&Sha512::digest(bytes)),
        }
    }

    /// HMAC (RFC 2104) over all parts, one behind the other.
    pub(crate) fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Hashed {
        match Keyed::new(self, key) {
            #[cfg(feature = "scram-sha-256")]
            Keyed::Sha256(mac) => Hashed::of(&finish(mac, parts)),
            #[cfg(feature = "scram-sha-512")]
            Keyed::Sha512(mac) => Hashed::of(&finish(mac, parts)),
        }
    }
}

fn finish<M: hmac::Mac>(mut mac: M, parts: &[&[u8]]) -> Output<M> {
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes()
}

/// HMAC with its key taken in, which is half of its work.
#[derive(Clone)]
pub(crate) enum Keyed {
    #[cfg(feature = "scram-sha-256")]
    Sha256(Hmac<Sha256>),
    #[cfg(feature = "scram-sha-512")]
    Sha512(Hmac<Sha512>),
}

impl Keyed {
    pub(crate) fn new(hash: Hash, key: &[u8]) -> Self {
        match hash {
            #[cfg(feature = "scram-sha-256")]
            Hash::Sha256 => Self::Sha256(keyed(key)),
            #[cfg(feature = "scram-sha-512")]
            Hash::Sha512 => Self::Sha512(keyed(key)),
        }
    }

    pub(crate) fn mac(&self, parts: &[&[u8]]) -> Hashed {
        match self {
            #[cfg(feature = "scram-sha-256")]
            Self::Sha256(mac) => Hashed::of(&finish(mac.clone(), parts)),
            #[cfg(feature = "scram-sha-512")]
            Self::Sha512(mac) => Hashed::of(&finish(mac.clone(), parts)),
        }
    }
}

fn keyed<M: hmac::Mac + hmac::KeyInit>(key: &[u8]) -> M {
    // A key may be of any length, so that there is no error.
    M::new_from_slice(key).unwrap_or_else(|_| M::new(&Default::default()))
}
