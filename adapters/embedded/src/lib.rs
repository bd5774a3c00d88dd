#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code, unused_must_use)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod backlog;
mod driver;
mod outcome;
mod port;
mod serial;
mod tell;

pub use backlog::{Backlog, DropPolicy};
pub use driver::{Driver, Turn};
pub use outcome::{RecordOutcome, Report};
pub use port::Port;
pub use serial::{Serial, SerialError};
