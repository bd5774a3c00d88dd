//! A simulated sensor that produces its readings to Kafka, on anything that has a byte stream and a
//! clock: the same on a microcontroller, with `defmt`, and on a host, with `log`.
//!
//! The stream is a serial line that somebody else wires to a broker's TCP port.
#![no_std]
#![forbid(unsafe_code)]

mod logging;
#[cfg(feature = "_sasl")]
mod login;
mod memory;
mod pending_readings;
mod reading;
mod run;
mod task;
mod unwired_stream;

#[cfg(feature = "_sasl")]
pub use login::Login;
pub use memory::Memory;
pub use pending_readings::{Book, Count, Each, Summary};
pub use reading::{Text, json};
pub use run::{Trouble, run};
pub use task::{OnFull, Task};
pub use unwired_stream::unwired;
