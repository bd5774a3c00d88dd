//! A simulated sensor that produces its readings to Kafka, on anything that has a byte stream and a
//! clock: the same on a microcontroller, with `defmt`, and on a host, with `log`.
//!
//! The stream is a serial line that somebody else wires to a broker's TCP port.
#![no_std]
#![forbid(unsafe_code)]

mod job;
mod log_lines;
mod no_line;
mod reading;
mod run;
mod under_way;

pub use job::{OnFull, Task};
pub use no_line::unwired;
pub use run::{Memory, Trouble, run};
pub use under_way::{Book, Count, Each, Summary};
