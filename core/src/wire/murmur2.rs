//! Murmur2 as the Java client has it, by which keys choose partitions.

/// What Java's hash begins with.
const SEED: u32 = 0x9747_b28c;

/// The hash of `key`, bit for bit that of `org.apache.kafka.common.utils.Utils.murmur2`.
#[must_use]
pub fn murmur2(key: &[u8]) -> i32 {
    seeded(SEED, key) as i32
}

/// The same that begins with something else.
pub(crate) fn seeded(seed: u32, key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    // The hash takes the length modulo 2^32, as Java's `int` does.
    let mut hash = seed ^ (key.len() as u32);
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let word = word.iter().rev().fold(0, |word, &byte| (word << 8) | u32::from(byte));
        let mixed = word.wrapping_mul(M);
        let mixed = (mixed ^ (mixed >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ mixed;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |word, &byte| (word << 8) | u32::from(byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition that Java's default partitioner gives a record with this key; 0 where there are
/// no partitions.
#[must_use]
pub fn partition(key: &[u8], partitions: u32) -> u32 {
    // Java's `toPositive` clears the sign; it does not negate.
    let positive = (murmur2(key) & i32::MAX) as u32;
    positive.checked_rem(partitions).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_as_java_does() {
        // Printed by kafka-clients 4.4.0.
        for (key, hash) in [
            ("", 275_646_681),
            ("a", -1_563_381_124),
            ("ab", 316_155_434),
            ("abc", 479_470_107),
            ("abcd", -1_323_649_548),
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }

    #[test]
    fn clears_the_sign_rather_than_negating() {
        assert_eq!(partition(b"a", 10), ((-1_563_381_124_i32) & 0x7fff_ffff) as u32 % 10);
        assert_eq!(partition(b"a", 0), 0);
    }
}
