//! The whole machine as an input wants it, judged by laws.
//!
//! An input is any bytes. What a fuzzer changes in them is what happens: see `ottla_scenario::Tape`. Nothing
//! here needs a fuzzer: the same inputs are run by tests, from a corpus or by chance.
#![allow(clippy::missing_panics_doc, reason = "a test's way of saying no")]

pub mod calls;
mod inputs;
mod story;

pub use inputs::{by_chance, corpus};
pub use story::{Story, Target, story};
