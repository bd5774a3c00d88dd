//! What the contestants of this package have in common.

mod keys;

pub use keys::Keys;
