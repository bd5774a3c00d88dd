//! The judge of brokers: it finds nothing in the model, and each fault that is planted in it.
#![allow(unused_crate_dependencies, reason = "those of the library")]

use core::{net::SocketAddr, time::Duration};

use ottla_fuzz::{
    broker::{Bounds, Brokers, Fuzzed, Kinds, Plan, Session, fuzz, replay},
    messages::{Struct, api},
    peer::{Manners, Peer, Ranges},
    report::Severity,
};
use ottla_model::{ClusterConfig, Duplicates, Planted, serve::Server};

const MANNERS: Manners = Manners { answer_within: Duration::from_secs(5), may_be_remote: false };
const ALL: Kinds = Kinds { chains: true, valid: true, spoilt: true };
const CHAINS: Kinds = Kinds { chains: true, valid: false, spoilt: false };
/// The time that is allowed to find a planted fault; each is found in a fraction of a second.
const BOUNDS: Bounds = Bounds {
    sequences: 1_000,
    time: Duration::from_secs(110),
    steps: 30,
    shrink_runs: 200,
    shrink_time: Duration::from_secs(20),
    findings: 1,
};

fn model(config: ClusterConfig) -> Server {
    Server::start(&[SocketAddr::from(([127, 0, 0, 1], 0))], config).expect("a free port")
}

fn faulty(planted: Planted) -> Server {
    model(ClusterConfig {
        planted: Some(planted),
        default_partitions: 2,
        ..ClusterConfig::to_serve()
    })
}

fn sound() -> Server {
    model(ClusterConfig { default_partitions: 2, ..ClusterConfig::to_serve() })
}

fn session(server: &Server, ranges: Option<&Ranges>) -> Session {
    let peer = Peer::new(&server.bootstrap_servers(), "model", MANNERS).expect("it answers");
    let ranges = ranges.unwrap_or(peer.ranges()).clone();
    Session::new(peer, "fuzz", 2, ranges, MANNERS.answer_within).expect("topics")
}

fn alone(server: &Server, kinds: Kinds, bounds: Bounds) -> Fuzzed {
    let mut one = session(server, None);
    fuzz(Brokers { one: &mut one, other: None }, 0, kinds, bounds, |_| {}).expect("it answers")
}

fn finds(server: &Server, law: &str, most_steps: usize) {
    let fuzzed = alone(server, CHAINS, BOUNDS);
    let [found] = &fuzzed.findings[..] else {
        panic!("found {:?}", fuzzed.findings);
    };
    assert_eq!(found.severity, Severity::Fault, "{}", found.text(1));
    assert!(found.signature.starts_with(law), "{}", found.text(1));
    assert!(found.steps.1 <= most_steps, "{}", found.text(1));
    // What was found is found again by its plan alone.
    let plan: Plan = serde_json::from_value(found.plan.clone()).expect("a plan");
    let mut one = session(server, None);
    let again = replay(Brokers { one: &mut one, other: None }, vec![plan], BOUNDS, |_| {});
    assert_eq!(again.expect("it answers").findings[0].signature, found.signature);
}

#[test]
fn a_duplicate_that_is_accepted_is_found() {
    finds(&faulty(Planted::DuplicateAppended), "appended-once", 2);
}

#[test]
fn a_gap_that_is_accepted_is_found() {
    finds(&faulty(Planted::GapAppended), "sequences-follow", 2);
}

#[test]
fn a_wrong_offset_is_found() {
    finds(&faulty(Planted::WrongOffset), "acknowledged-is-there", 1);
}

#[test]
fn in_the_model_nothing_is_found() {
    let bounds = Bounds { sequences: 30, findings: 100, ..BOUNDS };
    let fuzzed = alone(&sound(), ALL, bounds);
    assert_eq!(fuzzed.sequences, 30);
    assert!(fuzzed.requests > 700, "{}", fuzzed.requests);
    assert!(fuzzed.spoilt.len() > 30 && fuzzed.batches.len() > 15, "{fuzzed:?}");
    let acknowledged: u64 = fuzzed.batches.values().map(|(_, acknowledged)| acknowledged).sum();
    assert!(acknowledged > 100, "{fuzzed:?}");
    for found in &fuzzed.findings {
        // A codec that is none ends in an exception, as it does in Kafka.
        assert_eq!(found.severity, Severity::Note, "{}", found.text(1));
    }
}

#[test]
fn two_models_do_the_same_and_one_that_is_no_kafka_does_not() {
    let bounds = Bounds { sequences: 20, ..BOUNDS };
    let differs = |other: &Server| {
        let server = sound();
        let mut one = session(&server, None);
        let mut other = session(other, None);
        let brokers = Brokers { one: &mut one, other: Some(&mut other) };
        let found = fuzz(brokers, 0, CHAINS, bounds, |_| {}).expect("both answer").findings;
        found.into_iter().find(|found| found.severity == Severity::Difference)
    };
    let same = Bounds { findings: 100, ..bounds };
    let (one, other) = (sound(), sound());
    let (mut one, mut other) = (session(&one, None), session(&other, None));
    let brokers = Brokers { one: &mut one, other: Some(&mut other) };
    let found = fuzz(brokers, 0, ALL, same, |_| {}).expect("both answer").findings;
    assert!(found.iter().all(|found| found.severity == Severity::Note), "{found:?}");
    let duplicates = Duplicates::OutOfOrder;
    let config = ClusterConfig { duplicates, default_partitions: 2, ..ClusterConfig::to_serve() };
    let found = differs(&model(config)).expect("a difference");
    assert!(found.what.contains("OUT_OF_ORDER") && found.steps.1 <= 2, "{}", found.text(1));
}

#[test]
fn the_models_logs_are_read_in_each_version_of_fetch() {
    let server = sound();
    let fetch = api("Fetch").expect("the table has it");
    for version in 4..=11 {
        let mut peer =
            Peer::new(&server.bootstrap_servers(), "model", MANNERS).expect("it answers");
        let node = peer.seed();
        let told = peer.ask(fetch, version, Struct::default(), node, 0).expect("it is read");
        assert_eq!(told.structs("topics").count(), 0);
    }
}

#[test]
fn a_broker_on_another_machine_is_left_alone() {
    let refused = Peer::new("192.0.2.1:9092", "x", MANNERS).expect_err("it is not loopback");
    assert!(refused.to_string().contains("--it-is-mine"), "{refused}");
}

#[test]
fn a_broker_that_advertises_another_machine_is_left_alone() {
    let server = sound();
    server.with_cluster(|cluster| cluster.set_address(1, "192.0.2.1", 9092)).expect("a node");
    let refused = Peer::new(
        &server.bootstrap_servers().replace("192.0.2.1:9092", &server.addresses()[0].to_string()),
        "x",
        MANNERS,
    );
    let refused = refused.expect_err("it is not loopback");
    assert!(refused.to_string().contains("192.0.2.1"), "{refused}");
}
