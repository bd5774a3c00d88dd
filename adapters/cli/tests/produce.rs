//! What `ottla produce` tells of lines, against the model broker.

mod common;

use core::time::Duration;
use std::{
    io::{BufRead, BufReader, Write},
    process::Command,
};

use common::{DRIVERS, Scratch, ended, ottla, server, spawn};
use ottla_core::wire::ErrorCode;
use ottla_model::{Action, Fault};
use serde_json::json;

const GREETINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/greetings.txt");

#[test]
fn without_arguments_for_it_a_broker_is_inside() {
    for driver in DRIVERS {
        let ran = ottla(
            &[
                "produce",
                "--topic",
                "g",
                "--file",
                GREETINGS,
                "--key-separator",
                ":",
                "--driver",
                driver,
            ],
            b"",
        );
        assert_eq!((ran.status, ran.counts()), (0, [20, 0, 0]), "{ran:?}");
        assert!(ran.stderr.contains("a model broker inside listens on 127.0.0.1:"), "{ran:?}");
        assert_eq!(ran.stdout.lines().count(), 20, "{ran:?}");
        assert!(ran.stdout.lines().all(|line| line.starts_with("line ")), "{ran:?}");
        assert!(ran.stdout.contains(" -> g-0 @ offset 0\n"), "{ran:?}");
    }
}

#[test]
fn what_is_shown_is_bounded() {
    let lines = "x\n".repeat(1000);
    let ran = ottla(&["produce", "--topic", "t"], lines.as_bytes());
    assert_eq!((ran.status, ran.counts()), (0, [1000, 0, 0]), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 51, "{ran:?}");
    assert!(ran.stdout.ends_with("… and 950 more\n"), "{ran:?}");
    let ran = ottla(&["produce", "--topic", "t", "--quiet"], b"x\n");
    assert_eq!((ran.status, ran.stdout.as_str(), ran.stderr.lines().count()), (0, "", 1));
}

#[test]
fn bytes_arrive_as_they_are() {
    for driver in DRIVERS {
        let server = server();
        let bootstrap = server.bootstrap_servers();
        let args = ["produce", "--topic", "t", "--bootstrap", &bootstrap, "--driver", driver];
        let args = [&args[..], &["--key-separator", "::"]].concat();
        let ran = ottla(&args, b"k::v::w\r\n\n::\xff\xfe\nlast");
        assert_eq!((ran.status, ran.counts()), (0, [4, 0, 0]), "{ran:?}");
        server.with_cluster(|cluster| {
            let records: Vec<_> =
                cluster.log("t", 0).map(|record| (record.key, record.value)).collect();
            let want = [
                (Some(&b"k"[..]), Some(&b"v::w\r"[..])),
                (None, Some(b"")),
                (Some(b""), Some(b"\xff\xfe")),
                (None, Some(b"last")),
            ];
            assert_eq!(records, want);
        });
    }
}

#[test]
fn each_verdict_is_one_object() {
    let (server, outcomes) = (server(), Scratch::new("objects"));
    let bootstrap = server.bootstrap_servers();
    let ran = ottla(
        &["produce", "--topic", "t", "--bootstrap", &bootstrap, "--outcomes", outcomes.path()],
        b"a\nb\n",
    );
    assert_eq!((ran.status, ran.stdout.as_str()), (0, ""), "{ran:?}");
    let mut objects = outcomes.objects();
    for object in &mut objects {
        assert!(object.as_object_mut().unwrap().remove("elapsed_us").unwrap().is_u64());
    }
    let want = |line: u64, offset: i64| json!({"line": line, "verdict": "delivered", "late": false, "partition": 0, "offset": offset});
    assert_eq!(objects, [want(1, 0), want(2, 1)]);
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_rest_goes_on() {
    for driver in DRIVERS {
        let outcomes = Scratch::new(&format!("long-{driver}"));
        let input = format!("a\n{}\n{}\nb\n", "x".repeat(5000), "y".repeat(1999));
        let ran = ottla(
            &[
                "produce",
                "--topic",
                "t",
                "--outcomes",
                outcomes.path(),
                "--driver",
                driver,
                "--property",
                "max.request.size=2000",
                "--property",
                "batch.size=1000",
            ],
            input.as_bytes(),
        );
        assert_eq!((ran.status, ran.counts()), (2, [2, 2, 0]), "{ran:?}");
        let objects = outcomes.objects();
        let of = |line: u64| objects.iter().find(|object| object["line"] == line).unwrap();
        for (line, size) in [(2, "5000"), (3, "bytes")] {
            assert_eq!(of(line)["verdict"], "not_delivered");
            let cause = of(line)["cause"].as_str().unwrap();
            assert!(cause.contains(size) && cause.contains("larger than the"), "{cause}");
        }
        assert!(ran.stderr.contains("line 2: not delivered: record of 5000 bytes"), "{ran:?}");
    }
}

#[test]
fn what_the_broker_refuses_is_not_delivered() {
    let server = server();
    let refuse = Action::Reject(ErrorCode::TOPIC_AUTHORIZATION_FAILED);
    server.with_cluster(|cluster| cluster.inject(Fault::produce(refuse)));
    let bootstrap = server.bootstrap_servers();
    let ran = ottla(&["produce", "--topic", "t", "--bootstrap", &bootstrap], b"a\n");
    assert_eq!((ran.status, ran.counts()), (2, [0, 1, 0]), "{ran:?}");
    assert!(ran.stderr.contains("TOPIC_AUTHORIZATION_FAILED"), "{ran:?}");
}

#[test]
fn a_deadline_is_answered_at_once_and_the_truth_comes_later() {
    for driver in DRIVERS {
        let (server, outcomes) = (server(), Scratch::new(&format!("late-{driver}")));
        let hold = Action::Hold(Duration::from_millis(900));
        server.with_cluster(|cluster| cluster.inject(Fault::produce(hold)));
        let bootstrap = server.bootstrap_servers();
        let ran = ottla(
            &[
                "produce",
                "--topic",
                "t",
                "--bootstrap",
                &bootstrap,
                "--driver",
                driver,
                "--deadline",
                "300",
                "--outcomes",
                outcomes.path(),
            ],
            b"a\n",
        );
        assert_eq!((ran.status, ran.counts()), (0, [1, 0, 0]), "{ran:?}");
        let objects = outcomes.objects();
        let told: Vec<_> = objects
            .iter()
            .map(|object| (object["verdict"].as_str().unwrap(), object["late"].as_bool().unwrap()))
            .collect();
        assert_eq!(told, [("unknown", false), ("delivered", true)]);
        let elapsed = objects[0]["elapsed_us"].as_u64().unwrap();
        assert!((250_000..800_000).contains(&elapsed), "{elapsed}");
        assert_eq!((&objects[0]["cause"], &objects[1]["offset"]), (&json!("deadline"), &json!(0)));
    }
}

#[test]
fn what_cannot_be_known_is_unknown() {
    for driver in DRIVERS {
        let server = server();
        server.with_cluster(|cluster| cluster.inject(Fault::produce(Action::Freeze)));
        let bootstrap = server.bootstrap_servers();
        let ran = ottla(
            &[
                "produce",
                "--topic",
                "t",
                "--bootstrap",
                &bootstrap,
                "--driver",
                driver,
                "--property",
                "delivery.timeout.ms=600",
                "--property",
                "request.timeout.ms=500",
            ],
            b"a\n",
        );
        assert_eq!((ran.status, ran.counts()), (3, [0, 0, 1]), "{ran:?}");
        assert!(ran.stderr.contains("line 1: not known whether delivered: "), "{ran:?}");
    }
}

#[test]
fn what_is_not_settled_in_time_is_unknown_for_good() {
    for driver in DRIVERS {
        let (server, outcomes) = (server(), Scratch::new(&format!("settle-{driver}")));
        server.with_cluster(|cluster| cluster.inject(Fault::produce(Action::Freeze)));
        let bootstrap = server.bootstrap_servers();
        let args = ["produce", "--topic", "t", "--bootstrap", &bootstrap, "--driver", driver];
        let more = ["--deadline", "1500", "--settle", "200", "--outcomes", outcomes.path()];
        let ran = ottla(&[&args[..], &more].concat(), b"a\n");
        assert_eq!((ran.status, ran.counts()), (3, [0, 0, 1]), "{ran:?}");
        assert_eq!(told(&outcomes), ["unknown: deadline", "unknown (late): closed"]);
    }
}

#[test]
fn who_abandons_is_told_so() {
    for driver in DRIVERS {
        let (server, outcomes) = (server(), Scratch::new(&format!("abandon-{driver}")));
        server.with_cluster(|cluster| cluster.inject(Fault::produce(Action::Freeze)));
        let bootstrap = server.bootstrap_servers();
        let args = ["produce", "--topic", "t", "--bootstrap", &bootstrap, "--driver", driver];
        let times = ["delivery.timeout.ms=600", "request.timeout.ms=500"];
        let times = ["--property", times[0], "--property", times[1]];
        let more = ["--on-unknown", "abandon", "--outcomes", outcomes.path()];
        let ran = ottla(&[&args[..], &times, &more].concat(), b"a\n");
        assert_eq!((ran.status, ran.counts()), (3, [0, 0, 1]), "{ran:?}");
        // Of one word, or of two where the first was told before the request was given up.
        let told = told(&outcomes);
        assert!(told.iter().all(|told| told.starts_with("unknown")), "{told:?}");
        assert!(told.last().unwrap().ends_with(": abandoned"), "{told:?}");
    }
}

/// Verdicts and their causes.
fn told(outcomes: &Scratch) -> Vec<String> {
    let objects = outcomes.objects();
    let words = objects.iter().map(|object| {
        let text = |name: &str| object[name].as_str().unwrap_or("none").to_owned();
        let late = if object["late"] == true { " (late)" } else { "" };
        format!("{}{late}: {}", text("verdict"), text("cause"))
    });
    words.collect()
}

#[test]
fn more_lines_than_memory_go_through() {
    let line = format!("{}\n", "x".repeat(1000));
    for driver in DRIVERS {
        let ran = ottla(
            &[
                "produce",
                "--topic",
                "t",
                "--quiet",
                "--driver",
                driver,
                "--property",
                "buffer.memory=131072",
                "--property",
                "max.request.size=65536",
            ],
            line.repeat(3000).as_bytes(),
        );
        assert_eq!((ran.status, ran.counts()), (0, [3000, 0, 0]), "{ran:?}");
    }
}

#[test]
fn lines_come_at_the_rate_asked_for() {
    let ran = ottla(&["produce", "--topic", "t", "--rate", "20"], b"1\n2\n3\n4\n5\n");
    assert_eq!((ran.status, ran.counts()), (0, [5, 0, 0]), "{ran:?}");
    let elapsed = ran.stderr.split("elapsed_s=").nth(1).unwrap();
    let elapsed: f64 = elapsed.split(' ').next().unwrap().parse().unwrap();
    assert!((0.19..2.0).contains(&elapsed), "{elapsed}");
}

#[test]
fn an_interrupt_ends_the_reading_and_the_summary_comes() {
    for driver in DRIVERS {
        let mut child = spawn(&["produce", "--topic", "t", "--driver", driver]);
        // Kept open, so that only the signal can end it.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"a\nb\n").unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert!(line.starts_with("line 1 -> t-"), "{line}");
        interrupt(child.id());
        let ran = ended(child.wait_with_output().unwrap());
        assert_eq!((ran.status, ran.counts()), (0, [2, 0, 0]), "{ran:?}");
        drop(stdin);
    }
}

#[test]
fn an_interrupt_ends_the_wait_for_a_topic() {
    for driver in DRIVERS {
        let mut child =
            spawn(&["produce", "--topic", "t", "--bootstrap", "127.0.0.1:1", "--driver", driver]);
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"a\nb\n").unwrap();
        std::thread::sleep(Duration::from_millis(500));
        interrupt(child.id());
        let ran = ended(child.wait_with_output().unwrap());
        assert_eq!((ran.status, ran.counts()), (2, [0, 1, 0]), "{ran:?}");
        assert!(ran.stderr.contains("interrupted"), "{ran:?}");
        drop(stdin);
    }
}

fn interrupt(process: u32) {
    let killed = Command::new("kill").args(["-INT", &process.to_string()]).status();
    assert!(killed.unwrap().success());
}
