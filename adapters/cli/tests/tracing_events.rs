//! What happens inside is told to `tracing`, by both drivers.

mod common;

use core::time::Duration;
use std::thread;

use common::{ALOUD, DRIVERS, Scratch, Talk, server, wait_for};
use ottla_core::wire::{ApiKey, ErrorCode};
use ottla_model::{Action, Cluster, Fault, serve::Server};

/// What happens to the cluster of the one node 1 that leads `t` before a record is sent, and which events tell of
/// it.
type Happening = (&'static str, fn(&mut Cluster), &'static [&'static str]);

fn reject(cluster: &mut Cluster, code: ErrorCode) {
    cluster.inject(Fault::produce(Action::Reject(code)).times(1));
}

const HAPPENINGS: [Happening; 6] = [
    ("nothing", |_| {}, &["producer id id=", "versions produce="]),
    (
        "retry",
        |c| reject(c, ErrorCode::NOT_ENOUGH_REPLICAS),
        &["trying again topic=\"t\" partition=0 code=NOT_ENOUGH_REPLICAS (19)"],
    ),
    (
        "refusal",
        |c| reject(c, ErrorCode::INVALID_RECORD),
        &[
            "the leader refuses a batch topic=\"t\" partition=0 code=INVALID_RECORD (87)",
            "not delivered: INVALID_RECORD (87) topic=\"t\"",
            "a new epoch begins topic=\"t\" partition=0 epoch=1",
        ],
    ),
    (
        "fence",
        |c| reject(c, ErrorCode::INVALID_PRODUCER_EPOCH),
        &["fenced topic=\"t\" partition=0 code=INVALID_PRODUCER_EPOCH (47)"],
    ),
    (
        "desync",
        |c| reject(c, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER),
        &["the leader expects another sequence topic=\"t\" partition=0", "a new epoch begins"],
    ),
    (
        "throttle",
        |c| c.set_throttle(1, Duration::from_millis(200)).unwrap(),
        &["the broker throttles this client node_id=1 by=200ms"],
    ),
];

#[test]
fn what_happens_inside_is_told_to_tracing() {
    thread::scope(|scope| {
        for driver in DRIVERS {
            for happening in &HAPPENINGS {
                scope.spawn(move || is_told(driver, happening));
            }
        }
    });
}

fn is_told(driver: &str, (name, make, events): &Happening) {
    let server = server();
    server.with_cluster(make);
    let bootstrap = server.bootstrap_servers();
    let args = ["produce", "--topic", "t", "--bootstrap", &bootstrap, "--driver", driver];
    let args = [&args[..], &["--property", "linger.ms=0"]].concat();
    let mut talk = Talk::start(&args, &ALOUD);
    talk.say("a");
    talk.hear(events[0]);
    // What was refused is over, and this is what follows.
    talk.say("b");
    let ran = talk.end();
    for event in *events {
        assert!(ran.stderr.contains(event), "{driver}, {name}: no {event:?} in\n{}", ran.stderr);
    }
}

/// Something that happens to records one after the other, and the events that tell of it.
type Story = (&'static str, fn(&mut Told<'_>), &'static [&'static str]);

/// A run of the command that reports the outcome of each line.
struct Told<'a> {
    server: &'a Server,
    talk: Talk,
    outcomes: &'a Scratch,
    said: usize,
}

impl Told<'_> {
    fn say(&mut self) {
        self.talk.say("a");
        self.said += 1;
    }

    /// Waits for an outcome for each line.
    fn hear(&self) {
        wait_for("an outcome for each line", || self.outcomes.lines() >= self.said);
    }

    /// Says lines one by one, each with its outcome before the next.
    fn tell(&mut self, lines: usize) {
        for _ in 0..lines {
            self.say();
            self.hear();
        }
    }

    fn cluster(&self, act: impl FnOnce(&mut Cluster)) {
        self.server.with_cluster(act);
    }

    /// Says a line that comes into the log, of which no answer comes back until the faults are cleared.
    fn say_unanswered(&mut self) {
        let end = |cluster: &mut Cluster| cluster.end_offset("t", 0);
        let before = self.server.with_cluster(end);
        self.cluster(|cluster| {
            cluster.inject(Fault::produce(Action::Swallow).times(u32::MAX));
        });
        self.say();
        wait_for("the line is in the log", || self.server.with_cluster(end) > before);
    }
}

const STORIES: [Story; 6] = [
    (
        "leader",
        |told| {
            told.cluster(|cluster| cluster.remove_leader("t", 0).unwrap());
            told.say();
            told.talk.hear("the partition has no leader");
            told.cluster(|cluster| cluster.move_leader("t", 0, 1).unwrap());
            told.hear();
        },
        &[
            "the partition has no leader topic=\"t\" partition=0 code=LEADER_NOT_AVAILABLE (5)",
            "another leader topic=\"t\" partition=0 node_id=1",
        ],
    ),
    (
        "cut",
        // With all of it the broker forgets the producer, and takes what comes.
        |told| {
            told.tell(2);
            told.cluster(|cluster| cluster.truncate("t", 0, 0).unwrap());
            told.tell(1);
        },
        &["the log was cut below what was acknowledged topic=\"t\" partition=0"],
    ),
    (
        "lost",
        // It still knows of the first, and that the second is missing.
        |told| {
            told.tell(2);
            told.cluster(|cluster| cluster.truncate("t", 0, 1).unwrap());
            told.tell(1);
        },
        &[
            "the leader expects another sequence topic=\"t\" partition=0",
            "a new epoch begins topic=\"t\" partition=0 epoch=1",
        ],
    ),
    (
        "in doubt",
        // What may be in the log, the leader takes for a stranger's.
        |told| {
            told.tell(1);
            told.cluster(|cluster| {
                reject(cluster, ErrorCode::REQUEST_TIMED_OUT);
                let stranger = Action::Reject(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
                cluster.inject(Fault::produce(stranger).times(3));
            });
            told.tell(1);
        },
        &[
            "the leader lost its record of this producer topic=\"t\" partition=0",
            "not known whether delivered: the broker lost its record of this producer",
        ],
    ),
    (
        "forgotten",
        |told| {
            told.tell(1);
            told.say_unanswered();
            told.cluster(|cluster| {
                cluster.forget_producers("t", 0).unwrap();
                cluster.clear_faults();
            });
            told.hear();
        },
        &[
            "the leader may have forgotten this producer topic=\"t\" partition=0",
            "not known whether delivered: the broker may have forgotten this producer by now",
        ],
    ),
    (
        "late",
        |told| {
            told.say_unanswered();
            told.hear();
            told.cluster(Cluster::clear_faults);
            // The first word was `Unknown`, the second is the last.
            wait_for("a final outcome", || told.outcomes.lines() == 2);
        },
        &[
            "not known whether delivered: delivery timeout",
            "final outcome topic=\"t\" partition=0 late=1 outcome=Delivered",
        ],
    ),
];

/// Nobody may produce from the start, since the command asks for a producer id before it has a line.
fn refuse_producer_ids(cluster: &mut Cluster) {
    let refused = Action::Reject(ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
    cluster.inject(Fault::new(ApiKey::INIT_PRODUCER_ID, refused).times(u32::MAX));
}

const GRANTED: Story = (
    "granted",
    |told| {
        told.tell(1);
        told.cluster(Cluster::clear_faults);
        let mut delivered = || {
            told.tell(1);
            told.server.with_cluster(|cluster| cluster.end_offset("t", 0) > 0)
        };
        wait_for("a line is delivered", &mut delivered);
    },
    &["no record can be sent why=not authorized", "there is a producer id: records can be sent"],
);

#[test]
fn what_a_broker_loses_and_what_is_known_late_is_told_to_tracing() {
    thread::scope(|scope| {
        for driver in DRIVERS {
            for story in &STORIES {
                scope.spawn(move || is_told_of(driver, story, |_| {}));
            }
            scope.spawn(move || is_told_of(driver, &GRANTED, refuse_producer_ids));
        }
    });
}

fn is_told_of(driver: &str, (name, play, events): &Story, before: impl FnOnce(&mut Cluster)) {
    let (server, outcomes) = (server(), Scratch::new(&format!("story-{name}-{driver}")));
    server.with_cluster(before);
    let bootstrap = server.bootstrap_servers();
    let args = ["produce", "--topic", "t", "--bootstrap", &bootstrap, "--driver", driver];
    let mut args = [&args[..], &["--outcomes", outcomes.path()]].concat();
    let properties = [
        "linger.ms=0",
        "request.timeout.ms=300",
        "delivery.timeout.ms=1500",
        "retry.backoff.ms=20",
    ];
    args.extend(properties.iter().flat_map(|property| ["--property", property]));
    let talk = Talk::start(&args, &ALOUD);
    let mut told = Told { server: &server, talk, outcomes: &outcomes, said: 0 };
    play(&mut told);
    let ran = told.talk.end();
    for event in *events {
        assert!(ran.stderr.contains(event), "{driver}, {name}: no {event:?} in\n{}", ran.stderr);
    }
}
