//! ottla's firmware on the host: builds it ([`Firmware`]), runs it in QEMU ([`Guest`]) against a
//! broker that can be broken ([`Broker`]), reads what it logged ([`Line`]), judges what came into
//! the log ([`judge`]), and works out where its bytes go ([`Sizes`]).
//!
//! Needs `qemu-system-arm`, the targets of [`Board::target`], and for real Kafka what `ottla-kafka`
//! needs; see tests/firmware.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

mod broker;
mod firmware;
mod guest;
mod judge_readings;
mod lines;
mod sizes;

pub use broker::{Broker, PARTITIONS, PASSWORD, TOPIC, USER};
pub use firmware::{Board, Firmware, Kind};
pub use guest::{Guest, Run};
pub use judge_readings::{Arrived, judge};
pub use lines::{Line, Lines};
pub use sizes::Sizes;
