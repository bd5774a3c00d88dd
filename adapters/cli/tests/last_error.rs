//! Why a line was not delivered in time: in the line, and in its JSON.

mod common;

use std::{net::TcpListener, thread};

use common::{DRIVERS, Scratch, ottla, server};
use ottla_core::wire::ErrorCode;
use ottla_model::{Action, Cluster, Fault};

/// What is wrong with a cluster of the one node 1 that leads `t`, and in which words that is told.
type Trouble = (&'static str, fn(&mut Cluster), &'static str);

fn refuse(cluster: &mut Cluster, code: ErrorCode) {
    cluster.inject(Fault::produce(Action::Reject(code)).times(u32::MAX));
}

fn at(cluster: &mut Cluster, host: &str, port: impl Into<i32>) {
    cluster.set_address(1, host, port).unwrap();
}

/// A port where nobody listens.
fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const TROUBLES: [Trouble; 10] = [
    ("disk", |c| refuse(c, ErrorCode::KAFKA_STORAGE_ERROR), "KAFKA_STORAGE_ERROR"),
    ("replicas", |c| refuse(c, ErrorCode::NOT_ENOUGH_REPLICAS), "NOT_ENOUGH_REPLICAS"),
    (
        "isr",
        |c| refuse(c, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND),
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
    ),
    ("leader", |c| c.remove_leader("t", 0).unwrap(), "LEADER_NOT_AVAILABLE"),
    ("port", |c| at(c, "127.0.0.1", 0), "port 0"),
    ("beyond", |c| at(c, "127.0.0.1", 70_000), "port 70000"),
    ("host", |c| at(c, "", 9092), "host"),
    ("name", |c| at(c, "nowhere.invalid", 9092), "does not resolve"),
    ("refused", |c| at(c, "127.0.0.1", free()), "could not be set up"),
    (
        "lost",
        |c| c.inject(Fault::produce(Action::CloseBefore).times(u32::MAX)),
        "closed the connection",
    ),
];

#[test]
fn what_stood_in_the_way_is_told_beside_the_timeout() {
    thread::scope(|scope| {
        for driver in DRIVERS {
            for trouble in &TROUBLES {
                scope.spawn(move || is_told(driver, trouble));
            }
        }
    });
}

fn is_told(driver: &str, (name, make, words): &Trouble) {
    let (server, outcomes) = (server(), Scratch::new(&format!("reason-{name}-{driver}")));
    let bootstrap = server.bootstrap_servers();
    server.with_cluster(make);
    let args = ["produce", "--topic", "t", "--bootstrap", &bootstrap, "--driver", driver];
    let mut args = [&args[..], &["--outcomes", outcomes.path()]].concat();
    let times = [
        "linger.ms=0",
        "request.timeout.ms=800",
        "delivery.timeout.ms=1500",
        "resolve.timeout.ms=500",
    ];
    args.extend(times.iter().flat_map(|property| ["--property", property]));
    let ran = ottla(&args, b"a\n");
    assert_eq!(ran.counts()[0], 0, "{name}: {ran:?}");
    let first = &outcomes.objects()[0];
    assert_eq!(first["cause"], "delivery timeout", "{name}: {first}");
    let last = first["last_error"].as_str().unwrap_or_else(|| panic!("{name}: {first}: {ran:?}"));
    assert!(last.contains(words), "{name}: {last:?} does not say {words:?}");
    let line = format!(": delivery timeout; last error: {last}\n");
    assert!(ran.stderr.contains(&line), "{name}: {ran:?}");
}

#[test]
fn what_the_cause_says_is_not_said_twice() {
    let outcomes = Scratch::new("reason-once");
    let server = server();
    server.with_cluster(|cluster| refuse(cluster, ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    let bootstrap = server.bootstrap_servers();
    let args = ["produce", "--topic", "t", "--bootstrap", &bootstrap];
    let ran = ottla(&[&args[..], &["--outcomes", outcomes.path()]].concat(), b"a\n");
    assert_eq!((ran.status, ran.counts()), (2, [0, 1, 0]), "{ran:?}");
    let first = &outcomes.objects()[0];
    assert_eq!(first["cause"], "TOPIC_AUTHORIZATION_FAILED (29)");
    assert!(first.get("last_error").is_none() && !ran.stderr.contains("last error"), "{ran:?}");
}

#[test]
fn who_was_at_fault_is_told_of_each_line() {
    for driver in DRIVERS {
        let outcomes = Scratch::new(&format!("at-fault-{driver}"));
        let server = server();
        let blame = Fault::produce(Action::Blame(vec![1, 4]));
        server.with_cluster(|cluster| cluster.inject(blame));
        let bootstrap = server.bootstrap_servers();
        let args = ["produce", "--topic", "t", "--bootstrap", &bootstrap, "--driver", driver];
        let more = ["--outcomes", outcomes.path(), "--property", "linger.ms=500"];
        let ran = ottla(&[&args[..], &more].concat(), b"a\nb\nc\nd\ne\nf\n");
        assert_eq!((ran.status, ran.counts()), (2, [0, 6, 0]), "{ran:?}");
        for verdict in outcomes.objects() {
            let line = verdict["line"].as_u64().unwrap();
            let bad = line == 2 || line == 5;
            assert_eq!(verdict["at_fault"], bad, "{verdict}");
            let message = format!("Record {} is invalid", line - 1);
            assert_eq!(verdict.get("message").is_some(), bad, "{verdict}");
            assert!(!bad || verdict["message"] == message, "{verdict}");
        }
        let told = "INVALID_RECORD (87), and this record is at fault: Record 1 is invalid\n";
        assert!(ran.stderr.contains(&format!("line 2: not delivered: {told}")), "{ran:?}");
    }
}
