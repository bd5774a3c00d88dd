//! CRC-32C (Castagnoli), continued and combined.

use crc::{CRC_32_ISCSI, Crc, Table};

// 16 KiB of table where a machine has megabytes and the checksum is on the hot path; 1 KiB on
// microcontrollers, where the table competes with the program for flash.
#[cfg(target_pointer_width = "64")]
static CASTAGNOLI: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
#[cfg(not(target_pointer_width = "64"))]
static CASTAGNOLI: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// CRC-32C by table; the default of [`Config::checksum`](crate::Config::checksum).
///
/// `previous` is the checksum of what came before, 0 at the start; the result is the checksum of
/// both together.
#[must_use]
pub fn crc32c(previous: u32, bytes: &[u8]) -> u32 {
    // The register is the complement of a finished checksum, and `crc` wants it in the
    // algorithm's unreflected notation.
    let mut digest = CASTAGNOLI.digest_with_initial((!previous).reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// The checksum of `a` followed by `b`, from the checksums of both and the length of `b` in bytes.
///
/// Takes time in the logarithm of `len_b`: records keep their checksum while a batch's header
/// changes before them.
#[must_use]
pub fn combine(crc_a: u32, crc_b: u32, len_b: u64) -> u32 {
    // Appending n bytes multiplies what the register holds by x^8n; the complements on both sides
    // cancel out.
    let mut shifted = crc_a;
    let mut left = len_b;
    #[cfg(target_pointer_width = "64")]
    for bytes in &BYTES {
        let low = (left % bytes.len() as u64) as usize;
        if low != 0 {
            shifted = multiply(shifted, bytes.get(low).copied().unwrap_or(ONE));
        }
        left /= bytes.len() as u64;
    }
    let mut power = FIRST;
    while left != 0 {
        if left & 1 == 1 {
            let factor = POWERS.get(power % POWERS.len()).copied().unwrap_or(ONE);
            shifted = multiply(shifted, factor);
        }
        left >>= 1;
        power += 1;
    }
    shifted ^ crc_b
}

/// The polynomial, reflected: bit 31 is the coefficient of x^0.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The polynomial 1, reflected.
const ONE: u32 = 1 << 31;

/// Which of [`POWERS`] the lowest bit of a length stands for: one byte is x^(2^3).
#[cfg(not(target_pointer_width = "64"))]
const FIRST: usize = 3;
/// The same, where [`BYTES`] has the lowest sixteen.
#[cfg(target_pointer_width = "64")]
const FIRST: usize = 3 + 16;

/// x^8n and x^(8 * 256 n) modulo the polynomial: most batches then take two products, and not one for each bit of their
/// length. 2 KiB that small machines have better uses for.
#[cfg(target_pointer_width = "64")]
static BYTES: [[u32; 256]; 2] = [multiples(POWERS[3]), multiples(POWERS[3 + 8])];

/// The powers of a factor.
#[cfg(target_pointer_width = "64")]
#[allow(clippy::indexing_slicing)] // runs in the compiler
const fn multiples(factor: u32) -> [u32; 256] {
    let mut table = [ONE; 256];
    let mut n = 1;
    while n < table.len() {
        table[n] = multiply(table[n - 1], factor);
        n += 1;
    }
    table
}

/// x^(2^k) modulo the polynomial. The order of x divides 2^31 − 1, so the powers repeat after 31.
const POWERS: [u32; 31] = powers();

#[allow(clippy::indexing_slicing)] // runs in the compiler
const fn powers() -> [u32; 31] {
    let mut table = [0; 31];
    let mut power = ONE >> 1;
    let mut k = 0;
    while k < table.len() {
        table[k] = power;
        power = multiply(power, power);
        k += 1;
    }
    assert!(power == ONE >> 1, "the powers of x repeat after 31");
    table
}

/// The product of two reflected polynomials modulo [`POLYNOMIAL`].
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = ONE;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 == 1 { (b >> 1) ^ POLYNOMIAL } else { b >> 1 };
        bit >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_check_value() {
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(0, b""), 0);
    }

    #[test]
    fn continues_and_combines_at_every_cut() {
        let bytes: [u8; 257] = core::array::from_fn(|i| (i * 37) as u8);
        let whole = crc32c(0, &bytes);
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(crc32c(crc32c(0, a), b), whole);
            assert_eq!(combine(crc32c(0, a), crc32c(0, b), b.len() as u64), whole);
        }
    }

    #[test]
    fn combines_lengths_of_batches() {
        const ZEROS: [u8; 255] = [0; 255];
        let first = crc32c(0, b"ottla");
        let (mut zeros, mut whole, mut len) = (0, first, 0);
        while len < 200_000 {
            (zeros, whole) = (crc32c(zeros, &ZEROS), crc32c(whole, &ZEROS));
            len += ZEROS.len() as u64;
            assert_eq!(combine(first, zeros, len), whole, "{len}");
        }
    }

    #[test]
    fn combines_lengths_beyond_the_table() {
        let (a, b) = (crc32c(0, b"ottla"), 0x1234_5678);
        for len in [1 << 27, 1 << 28, 1 << 29, 1 << 40, 1 << 62] {
            let twice = combine(combine(a, b, len), b, len);
            assert_eq!(combine(a, combine(b, b, len), 2 * len), twice);
        }
    }
}
