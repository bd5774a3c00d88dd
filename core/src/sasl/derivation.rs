//! PBKDF2 (RFC 8018 §5.2) of one block, in slices: what a password and a salt make.

use super::hash::{Hash, Hashed, Keyed};

/// Iterations under way.
pub(crate) struct Derivation {
    keyed: Keyed,
    last: Hashed,
    sum: Hashed,
    left: u32,
}

impl Derivation {
    /// Begins: the first iteration is done.
    pub(crate) fn new(hash: Hash, password: &[u8], salt: &[u8], iterations: u32) -> Self {
        let keyed = Keyed::new(hash, password);
        let last = keyed.mac(&[salt, &1_u32.to_be_bytes()]);
        Self { sum: last.clone(), keyed, last, left: iterations.saturating_sub(1) }
    }

    /// Goes on for so many iterations at most; the whole, once it is.
    pub(crate) fn go_on(&mut self, iterations: u32) -> Option<&Hashed> {
        for _ in 0..iterations.min(self.left) {
            self.last = self.keyed.mac(&[self.last.as_bytes()]);
            self.sum.xor(&self.last);
        }
        self.left = self.left.saturating_sub(iterations);
        (self.left == 0).then_some(&self.sum)
    }
}
