//! What the sensor has to say, in the same words through `defmt` and through `log`.

use ottla_core::Cause;

/// Says something at a level: the format string may have `{}` and nothing else.
macro_rules! say {
    ($level:ident, $words:literal $(, $what:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        defmt::$level!($words $(, $what)*);
        #[cfg(feature = "log")]
        log::$level!($words $(, $what)*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        { $( let _ = $what; )* }
    }};
}
pub(crate) use say;

/// A cause in a word or two.
pub(crate) fn why(cause: Cause) -> &'static str {
    match cause {
        Cause::Deadline => "too old",
        Cause::Cancelled => "no room",
        Cause::DeliveryTimeout => "delivery timeout",
        Cause::ResolveTimeout => "resolve timeout",
        Cause::Closed => "closed",
        Cause::Broker(code) | Cause::AtFault(code) => {
            code.name().unwrap_or("an error of the broker")
        }
        Cause::Neighbour(_) => "other records of the batch were at fault",
        Cause::Abandoned | Cause::NoAcks | Cause::SequenceMismatch | Cause::NoProducerId(_) | _ => {
            "another cause"
        }
    }
}
