//! Sequences of requests to a broker, and judges of what it does with them.
//!
//! A [`Plan`] is what is asked, made from a seed; [`Session`] asks it and takes down the [`Transcript`]; [`judge`] holds
//! that against the laws, and [`differences`] against what another broker did. What is found is asked again and again with
//! fewer steps, and told as a story.

mod differ;
mod fuzz;
mod judge;
mod law;
mod plan;
mod session;
mod shrink;
mod story;
mod transcript;

pub use differ::{Difference, differences};
pub use fuzz::{Bounds, Brokers, Fuzzed, fuzz, replay};
pub use judge::judge;
pub use law::{Broken, Law};
pub use plan::{Flaw, Kinds, Move, Plan, Produce, Step};
pub use session::Session;
pub use shrink::shrink;
pub use story::story;
pub use transcript::{Asked, Logged, Outcome, Transcript, Wrong};
