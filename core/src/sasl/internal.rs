//! For tests and the fuzzer alone: what lies behind the public face of SCRAM.

use super::{Credentials, Mechanism, Sasl, hash, scram};
use crate::wire::put;

/// What the readers of SCRAM make of a broker's two messages, where a client's nonce is all
/// `A`: the lengths of nonce and salt with the iterations, and whether the last one is signed.
#[doc(hidden)]
#[must_use]
pub fn internal_read_scram(first: &[u8], last: &[u8]) -> (Option<(usize, usize, u32)>, bool) {
    let (ours, mut salt) = ([b'A'; scram::NONCE], scram::Salt::NONE);
    let read = scram::ServerFirst::read(first, &ours, &mut salt).ok();
    let hash = hash::Hash::of(internal_mechanism());
    let signed = hash.is_some_and(|hash| scram::verify(last, &hash.internal_digest(b"")).is_ok());
    (read.map(|read| read.internal_sizes(&salt)), signed)
}

/// StoredKey and ServerKey, as a broker keeps them, of a client that answers a broker's first message, behind whose `r=`
/// comes the client's own nonce: 24 times `A`. Returns how long they are; 0 where the message is refused.
#[doc(hidden)]
#[must_use]
pub fn internal_scram_keys(
    credentials: &Credentials<'_>,
    first: &[u8],
    stored: &mut [u8; 64],
    server: &mut [u8; 64],
) -> usize {
    let mut memory = [0; 1024];
    let sasl = Sasl::new(credentials, &mut memory).ok();
    let keys = sasl.and_then(|mut sasl| sasl.internal_derive(&[b'A'; scram::NONCE], first));
    keys.map_or(0, |(stored_key, server_key)| {
        put(stored, stored_key.as_bytes());
        put(server, server_key.as_bytes());
        stored_key.as_bytes().len()
    })
}

const fn internal_mechanism() -> Mechanism {
    #[cfg(feature = "scram-sha-256")]
    return Mechanism::ScramSha256;
    #[cfg(not(feature = "scram-sha-256"))]
    Mechanism::ScramSha512
}
