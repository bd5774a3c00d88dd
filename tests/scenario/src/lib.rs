//! The simulator: the core against model brokers, with the laws of ottla checked at every verdict.
#![allow(clippy::missing_panics_doc, reason = "a test's way of saying no")]

pub mod codec;
pub mod dice;
pub mod ledger;
pub mod unavoidable_duplicates;

pub mod login;
pub mod network;
pub mod raw_client;
pub mod storm;
pub mod tap;
pub mod trace;
pub mod world;
mod world_shorthands;

pub use codec::{CodecService, codec_of};
pub use dice::{Dice, Random, Tape};
pub use ledger::{Entry, Laws, Ledger, Said};
pub use login::{PASSWORD, TokenService, USER};
pub use network::Weather;
pub use tap::{Sent, Tap};
pub use unavoidable_duplicates::{Excuses, Hindsight};
pub use world::{BOOTSTRAP, Dated, Shape, World};
pub use world_shorthands::{Row, quick};
