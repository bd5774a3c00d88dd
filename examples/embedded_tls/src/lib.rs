#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code, unused_must_use)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod certificates;
mod ends;
mod failure;
mod line;
mod session;

pub use certificates::{Identity, Settings};
pub use failure::Failure;
pub use line::{LineError, LineReader, LineStream, LineWriter};
pub use session::{Records, Tls};
