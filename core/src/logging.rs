//! Tells whoever listens what happened: `log`, `defmt`, both, or nobody.
//!
//! Few things are told, and none that happens with every record: the caller has the events for that.

/// Tells something at a level of `log`'s. Without a feature that listens nothing is left of it, not
/// even what its arguments would cost. They are displayed, so they implement `Display` and `Format`;
/// with `{:?}`, `Debug` and `Format`.
macro_rules! tell {
    ($level:ident, $text:literal $(, $argument:expr)* $(,)?) => {{
        #[cfg(feature = "log")]
        log::$level!(target: "ottla", $text $(, $argument)*);
        #[cfg(feature = "defmt")]
        defmt::$level!($text $(, $argument)*);
    }};
}
pub(crate) use tell;
