//! What memory takes on a machine of 32 bits, as the core's README says it: checked by the compiler.

use ottla_core::{Producer, StaticMemory};

/// Memory of so many things; all windows and pages have 512 bytes, names 64.
type Of<
    const C: usize,
    const B: usize,
    const T: usize,
    const P: usize,
    const N: usize,
    const G: usize,
> = StaticMemory<C, B, T, P, N, G, 512, 512, 512, 64>;

const BASE: usize = Of::<2, 2, 2, 2, 2, 2>::SIZE;

/// Two more of a thing, since slots may be padded to eight bytes.
const CONNECTION: usize = (Of::<4, 2, 2, 2, 2, 2>::SIZE - BASE) / 2 - 512 - 512;
const BROKER: usize = (Of::<2, 4, 2, 2, 2, 2>::SIZE - BASE) / 2 - 64;
const TOPIC: usize = (Of::<2, 2, 4, 4, 2, 2>::SIZE - BASE) / 2 - 64 - PARTITION;
const PARTITION: usize = (Of::<2, 2, 2, 4, 2, 2>::SIZE - BASE) / 2;
const BATCH: usize = (Of::<2, 2, 2, 2, 4, 2>::SIZE - BASE) / 2;
const PAGE: usize = (Of::<2, 2, 2, 2, 2, 4>::SIZE - BASE) / 2 - 512;

/// What SASL adds to a connection, and to the `Producer`.
#[cfg(target_pointer_width = "32")]
const SASL: (usize, usize) = match () {
    // What tells one hash function from the other.
    () if cfg!(all(feature = "scram-sha-256", feature = "scram-sha-512")) => (128, 656 + 16),
    () if cfg!(feature = "scram-sha-512") => (128, 656),
    () if cfg!(feature = "scram-sha-256") => (96, 488),
    () if cfg!(feature = "_sasl") => (40, 224),
    () => (0, 0),
};

/// What compression adds to a batch, and to the `Producer`.
#[cfg(target_pointer_width = "32")]
const COMPRESSION: (usize, usize) = if cfg!(feature = "compression") { (16, 88) } else { (0, 0) };

/// What tokens add to that.
#[cfg(target_pointer_width = "32")]
const TOKENS: (usize, usize) = match () {
    () if !cfg!(feature = "oauthbearer") => (0, 0),
    () if cfg!(any(feature = "scram-sha-256", feature = "scram-sha-512")) => (8, 40),
    () => (0, 32),
};

#[cfg(target_pointer_width = "32")]
const _: () = {
    assert!(CONNECTION == 384 + SASL.0 + TOKENS.0 && BROKER == 80 && TOPIC == 80);
    assert!(PARTITION == 128 && BATCH == 192 + COMPRESSION.0 && PAGE == 4);
    assert!(size_of::<Producer<'_>>() == 1_640 + SASL.1 + TOKENS.1 + COMPRESSION.1);
};

#[cfg(target_pointer_width = "64")]
const _: () = {
    // More with the features that others of the workspace turn on.
    assert!(CONNECTION <= 424 + 144 && BROKER == 80 && TOPIC == 80);
    assert!(PARTITION == 128 && BATCH <= 192 + 32 && PAGE == 4);
    assert!(size_of::<Producer<'_>>() >= 1_776);
};

/// A small machine's all in one: memory and producer.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(
    ottla_core::presets::Small::SIZE + size_of::<Producer<'_>>()
        <= 10 * 1_024 + SASL.0 + SASL.1 + TOKENS.0 + TOKENS.1 + 8 * COMPRESSION.0 + COMPRESSION.1
);
