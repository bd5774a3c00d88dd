#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code, unused_must_use)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod backlog;
mod client;
mod driver;
#[cfg(feature = "nal")]
mod nal;
mod network;
mod outcome;
mod port;
mod run;
mod serial;
mod tell;

pub use backlog::{Backlog, DropPolicy};
pub use client::{Application, Client};
pub use driver::{Driver, Turn};
#[cfg(feature = "nal")]
pub use nal::{Nal, NalReader, NalStream, NalWriter, NoDns};
pub use network::{Clock, Connect, Duplex};
pub use outcome::{RecordOutcome, Report};
pub use port::Port;
pub use run::{Buffers, run};
pub use serial::{Serial, SerialError};
