//! The core behind its lock. May touch: the core, the table of deliveries, and clocks.
//!
//! Who waits for it, and who drives it. No socket, and no thread or task: who writes or drives in the driver's stead is
//! known by a trait.

#[cfg(feature = "sasl")]
pub(crate) mod authentication;
pub(crate) mod calls;
pub(crate) mod codec;
pub(crate) mod compressing;
pub(crate) mod connection_losses;
pub(crate) mod crowd;
mod destination;
pub(crate) mod driver_sleep;
pub(crate) mod hold;
pub(crate) mod lanes;
pub(crate) mod locked;
pub(crate) mod locked_core;
pub(crate) mod partition_counts;
mod relief;
pub(crate) mod seats;
pub(crate) mod state;
pub(crate) mod take;
pub(crate) mod take_run;
pub(crate) mod thread_number;
#[cfg(feature = "sasl")]
pub(crate) mod token_source;
pub(crate) mod tracing_events;
pub(crate) mod wait_list;
pub(crate) mod wake_driver;
