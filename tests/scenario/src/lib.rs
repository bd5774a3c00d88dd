//! The simulator: the core against model brokers, with the laws of ottla checked at every verdict.
#![allow(clippy::missing_panics_doc, reason = "a test's way of saying no")]

pub mod hindsight;
pub mod ledger;

pub mod network;
pub mod raw;
pub mod storm;
pub mod tap;
pub mod trace;
mod view;
pub mod world;

pub use hindsight::{Excuses, Hindsight};
pub use ledger::{Entry, Laws, Ledger, Said};
pub use network::Weather;
pub use tap::{Sent, Tap};
pub use view::{Row, quick};
pub use world::{BOOTSTRAP, Dated, Dice, World};
