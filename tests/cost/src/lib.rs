//! What the core's steps cost: each is a [`Case`], which `benches/core.rs` times and
//! `scripts/cost` counts the instructions of.

#![forbid(unsafe_code)]

mod case;
mod rig;

pub use case::{CASES, Case, Work, measured};
pub use rig::{NOW, Rig, Shape};
