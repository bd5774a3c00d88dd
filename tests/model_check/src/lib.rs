//! Every order of events around one partition, as far as budgets allow: the core itself, through
//! its public face, with a tiny broker of two nodes, and the laws of ottla held in every state.
//!
//! A [`Scope`] bounds what happens, not when: so many records, so many troubles, so many times that
//! the application loses patience. A search that is complete has seen every state that those can
//! lead to in any order. In every state nothing may be twice in the log, delivered and not there,
//! not delivered and there, or out of order, and no sequence may have changed hands; from every
//! state, with all well again, every record must get its last word and one more be delivered.
//!
//! What is left out: handshakes happen at once, backoffs take no time, and which broker is dialled
//! by chance follows from the way.
#![allow(clippy::missing_panics_doc, reason = "a test's way of saying no")]

pub mod action;
pub mod broker;
pub mod broker_frames;
pub mod ledger;
pub mod possible_actions;
pub mod search;
pub mod world;

pub use action::{Action, Cost};
pub use search::{Report, Scope, Violation, search};
pub use world::World;
