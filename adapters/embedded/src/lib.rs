#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code, unused_must_use)]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod async_run;
mod async_traits;
mod client;
#[cfg(feature = "lz4")]
mod compressor;
mod driver;
mod logging;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(feature = "nal")]
mod nal;
mod port;
mod serial;

pub use async_run::{Buffers, run};
pub use async_traits::{Clock, Connect, Duplex};
pub use client::{Application, Client};
#[cfg(feature = "lz4")]
pub use compressor::Compressor;
pub use driver::{Driver, Step};
#[cfg(feature = "lz4")]
pub use lz4::Lz4;
#[cfg(feature = "nal")]
pub use nal::{Nal, NalReader, NalStream, NalWriter, NoDns};
pub use ottla_core::{Backlog, DropPolicy, RecordOutcome, Report, Why};
pub use port::Port;
pub use serial::{Serial, SerialError};
