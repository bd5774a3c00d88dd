//! A broker that is stopped (SIGSTOP) holds nobody up: deadlines are met, cancels return at once, and
//! the truth comes when it goes on.
//!
//! No duration is judged by itself: each is checked against a bare timer, or a bare channel, of the same
//! round, which a busy machine holds up as well.
#![allow(clippy::disallowed_methods, reason = "the clock is only forbidden in the core")]

mod judge;
mod tasks;
mod threads;

use core::time::Duration;
use std::time::Instant;

use judge::Round;
use ottla_client::{CloseReport, Record, RecordOutcome, Stats};

use ottla_interop::{Adapter, Message, cluster, version};
use ottla_kafka::Cluster;

const PARTITIONS: u32 = 6;
/// Records that get through before, so that each partition may have more than one batch in flight.
const WARM: u32 = 2 * PARTITIONS;
/// Each is met by an answer.
const DEADLINES: usize = 200;
const DEADLINE: Duration = Duration::from_millis(1000);
const LIMIT: Duration = Duration::from_secs(60);
/// Before each call of the second half that is measured, so that whoever they wake has gone to
/// sleep, and the caches are full of other things.
const BREATH: Duration = Duration::from_millis(1);
/// The first round that meets the bounds ends the test.
const ROUNDS: u32 = 3;

/// What is done while the broker stands still, in turn.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Sends the next message with a deadline, and starts a bare timer.
    Deadline,
    /// Sends the next message, to be cancelled when all deadlines are over.
    Cancel,
    /// Lets a request leave, or not.
    Pause(Duration),
}

/// Five waves, each of which leaves as a request of its own, since so many may be in flight; then
/// others, which cannot leave any more.
fn script() -> Vec<Step> {
    let mut steps = Vec::new();
    for _ in 0..5 {
        for _ in 0..20 {
            steps.extend([Step::Deadline, Step::Cancel]);
        }
        steps.push(Step::Pause(Duration::from_millis(20)));
    }
    for _ in 0..100 {
        steps.push(Step::Deadline);
        steps.extend([Step::Cancel; 4]);
        steps.push(Step::Pause(Duration::from_millis(5)));
    }
    steps
}

/// What an adapter needs for a round.
struct Stage<'a> {
    cluster: &'a Cluster,
    bootstrap: &'a str,
    topic: &'a str,
}

/// What became of a message.
#[derive(Debug)]
struct Answer {
    /// When it was to have an answer, if it had a deadline.
    due: Option<Instant>,
    answered: Instant,
    first: RecordOutcome,
    /// The final outcome, where the first was `Unknown`.
    late: Option<RecordOutcome>,
}

/// How long cancels took, and round trips to another task or thread, each after a cancel.
#[derive(Debug, Default)]
struct Pairs {
    cancels: Vec<Duration>,
    trips: Vec<Duration>,
}

/// What a round brought.
#[derive(Debug)]
struct Heat {
    /// Of the messages, in the order in which they were sent.
    answers: Vec<Answer>,
    /// How late bare timers were.
    timers: Vec<Duration>,
    /// One right after the other, and after a breath.
    pairs: [Pairs; 2],
    stats: Stats,
    close: CloseReport,
}

impl Stage<'_> {
    fn freeze(&self) {
        self.cluster.freeze(1).unwrap();
    }

    fn thaw(&self) {
        self.cluster.thaw(1).unwrap();
    }

    fn run(&self, adapter: Adapter) -> Heat {
        match adapter {
            Adapter::Tokio => tasks::run(self),
            Adapter::Blocking => threads::run(self),
        }
    }
}

/// Unlike any other: none is a part of what else is on the wire.
fn message(index: u32) -> Message {
    let mut value = [0; 32];
    fastrand::Rng::with_seed(u64::from(index) ^ 0xF0F0_5EED).fill(&mut value);
    Message {
        partition: Some((index % PARTITIONS).cast_signed()),
        value: Some(value.to_vec()),
        ..Message::default()
    }
}

/// It has no other parts.
fn record(message: &Message) -> Record<'_> {
    let value = message.value.as_deref();
    Record { partition: message.partition, value, ..Record::default() }
}

#[test]
#[ignore = "needs Java and Maven"]
fn deadlines_are_met_while_the_broker_is_frozen() {
    let cluster = cluster(1).unwrap();
    let lenient = std::env::var_os("OTTLA_DURATIONS_TOLD_ONLY").is_some();
    println!("Kafka {}: {DEADLINES} deadlines of {DEADLINE:?}", version());
    for adapter in Adapter::ALL {
        for number in 1..=ROUNDS {
            let round = Round::run(&cluster, adapter, number);
            println!("{round}");
            if round.is_prompt() {
                break;
            }
            println!("{adapter}: that was not within the bounds");
            // Where durations are told only, what was said is judged all the same.
            assert!(
                number < ROUNDS || lenient,
                "{adapter}: no round of {ROUNDS} was within the bounds"
            );
        }
    }
}
