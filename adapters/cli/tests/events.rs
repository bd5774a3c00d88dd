//! What happens inside is told to `tracing`, by both drivers.

mod common;

use core::time::Duration;
use std::thread;

use common::{DRIVERS, ottla_aloud, server};
use ottla_core::wire::ErrorCode;
use ottla_model::{Action, Cluster, Fault};

/// What happens to the cluster of the one node 1 that leads `t` before a record is sent, and which events tell of
/// it.
type Happening = (&'static str, fn(&mut Cluster), &'static [&'static str]);

fn reject(cluster: &mut Cluster, code: ErrorCode) {
    cluster.inject(Fault::produce(Action::Reject(code)).times(1));
}

const HAPPENINGS: [Happening; 7] = [
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
    (
        "leader",
        |c| c.remove_leader("t", 0).unwrap(),
        &[
            "the partition has no leader topic=\"t\" partition=0 code=LEADER_NOT_AVAILABLE (5)",
            "another leader topic=\"t\" partition=0 node_id=1",
        ],
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
    let ran = thread::scope(|scope| {
        let run = scope.spawn(|| ottla_aloud(&args, &[b"a\n", b"b\n"]));
        thread::sleep(Duration::from_millis(400));
        server.with_cluster(|cluster| cluster.move_leader("t", 0, 1)).unwrap();
        run.join().unwrap()
    });
    for event in *events {
        assert!(ran.stderr.contains(event), "{driver}, {name}: no {event:?} in\n{}", ran.stderr);
    }
}
