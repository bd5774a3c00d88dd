//! What the sensor may use.

#[cfg(not(feature = "json"))]
use ottla_core::presets;

/// What the producer may use: 8 KiB, and what connections keep of their sessions.
#[cfg(not(feature = "json"))]
pub(crate) type Lent = presets::Small;
/// The same with 24 KiB for records: an eighth of it is kept for what is compressed, which are two batches.
#[cfg(feature = "json")]
pub(crate) type Lent = ottla_core::StaticMemory<1, 4, 1, 4, 8, 96, 256, 512, 440, 48>;

/// All that is lent.
#[derive(Debug)]
pub struct Memory {
    pub(crate) producer: Lent,
    /// For user name and password.
    #[cfg(feature = "_sasl")]
    pub(crate) credentials: [u8; 96],
    /// What the compressor finds repetitions by.
    #[cfg(feature = "lz4")]
    pub(crate) table: [u16; 1_024],
    /// Room for what half of a batch takes: one that becomes no smaller goes as it is.
    #[cfg(feature = "lz4")]
    pub(crate) compressed: [u8; 2_048],
}

impl Memory {
    /// Memory that is all zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            producer: Lent::new(),
            #[cfg(feature = "_sasl")]
            credentials: [0; 96],
            #[cfg(feature = "lz4")]
            table: [0; 1_024],
            #[cfg(feature = "lz4")]
            compressed: [0; 2_048],
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}
