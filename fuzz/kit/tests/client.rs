//! The judge of clients: it finds nothing in the example client, and each fault that is planted in it.
#![cfg(unix)]
#![allow(unused_crate_dependencies, reason = "those of the library")]
#![allow(clippy::disallowed_methods, reason = "a clock is what this is about")]

use core::{net::SocketAddr, time::Duration};
use std::time::Instant;

use ottla_fuzz::{
    client::{Bounds, Broken, Episode, Law, Seen, judge, run},
    report::Severity,
};

const BOUNDS: Bounds = Bounds {
    begin_within: Duration::from_secs(20),
    calm: Duration::from_millis(200),
    storm: Duration::from_secs(5),
    recover_within: Duration::from_secs(30),
    rss_mib: 512,
    idle_per_second: 200,
};
/// The time that is allowed to find a planted fault.
const WITHIN: Duration = Duration::from_secs(110);

fn episode(seed: u64, command: &[&str]) -> (Seen, Vec<Broken>) {
    let episode = Episode {
        seed,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        nodes: 3,
        partitions: 3,
        topic: "t".to_owned(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        quiet: true,
    };
    let seen = run(&episode, BOUNDS).expect("it can be begun");
    let broken = judge(&seen, BOUNDS);
    (seen, broken)
}

fn finds(plant: &str, law: Law) {
    let begin = Instant::now();
    let command = [env!("CARGO_BIN_EXE_ottla-fuzz"), "example-client", "--plant", plant];
    for seed in 0.. {
        let (_, broken) = episode(seed, &command);
        if broken.iter().any(|broken| broken.law == law) {
            return;
        }
        assert!(begin.elapsed() < WITHIN, "{plant} is not found: {broken:?}");
    }
}

#[test]
fn a_resend_with_another_sequence_is_found() {
    finds("resequence", Law::SameSequence);
}

#[test]
fn a_false_acknowledgement_is_found() {
    finds("false-ack", Law::TruthTold);
}

#[test]
fn a_loop_without_backoff_is_found() {
    finds("spin", Law::Pace);
}

#[test]
fn in_a_sound_client_nothing_is_found() {
    for seed in 0..2 {
        let (seen, broken) = episode(seed, &[env!("CARGO_BIN_EXE_ottla-fuzz"), "example-client"]);
        let faults: Vec<_> =
            broken.iter().filter(|broken| broken.law.severity() == Severity::Fault).collect();
        assert!(faults.is_empty(), "{faults:?}");
        assert!(seen.acknowledged.len() > 20 && seen.logged.len() >= seen.acknowledged.len());
        assert!(seen.done.len() > 5, "{:?}", seen.done);
        assert!(seen.recovered_after.is_some() && seen.ends_when_asked);
        if cfg!(target_os = "linux") {
            assert!(seen.rss_mib.is_some_and(|mib| mib < 100), "{:?}", seen.rss_mib);
        }
    }
}

#[test]
fn a_client_that_ends_by_itself_is_told() {
    let script = "echo ack 0 0 x; sleep 1; exit 7";
    let (_, broken) = episode(0, &["sh", "-c", script]);
    let found = |law| broken.iter().find(|broken| broken.law == law);
    assert!(found(Law::Lives).is_some_and(|broken| broken.what.contains("status 7")), "{broken:?}");
    // What it said was not so.
    assert!(found(Law::TruthTold).is_some_and(|broken| broken.what.contains("in no log")));
}

#[test]
fn a_client_that_never_begins_is_told() {
    let bounds = Bounds { begin_within: Duration::from_millis(300), ..BOUNDS };
    let bounds =
        Bounds { storm: Duration::ZERO, recover_within: Duration::from_millis(300), ..bounds };
    let episode = Episode {
        seed: 0,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        nodes: 1,
        partitions: 1,
        topic: "t".to_owned(),
        command: ["sh", "-c", "test $OTTLA_FUZZ_BOOTSTRAP = {bootstrap} && sleep 100"]
            .map(str::to_owned)
            .to_vec(),
        quiet: true,
    };
    let seen = run(&episode, bounds).expect("it can be begun");
    let broken = judge(&seen, bounds);
    assert!(broken.iter().any(|broken| broken.law == Law::Begins), "{broken:?}");
    // The address was filled in and is in the environment, or `sh` had ended.
    assert!(broken.iter().all(|broken| broken.law != Law::Lives), "{broken:?}");
}
