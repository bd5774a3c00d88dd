//! A run of everything that can go wrong, from one seed.
//!
//! The seed makes a [`Plan`], and the plan is all that the run depends on. So a plan that fails can
//! be made smaller, step by step, for as long as it fails in the same way ([`shrink`]).

mod by_input;
mod compressed;
mod coverage;
mod faults;
mod hostile;
mod losses;
mod operator;
mod plan;
mod replay;
mod run;
mod secured;
mod shrink;
mod wide;

pub use by_input::run_input;
pub use compressed::{Codecs, OF_COMPRESSION};
pub use coverage::Tally;
pub use faults::{name_of, row_of, rows};
pub use hostile::own;
pub use operator::Operator;
pub use plan::{End, Plan, Step, What};
pub use replay::{Replay, replay};
pub use run::{attempt, counted, run};
pub use secured::Login;
pub use shrink::{Broken, Shrunk, law_of, quietly, shrink};
pub use wide::{Misuse, Odd, Room};
