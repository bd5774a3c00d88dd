//! The simulator: the core against model brokers, with the laws of ottla checked at every verdict.
#![allow(clippy::missing_panics_doc, reason = "a test's way of saying no")]

pub mod ledger;
pub mod network;
pub mod storm;
pub mod world;

pub use ledger::{Entry, Ledger, Said};
pub use network::Weather;
pub use world::{BOOTSTRAP, Dice, World};
