//! Any calls of a producer, in any order, as an input says.
//!
//! The caller is careless: ids are stale or another producer's, times go back, more bytes are reported than
//! there were, and the codec says what it likes. At times it is careful, so that runs come far: then all that
//! can be done is done, and time goes on from timer to timer. Peers are nodes of the model, which answer the
//! requests that were really sent, and lie, refuse, throttle and spoil their answers as the input says.
//!
//! Laws, of which a run that breaks one panics:
//!
//! - no call panics, and the core's slots agree with each other;
//! - the outputs of a call are bounded, and when they are drained there is none;
//! - each record gets one last word, by its deadline where time is told, and none before its batch's;
//! - nothing comes after `Closed`, no timer either, and `Closed` comes by its deadline;
//! - no more slots and pages are in use than were lent;
//! - whoever is dialled has an address;
//! - a connection that is throttled is not asked;
//! - at one instant the core comes to rest, and it does not wake more often than there are things to wake for.

mod act;
mod careful;
mod foreign;
mod laws;
mod machine;
mod peers;
mod room;
mod scene;

use ottla_scenario::{Tape, trace::Recorder};

use machine::Machine;
use room::Room;
use scene::Scene;

/// How many calls a run has at most; some of them are many at a time.
const CALLS: usize = 400;

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// The producer was made: neither configuration nor memory were refused.
    pub made: bool,
    /// Calls that were chosen.
    pub calls: u64,
    /// Records that were taken.
    pub records: u64,
    /// Those of them that were delivered.
    pub delivered: u64,
    /// Those that were not.
    pub not_delivered: u64,
    /// Those of which it is not known.
    pub unknown: u64,
    /// Requests written.
    pub requests: u64,
    /// Connections opened.
    pub connections: u64,
}

impl Tally {
    /// Adds what another run came to.
    pub const fn add(&mut self, other: &Self) {
        self.made |= other.made;
        self.calls += other.calls;
        self.records += other.records;
        self.delivered += other.delivered;
        self.not_delivered += other.not_delivered;
        self.unknown += other.unknown;
        self.requests += other.requests;
        self.connections += other.connections;
    }
}

/// Runs an input; what happens is put into the trace, if there is one.
///
/// # Panics
///
/// Where a law is broken.
pub fn run(input: &[u8], trace: Option<Recorder>) -> Tally {
    let mut dice = Tape::new(input);
    let scene = Scene::of(&mut dice);
    let mut room = Room::of(&mut dice, &scene.config);
    let lent = room.lent();
    let Some(memory) = room.memory() else { return Tally::default() };
    let Some(mut machine) = Machine::new(&scene, lent, memory, dice, trace) else {
        return Tally::default();
    };
    let mut calls = 0;
    while !machine.dice.is_over() && calls < CALLS {
        machine.act();
        machine.check();
        calls += 1;
    }
    machine.end();
    machine.tally(calls as u64)
}
